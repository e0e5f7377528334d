//! The encoders of both vendors.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| llm_adapters::fuzzing::requests(bytes));

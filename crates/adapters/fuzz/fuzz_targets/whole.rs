//! The decoders of whole answers and of errors.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| llm_adapters::fuzzing::whole(bytes));

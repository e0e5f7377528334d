//! The event reader, against the specification's own words.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| llm_adapters::fuzzing::events(bytes));

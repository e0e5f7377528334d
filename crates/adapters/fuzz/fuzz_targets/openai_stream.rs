//! OpenAI's stream decoder, behind the event reader.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| llm_adapters::fuzzing::openai_stream(bytes));

//! The bodies of the fuzz targets, over random bytes.

use proptest::prelude::*;

/// Enough for a conversation of some turns, or an answer of some blocks.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..600)
}

proptest! {
    #[test]
    fn events_are_what_the_specification_says(bytes in bytes()) {
        super::events(&bytes);
    }

    #[test]
    fn openai_streams_keep_the_rules(bytes in bytes()) {
        super::openai_stream(&bytes);
    }

    #[test]
    fn anthropic_streams_keep_the_rules(bytes in bytes()) {
        super::anthropic_stream(&bytes);
    }

    #[test]
    fn whole_answers_keep_the_rules(bytes in bytes()) {
        super::whole(&bytes);
    }

    #[test]
    fn requests_keep_the_vendors_rules(bytes in bytes()) {
        super::requests(&bytes);
    }
}

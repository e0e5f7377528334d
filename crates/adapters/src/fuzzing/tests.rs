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

#[test]
fn what_only_the_provider_can_read_is_sent_as_often_as_it_stands_in_the_conversation() {
    // A turn of the model's with a part of Mistral's own, twice in a row.
    super::requests(&[
        0, 11, 150, 29, 189, 18, 135, 0, 0, 0, 0, 70, 0, 0, 0, 0, 79, 3, 4, 4, 0, 0, 0, 0, 254, 18, 55, 0,
        45, 90, 0, 152, 88, 126, 20, 125, 166, 103, 7, 47, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8,
    ]);
}

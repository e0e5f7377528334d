//! What the builder's errors call those who were added.
#![cfg(all(feature = "anthropic", feature = "openai"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::time::Duration;

use llm_client::llm_reliability::Timeouts;
use llm_client::{Builder, Provider, Registry};

fn builder() -> Builder {
    Builder::with_registry(Registry::new().credentials(|name| panic!("{name} was looked up")))
}

#[test]
fn errors_call_a_provider_by_its_name() {
    let bad =
        |provider: Provider| builder().add(Provider::new("ollama", "m")).add(provider).build().unwrap_err();
    for (provider, message) in [
        (Provider::new("openai", ""), "`openai:: model` is empty"),
        (Provider::new("openai", "m").id(" "), "`openai:m: id` is empty"),
        (
            Provider::new("openai", "m").id("spare").max_output_tokens(0),
            "`spare: max_output_tokens` is zero: no answer would fit",
        ),
        (Provider::new("azure", "m"), "`azure:m: provider = \"azure\"` is not built yet"),
        (
            Provider::new("openai", "m").timeouts(Timeouts::new().total(Duration::from_secs(3))),
            "`openai:m: timeouts.total` is no candidate's own: set it on the client, or on the call",
        ),
        (
            Provider::new("openai", "m").timeouts(Timeouts::new().cleanup(Duration::ZERO)),
            "`openai:m: timeouts.cleanup` is no candidate's own: set it on the client, or on the call",
        ),
    ] {
        assert_eq!(bad(provider).to_string(), message);
    }
    let unknown = bad(Provider::new("Acme", "m")).to_string();
    assert!(unknown.starts_with("`Acme:m: provider`: there is no provider `Acme` among"), "{unknown}");
    // The last one holds.
    let clocks = Timeouts::new().idle(Duration::from_secs(3));
    let mended = Provider::new("ollama", "m").timeouts(clocks.total(Duration::from_secs(9))).timeouts(clocks);
    assert!(builder().add(mended).build().is_ok());
}

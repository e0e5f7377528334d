//! What candidates lack, as the protocol calls it: `["tools", "json_schema"]`.

use llm_protocol::Capability;
use serde::{Deserialize, Deserializer, Serializer};

use super::words::{self, Words};

#[derive(Deserialize)]
struct Entry(#[serde(deserialize_with = "words::deserialize")] Word);

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Tools,
    JsonObject,
    JsonSchema,
    Images,
}

impl Words for Word {
    const EXPECTED: &'static str = "`\"tools\"`, `\"json_object\"`, `\"json_schema\"` or `\"images\"`";
}

pub(super) fn serialize<S: Serializer>(lacks: &[Capability], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(lacks.iter().map(|capability| capability.as_str()))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Capability>, D::Error> {
    let entries = Vec::<Entry>::deserialize(deserializer)?;
    let capability = |Entry(word)| match word {
        Word::Tools => Capability::Tools,
        Word::JsonObject => Capability::JsonObject,
        Word::JsonSchema => Capability::JsonSchema,
        Word::Images => Capability::Images,
    };
    Ok(entries.into_iter().map(capability).collect())
}

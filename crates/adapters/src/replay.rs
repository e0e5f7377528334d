//! Recorded traffic through the codecs: `LLM_RECORDINGS` names a folder of exchanges, one a JSON file with
//! `{provider, request: {method, path, body}, stream, response: {status, headers, body_base64}}`.
//!
//! Without the variable there is nothing to replay, and the test says so.
#![cfg(all(feature = "anthropic", feature = "openai"))]
#![allow(clippy::print_stdout, reason = "a skipped test should be seen to be skipped")]

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use llm_protocol::{ErrorKind, StreamEvent};
use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::testing;
use crate::vendor::Codec;
use crate::{Anthropic, OpenAi};

/// Hosts that speak one of the two formats.
const OPEN_AI: [&str; 5] = ["openai", "groq", "openrouter", "mistral", "deepseek"];

struct Exchange {
    name: String,
    provider: String,
    streamed: bool,
    status: u16,
    body: Vec<u8>,
}

#[test]
fn recorded_traffic_reads_the_same_in_every_split() {
    let Some(folder) = std::env::var_os("LLM_RECORDINGS") else {
        println!("skipped: LLM_RECORDINGS names no folder of recordings");
        return;
    };
    let mut replayed = 0;
    for path in files(Path::new(&folder)) {
        let json: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let provider = json["provider"].as_str().unwrap_or_default();
        let request = json["request"]["path"].as_str().unwrap_or_default();
        let exchange = exchange(&path, &json);
        if provider == "anthropic" && request.contains("/messages") {
            replay(&Anthropic::builder("m").vendor, &exchange);
        } else if OPEN_AI.contains(&provider) && request.contains("/chat/completions") {
            replay(&OpenAi::builder("m").vendor, &exchange);
        } else {
            continue;
        }
        replayed += 1;
    }
    println!("replayed {replayed} exchanges");
    assert!(replayed > 0, "nothing to replay in {}", Path::new(&folder).display());
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files
}

fn exchange(path: &Path, json: &Value) -> Exchange {
    let response = &json["response"];
    let content_type = response["headers"]["content-type"].as_str().unwrap_or_default();
    Exchange {
        provider: json["provider"].as_str().unwrap_or_default().to_owned(),
        name: path.file_name().unwrap().to_string_lossy().into_owned(),
        streamed: content_type.starts_with("text/event-stream"),
        status: response["status"].as_u64().unwrap().try_into().unwrap(),
        body: STANDARD.decode(response["body_base64"].as_str().unwrap()).unwrap(),
    }
}

fn replay(codec: &impl Codec, exchange: &Exchange) {
    let Exchange { name, provider, streamed, status, body } = exchange;
    if *status >= 400 {
        let failure = codec.failure(*status, &HeaderMap::new(), body);
        assert_ne!(failure.kind, ErrorKind::Other, "{name}");
        assert_ne!(failure.message, "no explanation", "{name}");
    } else if *streamed {
        replay_stream(codec, name, body);
    } else {
        let response = codec.decode(provider, body).unwrap_or_else(|failure| panic!("{name}: {failure:?}"));
        assert!(!response.is_empty() && response.usage.total().is_some(), "{name}: {response:?}");
    }
}

fn replay_stream(codec: &impl Codec, name: &str, body: &[u8]) {
    let (events, ending) = testing::read(codec, [body]);
    let failure = ending.err().map(|failure| failure.kind);
    assert_ne!(failure, Some(ErrorKind::Protocol), "{name}");
    if failure.is_none() {
        let response = testing::collect(&events);
        assert!(events.iter().any(|event| matches!(event, StreamEvent::Finish(_))), "{name}");
        assert!(response.model_id.is_some() && response.usage.total().is_some(), "{name}: {response:?}");
    }
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for largest in [1, 3, 40, 4000] {
        let mut rest = body;
        let pieces = std::iter::from_fn(|| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let size = 1 + usize::try_from(random % largest).unwrap();
            let (piece, tail) = rest.split_at(size.min(rest.len()));
            rest = tail;
            (!piece.is_empty()).then_some(piece)
        });
        let (split, ending) = testing::read(codec, pieces);
        assert_eq!(split, events, "{name}");
        assert_eq!(ending.err().map(|failure| failure.kind), failure, "{name}");
    }
}

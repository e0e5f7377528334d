//! Recorded traffic of the vendors and of hosts that speak like them: the SDKs and our adapters read the same in it.
//!
//! `LLM_RECORDINGS` names a folder of exchanges, as `crates/adapters/src/replay.rs` describes them.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use llm_simulator::Wire;
use serde_json::Value;

use crate::judge::{Differences, Exhibit, Read, read};

/// Hosts that speak OpenAI's format.
const OPENAI: [&str; 5] = ["openai", "groq", "openrouter", "mistral", "deepseek"];
/// Headers that say how the body was on the wire, which it is not any more.
const FRAMING: [&str; 3] = ["content-length", "content-encoding", "transfer-encoding"];

fn exhibit(path: &Path) -> Option<Exhibit> {
    let json: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let provider = json["provider"].as_str().unwrap_or_default();
    let at = json["request"]["path"].as_str().unwrap_or_default();
    let wire = if provider == "anthropic" && at.contains("/messages") {
        Wire::Anthropic
    } else if OPENAI.contains(&provider) && at.contains("/chat/completions") {
        Wire::OpenAi
    } else {
        return None;
    };
    let response = &json["response"];
    let body = BASE64_STANDARD.decode(response["body_base64"].as_str().unwrap()).unwrap();
    let mut head = format!("HTTP/1.1 {} Recorded\r\nconnection: close\r\n", response["status"]);
    for (name, value) in response["headers"].as_object().unwrap() {
        if !FRAMING.contains(&name.as_str()) {
            head += &format!("{name}: {}\r\n", value.as_str().unwrap());
        }
    }
    head += &format!("content-length: {}\r\n\r\n", body.len());
    Some(Exhibit {
        name: path.file_name().unwrap().to_string_lossy().into_owned(),
        wire,
        provider: provider.to_owned(),
        stream: json["stream"].as_bool().unwrap(),
        bytes: [head.as_bytes(), &body].concat(),
    })
}

fn exhibits(folder: &Path) -> Vec<Exhibit> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files.iter().filter_map(|path| exhibit(path)).collect()
}

fn compare(differences: &mut Differences, exhibit: &Exhibit, read: &Read) {
    let error = read.ours.error.as_ref();
    let both_failed = (read.raised.is_object(), error.is_some());
    differences.note(exhibit, "errors of the SDK and of ours", both_failed.0, both_failed.1);
    differences.note(exhibit, "our adapter (expected: the SDK)", &read.ours.said, &read.sdk);
    if let Some(error) = error {
        let words = ["error_code", "code", "type"].map(|word| read.raised[word].as_str());
        let code = words.into_iter().flatten().next();
        differences.note(exhibit, "the code (expected: the SDK's)", error.code(), code);
        let status = read.raised["status_code"].as_u64();
        differences.note(exhibit, "the status (expected: the SDK's)", error.status().map(u64::from), status);
    }
}

#[tokio::test]
async fn the_sdks_and_our_adapters_make_the_same_of_recorded_traffic() {
    let Some(folder) = std::env::var_os("LLM_RECORDINGS") else {
        println!("skipped: LLM_RECORDINGS names no folder of recordings");
        return;
    };
    let exhibits = exhibits(Path::new(&folder));
    assert!(!exhibits.is_empty(), "nothing to read in {}", folder.display());
    let mut differences = Differences::default();
    for (exhibit, read) in exhibits.iter().zip(read(&exhibits).await) {
        compare(&mut differences, exhibit, &read);
    }
    println!("read {} recorded answers twice", exhibits.len());
    differences.none();
}

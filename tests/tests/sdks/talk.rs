//! The SDKs ask the simulator, as their users ask the vendors.

use llm_simulator::Simulator;
use serde_json::json;

use crate::SDKS;

#[tokio::test]
async fn the_sdk_of_openai_talks_with_the_simulator() {
    talk("openai").await;
}

#[tokio::test]
async fn the_sdk_of_anthropic_talks_with_the_simulator() {
    talk("anthropic").await;
}

async fn talk(vendor: &str) {
    let simulator = Simulator::start().await.unwrap();
    let job = json!({"do": "talk", "vendor": vendor, "base_url": simulator.base_url()});
    let checks = SDKS.run(&[job]).await.remove(0);
    let checks = checks.as_array().unwrap();
    assert!(checks.len() > 10, "only {} checks", checks.len());
    let mut failed = Vec::new();
    for check in checks {
        let name = check["check"].as_str().unwrap();
        println!("{vendor}: {name}");
        failed.extend(check["failed"].as_str().map(|why| format!("{name}: {why}")));
    }
    assert!(failed.is_empty(), "{} of {} checks failed:\n{}", failed.len(), checks.len(), failed.join("\n"));
}

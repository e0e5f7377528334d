//! What users rely on without a call: futures that any runtime may move, handles that any thread may share.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::client;
use futures::StreamExt;
use llm_protocol::testing::ScriptedModel;
use llm_reliability::{ClientBuilder, FailoverStream, NoAnswer, Report, ResilientClient, RetryBudget};

fn shared<T: Clone + Send + Sync + 'static>() {}
fn moved<T: Send + 'static>() {}

#[test]
fn handles_and_results_may_go_anywhere() {
    shared::<ResilientClient>();
    shared::<Report>();
    shared::<RetryBudget>();
    moved::<ClientBuilder>();
    moved::<FailoverStream>();
    moved::<NoAnswer>();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_may_be_spawned() {
    let client = client(&[ScriptedModel::new("p:a")]);
    let (one, two, three) = (client.clone(), client.clone(), client.clone());
    assert!(tokio::spawn(async move { one.failover("hi").await }).await.unwrap().unwrap().succeeded());
    assert!(tokio::spawn(async move { two.fan_out("hi").await }).await.unwrap().unwrap().succeeded());
    let stream = tokio::spawn(async move { three.failover_stream("hi").await }).await.unwrap().unwrap();
    assert!(tokio::spawn(stream.collect::<Vec<_>>()).await.unwrap().iter().all(Result::is_ok));
    assert_eq!(tokio::spawn(async move { client.status().await }).await.unwrap().len(), 1);
}

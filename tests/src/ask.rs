//! Asking by either strategy that gives one answer, so that a test can say the same of both.

use futures::StreamExt;
use llm_protocol::StreamEvent;
use llm_reliability::{Call, Report, ResilientClient, StreamError};

use crate::within;

/// A way to ask for one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    Failover,
    FailoverStream,
}

impl Strategy {
    pub const ALL: [Self; 2] = [Self::Failover, Self::FailoverStream];
}

/// What a call came to.
#[derive(Debug)]
pub struct Asked {
    pub report: Report,
    /// The visible text that reached the caller.
    pub text: String,
    /// What a stream ended with, when not with its end.
    pub error: Option<StreamError>,
}

/// Asks, reads to the end, and checks that the caller got what the report says.
pub async fn ask(client: &ResilientClient, strategy: Strategy, call: impl Into<Call>) -> Asked {
    within(async {
        match strategy {
            Strategy::Failover => {
                let report = client.failover(call).await.unwrap();
                let text = report.response().map(|response| response.text.clone()).unwrap_or_default();
                assert!(report.partial().is_none(), "what was collected is never half an answer");
                Asked { report, text, error: None }
            }
            Strategy::FailoverStream => read(client, call.into()).await,
        }
    })
    .await
}

async fn read(client: &ResilientClient, call: Call) -> Asked {
    let mut stream = client.failover_stream(call).await.unwrap();
    let (mut text, mut reasoning, mut error) = (String::new(), String::new(), None);
    while let Some(event) = stream.next().await {
        assert!(error.is_none(), "something came after an error");
        match event {
            Ok(StreamEvent::Text(delta)) => text += &delta,
            Ok(StreamEvent::Reasoning(delta)) => reasoning += &delta,
            Ok(StreamEvent::Discard) => (text, reasoning) = (String::new(), String::new()),
            Ok(_) => {}
            Err(cause) => error = Some(cause),
        }
    }
    let report = stream.into_report();
    let answer = report.response().or(report.partial()).cloned().unwrap_or_default();
    assert_eq!(text, answer.text, "what was handed out is what the report holds");
    assert_eq!(reasoning, answer.reasoning.unwrap_or_default(), "and nothing of other attempts");
    assert_eq!(
        error.is_none(),
        report.succeeded(),
        "a clean end is an answer, and nothing else is: {error:?}"
    );
    if let Some(error) = &error {
        assert_eq!(error.ended, report.ended());
        // What cut the answer, or else the last error there was.
        let attempts = || report.attempts().iter().rev();
        let cut = attempts().find(|attempt| attempt.partial().is_some()).and_then(|cut| cut.error());
        let told = cut.or_else(|| attempts().find_map(|attempt| attempt.error()));
        assert_eq!(error.error.as_ref().map(|error| error.kind()), told.map(|error| error.kind()));
    }
    Asked { report, text, error }
}

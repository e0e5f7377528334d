//! A client of an HTTP service that leaves the service alone when it fails, and when it asks to be left alone.

use std::time::Duration;

use circuit_breaker::{CallError, Circuit, Cost, Limited, Quota, RejectReason, Verdict};
use reqwest::StatusCode;
use reqwest::header::RETRY_AFTER;

pub(crate) struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) base: String,
    pub(crate) circuit: Circuit,
    pub(crate) quota: Quota,
}

/// Why there is no good answer.
pub(crate) enum Problem {
    /// Not sent: the limiter says so.
    Limited(Limited),
    /// Not sent: the breaker says so.
    Open { reason: RejectReason, retry_after: Option<Duration> },
    /// The service said no.
    Refused(StatusCode),
    /// There was no answer.
    Failed(reqwest::Error),
}

impl Client {
    /// Gets what is at `path`, if the limiter and the breaker let the request go out.
    pub(crate) async fn get(&self, path: &str) -> Result<String, Problem> {
        let mut slot = self.quota.admit(Cost::REQUEST).await.map_err(Problem::Limited)?;
        let request = self.http.get(format!("{}{path}", self.base));
        let answer = async {
            // From here on the request counts. Before, dropping the slot would give it back.
            slot.dispatched();
            let response = request.send().await?;
            let (status, headers) = (response.status(), response.headers().clone());
            Ok((status, headers, response.text().await?))
        };
        let (status, headers, body) =
            self.circuit.call(answer, |result| verdict(result.as_ref().map(|(status, ..)| *status))).await?;

        if status == StatusCode::TOO_MANY_REQUESTS {
            let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            self.quota.defer(Duration::from_secs(seconds.unwrap_or(1)));
        }
        if status.is_success() { Ok(body) } else { Err(Problem::Refused(status)) }
    }
}

/// What a result says about the health of the service.
fn verdict(result: Result<StatusCode, &reqwest::Error>) -> Verdict {
    match result {
        // Not reached, cut off, or timed out.
        Err(_) => Verdict::Failure,
        Ok(status) if status.is_server_error() => Verdict::Failure,
        // Throttled is not broken, and a bad request is ours.
        Ok(status) if status.is_client_error() => Verdict::Neutral,
        Ok(_) => Verdict::Success,
    }
}

impl From<CallError<reqwest::Error>> for Problem {
    fn from(error: CallError<reqwest::Error>) -> Self {
        match error {
            CallError::CircuitOpen { reason, retry_after, .. } => Self::Open { reason, retry_after },
            CallError::Failed(error) => Self::Failed(error),
        }
    }
}

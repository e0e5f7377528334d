//! A client of an HTTP service that leaves the service alone when it fails, and when it asks to be left alone.

use std::time::{Duration, SystemTime};

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
    /// There was no answer, or no request.
    Failed(reqwest::Error),
}

/// How long a service is left alone that asks for it and does not say how long.
const A_WHILE: Duration = Duration::from_secs(1);

impl Client {
    /// Gets what is at `path`, if the breaker and the limiter let the request go out.
    ///
    /// The breaker is asked first, so that nothing is reserved for a request that does not go out.
    pub(crate) async fn get(&self, path: &str) -> Result<String, Problem> {
        let request = self.http.get(format!("{}{path}", self.base));
        let answer = async {
            let mut slot = self.quota.admit(Cost::REQUEST).await.map_err(Problem::Limited)?;
            // From here on the request counts. Before, dropping the slot would give it back.
            slot.dispatched();
            let response = request.send().await?;
            let (status, headers) = (response.status(), response.headers().clone());
            Ok((status, headers, response.text().await?))
        };
        let (status, headers, body) =
            self.circuit.call(answer, |result| verdict(result.as_ref().map(|(status, ..)| *status))).await?;

        if status == StatusCode::TOO_MANY_REQUESTS {
            let delay = headers.get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?));
            self.quota.defer(delay.unwrap_or(A_WHILE));
        }
        if status.is_success() { Ok(body) } else { Err(Problem::Refused(status)) }
    }
}

/// What a result says about the health of the service.
fn verdict(result: Result<StatusCode, &Problem>) -> Verdict {
    match result {
        // Not sent: a URL or a header of ours that makes no request.
        Err(Problem::Failed(error)) if error.is_builder() => Verdict::Neutral,
        // Not reached, cut off, or timed out.
        Err(Problem::Failed(_)) => Verdict::Failure,
        // Not sent, as the limiter says.
        Err(_) => Verdict::Neutral,
        Ok(status) if status.is_server_error() => Verdict::Failure,
        // Throttled is not broken, and a bad request is ours.
        Ok(status) if status.is_client_error() => Verdict::Neutral,
        Ok(_) => Verdict::Success,
    }
}

/// What `Retry-After` says: seconds, or a date, which may have passed already.
pub(crate) fn retry_after(value: &str) -> Option<Duration> {
    let value = value.trim();
    let seconds = value.parse().ok().map(Duration::from_secs);
    seconds.or_else(|| {
        let date = httpdate::parse_http_date(value).ok()?;
        Some(date.duration_since(SystemTime::now()).unwrap_or_default())
    })
}

impl From<reqwest::Error> for Problem {
    fn from(error: reqwest::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<CallError<Problem>> for Problem {
    fn from(error: CallError<Problem>) -> Self {
        match error {
            CallError::CircuitOpen { reason, retry_after, .. } => Self::Open { reason, retry_after },
            CallError::Failed(problem) => problem,
        }
    }
}

//! Work in which calls end in every way there is, at random.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::{Ask, Breaker, Cost, LeaseId, LimitReason, Slot, Verdict};
use tokio::time::{Instant, sleep, timeout};

use super::{Held, Worker, granted, micros, refusal, say};
use crate::entry::{Entry, Span, Spending};
use crate::plan::KEY;

fn millis(range: RangeInclusive<u64>) -> Duration {
    Duration::from_millis(fastrand::u64(range))
}

impl Worker {
    /// Probes that end in every way. All other calls fail at once.
    pub(super) async fn storm(self: &Arc<Self>, length: Duration) {
        let end = Instant::now() + length;
        let go_on = || async {
            while Instant::now() < end {
                self.probe().await;
                sleep(millis(0..=3)).await;
            }
        };
        futures::join!(go_on(), go_on(), go_on());
    }

    async fn probe(&self) {
        let hold = millis(10..=40);
        if fastrand::u8(..8) == 0 {
            // Whoever asks goes away, before the request has left, or while its answer is on its way.
            let lease = LeaseId::new();
            let ask = Ask::new(lease).with_hold(hold);
            let patience = Duration::from_micros(fastrand::u64(..1500));
            if let Ok(Ok(admission)) = timeout(patience, self.breaker.acquire(KEY, &ask)).await {
                self.breaker.abandon(KEY, lease, Some(admission));
            } else {
                self.breaker.abandon(KEY, lease, None);
            }
            return;
        }
        let (asked, answer) = self.ask(hold).await;
        let Held { lease, admission } = match answer {
            Ok(granted) => granted,
            Err(rejection) if refusal(asked, rejection) == Entry::Lost => return say(&Entry::Lost),
            Err(_) => return,
        };
        let (Some(lease), true) = (lease, admission.probe) else {
            return self.breaker.settle(KEY, lease, admission, Verdict::Failure.into());
        };
        let id = self.new_id();
        granted(id, asked, hold, admission);
        let how = fastrand::u8(..10);
        // Some stay for longer than they may.
        sleep(if how == 9 { hold + millis(0..=10) } else { millis(0..=8) }).await;
        let since = self.time().await;
        match how {
            0 | 9 => self.breaker.settle(KEY, Some(lease), admission, Verdict::Success.into()),
            1..=3 => self.breaker.settle(KEY, Some(lease), admission, Verdict::Failure.into()),
            4 | 5 => self.breaker.settle(KEY, Some(lease), admission, Verdict::Neutral.into()),
            6 | 7 => self.breaker.abandon(KEY, lease, Some(admission)),
            // It is never heard of again.
            _ => return,
        }
        say(&Entry::Ended { id, told: Span { since, until: since } });
    }

    /// Calls that a limiter lets through, wrong about what they will cost. First they are so small that only their number
    /// keeps them away, then large, and in the end they take long.
    pub(super) async fn spend(&self, length: Duration) {
        let begin = Instant::now();
        let go_on = || async {
            while begin.elapsed() < length {
                let quarter = begin.elapsed().as_millis() * 4 / length.as_millis();
                let tokens = if quarter == 1 || quarter == 2 { 20..=120 } else { 1..=10 };
                self.call(fastrand::u64(tokens), if quarter == 3 { 100..=250 } else { 0..=20 }).await;
            }
        };
        futures::join!(go_on(), go_on());
    }

    async fn call(&self, tokens: u64, takes: RangeInclusive<u64>) {
        let hold = Duration::from_millis(400);
        let since = self.time().await;
        let admit = self.quota.admit_for(Cost::REQUEST.with_input_tokens(tokens), hold);
        let answer = if fastrand::u8(..8) == 0 {
            timeout(Duration::from_micros(fastrand::u64(..1500)), admit).await.ok()
        } else {
            Some(admit.await)
        };
        let asked = Span { since, until: self.time().await };
        match answer {
            None => {}
            Some(Ok(slot)) => self.spend_slot(slot, asked, tokens, hold, takes).await,
            Some(Err(limited)) if limited.reason == LimitReason::StoreUnavailable => say(&Entry::Lost),
            Some(Err(_)) => {
                say(&Entry::Limited);
                sleep(millis(1..=6)).await;
            }
        }
    }

    async fn spend_slot(
        &self,
        mut slot: Slot,
        asked: Span,
        tokens: u64,
        hold: Duration,
        takes: RangeInclusive<u64>,
    ) {
        let how = fastrand::u8(..40);
        // Some take so long that what they reserved has come back meanwhile.
        sleep(if how < 12 { millis(100..=200) } else { millis(takes) }).await;
        let since = self.time().await;
        let (actual_requests, actual_tokens) = match how {
            0..=3 | 12..=15 => (0, 0),
            4..=11 => (1, tokens / 8),
            16..=19 => (1, tokens + fastrand::u64(..=2 * tokens)),
            20..=23 => (1, tokens),
            _ => (1, fastrand::u64(..=tokens)),
        };
        let mut spending = Spending {
            asked,
            hold: micros(hold),
            tokens,
            ended: Span { since: u64::MAX, until: u64::MAX },
            actual_requests: 1,
            actual_tokens: tokens,
        };
        match how {
            // It never went out.
            0..=3 | 12..=15 => drop(slot),
            // It is never heard of again.
            39 => {
                std::mem::forget(slot);
                return say(&Entry::Spent(spending));
            }
            _ => {
                slot.dispatched();
                slot.settle(&Cost::REQUEST.with_input_tokens(actual_tokens));
            }
        }
        self.quota.limiter().flush().await;
        spending.ended = Span { since, until: self.time().await };
        (spending.actual_requests, spending.actual_tokens) = (actual_requests, actual_tokens);
        say(&Entry::Spent(spending));
    }
}

//! One turn of a failover that is hedged: a candidate, and where it is slow the next one beside it.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use llm_protocol::ErrorKind;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::attempt::Launch;
use crate::course::Course;
use crate::flight::{Flight, Landed, Landing, Until};
use crate::policy::Step;
use crate::run::{Run, Seat};
use crate::timeouts::deadline;

/// One who takes part.
struct Lane {
    seat: Arc<Seat>,
    begun: Instant,
    /// Whether it runs beside another.
    hedge: bool,
    /// Whether its delay has passed.
    late: bool,
    flight: Pin<Box<dyn Future<Output = Landing> + Send>>,
}

/// Those who run side by side, two at the most, and when the one that began last is late.
struct Race {
    lanes: Vec<Lane>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Course {
    /// Flies one attempt, and when it has no first token after the delay a hedge beside it. Returns what decides: the
    /// first token, or the last attempt to fail, with its candidate. Those that failed or lost before are in the trail by
    /// then.
    pub(crate) async fn race(
        &mut self,
        seat: &Arc<Seat>,
        retried: u32,
        launch: Launch,
        now: Instant,
        delay: Duration,
    ) -> (Arc<Seat>, Landing) {
        let run = Arc::clone(&self.run);
        let mut race = Race { lanes: vec![self.lane(seat, retried, launch, now)], timer: None };
        race.wait_until(deadline(now, delay));
        // What would have had its consequences, had another not run beside it.
        let mut held: Option<(Arc<Seat>, Landed)> = None;
        loop {
            let Some((lane, landing)) = poll_fn(|cx| race.poll(cx)).await else {
                race.are_late(&run);
                if race.lanes.len() == 1
                    && let Some(hedge) = self.hedge()
                {
                    race.wait_until(deadline(hedge.begun, delay));
                    race.lanes.push(hedge);
                }
                continue;
            };
            let landed = match landing {
                Landing::Committed(flight) => {
                    if !lane.late {
                        run.note_late(lane.hedge, false);
                    }
                    // Whoever has lost is given up before its winner is handed on. Should that be cut, they are there.
                    for Lane { seat, flight, .. } in race.lanes {
                        drop(flight);
                        self.line.put_back(&seat);
                    }
                    return (lane.seat, Landing::Committed(flight));
                }
                Landing::Landed(landed) => landed,
            };
            let Some(other) = race.lanes.first() else {
                let last = (lane.seat, landed);
                let (seat, landed) = if landed.step == Step::Advance { held.unwrap_or(last) } else { last };
                return (seat, Landing::Landed(landed));
            };
            match landed.step {
                // Whoever runs beside it goes first.
                Step::Retry(_) => held = Some((Arc::clone(&lane.seat), landed)),
                Step::Stop if landed.error.is_some_and(ErrorKind::blames_model) => {
                    held = Some((Arc::clone(&lane.seat), landed));
                }
                Step::Finish | Step::Stop | Step::OutOfTime => return (lane.seat, Landing::Landed(landed)),
                Step::Advance => {}
            }
            if let Some(delay) = run.hedge_delay(&other.seat) {
                let due = deadline(other.begun, delay);
                race.wait_until(due);
            }
            self.heed(&lane.seat, landed);
        }
    }

    /// The next candidate, beside the one that runs: if there is one, and if hedges are of use.
    fn hedge(&mut self) -> Option<Lane> {
        let now = Instant::now();
        let hedging = &self.run.shared.hedging;
        let of_use = !self.run.is_over(now) && self.line.has_next() && !hedging.everyone_is_slow();
        if !of_use || !hedging.budget.spend() {
            return None;
        }
        let seat = self.line.next()?;
        let retried = u32::from(self.line.has_lost());
        Some(self.lane(&seat, retried, Launch::Hedge, now))
    }

    fn lane(&mut self, seat: &Arc<Seat>, retried: u32, launch: Launch, begun: Instant) -> Lane {
        let until = if self.until == Until::Complete { Until::Won } else { self.until };
        // At once, so that it is in the trail even if the race is over before it is looked at.
        let ordinal = self.count();
        let flight = Flight::new(&self.run, seat, ordinal, retried, launch, begun);
        let hedge = launch == Launch::Hedge;
        Lane { seat: Arc::clone(seat), begun, hedge, late: false, flight: Box::pin(flight.fly(until)) }
    }
}

impl Race {
    fn wait_until(&mut self, due: Instant) {
        self.timer = Some(Box::pin(sleep_until(due)));
    }

    /// Who has come to its end, or to its first token; `None` when the delay of the one that began last has passed.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<(Lane, Landing)>> {
        for at in 0..self.lanes.len() {
            let Some(lane) = self.lanes.get_mut(at) else { break };
            if let Poll::Ready(landing) = lane.flight.as_mut().poll(cx) {
                return Poll::Ready(Some((self.lanes.remove(at), landing)));
            }
        }
        let late = self.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready());
        if late { Poll::Ready(None) } else { Poll::Pending }
    }

    /// The delay has passed; says so of each who runs once.
    fn are_late(&mut self, run: &Run) {
        self.timer = None;
        for lane in self.lanes.iter_mut().filter(|lane| !lane.late) {
            lane.late = true;
            run.note_late(lane.hedge, true);
        }
    }
}

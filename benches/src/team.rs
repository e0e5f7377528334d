//! Threads that are started once and set off together, pass by pass.

use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Scope, yield_now};
use std::time::{Duration, Instant};

use crate::row::{Body, Failure, Maker};

/// Between two looks at whether another thread has finished.
const CHUNKS: u32 = 64;
/// With fewer cores than threads, whoever is waited for needs the core.
const SPINS: u32 = 10_000;

/// One row, by some of the threads, at the same time.
pub(crate) struct Pass {
    row: usize,
    threads: usize,
    /// Before the clock starts, so that caches hold this row's data and not those of the row before.
    warm_up: u32,
    times: u32,
    arrived: AtomicUsize,
    finished: AtomicBool,
}

impl Pass {
    pub(crate) fn new(row: usize, threads: usize, warm_up: u32, times: u32) -> Self {
        let (arrived, finished) = Default::default();
        Self { row, threads, warm_up, times: times.max(1), arrived, finished }
    }

    fn meet(&self) {
        self.arrived.fetch_add(1, Ordering::AcqRel);
        let mut spins = 0;
        while self.arrived.load(Ordering::Acquire) < self.threads {
            spins += 1;
            if spins % SPINS == 0 { yield_now() } else { spin_loop() }
        }
    }

    /// Nobody waits any longer for a thread that has none to offer.
    fn give_up(&self) {
        self.arrived.fetch_add(self.threads, Ordering::AcqRel);
        self.finished.store(true, Ordering::Relaxed);
    }

    /// Whoever is done first ends it for all, so that nobody is measured while the others have gone home.
    fn run(&self, body: &mut dyn Body) -> Work {
        body.run(self.warm_up);
        let chunk = self.times.div_ceil(CHUNKS);
        let mut times = 0;
        self.meet();
        if let Some(took) = body.run_elsewhere(self.times) {
            return Work { times: self.times, took };
        }
        let start = now();
        loop {
            body.run(chunk);
            times += chunk;
            if times >= self.times || self.finished.load(Ordering::Relaxed) {
                break;
            }
        }
        let took = start.elapsed();
        self.finished.store(true, Ordering::Relaxed);
        Work { times, took }
    }
}

/// What a thread did in a pass; or all of them together.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Work {
    pub(crate) times: u32,
    pub(crate) took: Duration,
}

impl Work {
    /// Of one thread, for one operation.
    pub(crate) fn nanoseconds(self) -> f64 {
        self.took.as_secs_f64() * 1e9 / f64::from(self.times.max(1))
    }
}

/// Threads that wait for passes. They end when it is dropped.
pub(crate) struct Team {
    orders: Vec<Sender<Arc<Pass>>>,
    done: Receiver<Option<Work>>,
}

impl Team {
    /// Starts the threads. Each makes its own part of every row.
    pub(crate) fn start<'s>(scope: &'s Scope<'s, '_>, size: usize, rows: &'s [Maker]) -> Self {
        let (report, done) = channel();
        let orders = (0..size).map(|thread| {
            let (order, orders) = channel();
            let report = report.clone();
            scope.spawn(move || work(thread, rows, &orders, &report));
            order
        });
        Self { orders: orders.collect(), done }
    }

    /// Runs a pass, and adds up what its threads did.
    pub(crate) fn run(&self, pass: Pass) -> Result<Work, Failure> {
        let threads = pass.threads;
        let pass = Arc::new(pass);
        for order in self.orders.iter().take(threads) {
            order.send(Arc::clone(&pass))?;
        }
        let mut all = Work::default();
        for _ in 0..threads {
            let Work { times, took } = self.done.recv()?.ok_or("a row did not do what it should")?;
            all = Work { times: all.times.saturating_add(times), took: all.took + took };
        }
        Ok(all)
    }
}

/// So often a row is looked at after each pass.
const LOOKS: u32 = 16;

fn work(thread: usize, rows: &[Maker], orders: &Receiver<Arc<Pass>>, report: &Sender<Option<Work>>) {
    let mut bodies: Vec<_> = rows.iter().map(|make| make(thread)).collect();
    while let Ok(pass) = orders.recv() {
        let Some(body) = bodies.get_mut(pass.row) else { return };
        // A panic has been told of by the panic hook already.
        let work = catch_unwind(AssertUnwindSafe(|| {
            let work = pass.run(&mut **body);
            body.check(LOOKS).then_some(work)
        }));
        let work = work.ok().flatten();
        if work.is_none() {
            pass.give_up();
        }
        if report.send(work).is_err() {
            return;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::thread::scope;

    use super::*;
    use crate::row::each;

    fn counting(counts: &Arc<[AtomicU32; 2]>) -> Maker {
        let counts = Arc::clone(counts);
        each(move |thread| {
            let counts = Arc::clone(&counts);
            move || counts[thread].fetch_add(1, Ordering::Relaxed) < u32::MAX
        })
        .unwrap()
    }

    #[test]
    fn a_pass_is_run_by_as_many_threads_as_it_asks_for() {
        let counts = Arc::<[AtomicU32; 2]>::default();
        let rows = [counting(&counts)];
        scope(|scope| {
            let team = Team::start(scope, 2, &rows);
            let alone = team.run(Pass::new(0, 1, 10, 640)).unwrap();
            assert_eq!(alone.times, 640);
            assert_eq!(counts[0].load(Ordering::Relaxed), 640 + 10 + LOOKS, "with its warm-up and its looks");
            assert_eq!(counts[1].load(Ordering::Relaxed), 0);

            let both = team.run(Pass::new(0, 2, 0, 640)).unwrap();
            assert!(counts[1].load(Ordering::Relaxed) > LOOKS);
            assert!((641..=1280).contains(&both.times), "{both:?}");
        });
    }

    #[test]
    fn whoever_is_done_first_ends_the_pass_for_all() {
        let fast = Arc::new(AtomicUsize::new(0));
        // The second thread is held up in its first chunk until the first one is looked at after its pass.
        let row = each(move |thread| {
            let fast = Arc::clone(&fast);
            move || {
                if thread == 0 {
                    fast.fetch_add(1, Ordering::AcqRel);
                }
                while thread == 1 && fast.load(Ordering::Acquire) <= 640 {
                    yield_now();
                }
                true
            }
        });
        let rows = [row.unwrap()];
        scope(|scope| {
            let team = Team::start(scope, 2, &rows);
            assert_eq!(team.run(Pass::new(0, 2, 0, 640)).unwrap().times, 640 + 640 / CHUNKS);
        });
    }

    #[test]
    fn what_runs_elsewhere_is_measured_there() {
        struct Elsewhere;
        impl Body for Elsewhere {
            fn run(&mut self, _: u32) {}
            fn check(&mut self, _: u32) -> bool {
                true
            }
            fn run_elsewhere(&mut self, times: u32) -> Option<Duration> {
                Some(Duration::from_secs(3) * times)
            }
        }
        let rows: [Maker; 1] = [Box::new(|_| Box::new(Elsewhere))];
        scope(|scope| {
            let work = Team::start(scope, 2, &rows).run(Pass::new(0, 2, 0, 10)).unwrap();
            assert_eq!((work.times, work.took), (20, Duration::from_secs(60)));
        });
    }

    #[test]
    fn a_row_that_panics_is_not_waited_for() {
        let rows = [each(|thread| move || if thread == 0 { panic!("as it should") } else { true }).unwrap()];
        scope(|scope| {
            let team = Team::start(scope, 2, &rows);
            assert!(team.run(Pass::new(0, 2, 0, 64)).is_err());
        });
    }

    #[test]
    fn a_row_that_does_not_do_what_it_should_is_no_number() {
        let rows = [each(|_| {
            let mut left = 100;
            move || {
                left -= 1;
                left > 0
            }
        })
        .unwrap()];
        scope(|scope| {
            let team = Team::start(scope, 1, &rows);
            assert!(team.run(Pass::new(0, 1, 0, 64)).is_ok());
            assert!(team.run(Pass::new(0, 1, 0, 64)).is_err());
        });
    }
}

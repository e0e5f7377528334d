//! What the store is asked while everything is well: views that are looked at again, and reports.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::{
    Breaker, Circuit, InProcessBreaker, Percent, Rates, RedisBreaker, Trip, Verdict, Window,
};
use llm_benches::{Failure, Walk};
use tokio::runtime::Runtime;
use tokio::time::sleep;

use crate::ours::settings;
use crate::pace::{Pace, Told};
use crate::row::now;
use crate::server::Servers;
use crate::views::{KEYS, circuits, store, through};

/// A way to call what is healthy.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) id: &'static str,
    pub(crate) what: &'static str,
    pub(crate) keys: usize,
    /// Half of the last hundred calls open it, so that every success is reported. Called a thousand times a second, as
    /// nobody reports a million.
    rates: bool,
}

pub(crate) const KINDS: [Kind; 3] = [
    Kind {
        id: "looks/one",
        what: "RedisBreaker as it is by default, one key, one thread that calls as fast as it can",
        keys: 1,
        rates: false,
    },
    Kind { id: "looks/64", what: "the same with 64 keys in turn", keys: KEYS, rates: false },
    Kind {
        id: "looks/rates",
        what: "half of the last 100 calls open it: one key, 1,000 calls a second, whose results are reported together",
        keys: 1,
        rates: true,
    },
];

/// What was seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) calls_per_second: f64,
    /// Calls that no view answered.
    pub(crate) asked: u32,
    /// Scripts that the server ran.
    pub(crate) scripts_per_second: f64,
}

pub(crate) fn measure(
    kind: &Kind,
    lasts: Duration,
    servers: &Servers,
    runtime: &Runtime,
) -> Result<Measured, Failure> {
    const CALLS: Window = Window::Calls(NonZeroU32::new(100).unwrap());
    const HALF: Percent = Percent::new(50).unwrap();
    let rates = Trip::Rates(Rates::failures(HALF, CALLS));
    let settings = if kind.rates { settings().trip(rates) } else { settings() };
    let store = runtime.block_on(store(servers))?;
    let breaker: Arc<dyn Breaker> = Arc::new(RedisBreaker::new(&store, InProcessBreaker::new(settings)));
    let circuits = circuits(&breaker, kind.keys);
    runtime.block_on(async {
        for circuit in &circuits {
            let _seen = circuit.status().await;
        }
    });
    let before = runtime.block_on(servers.seen())?;
    let start = now();
    let (calls, asked) = if kind.rates {
        runtime.block_on(paced(&circuits, lasts))?
    } else {
        as_fast_as_it_can(circuits, lasts, runtime)
    };
    let elapsed = start.elapsed().as_secs_f64();
    let after = runtime.block_on(servers.seen())?;
    runtime.block_on(breaker.flush());
    let scripts = u32::try_from(after.scripts - before.scripts)?;
    #[expect(clippy::cast_precision_loss, reason = "far below where it would")]
    let calls_per_second = calls as f64 / elapsed;
    Ok(Measured { calls_per_second, asked, scripts_per_second: f64::from(scripts) / elapsed })
}

/// Between two looks at the time.
const CHUNK: u64 = 256;

fn as_fast_as_it_can(circuits: Vec<Circuit>, lasts: Duration, runtime: &Runtime) -> (u64, u32) {
    let (mut circuits, start) = (Walk::new(circuits, 0), now());
    let (mut calls, mut asked) = (0, 0);
    while start.elapsed() < lasts {
        for _ in 0..CHUNK {
            let Some(circuit) = circuits.step() else { break };
            if !through(circuit) {
                asked += 1;
                let _seen = runtime.block_on(circuit.status());
            }
        }
        calls += CHUNK;
    }
    (calls, asked)
}

async fn paced(circuits: &[Circuit], lasts: Duration) -> Result<(u64, u32), Failure> {
    let circuit = circuits.first().cloned().ok_or("there is no circuit")?;
    // Whether it was a view that answered is told where it otherwise says whether it was not the store.
    let pace = Pace::start(move || {
        let circuit = circuit.clone();
        async move {
            let by_view = through(&circuit);
            if !by_view {
                circuit.admit().await?.settle(Verdict::Success);
            }
            Ok(Told { at: now(), degraded: !by_view })
        }
    });
    sleep(lasts).await;
    let samples = pace.stop().await?;
    let asked = samples.iter().filter(|sample| sample.degraded).count();
    Ok((samples.len() as u64, u32::try_from(asked)?))
}

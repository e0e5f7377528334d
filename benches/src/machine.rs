//! Where the numbers come from: they mean little without it.

use std::fs::read_to_string;
use std::thread::available_parallelism;

/// What there is to say of machine, compiler and build.
pub fn facts() -> Vec<String> {
    let cores = available_parallelism().map_or(1, usize::from);
    let mut facts = vec![
        format!("{cores} cores, {}, {}", processor(), std::env::consts::ARCH),
        format!("{}, {}", env!("BUILT_BY"), profile()),
    ];
    if cores < 2 {
        facts.push("one core: two threads take turns, so nothing here is contended".to_owned());
    }
    facts
}

fn processor() -> String {
    let read = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = read.lines().find_map(|line| line.strip_prefix("model name")?.split(':').nth(1));
    model.map_or_else(|| "an unknown processor".to_owned(), |model| model.trim().to_owned())
}

const fn profile() -> &'static str {
    if cfg!(debug_assertions) {
        "WITHOUT OPTIMISATION: these numbers say nothing, run it with --release"
    } else {
        "release"
    }
}

/// How many wanted to run at a time over the last minute, this benchmark among them.
pub fn load() -> String {
    let read = read_to_string("/proc/loadavg").unwrap_or_default();
    read.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("unknown").to_owned()
}

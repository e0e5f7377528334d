//! Which process runs on which core, as far as the system's own tools can say so; and how many connections it may have.

use std::fs::read_to_string;
use std::process::{Command, Stdio};

/// So many files may be open at least, or a thousand streams at once are too many.
const FILES: &str = "4096";

/// Keeps this process on one core and the server on another. What was done, in words.
pub(crate) fn keep_apart(server: u32) -> String {
    let status = read_to_string("/proc/self/status").unwrap_or_default();
    let Some((first, last)) = cores(&status) else {
        return "one core for client and server: they take turns".to_owned();
    };
    if pin(std::process::id(), first) && pin(server, last) {
        format!("client on core {first}, server on core {last}, by taskset")
    } else {
        "client and server on any core: there is no taskset".to_owned()
    }
}

/// The first and the last core that may be used, where there are two.
fn cores(status: &str) -> Option<(&str, &str)> {
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?.trim();
    let mut numbers = list.split([',', '-']);
    let first = numbers.next()?;
    Some((first, numbers.next_back()?))
}

fn pin(process: u32, core: &str) -> bool {
    run("taskset", &["--pid", "--cpu-list", core, &process.to_string()])
}

/// Lets this process, and those that it starts, have as many connections as are needed.
pub(crate) fn raise_files() {
    let limits = read_to_string("/proc/self/limits").unwrap_or_default();
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = limit.and_then(|limit| limit.split_whitespace().next()?.parse::<u64>().ok());
    if soft.is_some_and(|soft| soft < 4096) {
        let process = std::process::id().to_string();
        run("prlimit", &["--pid", &process, &format!("--nofile={FILES}:")]);
    }
}

fn run(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    let status = command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::cores;

    #[test]
    fn the_outermost_cores_are_taken() {
        for (list, outermost) in [("0-1", Some(("0", "1"))), ("2,5-7", Some(("2", "7"))), ("3", None)] {
            assert_eq!(cores(&format!("Threads:\t1\nCpus_allowed_list:\t{list}\n")), outermost);
        }
    }
}

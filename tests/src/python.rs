//! Python environments with pinned packages in them, made below the target folder, and the programs that run there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::secs;

const INSTALLING: Duration = secs(300);
const WORKING: Duration = secs(120);

/// A program in Python, `driver.py`, and the packages it needs, `requirements.txt`: one JSON a line goes in, and one
/// comes out for each.
pub struct Python {
    name: &'static str,
    scripts: &'static str,
    below: &'static str,
    interpreter: OnceCell<Result<PathBuf, String>>,
}

impl Python {
    /// The program in the folder `scripts`. Its environment is a folder of this name in the folder `below`, which cargo
    /// tells a test as `CARGO_TARGET_TMPDIR`.
    pub const fn new(name: &'static str, scripts: &'static str, below: &'static str) -> Self {
        Self { name, scripts, below, interpreter: OnceCell::const_new() }
    }

    /// Has the program do these jobs, and returns what came of each.
    pub async fn run(&self, jobs: &[Value]) -> Vec<Value> {
        let mut driver = Command::new(self.interpreter().await);
        // Neither settings of this machine nor keys in its environment are for it, and no caches for the sources.
        driver.env_clear().args(["-B", "-X", "utf8"]).arg(Path::new(self.scripts).join("driver.py"));
        driver.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut driver = driver.spawn().unwrap();
        let lines: String = jobs.iter().map(|job| format!("{job}\n")).collect();
        let mut input = driver.stdin.take().unwrap();
        let work = async {
            let write = async {
                // What ends before it has read everything says why on its way out.
                let _unread = input.write_all(lines.as_bytes()).await;
                drop(input);
            };
            // At the same time: it may answer the first jobs before it has read the last.
            tokio::join!(write, driver.wait_with_output()).1.unwrap()
        };
        let output = tokio::time::timeout(WORKING, work).await.expect("the driver hangs");
        let answers = String::from_utf8(output.stdout).unwrap();
        let answers: Vec<Value> = answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && answers.len() == jobs.len(), "the driver failed: {complaint}");
        answers
    }

    /// The interpreter of an environment with the pinned packages, which is made where there is none.
    async fn interpreter(&self) -> PathBuf {
        let made = self.interpreter.get_or_init(|| self.environment()).await;
        made.clone().unwrap_or_else(|why| panic!("{why}"))
    }

    async fn environment(&self) -> Result<PathBuf, String> {
        let folder = Path::new(self.below);
        let requirements = fs::read(Path::new(self.scripts).join("requirements.txt")).unwrap();
        let ready = folder.join(self.name);
        let new = folder.join(format!("{}-{}", self.name, std::process::id()));
        let python = ready.join("bin/python");
        let is_ready = async || {
            let installed = fs::read(ready.join("requirements.txt"));
            installed.is_ok_and(|installed| installed == requirements)
                && command(&python, &["--version"]).await.is_ok()
        };
        if is_ready().await {
            return Ok(python);
        }
        if let Err(why) = self.install(folder, &new).await {
            let _left = fs::remove_dir_all(&new);
            return Err(why);
        }
        if is_ready().await {
            // Somebody else was faster, and uses it by now.
            let _left = fs::remove_dir_all(&new);
            return Ok(python);
        }
        // Under its name stands only what is complete, whoever makes it at the same time.
        let move_there = || {
            fs::write(new.join("requirements.txt"), &requirements)?;
            if ready.exists() {
                fs::remove_dir_all(&ready)?;
            }
            fs::rename(&new, &ready)
        };
        let moved = move_there();
        moved.map_err(|error| {
            format!("the packages of {} are installed, but not where they belong: {error}", self.name)
        })?;
        Ok(python)
    }

    /// Makes a new environment.
    async fn install(&self, folder: &Path, new: &Path) -> Result<(), String> {
        let name = self.name;
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let missing =
            |why| format!("{name} needs Python with venv (on Debian `apt install python3-venv`): {why}");
        let arguments = ["-m", "venv", "--clear", new.to_str().unwrap()];
        command(Path::new("python3"), &arguments).await.map_err(missing)?;

        let requirements = Path::new(self.scripts).join("requirements.txt");
        let failed = |why| {
            format!(
                "pip cannot install what {name} needs (from the network, or a mirror in PIP_INDEX_URL): {why}"
            )
        };
        let quiet = ["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"];
        let arguments =
            [&quiet[..], &["--only-binary", ":all:", "-r", requirements.to_str().unwrap()]].concat();
        command(&new.join("bin/python"), &arguments).await.map_err(failed)
    }
}

/// Runs a command to its end; why it failed in one line.
async fn command(program: &Path, arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new(program);
    let output = command.args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = match tokio::time::timeout(INSTALLING, output).await {
        Ok(output) => output.map_err(|error| format!("{}: {error}", program.display()))?,
        Err(_) => return Err(format!("{} did not end within {INSTALLING:?}", program.display())),
    };
    if output.status.success() { Ok(()) } else { Err(last_line(&output)) }
}

fn last_line(output: &Output) -> String {
    let told = [&output.stdout[..], &output.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    told.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no explanation").trim().to_owned()
}

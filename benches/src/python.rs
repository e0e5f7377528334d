//! Peers that are written in Python: an environment with pinned packages below the target folder, and the program there.

use std::fs;
use std::io::{BufRead, BufReader, Error, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::row::{Body, Failure, Maker};

/// A row that the program `driver.py` in this folder of `python/` measures. Each thread has a process of it, which is
/// told `argument`. A line `run 100` has it repeat its operation, and write how many nanoseconds that took; a line
/// `check 100` has it write `True` if all of them did what they should.
///
/// The packages of the folder's `requirements.txt` are installed where they are not yet.
pub fn driver(folder: &'static str, argument: &'static str) -> Result<Maker, Failure> {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(folder);
    let python = environment(folder, &scripts)?;
    let start = move || Driver::start(&python, &scripts, argument);
    // What is wrong with it is better said here than by a row that does not do what it should.
    start()?.ask("check", 1)?;
    Ok(Box::new(move |_| Box::new(start())))
}

/// A process that waits for what it is told.
struct Driver {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Driver {
    fn start(python: &Path, scripts: &Path, argument: &str) -> Result<Self, Error> {
        let mut command = Command::new(python);
        // Neither settings of this machine nor keys in its environment are for it, and no caches for the sources.
        command.env_clear().args(["-B", "-X", "utf8"]).arg(scripts.join("driver.py")).arg(argument);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (input, output) = (process.stdin.take(), process.stdout.take());
        let (Some(input), Some(output)) = (input, output) else {
            return Err(Error::other("it has no pipes"));
        };
        Ok(Self { process, input, output: BufReader::new(output) })
    }

    fn ask(&mut self, what: &str, times: u32) -> Result<String, Error> {
        writeln!(self.input, "{what} {times}")?;
        let mut answer = String::new();
        self.output.read_line(&mut answer)?;
        if answer.ends_with('\n') {
            Ok(answer.trim_end().to_owned())
        } else {
            Err(Error::other("it has ended"))
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _status = self.process.wait();
    }
}

/// One that does not run, or not any more, does not do what it should.
impl Body for Result<Driver, Error> {
    fn run(&mut self, times: u32) {
        self.run_elsewhere(times);
    }

    fn check(&mut self, times: u32) -> bool {
        self.as_mut().is_ok_and(|driver| driver.ask("check", times).is_ok_and(|answer| answer == "True"))
    }

    fn run_elsewhere(&mut self, times: u32) -> Option<Duration> {
        let took = self.as_mut().ok().and_then(|driver| driver.ask("run", times).ok());
        let nanoseconds = took.and_then(|took| took.parse().ok());
        Some(nanoseconds.map_or(Duration::ZERO, Duration::from_nanos))
    }
}

/// The interpreter of an environment of this name with the pinned packages, which is made where there is none.
fn environment(name: &str, scripts: &Path) -> Result<PathBuf, Failure> {
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(2).ok_or("this program is in no target folder")?;
    let folder = target.join("tmp");
    let pinned = scripts.join("requirements.txt");
    let requirements = fs::read(&pinned)?;
    let (ready, new) = (folder.join(name), folder.join(format!("{name}-{}", std::process::id())));
    let python = ready.join("bin/python");
    if fs::read(ready.join("requirements.txt")).is_ok_and(|installed| installed == requirements) {
        return Ok(python);
    }
    let install = || -> Result<(), Failure> {
        fs::create_dir_all(&folder)?;
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&new))?;
        let mut pip = Command::new(new.join("bin/python"));
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-input",
            "--disable-pip-version-check",
            "--only-binary",
        ]);
        run(pip.args([":all:", "-r"]).arg(&pinned))?;
        // Under its name stands only what is complete.
        fs::write(new.join("requirements.txt"), &requirements)?;
        if ready.exists() {
            fs::remove_dir_all(&ready)?;
        }
        Ok(fs::rename(&new, &ready)?)
    };
    install().map_err(|why| {
        let _left = fs::remove_dir_all(&new);
        format!("{name} needs Python with venv, and its packages from the network or a mirror in PIP_INDEX_URL: {why}")
    })?;
    Ok(python)
}

/// Runs a command to its end; why it failed in one line.
fn run(command: &mut Command) -> Result<(), Failure> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let told = [&output.stdout[..], &output.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    let line = told.lines().rfind(|line| !line.trim().is_empty());
    Err(line.unwrap_or("no explanation").trim().into())
}

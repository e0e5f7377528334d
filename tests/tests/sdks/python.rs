//! Python with the SDKs in it, and the program that runs them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use llm_tests::secs;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::OnceCell;

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdks");
const REQUIREMENTS: &str = include_str!("requirements.txt");
const INSTALLING: Duration = secs(300);
const JUDGING: Duration = secs(120);

/// Has the SDKs do these jobs, and returns what came of each.
pub(crate) async fn run(jobs: &[Value]) -> Vec<Value> {
    let mut driver = Command::new(interpreter().await);
    // Neither settings of this machine nor keys in its environment are for the SDKs, and no caches for the sources.
    driver.env_clear().args(["-B", "-X", "utf8"]).arg(Path::new(SCRIPTS).join("driver.py"));
    driver.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut driver = driver.spawn().unwrap();
    let lines: String = jobs.iter().map(|job| format!("{job}\n")).collect();
    let mut input = driver.stdin.take().unwrap();
    let work = async {
        // What ends before it has read everything says why on its way out.
        let _unread = input.write_all(lines.as_bytes()).await;
        drop(input);
        driver.wait_with_output().await.unwrap()
    };
    let output = tokio::time::timeout(JUDGING, work).await.expect("the SDKs hang");
    let answers = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<Value> = answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && answers.len() == jobs.len(), "the driver failed: {complaint}");
    answers
}

/// The interpreter of an environment with the pinned versions of the SDKs, which is made where there is none.
async fn interpreter() -> PathBuf {
    static MADE: OnceCell<Result<PathBuf, String>> = OnceCell::const_new();
    let made = MADE.get_or_init(environment).await;
    made.clone().unwrap_or_else(|why| panic!("{why}"))
}

async fn environment() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (ready, new) = (folder.join("sdks"), folder.join(format!("sdks-{}", std::process::id())));
    let (python, versions) = (ready.join("bin/python"), ready.join("requirements.txt"));
    let works = command(&python, &["--version"]).await.is_ok();
    if works && fs::read_to_string(&versions).is_ok_and(|installed| installed == REQUIREMENTS) {
        return Ok(python);
    }
    if let Err(why) = install(folder, &new).await {
        let _left = fs::remove_dir_all(&new);
        return Err(why);
    }
    // Under its name stands only what is complete, whoever makes it at the same time.
    let move_there = || {
        fs::write(new.join("requirements.txt"), REQUIREMENTS)?;
        if ready.exists() {
            fs::remove_dir_all(&ready)?;
        }
        fs::rename(&new, &ready)
    };
    let moved = move_there();
    moved.map_err(|error| format!("the SDKs are installed, but not where they belong: {error}"))?;
    Ok(python)
}

/// Makes a new environment.
async fn install(folder: &Path, new: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let missing =
        |why| format!("the SDKs need Python with venv (on Debian `apt install python3-venv`): {why}");
    let arguments = ["-m", "venv", "--clear", new.to_str().unwrap()];
    command(Path::new("python3"), &arguments).await.map_err(missing)?;

    let requirements = Path::new(SCRIPTS).join("requirements.txt");
    let failed = |why| {
        format!("pip cannot install the SDKs (it needs the network, or a mirror in PIP_INDEX_URL): {why}")
    };
    let quiet = ["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"];
    let arguments = [&quiet[..], &["--only-binary", ":all:", "-r", requirements.to_str().unwrap()]].concat();
    command(&new.join("bin/python"), &arguments).await.map_err(failed)
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

//! `cargo xtask test` and `bless`: the order of the suites, cheapest first. What a suite checks is in its crate.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use testbed::guest::Job;
use testbed::host::{self, say};
use testbed::qemu::Clock;

/// Time for all VM cases in one guest.
const CASES: Duration = Duration::from_secs(1500);
/// Time for the pair's stories in their guest.
const PAIR: Duration = Duration::from_secs(1500);

/// Installs what is missing on this machine.
pub fn setup() -> Result<()> {
    host::install_missing_tools()?;
    host::install_web_tools()?;
    crate::browser::install()?;
    crate::scan::install()
}

/// Everything, or what needs no QEMU; with `wanted`, only VM cases and suites of that name.
pub fn test(fast: bool, wanted: &[String]) -> Result<()> {
    setup()?;
    if wanted.is_empty() {
        suite("tidy", crate::tidy::tidy)?;
        suite("format", || cargo(&["fmt", "--check"]))?;
        suite("lints", || {
            let all = [
                "clippy",
                "--workspace",
                "--all-targets",
                "--features",
                "testbed/cases",
                "--quiet",
                "--",
                "-D",
                "warnings",
            ];
            cargo(&all)
        })?;
        suite("unit and component tests", || cargo(&["test", "--workspace", "--quiet"]))?;
    }
    let asked = |name: &str| wanted.is_empty() || wanted.iter().any(|word| name.contains(word.as_str()));
    if asked("browser") {
        suite("browser", crate::browser::browser)?;
    }
    if asked("scan") {
        suite("scan of API and TLS", crate::scan::scan)?;
    }
    if fast {
        return Ok(());
    }
    let of_cases: Vec<_> = wanted
        .iter()
        .filter(|word| {
            !["browser", "scan", "clicks", "machines", "powercut", "demo", "pair", "heartbeats"]
                .contains(&word.as_str())
        })
        .cloned()
        .collect();
    if wanted.is_empty() || !of_cases.is_empty() {
        suite("VM cases", || cases(&of_cases))?;
    }
    // By name only: they have run on this machine's kernel already, among the component tests.
    if !wanted.is_empty() && asked("heartbeats") {
        suite("two heartbeats in a guest", heartbeats)?;
    }
    if asked("machines") {
        suite("guest and appliance", || {
            cargo(&["test", "--quiet", "-p", "testbed", "--test", "machines", "--", "--ignored", "--test-threads", "1"])
        })?;
    }
    if asked("powercut") {
        suite("power cuts", || {
            cargo(&["test", "--release", "-p", "testbed", "powercut", "--", "--ignored", "--nocapture"])
        })?;
    }
    if asked("clicks") {
        suite("the whole image: clicks", crate::clicks::clicks)?;
    }
    if asked("demo") {
        suite("the whole image: demo", || crate::demo::demo(true))?;
    }
    if asked("pair") {
        suite("two whole images: a pair", || crate::demo::pair::demo(true))?;
    }
    Ok(())
}

/// The cases of `testbed::cases`, all in one guest.
fn cases(wanted: &[String]) -> Result<()> {
    let mut job = Job::new("cases", &format!("/job/cases {}", wanted.join(" ")));
    job.files.push(case_program("cases")?);
    job.memory = 2048;
    job.limit = CASES;
    let done = job.run()?;
    if done.code != 0 {
        bail!("VM cases failed (exit code {}); console and files: target/vm/cases", done.code);
    }
    Ok(())
}

/// heartbeat's stories on the appliance's kernel, in a guest whose clock counts instructions: so the host's load delays
/// no beat.
fn heartbeats() -> Result<()> {
    let tests = test_program("heartbeat", "pair")?;
    let command = "HEARTBEAT=/job/bin/heartbeat /job/pair --nocapture --test-threads=1";
    let mut job = Job::new("heartbeats", command);
    let program = host::target().join("vm/heartbeats-program/pair");
    std::fs::create_dir_all(program.parent().context("a folder")?)?;
    std::fs::copy(&tests, &program).context("copying the test program")?;
    job.files.push(program);
    job.clock = Clock::Virtual;
    job.limit = PAIR;
    let done = job.run()?;
    if done.code != 0 {
        bail!("the pair's stories failed (exit code {}); console: target/vm/heartbeats", done.code);
    }
    Ok(())
}

/// Builds an integration test, and finds it among what cargo says it built.
fn test_program(package: &str, name: &str) -> Result<PathBuf> {
    let arguments =
        ["test", "--release", "--quiet", "-p", package, "--test", name, "--no-run", "--message-format=json"];
    let output = Command::new(cargo_path())
        .args(arguments)
        .current_dir(host::workspace())
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("starting cargo")?;
    if !output.status.success() {
        bail!("cargo ended with {}; its messages are above", output.status);
    }
    let lines = String::from_utf8(output.stdout).context("reading what cargo has built")?;
    let built = lines.lines().filter_map(|line| serde_json::from_str::<Built>(line).ok());
    let program = built.filter(|built| built.target.name == name).find_map(|built| built.executable);
    program.with_context(|| format!("cargo has built no test {name} of {package}"))
}

/// One of cargo's messages.
#[derive(serde::Deserialize)]
struct Built {
    target: BuiltTarget,
    executable: Option<PathBuf>,
}

#[derive(serde::Deserialize)]
struct BuiltTarget {
    name: String,
}

/// Builds a program of testbed that runs inside a guest.
pub fn case_program(name: &str) -> Result<PathBuf> {
    cargo(&["build", "--release", "--quiet", "-p", "testbed", "--features", "cases", "--bin", name])?;
    Ok(host::target().join("release").join(name))
}

/// Rewrites the expected texts. What changed is for `git diff` and a reader to judge.
pub fn bless() -> Result<()> {
    run(Command::new(cargo_path())
        .args(["test", "--workspace", "--quiet", "--no-fail-fast"])
        .env("UPDATE_GOLDEN", "1")
        .env("BLESS", "1")
        .env("INSTA_UPDATE", "always"))?;
    say("Done. git diff shows what the tests expect now.");
    Ok(())
}

fn suite(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    say(&format!("\n== {name}"));
    work().with_context(|| format!("suite failed: {name}"))
}

/// Runs cargo in the workspace with its output on the terminal.
pub fn cargo(arguments: &[&str]) -> Result<()> {
    run(Command::new(cargo_path()).args(arguments))
}

fn cargo_path() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.current_dir(host::workspace()).status().context("starting cargo")?;
    if !status.success() {
        bail!("cargo ended with {status}; its messages are above");
    }
    Ok(())
}

//! `cargo xtask test` and `bless`: the order of the suites, cheapest first. What a suite checks is in its crate.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use testbed::guest::Job;
use testbed::host::{self, say};

/// Time for all VM cases in one guest.
const CASES: Duration = Duration::from_secs(1500);

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
        .filter(|word| !["browser", "scan", "clicks", "machines", "powercut", "demo", "pair"].contains(&word.as_str()))
        .cloned()
        .collect();
    if wanted.is_empty() || !of_cases.is_empty() {
        suite("VM cases", || cases(&of_cases))?;
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

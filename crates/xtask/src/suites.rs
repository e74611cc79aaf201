//! `cargo xtask test` and `bless`: the order of the suites, cheapest first. What a suite checks is in its crate.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use testbed::guest::Job;
use testbed::host::{self, say};
use testbed::qemu::Clock;

/// Time for the VM cases of one guest.
const CASES: Duration = Duration::from_secs(1500);
/// The unit tests, and how everything of theirs is built: a `cargo` that selects less has other features of the same
/// crates, and builds half of them again.
const UNIT_TESTS: [&str; 3] = ["test", "--workspace", "--quiet"];
/// Time for the pair's stories in their guest.
const PAIR: Duration = Duration::from_secs(1500);

/// Installs what is missing on this machine.
pub fn setup() -> Result<()> {
    host::install_missing_tools()?;
    host::install_web_tools()?;
    crate::browser::install()?;
    crate::scan::install()?;
    crate::dialects::install()
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
        suite("unit and component tests", || cargo(&UNIT_TESTS))?;
    }
    let asked = |name: &str| wanted.is_empty() || wanted.iter().any(|word| name.contains(word.as_str()));
    std::thread::scope(|scope| {
        // These wait more than they work: meanwhile the image's programs are built, in a folder of their own.
        let build = wanted.is_empty() && !fast;
        let built = build.then(|| scope.spawn(|| testbed::image::programs().and_then(|_| case_program("cases"))));
        if asked("browser") {
            suite("browser", crate::browser::browser)?;
        }
        if asked("scan") {
            suite("scan of API and TLS", crate::scan::scan)?;
        }
        if asked("dialects") {
            suite("clients of two clouds", crate::dialects::dialects)?;
        }
        built.map_or(Ok(()), |built| joined(built).map(drop))
    })?;
    if fast {
        return Ok(());
    }
    let of_cases: Vec<_> = wanted
        .iter()
        .filter(|word| {
            ![
                "browser",
                "scan",
                "dialects",
                "cases",
                "takeovers",
                "seamless",
                "clicks",
                "clouds",
                "machines",
                "disk",
                "update",
                "update-web",
                "cuts",
                "powercut",
                "demo",
                "pair",
                "heartbeats",
            ]
            .contains(&word.as_str())
        })
        .cloned()
        .collect();
    if asked("cases") || !of_cases.is_empty() {
        suite("VM cases", || cases(&of_cases))?;
    }
    // By name only, as they take minutes.
    if !wanted.is_empty() && asked("takeovers") {
        suite("planned take-overs under load", || long("takeovers", "take_overs", Clock::Virtual))?;
    }
    if !wanted.is_empty() && asked("seamless") {
        suite("a hundred changes under load", || long("seamless", "hundred_changes", Clock::Wall(1)))?;
    }
    // They have run on this machine's kernel already, among the component tests.
    if !wanted.is_empty() && asked("heartbeats") {
        suite("two heartbeats in a guest", heartbeats)?;
    }
    std::thread::scope(|scope| {
        // One machine and its disk: there is room beside it.
        let cuts = asked("powercut").then(|| scope.spawn(|| suite("power cuts", powercut)));
        if asked("machines") {
            suite("guest and appliance", || {
                let machines = ["--test", "machines", "--", "--ignored", "--test-threads", "1"];
                cargo(&[&UNIT_TESTS[..], &machines].concat())
            })?;
        }
        if asked("disk") {
            suite("the disk by itself", crate::disk::disk)?;
        }
        cuts.map_or(Ok(()), joined)
    })?;
    // By name only: a system that never gets ready is waited for.
    if !wanted.is_empty() && asked("update") {
        suite("updates of the image", crate::update::update)?;
    }
    if !wanted.is_empty() && asked("update-web") {
        suite("updates and factory settings from the web interface", crate::update::web)?;
    }
    // By name only: a life of the whole image for each cut.
    if !wanted.is_empty() && asked("cuts") {
        suite("power cuts of the whole image", crate::cuts::cuts)?;
    }
    if asked("clicks") {
        suite("the whole image: clicks", crate::clicks::clicks)?;
    }
    if asked("clouds") {
        suite("the clouds' clients on the whole image", crate::dialects::clouds)?;
    }
    if asked("demo") {
        suite("the whole image: demo", || crate::demo::demo(true))?;
    }
    if asked("pair") {
        suite("two whole images: a pair", || crate::demo::pair::demo(true))?;
    }
    Ok(())
}

/// The cases of `testbed::cases`: those asked for in one guest, all in two at once, as a guest has one processor.
fn cases(wanted: &[String]) -> Result<()> {
    let program = case_program("cases")?;
    let guest = |name: &str, words: &str| guest(&program, name, words, Clock::Wall(1));
    if !wanted.is_empty() {
        return guest("cases", &wanted.join(" "));
    }
    // Built here, so that neither of the two waits for the other.
    testbed::image::programs()?;
    testbed::image::guest_base()?;
    std::thread::scope(|scope| {
        let first = scope.spawn(|| guest("cases-1", "--part 1"));
        let second = guest("cases-2", "--part 2");
        joined(first).and(second)
    })
}

fn powercut() -> Result<()> {
    cargo(&[&UNIT_TESTS[..], &["--lib", "powercut", "--", "--ignored", "--nocapture"]].concat())
}

/// The daemons and `lbctl` as the unit tests have them, and the folder they are in.
pub fn programs() -> Result<PathBuf> {
    cargo(&[&UNIT_TESTS[..], &["--no-run"]].concat())?;
    Ok(host::target().join("debug"))
}

/// What a thread came to.
fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|_| bail!("a thread panicked; its message is above"))
}

/// A case by itself.
fn long(name: &str, case: &str, clock: Clock) -> Result<()> {
    guest(&case_program("cases")?, name, &format!("--part long {case}"), clock)
}

fn guest(program: &Path, name: &str, words: &str, clock: Clock) -> Result<()> {
    let mut job = Job::new(name, &format!("/job/cases {words}"));
    job.files.push(program.to_path_buf());
    job.memory = 2048;
    job.clock = clock;
    job.limit = CASES;
    let done = job.run()?;
    if done.code != 0 {
        bail!("VM cases failed (exit code {}); console and files: target/vm/{name}", done.code);
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
    let output =
        host::cargo().args(arguments).stderr(std::process::Stdio::inherit()).output().context("starting cargo")?;
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
    run(host::cargo()
        .args(["test", "--workspace", "--quiet", "--no-fail-fast"])
        .env("UPDATE_GOLDEN", "1")
        .env("BLESS", "1")
        .env("INSTA_UPDATE", "always"))?;
    say("Done. git diff shows what the tests expect now.");
    Ok(())
}

fn suite(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let start = Instant::now();
    say(&format!("\n== {name}"));
    work().with_context(|| format!("suite failed: {name}"))?;
    say(&format!("== {name}: passed ({:.0} s)", start.elapsed().as_secs_f64()));
    Ok(())
}

/// Runs cargo in the workspace with its output on the terminal.
pub fn cargo(arguments: &[&str]) -> Result<()> {
    run(host::cargo().args(arguments))
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().context("starting cargo")?;
    if !status.success() {
        bail!("cargo ended with {status}; its messages are above");
    }
    Ok(())
}

//! `cargo xtask test scan`: strangers' tools look at the API and at TLS, with lbd's kernel in memory.
//!
//! schemathesis makes requests from the served document and judges the answers by it; sslyze tries what the https port
//! takes, and what layer 7 virtual servers of both TLS profiles do; the reference parser of OpenMetrics reads `/metrics`. What each is told is in `lbadmin/tests/scan`. They come
//! from PyPI into `target/scan`. The requests are the same in every run; `STEELYARD_SCAN=N` makes N times as many.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use testbed::host::{self, say, step};
use testbed::limits::{self, wait_until};

use crate::pypi;
use crate::suites;
use crate::unit::{Client, Unit};

/// A run of schemathesis, for each time as many requests.
const RUN: Duration = Duration::from_secs(240);
/// One of its requests.
const REQUEST: Duration = Duration::from_secs(20);
/// A run of sslyze.
const SSLYZE: Duration = Duration::from_secs(120);
/// Requests that it makes for each operation in its phases of chance; where nearly all are refused, fewer do.
const EXAMPLES: u32 = 12;
const FEW_EXAMPLES: u32 = 2;

/// Megabytes that lbadmin may have had after all of them, as a debug build.
const MEMORY: u64 = 256;

/// Of the unit, where its layer 7 listens; see `CONFIGURATION`.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 21);

/// All that sslyze can try and that `tls.py` judges.
const TLS_TRIED: &[&str] = &[
    "sslv2",
    "sslv3",
    "tlsv1",
    "tlsv1_1",
    "tlsv1_2",
    "tlsv1_3",
    "certinfo",
    "compression",
    "heartbleed",
    "openssl_ccs",
    "robot",
    "reneg",
    "fallback",
    "ems",
    "early_data",
];

/// One virtual server, so that there is something to ask after. The names are those of the document's examples.
const CONFIGURATION: &str = r#"{"version":1,
  "node":{"hostname":"lbmaster","nameservers":["10.0.0.31"],"gateway":"10.0.0.31",
    "interfaces":[{"name":"eth0","addresses":["10.0.0.21/24"]},{"name":"eth1","addresses":["192.168.2.21/24"]}]},
  "virtual_servers":[{"label":"HTTP_Cluster","service":{"kind":"address","address":"10.0.0.21","ports":"80"},
    "real_servers":[{"label":"WebServer1","address":"192.168.2.50","port":80,"forwarding":"nat"},
                    {"label":"WebServer2","address":"192.168.2.51","port":80,"forwarding":"nat"}]}]}"#;

pub fn scan() -> Result<()> {
    install()?;
    let programs = suites::programs()?;
    let times: u32 = match std::env::var("STEELYARD_SCAN") {
        Ok(text) => text.parse().context("STEELYARD_SCAN is not a number")?,
        Err(_) => 1,
    };
    for (role, examples) in [(Some("configuration"), EXAMPLES), (Some("report"), FEW_EXAMPLES), (None, FEW_EXAMPLES)] {
        let unit = Unit::start(&programs, Some(CONFIGURATION))?;
        step(&format!("schemathesis as {}", role.unwrap_or("nobody")), || api(&unit, role, examples * times))?;
    }
    let unit = Unit::start(&programs, Some(CONFIGURATION))?;
    step("sslyze", || tls("lbadmin", "compatible", unit.https))?;
    step("OpenMetrics", || metrics(&unit))?;
    in_a_network_of_its_own(|| terminated(&Unit::with_haproxy(&programs, Some(CONFIGURATION))?))
}

/// Where this machine answers at the unit's address, and only there.
fn in_a_network_of_its_own(run: impl FnOnce() -> Result<()> + Send) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        say("    layer 7 is left out: a network of its own needs root");
        return Ok(());
    }
    let run = || {
        // Of this thread, and of what it starts.
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).context("making a network namespace")?;
        host::run_text(Command::new("ip").args(["link", "set", "lo", "up"]))?;
        host::run_text(Command::new("ip").args(["address", "add", &format!("{ADDRESS}/32"), "dev", "lo"]))?;
        run()
    };
    match std::thread::scope(|scope| scope.spawn(run).join()) {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// All operations, as a bearer of a token with `role`, or of none.
fn api(unit: &Unit, role: Option<&str>, examples: u32) -> Result<()> {
    let mut person = unit.logged_in()?;
    let own = person.token("scan", "configuration")?;
    let token = match role {
        Some("configuration") => Some(own.clone()),
        Some(role) => Some(person.token("look", role)?),
        None => None,
    };
    let known: Value = serde_json::from_str(&person.api(&own, "GET /api/v1/tokens", "")?.body)?;
    let id = known.as_array().into_iter().flatten().find(|t| t["name"] == "scan").map(|t| t["id"].clone());
    let id = id.as_ref().and_then(Value::as_str).context("the token is not in the list")?;
    let spare = r#"{"name":"spare","role":"report","password":"a spare password"}"#;
    ensure!(person.api(&own, "POST /api/v1/users", spare)?.status == 201, "no second user");

    let folder = results(role.unwrap_or("nobody"))?;
    let document = folder.join("openapi.json");
    fs::write(&document, person.api(&own, "GET /api/v1/openapi.json", "")?.body)?;
    let mut command = Command::new("timeout");
    command.arg(limits::scaled(RUN * examples.div_ceil(EXAMPLES)).as_secs().to_string()).arg(program("schemathesis")?);
    command.arg("--config-file").arg(suite().join("schemathesis.toml")).arg("run").arg(&document);
    command.args(["--url", &format!("https://{}", unit.https), "--tls-verify", "false", "--no-color"]);
    // What the events say does not end; tests/it/api/events.rs looks at them.
    command.args(["--exclude-path", "/api/v1/events", "--continue-on-failure", "--generation-deterministic"]);
    command.args(["--no-shrink", "--request-timeout", &limits::scaled(REQUEST).as_secs().to_string()]);
    command.args(["--max-examples", &examples.to_string()]);
    if let Some(token) = &token {
        command.args(["-H", &format!("Authorization: Bearer {token}")]);
    }
    // Where what may be changed is nothing, some requests of chance for each operation say as much as thirty of every
    // kind: the reads are those of the role configuration.
    match role {
        Some("configuration") => {}
        Some(_) => drop(command.args(["--phases", "examples,fuzzing"])),
        None => drop(command.args(["--phases", "fuzzing"])),
    }
    let answers = folder.join("answers.json");
    let done = command
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("PYTHONPATH", suite())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("SCAN_TOKEN_ID", id)
        .env("SCAN_ANSWERS", &answers)
        .current_dir(&folder)
        .output()
        .context("starting schemathesis")?;
    let out = folder.join("out.txt");
    fs::write(&out, [done.stdout, done.stderr].concat())?;
    let kept = format!("what it says is in {}", out.display());
    ensure!(done.status.success(), "{}\n{kept}", findings(&fs::read_to_string(&out)?));
    ensure!(person.api(&own, "GET /api/v1/summary", "")?.status == 200, "the token of the run is dead; {kept}");
    let memory = unit.memory("VmHWM")?;
    ensure!(memory <= MEMORY, "lbadmin had {memory} MB, more than {MEMORY}; {kept}");
    say(&format!("    lbadmin had {memory} MB at most"));
    judge(&document, &answers, role).context(kept)
}

/// That it has asked for everything, and was let in where it may.
fn judge(document: &Path, answers: &Path, role: Option<&str>) -> Result<()> {
    let document: Value = serde_json::from_slice(&fs::read(document)?)?;
    let answers: BTreeMap<String, BTreeMap<String, u64>> = serde_json::from_slice(&fs::read(answers)?)?;
    let mut statuses: BTreeMap<&str, u64> = BTreeMap::new();
    for (status, count) in answers.values().flatten() {
        *statuses.entry(status).or_default() += count;
    }
    let calls: u64 = statuses.values().sum();
    say(&format!("    {calls} calls of {} operations: {statuses:?}", answers.len()));
    let mut faults = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for method in item.as_object().into_iter().flatten().map(|(method, _)| method.to_uppercase()) {
            let operation = format!("{method} {path}");
            let got = answers.get(&operation);
            let refused = |status: &String| matches!(status.as_str(), "401" | "403");
            match got {
                None if path == "/api/v1/events" => {}
                None => faults.push(format!("{operation} was never asked for")),
                Some(got) if role == Some("configuration") && got.keys().all(refused) => {
                    faults.push(format!("{operation} only refuses: {got:?}"));
                }
                Some(got) if role.is_none() && got.keys().any(|status| status.starts_with('2')) => {
                    faults.push(format!("{operation} answers without a token: {got:?}"));
                }
                Some(_) => {}
            }
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

/// From the list of its findings on.
fn findings(out: &str) -> &str {
    out.find("= FAILURES").or_else(|| out.find("= ERRORS")).map_or(out, |at| &out[at..])
}

/// Layer 7 virtual servers that speak TLS with clients, with the certificate that this unit signs itself.
fn terminated(unit: &Unit) -> Result<()> {
    unit.lbctl(&["certificate", "self-signed", "shop", "--name", "localhost"])?;
    let mut services = Vec::new();
    for (profile, port) in [("compatible", 443), ("modern", 8443)] {
        let at = SocketAddr::from((ADDRESS, port));
        let tls = ["--tls", "shop", "--tls-profile", profile, "--hsts"];
        unit.lbctl(&[&["vip", "add-layer7", profile, &at.to_string()][..], &tls].concat())?;
        services.push((profile, at));
    }
    unit.lbctl(&["apply"])?;
    for (profile, at) in services {
        wait_until("HAProxy to listen", limits::APPEAR, || Ok(TcpStream::connect(at).ok()))?;
        step(&format!("sslyze, profile {profile}"), || tls(&format!("layer-7-{profile}"), profile, at))?;
    }
    Ok(())
}

/// `profile` is what `tls.py` judges by.
fn tls(name: &str, profile: &str, at: SocketAddr) -> Result<()> {
    let file = results(name)?.join("sslyze.json");
    let limit = limits::scaled(SSLYZE).as_secs();
    // Its own exit code also judges whether anybody trusts the certificate; 124 is that of `timeout`.
    let done = Command::new("timeout")
        .arg(limit.to_string())
        .arg(program("sslyze")?)
        .arg(at.to_string())
        .args(TLS_TRIED.iter().map(|what| format!("--{what}")))
        .arg("--json_out")
        .arg(&file)
        .output()
        .context("starting sslyze")?;
    ensure!(done.status.code() != Some(124), "sslyze was not done with {at} within {limit} s");
    let judge = suite().join("tls.py");
    let said = host::run_text(Command::new(program("python3")?).arg(judge).arg(&file).arg(profile))?;
    say(&format!("    {}", said.trim()));
    Ok(())
}

fn metrics(unit: &Unit) -> Result<()> {
    let mut person = unit.logged_in()?;
    let token = person.token("metrics", "report")?;
    // lbadmin has looked at lbd by then.
    let text = wait_until("metrics of the virtual server", limits::CONVERGE, || {
        let answer = person.api(&token, "GET /metrics", "")?;
        Ok(answer.body.contains("HTTP_Cluster").then_some(answer.body))
    })?;
    let file = results("metrics")?.join("metrics.txt");
    fs::write(&file, text)?;
    let said = host::run_text(Command::new(program("python3")?).arg(suite().join("metrics.py")).arg(&file))?;
    say(&format!("    {}", said.trim()));
    Ok(())
}

/// Where the tools' settings and our judges are.
fn suite() -> PathBuf {
    host::workspace().join("crates/lbadmin/tests/scan")
}

fn folder() -> Result<PathBuf> {
    std::path::absolute(host::target().join("scan")).context("finding target/scan")
}

/// An empty folder for what a tool says.
fn results(name: &str) -> Result<PathBuf> {
    let folder = folder()?.join("results").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("clearing {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    Ok(folder)
}

fn program(name: &str) -> Result<PathBuf> {
    Ok(folder()?.join("venv/bin").join(name))
}

pub fn install() -> Result<()> {
    let requirements = suite().join("requirements.txt");
    pypi::install("schemathesis, sslyze and the OpenMetrics parser", &requirements, &folder()?)?;
    if !program("schemathesis")?.is_file() {
        bail!("schemathesis was not installed into {}", folder()?.display());
    }
    Ok(())
}

impl Client {
    /// A new API token of this person, made as the page makes it.
    pub(crate) fn token(&mut self, name: &str, role: &str) -> Result<String> {
        const PAGE: &str = "/lbadmin/edit/tokens/new";
        let csrf = self.get(PAGE)?.value("csrf").context("no form for a token")?;
        let fields = [("csrf", csrf.as_str()), ("name", name), ("role", role), ("days", "7")];
        let answer = self.post(PAGE, &fields)?;
        let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-');
        let token = answer.body.split(word).find(|text| text.starts_with("lbt_") && text.len() > 20);
        token.map(str::to_owned).with_context(|| format!("no token in the answer, status {}", answer.status))
    }
}

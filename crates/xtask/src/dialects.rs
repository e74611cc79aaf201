//! `cargo xtask test dialects`: the clouds' own clients configure a unit whose kernel is in memory.
//!
//! Apache Libcloud's Rackspace driver and OVH's client go through the documents' flows, over https with a certificate
//! that they verify; what each does is in `lbadmin/tests/dialects`. They come from PyPI into `target/dialects`.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use testbed::host::{self, say, step};
use testbed::limits;

use crate::pypi;
use crate::suites::cargo;
use crate::unit::{Client, Unit};

/// A client's whole flow.
const FLOW: Duration = Duration::from_secs(120);

const CONFIGURATION: &str = r#"{"version":1,
  "node":{"hostname":"lbmaster","nameservers":["10.0.0.31"],"gateway":"10.0.0.31",
    "interfaces":[{"name":"eth0","addresses":["10.0.0.21/24"]},{"name":"eth1","addresses":["192.168.2.21/24"]}]},
  "dialects":{"rackspace":{"enabled":true},"ovh":{"enabled":true}}}"#;

pub fn dialects() -> Result<()> {
    install()?;
    cargo(&["build", "--quiet", "-p", "lbd", "-p", "lbadmin", "-p", "lbctl"])?;
    let unit = Unit::start(&host::target().join("debug"), Some(CONFIGURATION))?;
    let mut person = unit.logged_in()?;
    let token = person.token("dialects", "configuration")?;
    let certificate = certificate(&unit, &mut person, &token)?;
    step("Apache Libcloud", || rackspace(&unit, &token, &certificate))?;
    step("python-ovh", || ovh(&unit, &mut person, &token, &certificate))?;
    let history = unit.lbctl(&["history"])?;
    ensure!(history.contains("OVH refresh") && history.contains("load balancer"), "not in the history:\n{history}");
    Ok(())
}

/// A certificate for the loopback address, and the file from which clients know it.
fn certificate(unit: &Unit, person: &mut Client, token: &str) -> Result<PathBuf> {
    let names = r#"{"names":["127.0.0.1","localhost"]}"#;
    let made = person.api(token, "POST /api/v1/certificate/self-signed", names)?;
    ensure!(made.status == 200, "no certificate: {} {}", made.status, made.body);
    let address = unit.https.to_string();
    let shown = host::run_text(
        Command::new("sh")
            .arg("-c")
            .arg(format!("openssl s_client -connect {address} -showcerts </dev/null 2>/dev/null | openssl x509")),
    )?;
    let file = folder()?.join("unit.pem");
    fs::write(&file, shown).context("writing the unit's certificate")?;
    Ok(file)
}

fn python(script: &str) -> Result<Command> {
    let mut command = Command::new("timeout");
    command.arg(limits::scaled(FLOW).as_secs().to_string()).arg(folder()?.join("venv/bin/python"));
    command.arg(suite().join(script)).env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(command)
}

fn rackspace(unit: &Unit, token: &str, certificate: &PathBuf) -> Result<()> {
    let url = format!("https://{}", unit.https);
    let said = host::run_text(python("rackspace.py")?.args([&url, "loadbalancer", token]).arg(certificate))?;
    say(&format!("    {}", said.trim()));
    Ok(())
}

fn ovh(unit: &Unit, person: &mut Client, token: &str, certificate: &PathBuf) -> Result<()> {
    let path = "POST /api/v1/dialects/ovh/applications";
    let made: Value = serde_json::from_str(&person.api(token, path, r#"{"name":"python-ovh"}"#)?.body)?;
    let word = |name: &str| made[name].as_str().map(str::to_owned).context("no application");
    let (key, secret) = (word("application_key")?, word("application_secret")?);
    let url = format!("https://{}", unit.https);
    let mut command = python("ovh_flow.py")?;
    command.args([&url, &key, &secret]).arg(certificate).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().context("starting python-ovh")?;
    let done = approve_and_wait(&mut child, person);
    // After a failure on this side it would wait for its answer.
    let _ = child.kill();
    let status = child.wait().context("waiting for python-ovh")?;
    let said = done?;
    ensure!(status.success(), "python-ovh ended with {status}: {said}");
    say(&format!("    {said}"));
    Ok(())
}

/// Does what its person would do in a browser.
fn approve_and_wait(child: &mut Child, person: &mut Client) -> Result<String> {
    let mut lines = BufReader::new(child.stdout.take().context("its output")?).lines();
    let asked = lines.next().context("it says nothing")?.context("reading it")?;
    let (_, token) = asked.split_once("credentialToken=").with_context(|| format!("no address to approve: {asked}"))?;
    let page = format!("/lbadmin/dialects/approve/{token}");
    let form = person.get(&page)?;
    ensure!(form.body.contains("python-ovh"), "the page does not say who asks: {}", form.status);
    let csrf = form.value("csrf").context("no form to approve")?;
    let answer = person.post(&page, &[("csrf", &csrf), ("answer", "approve")])?;
    ensure!(answer.status == 303, "the grant is not approved: {}", answer.status);
    writeln!(child.stdin.take().context("its input")?, "approved").context("telling it")?;
    let said = lines.map_while(std::io::Result::ok).last();
    match said {
        Some(said) => {
            child.wait().context("waiting for python-ovh")?;
            Ok(said)
        }
        None => bail!("python-ovh ended without a word"),
    }
}

fn suite() -> PathBuf {
    host::workspace().join("crates/lbadmin/tests/dialects")
}

fn folder() -> Result<PathBuf> {
    std::path::absolute(host::target().join("dialects")).context("finding target/dialects")
}

pub fn install() -> Result<()> {
    pypi::install("the clouds' clients", &suite().join("requirements.txt"), &folder()?)
}

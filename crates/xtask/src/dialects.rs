//! The clouds' own clients: `cargo xtask test dialects` on a unit whose kernel is in memory; on the booted appliance
//! by `cargo xtask test clouds`, where the lab's client sees what they changed.
//!
//! Apache Libcloud's Rackspace driver and OVH's client go through the documents' flows, over https with a certificate
//! that they verify; what each does is in `lbadmin/tests/dialects`. They come from PyPI into `target/dialects`. A line
//! `ask: WORDS` of theirs is answered by `done`: somebody approves, or looks at the answers that clients get.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use testbed::console::Console;
use testbed::host::{self, say, step};
use testbed::image;
use testbed::lab::{Lab, Topology};
use testbed::limits::{self, wait_until};
use testbed::qemu::Wire;

use crate::appliance::{self, Web};
use crate::demo::steps;
use crate::ports;
use crate::pypi;
use crate::suites;
use crate::unit::{Client, Unit};

/// A client's whole flow; on a busy machine the appliance takes seconds for each of its checks and reloads.
const FLOW: Duration = Duration::from_secs(150);

/// What is shown of the appliance after a failure.
const EVIDENCE: &str = "lbctl status; tail -n 40 /data/log/lbd/current /data/log/haproxy/current; \
                        cat /run/haproxy/loaded /run/lb/haproxy.cfg; ls -l --full-time /run/lb /run/haproxy; ps; date";

const CONFIGURATION: &str = r#"{"version":1,
  "node":{"hostname":"lbmaster","nameservers":["10.0.0.31"],"gateway":"10.0.0.31",
    "interfaces":[{"name":"eth0","addresses":["10.0.0.21/24"]},{"name":"eth1","addresses":["192.168.2.21/24"]}]},
  "dialects":{"rackspace":{"enabled":true},"ovh":{"enabled":true}}}"#;

pub fn dialects() -> Result<()> {
    install()?;
    let unit = Unit::start(&suites::programs()?, Some(CONFIGURATION))?;
    let mut site = Site::open(unit.http, unit.https, unit.logged_in()?)?;
    // Nobody is served by a kernel in memory.
    let mut nobody = |_: &str| Ok(());
    step("Apache Libcloud", || site.rackspace("all", &mut nobody))?;
    step("python-ovh", || site.ovh("all", &mut nobody))?;
    let history = unit.lbctl(&["history"])?;
    ensure!(history.contains("OVH refresh") && history.contains("load balancer"), "not in the history:\n{history}");
    Ok(())
}

/// `cargo xtask test clouds`: on an appliance that the wizard has set up, whose ports are looked at first.
pub fn clouds() -> Result<()> {
    install()?;
    let built = image::build(image::Hardware::Virtual)?;
    let guest = image::guest_base()?;
    let cables = appliance::tempfolder()?;
    let (external, internal) = (Wire::new(&cables, "external"), Wire::new(&cables, "internal"));
    let web = Web::new()?;
    let (machine, mut shell) = appliance::start(&built, &external, &internal, &web)?;
    let mut lab = step("lab: client and two real servers", || {
        let mut lab = Lab::start(&guest, &external, &internal)?;
        lab.wire(Topology::Nat)?;
        Ok(lab)
    })?;
    step("appliance: its third card, and lbadmin", || {
        shell.login_root(limits::BOOT)?;
        web.open(&mut shell)
    })?;
    steps::configure(Topology::Nat, &mut shell)?;
    ports::scanned(&mut lab, &mut shell, "10.0.0.21", &["80/tcp"])?;
    step("SSH with the factory password: private networks only, and for a new one only", || {
        ports::ssh(&mut lab, &mut shell, "10.0.0.21")
    })?;
    let mut person = Client::new(web.http());
    person.first_log_in()?;
    let done = booted(&web, person, &mut lab, &mut shell);
    drop(machine);
    let _ = fs::remove_dir_all(&cables);
    done
}

/// The documents' flows, beside the virtual server 10.0.0.21:80 of layer 4 with the lab's real servers.
pub fn booted(web: &Web, person: Client, lab: &mut Lab, shell: &mut Console) -> Result<()> {
    let done = flows(web, person, lab);
    if done.is_err() {
        say(&shell.run(EVIDENCE).map(|answer| answer.text).unwrap_or_default());
    }
    done
}

fn flows(web: &Web, person: Client, lab: &mut Lab) -> Result<()> {
    let mut site = Site::open(web.http(), web.https(), person)?;
    site.switch_on()?;
    step("Apache Libcloud on the booted unit, seen by clients", || {
        site.rackspace("documents", &mut |what| look(lab, what))
    })?;
    step("python-ovh on the booted unit, seen by clients", || site.ovh("documents", &mut |what| look(lab, what)))?;
    let table = lab.fetch("10.0.0.21:80", 20)?;
    ensure!(table.contains("rs1") || table.contains("rs2"), "layer 4 does not serve beside layer 7:\n{table}");
    Ok(())
}

/// Clients of the lab, `rounds` requests each with cookies of their own: each one's servers, the set of all their
/// cookies' names at the end.
fn ask_as_clients(lab: &mut Lab, port: &str, clients: usize, rounds: usize) -> Result<(Vec<BTreeSet<String>>, String)> {
    // One curl for a client: it keeps its cookies, and makes each request on a connection of its own. The first word of
    // an answer is the server's name.
    let url = format!("http://10.0.0.21:{port}/ ").repeat(rounds);
    let script = format!(
        "for c in $(seq {clients}); do curl -s -m 5 -c /run/lab/jar$c -H Connection:close {url}; echo end; done; \
         cat /run/lab/jar*; rm -f /run/lab/jar*"
    );
    let said = lab.on("client", &format!("bash -c '{script}'"))?;
    let (answers, jars) = said.rsplit_once("end").context("no answers")?;
    let of = |client: &str| client.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    Ok((answers.split("end").map(of).collect(), jars.to_owned()))
}

/// What clients see: `cookie NAME PORT` it is set, and keeps each on a server; `source PORT` this one client is kept
/// without; `free PORT` nothing keeps it.
fn look(lab: &mut Lab, what: &str) -> Result<()> {
    let words: Vec<&str> = what.split(' ').collect();
    wait_until(&format!("clients to see: {what}"), limits::CONVERGE, || {
        let fits = match words.as_slice() {
            ["cookie", name, port] => {
                let (clients, jars) = ask_as_clients(lab, port, 3, 4)?;
                let all: BTreeSet<&String> = clients.iter().flatten().collect();
                clients.iter().all(|servers| servers.len() == 1) && all.len() == 2 && jars.matches(name).count() == 3
            }
            ["source", port] => {
                let (clients, jars) = ask_as_clients(lab, port, 1, 6)?;
                clients[0].len() == 1
                    && clients[0].iter().all(|name| name.starts_with("rs"))
                    && !jars.contains("10.0.0.21")
            }
            ["free", port] => {
                let (clients, jars) = ask_as_clients(lab, port, 1, 6)?;
                clients[0].len() == 2 && !jars.contains("10.0.0.21")
            }
            _ => bail!("nobody knows how to look for: {what}"),
        };
        Ok(fits.then_some(()))
    })
}

/// What somebody does for a client, or sees of what it did.
type Look<'a> = &'a mut dyn FnMut(&str) -> Result<()>;

/// A unit that the clients reach.
struct Site {
    https: SocketAddr,
    person: Client,
    /// Of the API, and the API key of Rackspace's clients.
    token: String,
    certificate: PathBuf,
}

impl Site {
    /// With a certificate for the loopback address, and a file from which clients know it.
    fn open(http: SocketAddr, https: SocketAddr, mut person: Client) -> Result<Site> {
        person.to = http;
        let token = person.token("dialects", "configuration")?;
        let names = r#"{"names":["127.0.0.1","localhost"]}"#;
        let made = person.api(&token, "POST /api/v1/certificate/self-signed", names)?;
        ensure!(made.status == 200, "no certificate: {} {}", made.status, made.body);
        let shown = host::run_text(Command::new("sh").arg("-c").arg(format!(
            "timeout 60 openssl s_client -connect {https} -showcerts </dev/null 2>/dev/null | openssl x509"
        )))?;
        let certificate = folder()?.join("unit.pem");
        fs::write(&certificate, shown).context("writing the unit's certificate")?;
        Ok(Site { https, person, token, certificate })
    }

    fn switch_on(&mut self) -> Result<()> {
        const PLACE: &str = "/api/v1/dialects";
        let mut settings: Value =
            serde_json::from_str(&self.person.api(&self.token, &format!("GET {PLACE}"), "")?.body)?;
        for dialect in ["rackspace", "ovh"] {
            settings[dialect]["enabled"] = true.into();
        }
        let answer = self.person.api(&self.token, &format!("PUT {PLACE}"), &settings.to_string())?;
        ensure!(answer.status < 300, "the dialects are not switched on: {} {}", answer.status, answer.body);
        Ok(())
    }

    fn rackspace(&mut self, which: &str, look: Look<'_>) -> Result<()> {
        let mut command = self.python("rackspace.py", which)?;
        command.args(["loadbalancer", &self.token]);
        attend(command, look)
    }

    fn ovh(&mut self, which: &str, look: Look<'_>) -> Result<()> {
        let path = "POST /api/v1/dialects/ovh/applications";
        let answer = self.person.api(&self.token, path, r#"{"name":"python-ovh"}"#)?;
        let made: Value = serde_json::from_str(&answer.body)?;
        let word = |name: &str| made[name].as_str().map(str::to_owned).context("no application");
        let mut command = self.python("ovh_flow.py", which)?;
        command.args([word("application_key")?, word("application_secret")?]);
        let person = &mut self.person;
        attend(command, &mut |what| match what.strip_prefix("approve ") {
            Some(url) => approve(person, url),
            None => look(what),
        })
    }

    /// `which`: `all` that the client can do, or only what the `documents` describe.
    fn python(&self, script: &str, which: &str) -> Result<Command> {
        let mut command = Command::new("timeout");
        command.arg(limits::scaled(FLOW).as_secs().to_string()).arg(folder()?.join("venv/bin/python"));
        command.arg(suite().join(script)).env("PYTHONDONTWRITEBYTECODE", "1");
        command.args([Path::new(&format!("https://{}", self.https)), &self.certificate, Path::new(which)]);
        Ok(command)
    }
}

/// What a person does in a browser.
fn approve(person: &mut Client, url: &str) -> Result<()> {
    let (_, token) = url.split_once("credentialToken=").with_context(|| format!("no address to approve: {url}"))?;
    let page = format!("/lbadmin/dialects/approve/{token}");
    let form = person.get(&page)?;
    ensure!(form.body.contains("python-ovh"), "the page does not say who asks: {}", form.status);
    let csrf = form.value("csrf").context("no form to approve")?;
    let answer = person.post(&page, &[("csrf", &csrf), ("answer", "approve")])?;
    ensure!(answer.status == 303, "the grant is not approved: {}", answer.status);
    Ok(())
}

/// Runs a client to its end and answers what it asks.
fn attend(mut command: Command, look: Look<'_>) -> Result<()> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("starting a client")?;
    let done = answer(&mut child, look);
    // After a failure on this side it would wait for its answer.
    if done.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().context("waiting for a client")?;
    done?;
    ensure!(status.success(), "the client ended with {status}; its message is above");
    Ok(())
}

fn answer(child: &mut Child, look: Look<'_>) -> Result<()> {
    let mut input = child.stdin.take().context("its input")?;
    for line in BufReader::new(child.stdout.take().context("its output")?).lines() {
        let line = line.context("reading what it says")?;
        match line.strip_prefix("ask: ") {
            None => say(&format!("    {line}")),
            Some(what) => {
                look(what)?;
                writeln!(input, "done").context("answering it")?;
            }
        }
    }
    Ok(())
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

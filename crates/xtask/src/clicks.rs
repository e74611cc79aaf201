//! `cargo xtask test clicks`: the guide's story on the booted appliance. Chromium on this machine sets the unit up by
//! the web interface, adds a server, takes one offline and sees one break; `links` on the serial console does it again.
//!
//! The lab is client and real servers as in the demo. Chromium reaches the appliance by a third card, which the
//! configuration does not know.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use testbed::console::Console;
use testbed::host;
use testbed::image;
use testbed::lab::{Lab, Topology};
use testbed::limits;
use testbed::links::Links;
use testbed::qemu::Wire;

use crate::appliance::{self, Web};
use crate::browser;

/// All that Chromium does.
const STORY: Duration = Duration::from_secs(240);
/// The password that the story gives to `loadbalancer`: as in story.mjs.
const PASSWORD: &str = "a yard of steel in Leeds";

pub fn clicks() -> Result<()> {
    browser::install()?;
    let built = image::build(image::Hardware::Virtual)?;
    let guest = image::guest_base()?;
    let cables = appliance::tempfolder()?;
    let (external, internal) = (Wire::new(&cables, "external"), Wire::new(&cables, "internal"));
    let web = Web::new()?;
    let (machine, mut shell) = appliance::start(&built, &external, &internal, &web)?;
    let mut lab = host::step("lab: client and two real servers", || {
        let mut lab = Lab::start(&guest, &external, &internal)?;
        lab.wire(Topology::Nat)?;
        // Clients all the time, as soon as there is somebody to serve them: short requests, and four that take their time.
        let ask = "/sbin/ip netns exec client lab fetch --to 10.0.0.21:80 --count 3";
        lab.shell.ok(&format!("(while :; do {ask}; sleep 0.5; done >/dev/null 2>&1 </dev/null) &"))?;
        let hold = "/sbin/ip netns exec client bash -c 'exec 3<>/dev/tcp/10.0.0.21/80 && sleep 5 || sleep 1'";
        for _ in 0..4 {
            lab.shell.ok(&format!("(while :; do {hold}; done >/dev/null 2>&1 </dev/null) &"))?;
        }
        Ok(lab)
    })?;
    host::step("appliance: its third card, and lbadmin", || {
        shell.login_root(limits::BOOT)?;
        web.open(&mut shell)
    })?;
    host::step("Chromium: the guide's story", || chromium(&web, &mut lab))?;
    host::step("links on the console: a server offline", || text_browser(&mut shell))?;
    drop(machine);
    let _ = std::fs::remove_dir_all(&cables);
    Ok(())
}

/// Runs `image.mjs`, which asks for servers to be stopped and started: a line for each, answered by `done`.
fn chromium(web: &Web, lab: &mut Lab) -> Result<()> {
    let mut child = host::tool("setpriv")
        .args(["--pdeathsig", "KILL", "timeout", "--signal=KILL"])
        .arg(limits::scaled(STORY).as_secs().to_string())
        .arg("node")
        .arg(browser::suite().join("image.mjs"))
        .env("STEELYARD_BROWSER_MODULES", browser::modules()?)
        .env("STEELYARD_UNIT", web.url())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting node")?;
    let told = attend(&mut child, lab);
    let _ = child.kill();
    let status = child.wait()?;
    told?;
    ensure!(status.success(), "the story ended with {status}; its messages are above");
    Ok(())
}

fn attend(child: &mut Child, lab: &mut Lab) -> Result<()> {
    let output = child.stdout.take().context("the story has no output")?;
    let mut input: ChildStdin = child.stdin.take().context("the story has no input")?;
    for line in BufReader::new(output).lines() {
        let line = line.context("reading what the story says")?;
        match line.strip_prefix("ask: ").map(|what| what.split_once(' ')) {
            None => host::say(&format!("  {line}")),
            Some(Some(("stop", server))) => lab.stop_server(server)?,
            Some(Some(("start", server))) => lab.start_server(server)?,
            Some(_) => bail!("the story asks for what nobody knows: {line}"),
        }
        if line.starts_with("ask: ") {
            writeln!(input, "done").context("answering the story")?;
        }
    }
    child.wait().map(drop).context("waiting for the story")
}

/// The offline page by keys alone, on a terminal of 24 lines.
fn text_browser(shell: &mut Console) -> Result<()> {
    const SERVER: &str = "WebServer1 of HTTP_Cluster";
    let mut links = Links::open(shell, "http://127.0.0.1:9080/lbadmin/")?;
    links.shows("Steelyard load balancer")?;
    links.fill("user", "loadbalancer")?;
    links.fill("password", PASSWORD)?;
    links.press("Log in")?;
    links.shows("SYSTEM OVERVIEW")?;
    links.follow("Take a Real Server")?;
    links.shows("TAKE A REAL SERVER OFFLINE OR ONLINE")?;
    // The first such button is WebServer1's.
    links.press("Offline")?;
    links.shows(&format!("{SERVER}: OFFLINE"))?;
    links.quit()?;
    let status = shell.ok("lbctl status")?;
    let line = status.lines().find(|line| line.contains("192.168.2.50")).unwrap_or_default();
    ensure!(line.to_lowercase().contains("offline"), "WebServer1 is not offline:\n{status}");
    Ok(())
}

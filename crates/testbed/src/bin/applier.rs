//! Applies configurations to lbd in a loop and prints `ack N` after each acknowledged one: what the power cuts hit.
//!
//! `applier LBD STATE` starts the program LBD with `--fake-kernel` on the store STATE. First line: `open N clean`, or
//! the alarms in place of `clean`. Revision N is [`document`] of N, so that whoever reads it knows what it must say.

use std::io::Write;
use std::process::{Child, Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};
use lb_api::{ApplyRequest, BlockingClient, PutCandidate};
use lb_model::Config;
use testbed::limits::{BOOT, wait_until};

/// Revisions that are read back at a start, besides the running one.
const READ_BACK: usize = 5;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [lbd, state] = arguments.as_slice() else {
        eprintln!("usage: applier LBD STATE");
        return ExitCode::from(2);
    };
    let Err(error) = run(lbd, state);
    // On the console, where the judge reads.
    println!("error {error:?}");
    ExitCode::FAILURE
}

fn run(lbd: &str, state: &str) -> Result<std::convert::Infallible> {
    const SOCKET: &str = "/run/lbd.sock";
    let mut child = Command::new(lbd)
        .args(["--fake-kernel", "--run", "/run/lb", "--socket", SOCKET, "--state", state])
        // A line for every change would keep the serial line busy for longer than the disk.
        .env("RUST_LOG", "warn")
        .spawn()
        .context("starting lbd")?;
    let client = BlockingClient::new(SOCKET);
    let status = wait_until("lbd's answer", BOOT, || {
        ensure!(alive(&mut child)?, "lbd has ended");
        Ok(client.status().ok())
    })?;
    let mut number = whole(&client)?;
    ensure!(status.revision == number, "the status says revision {}, but {number} runs", status.revision);
    let how = if status.alarms.is_empty() { "clean".to_owned() } else { status.alarms.join("; ") };
    say(&format!("open {number} {how}"))?;
    loop {
        let config = document(number + 1)?;
        let request = if number % 2 == 0 {
            ApplyRequest { config: Some(config), base: Some(number), author: "applier".into(), ..Default::default() }
        } else {
            // As an administrator does: edit, then apply what was edited.
            client.put_candidate(&PutCandidate { config, base: Some(number), etag: None, author: "applier".into() })?;
            ApplyRequest { author: "applier".into(), ..Default::default() }
        };
        let applied = client.apply(&request)?;
        number += 1;
        ensure!(applied.revision.number == number, "applied as revision {}, not {number}", applied.revision.number);
        say(&format!("ack {number}"))?;
    }
}

/// The number of the running revision, after a look at it and at some before it.
fn whole(client: &BlockingClient) -> Result<u64> {
    let running = client.running()?;
    let number = running.revision.number;
    if running.config != document(number)? {
        bail!("revision {number} runs, and is not what was applied");
    }
    for revision in client.history(READ_BACK)? {
        let stored = client.revision(revision.number)?;
        ensure!(stored.config == document(revision.number)?, "revision {} is not what was applied", revision.number);
    }
    Ok(number)
}

/// The configuration of revision `number`, a function of the number alone: the guide's virtual server and up to 300 more.
fn document(number: u64) -> Result<Config> {
    if number == 0 {
        return Ok(lb_model::factory());
    }
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    // Mostly small, as configurations are; sometimes many segments of the store's log.
    let further = match mixed % 16 {
        0 => 300,
        1..=3 => 60,
        _ => mixed / 16 % 6,
    };
    let weight = number % 65_536;
    let mut servers = format!(
        r#"{{"label":"Revision_{number}","service":{{"kind":"address","address":"10.0.0.21","ports":"80"}},"check":{{"method":{{"type":"on"}}}},
          "real_servers":[{{"label":"WebServer1","address":"192.168.2.50","forwarding":"nat","weight":{weight}}}]}}"#
    );
    for further in 0..further {
        let (port, weight) = (1000 + further, (mixed + further) % 65_536);
        servers.push_str(&format!(
            r#",{{"label":"Server_{further}","service":{{"kind":"address","address":"10.0.0.21","ports":"{port}"}},"check":{{"method":{{"type":"on"}}}},
              "real_servers":[{{"label":"WebServer1","address":"192.168.2.50","forwarding":"nat","weight":{weight}}}]}}"#
        ));
    }
    let text = format!(
        r#"{{"version":1,"node":{{"hostname":"lbmaster","nameservers":["10.0.0.31"],"gateway":"10.0.0.31",
          "interfaces":[{{"name":"eth0","addresses":["10.0.0.21/24"]}},{{"name":"eth1","addresses":["192.168.2.21/24"]}}]}},
          "globals":{{"masquerade":true}},"virtual_servers":[{servers}]}}"#
    );
    lb_model::migrate(&text).context("the applier's own configuration")
}

fn alive(child: &mut Child) -> Result<bool> {
    Ok(child.try_wait().context("looking after lbd")?.is_none())
}

fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

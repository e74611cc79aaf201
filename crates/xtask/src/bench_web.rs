//! `cargo xtask bench web`: the web interface before 5,000 virtual servers with two real servers each, in real time on
//! this machine: pages, and what 500 people who look at live values cost.

use std::fs;
use std::io::Read;
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use testbed::image;

use crate::unit::{Client, Unit};

const VIRTUAL_SERVERS: usize = 5000;
/// Questions for each page.
const QUESTIONS: usize = 100;
/// Aim for 95 of 100, in milliseconds.
const AIM: f64 = 200.0;
const VIEWERS: usize = 500;
/// They come from so many: one address has but a share of lbadmin's connections.
const ADDRESSES: usize = 4;
/// How long the viewers look.
const LOOK: Duration = Duration::from_secs(20);
/// Aim for the processor time of lbadmin meanwhile, as a share of one core.
const SHARE: f64 = 0.30;

/// Pages and what somebody finds on them.
const PAGES: &[(&str, &str, &str)] = &[
    ("overview", "/lbadmin/", "Page 1 of"),
    ("overview, page 50", "/lbadmin/?page=49", "Page 50 of"),
    ("overview, search", "/lbadmin/?q=vs4321", "vs4321"),
    ("take a server offline", "/lbadmin/maintenance/servers", "Offline"),
    ("offline, search", "/lbadmin/maintenance/servers?q=10.66.16.225", "vs4321"),
    ("real servers, edit", "/lbadmin/edit/real-servers", "Add a new Real Server"),
    ("virtual servers, edit, search", "/lbadmin/edit/virtual-servers?q=vs4321", "vs4321"),
    ("status", "/lbadmin/status", "5000"),
    ("network configuration", "/lbadmin/view/network", "10.0.0.21"),
    ("current connections", "/lbadmin/connections", "Connections"),
];

pub fn web() -> Result<()> {
    let unit = Unit::start(&image::programs()?, Some(&configuration()))?;
    let mut person = unit.logged_in()?;
    println!("\nweb interface, {VIRTUAL_SERVERS} virtual servers x 2, real time");
    println!("  {:<32} {:>8} {:>8} {:>8}   {:>8}", "page", "median", "p95", "longest", "size");
    for (name, path, word) in PAGES {
        page(&mut person, name, path, word)?;
    }
    pending(&unit, &mut person)?;
    live(&unit, &mut person, "all on one page", 1)?;
    live(&unit, &mut person, "on 50 different pages", 50)?;
    println!("  memory of lbadmin, now and at most: {} and {} MB", unit.memory("VmRSS")?, unit.memory("VmHWM")?);
    Ok(())
}

fn page(person: &mut Client, name: &str, path: &str, word: &str) -> Result<()> {
    let mut took = Vec::new();
    let mut size = 0;
    for _ in 0..QUESTIONS {
        let asked = Instant::now();
        let answer = person.get(path)?;
        took.push(asked.elapsed().as_secs_f64() * 1e3);
        if answer.status == 404 {
            println!("  {name:<32} (not there)");
            return Ok(());
        }
        ensure!(answer.status == 200 && answer.body.contains(word), "{path}: {} without {word:?}", answer.status);
        size = answer.body.len();
    }
    took.sort_by(f64::total_cmp);
    let at = |share: usize| took[(took.len() * share / 100).min(took.len() - 1)];
    let (median, p95, longest) = (at(50), at(95), at(100));
    let mark = if p95 <= AIM { "met" } else { "MISSED" };
    println!(
        "  {name:<32} {median:>6.1}ms {p95:>6.1}ms {longest:>6.1}ms   {:>5.0} kB   aim {AIM} ms: {mark}",
        size as f64 / 1e3
    );
    Ok(())
}

/// The same with a change that waits: every page shows it.
fn pending(unit: &Unit, person: &mut Client) -> Result<()> {
    unit.lbctl(&["config", "set", "virtual_servers.vs4321.real_servers.a.weight", "7"])?;
    page(person, "overview, a change pending", "/lbadmin/", "✎ Pending")?;
    page(person, "pending changes", "/lbadmin/changes", "weight")?;
    unit.lbctl(&["discard"]).map(drop)
}

/// What lbadmin spends while [`VIEWERS`] have live values of `pages` pages open.
fn live(unit: &Unit, person: &mut Client, name: &str, pages: usize) -> Result<()> {
    let mut streams = Vec::new();
    for n in 0..VIEWERS {
        let page = person.get(&format!("/lbadmin/?page={}", n % pages))?;
        let from = page.after("sse-connect=\"").context("the overview has no live values")?;
        streams.push(person.listen(IpAddr::from([127, 0, 0, 1 + (n % ADDRESSES) as u8]), &from)?);
    }
    let before = spent(unit)?;
    let begin = Instant::now();
    let heard: usize = thread::scope(|scope| {
        let ears: Vec<_> = streams
            .into_iter()
            .map(|mut stream| {
                let ear = move || -> Result<usize> {
                    stream.set_read_timeout(Some(Duration::from_millis(500)))?;
                    let (mut buffer, mut bytes) = ([0; 16 << 10], 0);
                    while begin.elapsed() < LOOK {
                        match stream.read(&mut buffer) {
                            Ok(0) => anyhow::bail!("a live view was closed"),
                            Ok(count) => bytes += count,
                            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                            Err(error) => return Err(error.into()),
                        }
                    }
                    Ok(bytes)
                };
                thread::Builder::new().stack_size(128 << 10).spawn_scoped(scope, ear).context("starting a viewer")
            })
            .collect();
        let mut all = 0;
        for ear in ears {
            all += ear?.join().map_err(|_| anyhow::anyhow!("a viewer panicked"))??;
        }
        Ok::<_, anyhow::Error>(all)
    })?;
    let share = (spent(unit)? - before) / begin.elapsed().as_secs_f64();
    let mark = if share <= SHARE { "met" } else { "MISSED" };
    println!(
        "  {VIEWERS} live views {name}: {:.1} % of a core, {:.1} kB each a second   aim {:.0} %: {mark}",
        share * 100.0,
        heard as f64 / 1e3 / VIEWERS as f64 / LOOK.as_secs_f64(),
        SHARE * 100.0
    );
    Ok(())
}

/// Seconds of processor time that lbadmin has spent (proc(5): utime and stime, in hundredths).
fn spent(unit: &Unit) -> Result<f64> {
    let line = fs::read_to_string(format!("/proc/{}/stat", unit.lbadmin.id())).context("asking after lbadmin")?;
    // The second field is the name in parentheses.
    let rest = line.rsplit(')').next().unwrap_or_default();
    let field = |n: usize| rest.split_whitespace().nth(n).and_then(|word| word.parse::<f64>().ok());
    let (user, system) = field(11).zip(field(12)).context("a line of /proc without times")?;
    Ok((user + system) / 100.0)
}

/// Virtual servers on one address: as many as there are, `vs1` and so on, each with the real servers `a` and `b`.
fn configuration() -> String {
    let mut services = Vec::new();
    for n in 1..=VIRTUAL_SERVERS {
        let (high, low) = (n / 256, n % 256);
        services.push(format!(
            r#"{{"label":"vs{n}","check":{{"method":{{"type":"on"}}}},
               "service":{{"kind":"address","address":"10.0.0.21","ports":"{}"}},
               "real_servers":[{{"label":"a","address":"10.66.{high}.{low}","port":80,"forwarding":"nat"}},
                               {{"label":"b","address":"10.67.{high}.{low}","port":80,"forwarding":"nat"}}]}}"#,
            10_000 + n
        ));
    }
    format!(
        r#"{{"version":1,
          "node":{{"hostname":"lbmaster","nameservers":["10.0.0.31"],"gateway":"10.0.0.31",
            "interfaces":[{{"name":"eth0","addresses":["10.0.0.21/24"]}},{{"name":"eth1","addresses":["10.64.0.1/10"]}}]}},
          "globals":{{"masquerade":true,"default_forwarding":"nat"}},
          "virtual_servers":[{}]}}"#,
        services.join(",\n")
    )
}

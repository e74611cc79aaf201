//! `cargo xtask bench`: figures from guests whose clock counts instructions, ours beside the peer, and the appliance's
//! boot time, size and memory in real time. Missed aims are marked; they do not fail the command.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use testbed::guest::Job;
use testbed::lab::{Lab, Topology};
use testbed::limits::wait_until;
use testbed::qemu::{Clock, Disk, Firmware, Wire};
use testbed::{host, image, limits};

use crate::demo::steps;
use crate::{appliance, suites};

/// Time for one guest with a virtual clock.
const LIMIT: Duration = Duration::from_secs(1500);

/// A figure, the one it is divided by, and the most the quotient should be.
const RATIOS: &[(&str, &str, f64)] = &[
    ("ipvsadm-ours-restore-5000x2", "ipvsadm-c-restore-5000x2", 0.35),
    ("lbd-apply-5000x2", "ipvsadm-c-restore-5000x2", 0.35),
    ("lbd-reconcile-5000x2", "ipvsadm-c-list-5000x2", 0.4),
    ("layer-7-kept-ours-us", "layer-7-kept-by-hand-us", 1.03),
    ("layer-7-new-ours-us", "layer-7-new-by-hand-us", 1.03),
    ("layer-7-tls-kept-ours-us", "layer-7-tls-kept-by-hand-us", 1.03),
    ("layer-7-tls-new-ours-us", "layer-7-tls-new-by-hand-us", 1.03),
];

/// Figures with an aim of their own, in milliseconds.
const AIMS: &[(&str, f64)] = &[("lbd-add-one-among-500", 10.0)];

/// One change among a thousand layer 7 virtual servers, in milliseconds: until it is acknowledged, until it is live.
const CHANGES: [&str; 4] = ["weight", "state", "header", "new"];
const ACKNOWLEDGED: f64 = 300.0;
const LIVE: f64 = 1000.0;

/// All, or those whose name contains one of `wanted`: programming, data-path, layer-7, thousand, boot, web.
pub fn bench(wanted: &[String]) -> Result<()> {
    let asked = |name: &str| wanted.is_empty() || wanted.iter().any(|word| name.contains(word.as_str()));
    let mut all = BTreeMap::new();
    for name in ["programming", "data-path", "layer-7"] {
        if asked(name) {
            measure(name, &mut all)?;
        }
    }
    let figures = all;
    if !figures.is_empty() {
        println!("\nmilliseconds of the guest's clock (one instruction is 1 ns)");
        for (name, value) in &figures {
            println!("  {name:<40} {value:>12.3}");
        }
        for (ours, peer, most) in RATIOS {
            if let (Some(a), Some(b)) = (figures.get(*ours), figures.get(*peer)) {
                let mark = if a / b <= *most { "met" } else { "MISSED" };
                println!("  {ours} / {peer} = {:.2}   aim {most}: {mark}", a / b);
            }
        }
    }
    for (name, most) in AIMS {
        if let Some(value) = figures.get(*name) {
            println!("  {name} = {value:.1} ms   aim {most}: {}", if value <= most { "met" } else { "MISSED" });
        }
    }
    data_path(&figures);
    if asked("thousand") {
        thousand()?;
    }
    if asked("boot") {
        boot()?;
    }
    if asked("web") {
        crate::bench_web::web()?;
    }
    Ok(())
}

/// The ratios that the data path is held to: what the kernel can do, and the guide's sentence on DR and NAT.
fn data_path(figures: &BTreeMap<String, f64>) {
    let of = |name: &str| figures.get(&format!("request-{name}-us")).copied();
    let told = |what: &str, value: Option<f64>, least: f64| {
        if let Some(value) = value {
            println!("  {what} = {value:.2}   aim at least {least}: {}", if value >= least { "met" } else { "MISSED" });
        }
    };
    let quotient = |a: &str, b: &str| Some(of(a)? / of(b)?);
    told("requests of 100 bytes, DR / routed one way", quotient("100-routed-one-way", "100-dr"), 0.95);
    told("requests of 100 bytes, NAT / routed both ways", quotient("100-routed-both-ways", "100-nat"), 0.83);
    let cost = |method: &str| Some(of(method)? - of("65536-direct")?);
    let both = cost("65536-nat").zip(cost("65536-dr"));
    told("cost of 64 KB answers to the appliance, NAT / DR", both.map(|(nat, dr)| nat / dr), 8.0);
}

fn measure(name: &str, all: &mut BTreeMap<String, f64>) -> Result<()> {
    let mut job = Job::new(&format!("bench-{name}"), &format!("/job/measure {name}"));
    job.files.push(suites::case_program("measure")?);
    job.clock = Clock::Virtual;
    job.memory = 2048;
    job.limit = LIMIT;
    let done = job.run()?;
    if done.code != 0 {
        bail!("the measurement {name} failed (exit code {})", done.code);
    }
    all.extend(figures(&done.output)?);
    Ok(())
}

/// The real HAProxy with a thousand virtual servers, on this machine in a network namespace of its own.
fn thousand() -> Result<()> {
    let (program, programs) = (suites::case_program("measure")?, image::programs()?);
    let path = std::env::join_paths(
        [programs].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    )?;
    let mut command = host::tool("unshare");
    command.args(["--net", "--pid", "--fork", "--kill-child", "--mount-proc"]).arg(program).arg("thousand");
    let figures = figures(&host::run_text(command.env("PATH", path))?)?;
    println!("\none change among a thousand layer 7 virtual servers, real time, the slowest of several");
    for change in CHANGES {
        for (what, aim) in [("acknowledged", ACKNOWLEDGED), ("live", LIVE)] {
            let name = format!("thousand-{change}-{what}");
            let value = figures.get(&name).with_context(|| format!("no figure {name}"))?;
            let mark = if *value < aim { "met" } else { "MISSED" };
            println!("  {change:<8} {what:<14} {value:>8.1} ms   aim {aim}: {mark}");
        }
    }
    Ok(())
}

/// What a measurement has printed.
fn figures(output: &str) -> Result<BTreeMap<String, f64>> {
    let lines = output.lines().filter_map(|line| line.strip_prefix("MEASURED ")?.split_once(' '));
    lines
        .map(|(name, value)| {
            Ok((name.to_string(), value.trim().parse().with_context(|| format!("the figure {name}"))?))
        })
        .collect()
}

/// From QEMU's start to the login prompt and to the first answer through the VIP, memory in use, sizes. The unit is
/// set up in a first run on a disk of its own; the second run is measured.
fn boot() -> Result<()> {
    let built = image::build(image::Hardware::Virtual)?;
    let guest = image::guest_base()?;
    let cables = appliance::tempfolder()?;
    let (external, internal) = (Wire::new(&cables, "external"), Wire::new(&cables, "internal"));
    let disk = cables.join("disk.img");
    std::fs::copy(&built.disk, &disk).context("making a disk")?;
    let mut lab = Lab::start(&guest, &external, &internal)?;
    lab.wire(Topology::Nat)?;
    let start = |disk: &Path| appliance::start_on(&built, Disk::raw(disk), &external, &internal);

    // By the boot loader, as the disk gets its identity then.
    let (mut machine, mut shell) = appliance::start_by(Firmware::Bios, Disk::raw(&disk), &external, &internal)?;
    shell.login_root(limits::BOOT)?;
    steps::configure(Topology::Nat, &mut shell)?;
    shell.send_line("poweroff")?;
    machine.wait(limits::POWER_OFF)?;

    println!("\nappliance under TCG, real time from power-on, seconds; then the memory in use, MB");
    for (way, firmware) in
        [("kernel alone", None), ("SeaBIOS, GRUB", Some(Firmware::Bios)), ("OVMF, GRUB", Some(Firmware::Uefi))]
    {
        let power_on = Instant::now();
        let (mut machine, mut shell) = match firmware {
            None => start(&disk)?,
            Some(firmware) => appliance::start_by(firmware, Disk::raw(&disk), &external, &internal)?,
        };
        shell.expect("login:", limits::BOOT).context("no login prompt")?;
        let prompt = power_on.elapsed().as_secs_f64();
        wait_until("a real server's answer through the VIP", limits::CONVERGE, || {
            // A try that lasts would repeat its question after 1, 2 and 4 seconds only.
            let said = lab.on("client", "lab fetch --to 10.0.0.21:80 --count 1 --strict --timeout 0.4").ok();
            Ok(said.filter(|said| said.contains("\nrs")))
        })?;
        let answer = power_on.elapsed().as_secs_f64();
        shell.send_line("")?;
        shell.login_root(limits::BOOT)?;
        let used =
            shell.ok("awk '/^MemTotal/{t=$2}/^MemAvailable/{a=$2}END{printf \"%d\", (t-a)/1024}' /proc/meminfo")?;
        machine.kill();
        let used = used.trim();
        println!(
            "  {way:<14} login prompt {prompt:>5.1} (aim 6), VIP answers {answer:>5.1} (aim 8), memory {used} (aim 64)"
        );
    }
    let packed = std::fs::metadata(image::export(&built.disk, image::Form::Xz)?)?.len();
    let _ = std::fs::remove_dir_all(&cables);
    println!("  compressed image {:.1} MB (aim 40)", packed as f64 / 1e6);
    Ok(())
}

//! The clock: far away at the start, put right by a time server, kept by chronyd as the appliance runs it.

use super::{
    net::Netns,
    topology::{Appliance, Lab, guide_nat},
    wait,
};
use anyhow::{Context, Result, ensure};
use std::{
    fs,
    net::UdpSocket,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime},
};

const RUN: &str = include_str!("../../../../rootfs-overlay/etc/sv/time/run");
const SETTINGS: &str = include_str!("../../../../rootfs-overlay/usr/lib/steelyard/chrony.conf");
/// 1970-01-02 and 2100-01-01 in Unix seconds.
const PAST: u64 = 86_400;
const FUTURE: u64 = 4_102_444_800;
/// Seconds by which the clock may be off once it is right: the guest is emulated, and dates have whole seconds.
const NEAR: u64 = 3;
/// `CAP_SYS_TIME` alone (linux/capability.h), as /proc shows it.
const SYS_TIME: &str = "0000000002000000";

pub fn right() -> Result<()> {
    let lab = Lab::two_arm()?;
    let appliance = Appliance::start(&lab.lb)?;
    let mut config = guide_nat();
    appliance.apply(&config)?;
    let truth = Truth::now()?;
    let _server = TimeServer::start(&lab.client, truth)?;
    let service = Service::start(&lab.lb, appliance.folder())?;
    let alarms = || Ok(appliance.client.status()?.alarms.join("\n"));

    set_clock(PAST)?;
    wait("the alarm of a clock in 1970", alarms, |text| text.contains("before this software was made"))?;
    ensure!(chronyd().is_none(), "chronyd runs without servers");
    config.globals.time_servers = vec!["10.0.0.31".parse()?];
    appliance.apply(&config)?;
    wait("the clock after 1970", || truth.away(), |seconds| *seconds <= NEAR)?;
    wait("no alarm", alarms, |text| !text.contains("clock"))?;
    let first = chronyd().context("chronyd is gone")?;
    confined(&lab.lb, first)?;
    let hardware = || Ok(fs::read_to_string("/sys/class/rtc/rtc0/since_epoch")?.trim().parse::<u64>()?);
    wait("the hardware's clock", hardware, |seconds| seconds.abs_diff(truth.unix()) <= NEAR)?;

    set_clock(FUTURE)?;
    wait("the alarm of a clock in 2100", alarms, |text| text.contains("twenty years ahead"))?;
    // Nobody is restarted but chronyd, and that by lbd.
    config.globals.time_servers.push("10.0.0.32".parse()?);
    let applied = appliance.apply(&config)?;
    ensure!(applied.revision.number == 3, "an apply got lost: this one is revision {}", applied.revision.number);
    wait("another chronyd", || Ok(chronyd()), |seen| seen.is_some_and(|pid| pid != first))?;
    wait("the clock after 2100", || truth.away(), |seconds| *seconds <= NEAR)?;
    wait("no alarm", alarms, |text| !text.contains("clock"))?;

    config.globals.time_servers.clear();
    appliance.apply(&config)?;
    wait("chronyd to end", || Ok(chronyd()), Option::is_none)?;
    drop(service);
    Ok(())
}

/// A user of its own with the one right that it needs, and no door.
fn confined(ns: &Netns, pid: u32) -> Result<()> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default().trim().to_owned();
    let (user, rights) = (field("Uid:"), field("CapEff:"));
    ensure!(user.split_whitespace().all(|uid| uid == "103"), "chronyd is user {user}");
    ensure!(rights == SYS_TIME && field("CapPrm:") == SYS_TIME, "chronyd has the capabilities {rights}");
    let doors = ns.run("ss", &["-Hanup"])?;
    // Its questions are sockets that are connected to the server.
    let open = doors.lines().find(|line| line.contains("chronyd") && line.contains("UNCONN"));
    ensure!(open.is_none(), "chronyd listens: {open:?}");
    let sockets = ns.run("ss", &["-Hxlp"])?;
    ensure!(!sockets.contains("chronyd"), "chronyd takes orders:\n{sockets}");
    Ok(())
}

fn chronyd() -> Option<u32> {
    let pids = fs::read_dir("/proc").ok()?.flatten().filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    let named = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == "chronyd");
    pids.into_iter().find(named)
}

fn set_clock(unix: u64) -> Result<()> {
    let done = Command::new("date").args(["-u", "-s", &format!("@{unix}")]).output().context("starting date")?;
    ensure!(done.status.success(), "date: {}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}

/// The time as it would be, had nobody touched the clock.
#[derive(Debug, Clone, Copy)]
struct Truth {
    at: Instant,
    unix: Duration,
}

impl Truth {
    fn now() -> Result<Truth> {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("the guest's own clock")?;
        Ok(Truth { at: Instant::now(), unix })
    }

    fn since_1970(&self) -> Duration {
        self.unix + self.at.elapsed()
    }

    fn unix(&self) -> u64 {
        self.since_1970().as_secs()
    }

    /// Seconds by which the clock is off.
    fn away(&self) -> Result<u64> {
        let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
        Ok(clock.abs_diff(self.unix()))
    }

    /// As NTP writes it: seconds since 1900, and their 2^-32 parts (RFC 5905, section 6).
    fn stamp(&self) -> [u8; 8] {
        const FROM_1900: u64 = 2_208_988_800;
        let now = self.since_1970();
        let seconds = (now.as_secs() + FROM_1900) & 0xffff_ffff;
        let parts = (u64::from(now.subsec_nanos()) << 32) / 1_000_000_000;
        ((seconds << 32) | parts).to_be_bytes()
    }
}

/// A server of stratum 1 that knows the truth (RFC 5905, section 7.3).
struct TimeServer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl TimeServer {
    fn start(ns: &Netns, truth: Truth) -> Result<TimeServer> {
        let socket = ns.inside(|| Ok(UdpSocket::bind("10.0.0.31:123")?))?;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        let stop = Arc::new(AtomicBool::new(false));
        let of_thread = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut question = [0; 512];
            while !of_thread.load(Ordering::SeqCst) {
                let Ok((48.., from)) = socket.recv_from(&mut question) else { continue };
                let received = truth.stamp();
                let mut answer = [0; 48];
                // No leap second, the client's version, mode "server"; stratum, its poll, 2^-20 s.
                answer[..4].copy_from_slice(&[(question[0] & 0b0011_1000) | 4, 1, question[2], 0xec]);
                answer[12..16].copy_from_slice(b"TRUE");
                answer[16..24].copy_from_slice(&received);
                answer[24..32].copy_from_slice(&question[40..48]);
                answer[32..40].copy_from_slice(&received);
                answer[40..].copy_from_slice(&truth.stamp());
                let _ = socket.send_to(&answer, from);
            }
        });
        Ok(TimeServer { stop, thread: Some(thread) })
    }
}

impl Drop for TimeServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The appliance's service `time`, supervised, with the files of an lbd in `folder`.
struct Service {
    folder: PathBuf,
    runsv: Child,
}

impl Service {
    fn start(ns: &Netns, folder: &Path) -> Result<Service> {
        let service = folder.join("etc/service/time");
        fs::create_dir_all(&service)?;
        // chrony reads the servers as itself.
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
        let run = folder.join("run").display().to_string();
        fs::create_dir_all("/usr/lib/steelyard")?;
        fs::write("/usr/lib/steelyard/chrony.conf", SETTINGS.replace("/run/lb", &run))?;
        let script = service.join("run");
        fs::write(&script, RUN.replace("/run/lb", &run))?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        let runsv = ns.command("runsv").arg(&service).spawn().context("starting runsv")?;
        let control = service.join("supervise/control");
        wait("runsv", || Ok(control.exists()), |there| *there)?;
        Ok(Service { folder: service, runsv })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = Command::new("sv").args(["-w", "7", "force-shutdown"]).arg(&self.folder).output();
        let _ = self.runsv.wait();
    }
}

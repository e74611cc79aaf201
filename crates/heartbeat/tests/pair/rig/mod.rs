//! Two nodes, a switch and a client, each a network namespace; a null-modem cable; an audit; a client that counts.
//!
//! ```text
//!   client --- [bridge a] ===cut(2)=== [bridge b]          lan, 10.9.0.0/24 and fd09::/64: floating addresses
//!                  |                       |
//!               node 0 ---- cable 0 ---- node 1            two pseudo terminals and a thread between them
//!                  |                       |
//!                  +------ [bridge h] -----+  cut(1)       hb, fd0a::/64
//! ```

mod audit;
mod cable;
mod client;
mod lan;
mod lbd;

use audit::Audit;
use cable::Cable;
use client::Client;
use lan::Lan;
use lbd::Lbd;
pub use lbd::Says;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    net::UdpSocket,
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Longer than anything here takes on a loaded machine.
pub const LIMIT: Duration = Duration::from_secs(30);
pub const FLOATING4: &str = "10.9.0.20";
pub const FLOATING6: &str = "fd09::20";

const OLD: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const NEW: &str = "f00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
/// Each: number and secret of the key that seals, and of one that is accepted too.
pub type KeyLines = (u8, &'static str, Option<(u8, &'static str)>);
pub const OLD_KEY: KeyLines = (1, OLD, None);
pub const BOTH_KEYS: KeyLines = (1, OLD, Some((2, NEW)));
pub const NEW_KEY_FIRST: KeyLines = (2, NEW, Some((1, OLD)));
pub const NEW_KEY: KeyLines = (2, NEW, None);

struct Daemon {
    /// The daemon, or the shell that starts it again.
    child: Option<Child>,
    supervised: bool,
    dir: PathBuf,
    lbd: Option<Lbd>,
}

impl Daemon {
    fn pid(&self) -> Option<i32> {
        if self.supervised {
            return fs::read_to_string(self.dir.join("pid")).ok()?.trim().parse().ok();
        }
        Some(self.child.as_ref()?.id() as i32)
    }
}

pub struct Pair {
    name: &'static str,
    lan: Arc<Lan>,
    cable: Cable,
    daemons: [Daemon; 2],
    audit: Audit,
    client: Client,
    moved: usize,
    _dir: tempfile::TempDir,
}

/// What a node says of itself.
pub struct Status {
    pub state: String,
    pub peer_alive: bool,
    /// The peer says that it is fit and hot.
    pub peer_ready: bool,
    pub unfit: Vec<String>,
    pub alarms: Vec<String>,
    pub paths: Vec<bool>,
    pub refused: u64,
    pub old: u64,
    pub new_frames: u64,
}

impl Status {
    pub fn path_up(&self, path: usize) -> bool {
        self.paths[path]
    }
}

/// Runs a story.
pub fn in_pair(name: &'static str, story: impl FnOnce(&mut Pair)) {
    in_pair_with(name, "", story);
}

/// Runs a story with further settings: JSON members, each with a comma after it.
pub fn in_pair_with(name: &'static str, settings: &str, story: impl FnOnce(&mut Pair)) {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    // One at a time: the kernel changes addresses under one lock for all namespaces, and the stories' times are short.
    static MACHINE: Mutex<()> = Mutex::new(());
    let _alone = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = tempfile::tempdir().expect("a directory");
    let lan = Arc::new(Lan::new());
    let cable = Cable::new();
    let daemons = [0, 1].map(|node| {
        let dir = dir.path().join(format!("node{node}"));
        fs::create_dir(&dir).expect("made");
        fs::write(dir.join("ha.json"), document(node, &cable, settings)).expect("written");
        Daemon { child: None, supervised: false, dir, lbd: None }
    });
    let audit = Audit::start(lan.nodes());
    let client = Client::start(lan.client());
    let mut pair = Pair { name, lan, cable, daemons, audit, client, moved: 0, _dir: dir };
    (0..2).for_each(|node| pair.set_keys(node, OLD_KEY));
    let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| story(&mut pair)));
    if let Err(panic) = told {
        for node in 0..2 {
            eprintln!("--- log of node {node}\n{}", pair.log(node));
        }
        std::panic::resume_unwind(panic);
    }
    if std::env::var_os("PAIR_LOGS").is_some() {
        (0..2).for_each(|node| println!("--- log of node {node}\n{}", pair.log(node)));
    }
    pair.check_audit();
}

fn document(node: usize, cable: &Cable, settings: &str) -> String {
    let me = ["one", "two"][node];
    let (here, there) = (node + 1, 2 - node);
    let device = cable.device(node);
    let usual =
        [("keepalive_ms", 100), ("warntime_ms", 200), ("deadtime_ms", 400), ("initdead_ms", 1600), ("lease_ms", 1000)];
    let times: String = usual
        .iter()
        .filter(|(name, _)| !settings.contains(name))
        .map(|(name, value)| format!("\"{name}\":{value},"))
        .collect();
    format!(
        r#"{{"version":1,"me":"{me}","settings":{{{settings}{times}
"paths":[{{"name":"cable"}},{{"name":"hb"}},{{"name":"lan"}}]}},
"floating":[{{"interface":"lan","net":"{FLOATING4}/24"}},{{"interface":"lan","net":"{FLOATING6}/64"}}],
"transports":[{{"serial":{{"device":"{device}"}}}},
{{"udp":{{"local":"[fd0a::{here}]:694","peer":"[fd0a::{there}]:694","interface":"hb"}}}},
{{"udp":{{"local":"10.9.0.{here}:694","peer":"10.9.0.{there}:694"}}}}]}}"#
    )
}

impl Pair {
    /// Prints what the client saw of a step; the audit must hold after it.
    pub fn step(&mut self, what: &str, act: impl FnOnce(&mut Pair)) {
        self.client.forget();
        let began = Instant::now();
        act(self);
        let took = began.elapsed();
        if self.owners() != [false, false] {
            self.until("the client reaches it", |pair| pair.client.reaches());
        }
        self.check_audit();
        let gap = self.client.gap();
        println!("{}: {what}: done in {took:.0?}, longest gap of the 5 ms probe {gap:.0?}", self.name);
    }

    fn check_audit(&self) {
        if let Some(overlap) = self.audit.forbidden() {
            panic!("{}: two owners for {overlap:?}", self.name);
        }
    }

    pub fn two_owners_allowed(&mut self, allowed: bool) {
        self.audit.allow(allowed);
    }

    pub fn start_both(&mut self) {
        (0..2).for_each(|node| self.start(node));
        self.until_settled();
        self.until("the client reaches it", |pair| pair.client.reaches());
        // The log is written by a thread of no priority: its line may come after the fact.
        self.until("the log says who serves", |pair| pair.all_moves() > 0);
        self.moved = self.all_moves();
    }

    pub fn start(&mut self, node: usize) {
        self.start_as(node, &["exec \"$@\""]);
        self.daemons[node].supervised = false;
    }

    /// Started again whenever it ends, as the supervisor does, with its exit hook.
    pub fn start_supervised(&mut self, node: usize) {
        let pid = self.daemons[node].dir.join("pid");
        let keep = format!("while :; do \"$@\" & echo $! >{}; wait $!; \"$1\" --release; done", pid.display());
        let _ = fs::remove_file(&pid);
        self.start_as(node, &[&keep]);
        self.daemons[node].supervised = true;
        self.until("it is started", |pair| pair.daemons[node].pid().is_some());
    }

    fn start_as(&mut self, node: usize, how: &[&str]) {
        let daemon = &mut self.daemons[node];
        let dir = &daemon.dir;
        let log = File::options().create(true).append(true).open(dir.join("log")).expect("a log");
        let program = std::env::var("HEARTBEAT").unwrap_or_else(|_| env!("CARGO_BIN_EXE_heartbeat").into());
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.lan.nodes()[node].to_string(), "-n", "sh", "-c"]).args(how).args(["sh", &program]);
        match &daemon.lbd {
            Some(lbd) => command.arg("--lbd").arg(lbd.socket()),
            None => command.arg("--no-lbd"),
        };
        let child = command
            .arg("--config")
            .arg(dir.join("ha.json"))
            .arg("--keys")
            .arg(dir.join("keys"))
            .arg("--state")
            .arg(dir.join("state"))
            .arg("--socket")
            .arg(dir.join("socket"))
            .arg("--record")
            .arg(dir.join("record"))
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .expect("started");
        daemon.child = Some(child);
    }

    pub fn signal(&self, node: usize, signal: Signal) {
        kill(Pid::from_raw(self.daemons[node].pid().expect("it runs")), signal).expect("signalled");
    }

    /// And whoever would start it again.
    pub fn kill(&mut self, node: usize) {
        let mut child = self.daemons[node].child.take().expect("it runs");
        if self.daemons[node].supervised {
            child.kill().expect("killed");
            self.signal(node, Signal::SIGKILL);
        }
        child.kill().expect("killed");
        child.wait().expect("reaped");
    }

    pub fn until_ended(&mut self, node: usize) {
        let mut child = self.daemons[node].child.take().expect("it runs");
        self.until("it has ended", |_| child.try_wait().expect("asked").is_some());
        let ended = child.wait().expect("reaped");
        assert!(ended.success(), "{ended}");
    }

    /// The machine is gone at once: the daemon first, lest it sees its links go; then the cables, then what its kernel
    /// held.
    pub fn power_off(&mut self, node: usize) {
        self.kill(node);
        self.cable.cut(true);
        self.lan.unplug(node, true);
        self.lan.remove_floating(node);
    }

    pub fn power_on(&mut self, node: usize) {
        self.lan.unplug(node, false);
        self.cable.cut(false);
        self.start(node);
    }

    pub fn cut(&mut self, path: usize) {
        match path {
            0 => self.cable.cut(true),
            path => self.lan.cut(path, true),
        }
    }

    pub fn heal(&mut self, path: usize) {
        match path {
            0 => self.cable.cut(false),
            path => self.lan.cut(path, false),
        }
    }

    /// Heartbeats do not pass, all else does.
    pub fn block(&mut self, path: usize) {
        match path {
            0 | 1 => self.cut(path),
            _ => self.lan.block(true),
        }
    }

    pub fn unblock(&mut self, path: usize) {
        match path {
            0 | 1 => self.heal(path),
            _ => self.lan.block(false),
        }
    }

    pub fn plug_cable(&mut self, plugged: bool) {
        self.cable.plug(plugged);
    }

    /// While `act` runs, every processor is busy, and with `fight` the kernel's network lock is fought for on both nodes.
    /// The idlers are as polite as can be: to real-time threads it is the same, and the machine stays usable for an hour.
    pub fn under_load(&mut self, fight: bool, act: impl FnOnce(&mut Pair)) {
        let idler = || Command::new("nice").args(["-n", "19", "sh", "-c", "while :; do :; done"]).spawn();
        let cores = thread::available_parallelism().map_or(2, usize::from);
        let mut idlers: Vec<_> = (0..2 * cores).map(|_| idler().expect("started")).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let fighters = (0..if fight { 2 } else { 0 }).map(|node| {
            let (stop, lan) = (stop.clone(), self.lan.clone());
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    lan.churn(node)
                }
            })
        });
        let fighters: Vec<_> = fighters.collect();
        act(self);
        stop.store(true, Ordering::Relaxed);
        fighters.into_iter().for_each(|thread| thread.join().expect("ended"));
        for idler in &mut idlers {
            idler.kill().and_then(|()| idler.wait()).expect("ended");
        }
    }

    /// The policy and priority of a daemon's threads, as the kernel has them.
    pub fn scheduling(&self, node: usize) -> Vec<(String, u64)> {
        let pid = self.daemons[node].pid().expect("it runs");
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("its threads");
        let mut found: Vec<(String, u64)> = tasks
            .flatten()
            .map(|task| {
                let stat = fs::read_to_string(task.path().join("stat")).expect("read");
                let (name, rest) = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')).expect("a name");
                // proc(5): field 40 is rt_priority; what follows the name begins with field 3.
                (name.to_owned(), rest.split_whitespace().nth(37).and_then(|p| p.parse().ok()).expect("a number"))
            })
            .collect();
        found.sort();
        found
    }

    /// Kilobytes that a daemon has locked, and all that it has.
    pub fn memory(&self, node: usize) -> (u64, u64) {
        let pid = self.daemons[node].pid().expect("it runs");
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("read");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("there");
            line.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a number")
        };
        (field("VmLck:"), field("VmRSS:"))
    }

    /// Something that answers as lbd does, told that this node has all connections.
    pub fn with_lbd(&mut self, node: usize) {
        self.daemons[node].lbd = Some(Lbd::start(&self.daemons[node].dir));
    }

    /// What lbd answers from now on.
    pub fn lbd_says(&self, node: usize, what: Says) {
        self.daemons[node].lbd.as_ref().expect("there is one").says(what);
    }

    pub fn link(&self, node: usize, state: &str) {
        self.lan.plug(node, state == "up");
    }

    pub fn add_as_lbd(&self, node: usize) {
        self.lan.add_as_lbd(node);
    }

    /// There is no pair any more.
    pub fn unpair(&self, node: usize) {
        fs::remove_file(self.daemons[node].dir.join("ha.json")).expect("removed");
    }

    pub fn until_client(&self) {
        self.until("the client reaches it", |pair| pair.client.reaches());
    }

    /// The longest time without an answer since the last step began.
    pub fn gap(&self) -> Duration {
        self.client.gap()
    }

    pub fn remove_by_hand(&self, node: usize) {
        self.lan.remove_floating(node);
    }

    /// Lets time pass in which nothing should happen.
    pub fn sleeps(&self, time: Duration) {
        thread::sleep(time);
    }

    pub fn until(&self, what: &str, mut done: impl FnMut(&Pair) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(start.elapsed() < LIMIT, "{}: {what}: not within {LIMIT:?}", self.name);
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// It serves, and has the addresses.
    pub fn until_active(&self, node: usize) {
        self.until(&format!("node {node} serves"), |pair| {
            pair.owners()[node] && pair.try_status(node).is_some_and(|status| status.state == "active")
        });
    }

    /// It stands by, and hears the other one, which serves.
    pub fn until_standby(&self, node: usize) {
        self.until(&format!("node {node} stands by"), |pair| {
            let status = pair.try_status(node);
            status.is_some_and(|s| s.state == "standby" && s.peer_alive) && pair.owners()[1 - node]
        });
    }

    /// One serves, the other stands by, each hears the other, and nothing is wrong.
    pub fn until_settled(&self) {
        self.until("it has settled", |pair| {
            let both: Vec<Status> = (0..2).filter_map(|node| pair.try_status(node)).collect();
            let ready = |s: &&Status| s.peer_alive && s.peer_ready;
            let states = both.iter().filter(ready).filter(|s| s.alarms.is_empty() && s.unfit.is_empty());
            let mut states: Vec<&str> = states.map(|s| s.state.as_str()).collect();
            states.sort_unstable();
            let owners = pair.owners();
            states == ["active", "standby"] && owners[0] != owners[1]
        });
    }

    /// Exactly one node has them, and the same one has all.
    pub fn one_owner_of_each(&self) {
        let owners: Vec<[bool; 2]> =
            [FLOATING4, FLOATING6].iter().map(|address| [0, 1].map(|node| self.has(node, address))).collect();
        assert!(owners == [[true, false]; 2] || owners == [[false, true]; 2], "{}: {owners:?}", self.name);
    }

    pub fn runs(&self, node: usize) -> bool {
        self.daemons[node].child.is_some()
    }

    /// SIGTERM, and until it has ended.
    pub fn stop(&mut self, node: usize) {
        self.signal(node, Signal::SIGTERM);
        self.until_ended(node);
    }

    /// What the node has sent on each of its networks, bytes, with Ethernet's headers: lan, hb.
    pub fn sent(&self, node: usize) -> [u64; 2] {
        let text = fs::read_to_string(format!("/proc/{}/net/dev", self.lan.nodes()[node])).expect("read");
        ["lan:", "hb:"].map(|name| {
            let line = text.lines().find_map(|line| line.trim_start().strip_prefix(name)).expect("there");
            line.split_whitespace().nth(8).and_then(|bytes| bytes.parse().ok()).expect("a number")
        })
    }

    /// The client's neighbour table has this node's address for the floating one.
    pub fn client_knows(&self, node: usize) -> bool {
        self.lan.client_knows(FLOATING4, node)
    }

    /// The node that has the addresses.
    pub fn active(&self) -> usize {
        match self.owners() {
            [true, false] => 0,
            [false, true] => 1,
            owners => panic!("{}: no single owner: {owners:?}", self.name),
        }
    }

    pub fn owners(&self) -> [bool; 2] {
        audit::owners(self.lan.nodes())
    }

    pub fn has(&self, node: usize, address: &str) -> bool {
        audit::has(self.lan.nodes()[node], address)
    }

    /// How often addresses have moved since both were started.
    pub fn moves(&self) -> usize {
        self.all_moves() - self.moved
    }

    fn all_moves(&self) -> usize {
        (0..2).map(|node| self.log(node).matches("acquiring -> active").count()).sum()
    }

    pub fn log(&self, node: usize) -> String {
        fs::read_to_string(self.daemons[node].dir.join("log")).unwrap_or_default()
    }

    /// One request on the status socket, one line.
    pub fn ask(&self, node: usize, request: &str) -> String {
        self.try_ask(node, request).expect("answered")
    }

    fn try_ask(&self, node: usize, request: &str) -> std::io::Result<String> {
        let mut socket = UnixStream::connect(self.daemons[node].dir.join("socket"))?;
        socket.set_read_timeout(Some(LIMIT))?;
        writeln!(socket, "{request}")?;
        let mut line = String::new();
        BufReader::new(socket).read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    pub fn answers(&self, node: usize) -> bool {
        self.try_status(node).is_some()
    }

    pub fn status(&self, node: usize) -> Status {
        self.try_status(node).expect("answered")
    }

    fn try_status(&self, node: usize) -> Option<Status> {
        let line = self.try_ask(node, r#""status""#).ok()?;
        let all: serde_json::Value = serde_json::from_str(&line).ok()?;
        let status = &all["status"]["status"];
        let words = |value: &serde_json::Value| -> Vec<String> {
            let list = value.as_array().into_iter().flatten();
            list.map(|word| word.as_str().unwrap_or_default().to_owned()).collect()
        };
        let count = |name: &str| status["frames"][name].as_u64().unwrap_or_default();
        Some(Status {
            state: status["state"].as_str()?.to_owned(),
            peer_alive: status["peer"]["alive"].as_bool().unwrap_or(false),
            peer_ready: ["fit", "hot"].iter().all(|flag| status["peer"]["word"][flag].as_bool().unwrap_or(false)),
            unfit: words(&status["unfit"]),
            alarms: words(&status["alarms"]),
            paths: status["paths"].as_array()?.iter().map(|p| p[1]["up"].as_bool().unwrap_or(false)).collect(),
            refused: count("refused"),
            old: count("old"),
            new_frames: count("new"),
        })
    }

    /// Changes the document as lbd does: beside it, then a rename.
    pub fn edit(&self, node: usize, from: &str, to: &str) {
        let file = self.daemons[node].dir.join("ha.json");
        let text = fs::read_to_string(&file).expect("read");
        assert!(text.contains(from), "{from} is not in {text}");
        let beside = file.with_extension("new");
        fs::write(&beside, text.replace(from, to)).expect("written");
        fs::rename(beside, file).expect("renamed");
    }

    pub fn set_keys(&self, node: usize, (id, secret, also): KeyLines) {
        let mut text = format!("seal {id} {secret}\n");
        if let Some((id, secret)) = also {
            text += &format!("accept {id} {secret}\n");
        }
        let file = self.daemons[node].dir.join("keys");
        let beside = file.with_extension("new");
        fs::write(&beside, text).expect("written");
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o600)).expect("set");
        fs::rename(beside, file).expect("renamed");
    }

    /// From the client, to a node's UDP port: noise, recorded frames as they were, and with a bit changed.
    pub fn forge(&self, node: usize, count: u64) -> u64 {
        self.until("frames to record", |pair| pair.cable.recorded(1 - node).len() >= 32);
        let frames = self.cable.recorded(1 - node);
        let client = self.lan.client();
        let (lan, receiver) = (self.lan.clone(), self.lan.nodes()[node]);
        let sender = thread::spawn(move || {
            lan::enter(client);
            let socket = UdpSocket::bind("10.9.0.9:0").expect("a socket");
            let mut random = 0x9e37_79b9_7f4a_7c15_u64;
            let mut next = move |below: usize| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                (random % below as u64) as usize
            };
            for number in 0..count {
                let mut bytes = frames[next(frames.len())].clone();
                match number % 4 {
                    3 => bytes.truncate(next(bytes.len())),
                    0 => bytes = (0..next(300)).map(|_| next(256) as u8).collect(),
                    1 => {
                        let at = next(bytes.len());
                        bytes[at] ^= 1 << next(8);
                    }
                    _ => {}
                }
                socket.send_to(&bytes, format!("10.9.0.{}:694", node + 1)).expect("sent");
                // Room in the receiver's queue.
                while number % 64 == 0 && lan.udp_queue(receiver).0 > 64 * 1024 {
                    thread::sleep(Duration::from_millis(1));
                }
            }
        });
        sender.join().expect("sent");
        count
    }

    /// Bytes that wait in the sockets for heartbeats.
    pub fn unread(&self, node: usize) -> u64 {
        self.lan.udp_queue(self.lan.nodes()[node]).0
    }

    /// Datagrams for which a socket had no room.
    pub fn dropped(&self, node: usize) -> u64 {
        self.lan.udp_queue(self.lan.nodes()[node]).1
    }

    /// The lines about states that the record gives when it is played again.
    pub fn replayed(&self, node: usize) -> Vec<String> {
        let text = fs::read_to_string(self.daemons[node].dir.join("record")).expect("a record");
        let lines = text.lines().map(|line| serde_json::from_str(line).expect("a line of a trace"));
        let wanted = lb_ha::trace::replay(lines).expect("played");
        let told = wanted.into_iter().filter_map(|(_, output)| match output {
            lb_ha::node::Output::Log(note @ lb_ha::Note::Moved { .. }) => Some(format!("INFO {note}")),
            _ => None,
        });
        told.collect()
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for daemon in &mut self.daemons {
            let pid = daemon.pid();
            let Some(child) = daemon.child.as_mut() else { continue };
            let _ = child.kill();
            let _ = child.wait();
            // The shell first, lest it starts another.
            if let Some(pid) = pid.filter(|_| daemon.supervised) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }
}

//! The networks. A namespace is held by a process that sleeps; it dies with the rig.

use lb_kernel::{Kernel, Linux, Paths};
use lb_plan::{Action, Address};
use std::{
    fs::{self, File},
    io::Write,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

pub struct Lan {
    /// Node 0, node 1, client, switch.
    holders: [Child; 4],
}

const CLIENT: usize = 2;
const SWITCH: usize = 3;

impl Lan {
    pub fn new() -> Lan {
        let mut lan = Lan { holders: [(); 4].map(|()| holder()) };
        lan.holders.iter().for_each(|child| until_apart(child.id()));
        let pid = |at: usize| lan.holders[at].id();
        let mut switch = vec!["link set lo up".to_owned()];
        for bridge in ["bra", "brb", "brh"] {
            switch.push(format!("link add {bridge} type bridge stp_state 0 forward_delay 0"));
            switch.push(format!("link set {bridge} up"));
        }
        for (name, peer, inside, bridge) in [
            ("lan0", 0, "lan", "bra"),
            ("lan1", 1, "lan", "brb"),
            ("hb0", 0, "hb", "brh"),
            ("hb1", 1, "hb", "brh"),
            ("lanc", CLIENT, "lan", "bra"),
        ] {
            switch.push(format!("link add {name} type veth peer name {inside} netns {}", pid(peer)));
            switch.push(format!("link set {name} master {bridge} up"));
        }
        switch.push("link add x0 type veth peer name x1".to_owned());
        switch.push("link set x0 master bra up".to_owned());
        switch.push("link set x1 master brb up".to_owned());
        lan.ip(SWITCH, &switch);
        for node in 0..2 {
            let n = node + 1;
            lan.ip(
                node,
                &[
                    "link set lo up".to_owned(),
                    "link set lan up".to_owned(),
                    "link set hb up".to_owned(),
                    format!("addr add 10.9.0.{n}/24 dev lan"),
                    format!("addr add fd09::{n}/64 dev lan nodad"),
                    format!("addr add fd0a::{n}/64 dev hb nodad"),
                ],
            );
        }
        lan.ip(CLIENT, &["link set lan up".to_owned(), "addr add 10.9.0.9/24 dev lan".to_owned()]);
        lan.holders.iter_mut().for_each(|child| drop(child.stdin.take()));
        lan
    }

    /// The processes that hold the nodes' namespaces.
    pub fn nodes(&self) -> [u32; 2] {
        [self.holders[0].id(), self.holders[1].id()]
    }

    pub fn client(&self) -> u32 {
        self.holders[CLIENT].id()
    }

    /// Between the nodes: 1 = the network of their own, 2 = the clients' network.
    pub fn cut(&self, path: usize, cut: bool) {
        let link = ["", "hb1", "x0"][path];
        self.ip(SWITCH, &[format!("link set {link} {}", if cut { "down" } else { "up" })]);
    }

    /// The cable of the clients' network.
    pub fn plug(&self, node: usize, plugged: bool) {
        self.ip(SWITCH, &[format!("link set lan{node} {}", if plugged { "up" } else { "down" })]);
    }

    pub fn unplug(&self, node: usize, unplugged: bool) {
        let state = if unplugged { "down" } else { "up" };
        self.ip(SWITCH, &[format!("link set lan{node} {state}"), format!("link set hb{node} {state}")]);
    }

    /// Heartbeats of the clients' network do not pass.
    pub fn block(&self, block: bool) {
        for node in 0..2 {
            let arguments = if block {
                "add table inet block ; add chain inet block in { type filter hook input priority 0 ; } ; \
                 add rule inet block in iifname lan udp dport 694 drop"
            } else {
                "delete table inet block"
            };
            let done = self.within(node, "nft").arg(arguments).status().expect("it runs");
            assert!(done.success());
        }
    }

    /// Makes and removes links and addresses: each takes the kernel's network lock.
    pub fn churn(&self, node: usize) {
        let mut lines = Vec::new();
        for n in 0..20 {
            lines.push(format!("link add churn{n} type veth peer name nruhc{n}"));
            lines.push(format!("addr add 192.0.2.{}/32 dev churn{n}", n + 1));
            lines.push(format!("link set churn{n} up"));
        }
        lines.extend((0..20).map(|n| format!("link del churn{n}")));
        self.ip(node, &lines);
    }

    /// As lbd adds the addresses of virtual servers; or takes over what is there.
    pub fn add_as_lbd(&self, node: usize) {
        let namespace = self.nodes()[node];
        let hands = thread::spawn(move || {
            enter(namespace);
            let dir = tempfile::tempdir().expect("a directory");
            let paths = Paths { etc: dir.path().into(), run: dir.path().join("run"), ..Paths::default() };
            let mut lbd = Linux::open(paths).expect("opened");
            let add = [super::FLOATING4, super::FLOATING6].map(|address| {
                let net = address.parse::<std::net::IpAddr>().expect("an address").into();
                Action::AddVip(Address { interface: "lan".parse().expect("a name"), net })
            });
            lbd.execute(&add).into_iter().for_each(|done| done.expect("added"));
        });
        hands.join().expect("added");
    }

    /// Of the sockets on port 694 (proc(5), net/udp): bytes in their queues, and datagrams that found no room.
    pub fn udp_queue(&self, namespace: u32) -> (u64, u64) {
        let text = fs::read_to_string(format!("/proc/{namespace}/net/udp")).expect("read");
        let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let ours = lines.filter(|words| words.get(1).is_some_and(|local| local.ends_with(":02B6")));
        let one = |words: Vec<&str>| {
            let queue = words[4].split_once(':').and_then(|(_, bytes)| u64::from_str_radix(bytes, 16).ok());
            (queue.expect("a number"), words.last().and_then(|drops| drops.parse::<u64>().ok()).expect("a number"))
        };
        ours.map(one).fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
    }

    pub fn client_knows(&self, address: &str, node: usize) -> bool {
        let own = self.within(node, "ip").args(["-o", "link", "show", "lan"]).output().expect("it runs").stdout;
        let own = String::from_utf8_lossy(&own).into_owned();
        let mac = own.split("link/ether ").nth(1).and_then(|rest| rest.split(' ').next()).expect("an address");
        let table = self.within(CLIENT, "ip").args(["neigh", "show", address]).output().expect("it runs").stdout;
        String::from_utf8_lossy(&table).contains(mac)
    }

    pub fn remove_floating(&self, node: usize) {
        for address in [format!("{}/32", super::FLOATING4), format!("{}/128", super::FLOATING6)] {
            // It may have gone meanwhile.
            let _ = self.within(node, "ip").args(["addr", "del", &address, "dev", "lan"]).output();
        }
    }

    fn within(&self, at: usize, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.holders[at].id().to_string(), "-n", program]);
        command
    }

    fn ip(&self, at: usize, lines: &[String]) {
        let mut child = self.within(at, "ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().expect("it runs");
        let mut input = child.stdin.take().expect("piped");
        input.write_all((lines.join("\n") + "\n").as_bytes()).expect("written");
        drop(input);
        assert!(child.wait().expect("reaped").success(), "{lines:?}");
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        for child in &mut self.holders {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn holder() -> Child {
    let mut command = Command::new("unshare");
    command.args(["-n", "sleep", "4000"]).stdin(Stdio::piped());
    command.spawn().expect("unshare runs")
}

fn until_apart(pid: u32) {
    let ours = fs::read_link("/proc/self/ns/net").expect("ours");
    let start = Instant::now();
    while fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|theirs| theirs == ours) {
        assert!(start.elapsed() < super::LIMIT);
        thread::sleep(Duration::from_millis(1));
    }
}

/// The calling thread moves into the namespace of a process.
pub fn enter(pid: u32) {
    let namespace = File::open(format!("/proc/{pid}/ns/net")).expect("it lives");
    nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET).expect("entered");
}

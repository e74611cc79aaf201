//! Two units and one more beside a client and real servers: outside, inside, and a network of their own between them.

use crate::cases::{
    net::{Netns, plug, switch},
    topology::C_TOOL,
};
use anyhow::{Context, Result, ensure};
use lb_kernel::{
    Connection, Forgotten, Kernel, Linux, Paths, Template,
    transfer::{
        Digest, DigestKey, End, First, Held, OtherTable, Pace, Report, Transfer, send_table, table_digest, table_held,
    },
};
use lb_model::Ports;
use lb_plan::{Action, Health, HeldBack, Masquerade, Ruleset, SyncDaemon, SyncPair, SyncRole, desired, plan};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{SocketAddr, UdpSocket},
    ops::ControlFlow,
    path::Path,
    time::Instant,
};

pub const VIP: &str = "10.0.0.21:80";
/// What the joining unit's backup daemon listens to.
pub const BACKUP_ID: u8 = 1;
const KEY: DigestKey = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210];
pub struct Pair {
    pub client: Netns,
    /// Serves first.
    pub a: Netns,
    /// Joins late.
    pub b: Netns,
    /// Only on the network between the units.
    pub c: Netns,
    pub rs1: Netns,
    pub rs2: Netns,
}

/// The addresses that move: the virtual servers', and the real servers' gateway.
const FLOATING: [(&str, &str); 4] =
    [("10.0.0.21/24", "eth0"), ("192.168.2.21/24", "eth1"), ("fd00:a::21/64", "eth0"), ("fd00:b::21/64", "eth1")];

fn plugged(name: &str, cards: &[(&str, &str, &[&str])]) -> Result<Netns> {
    let ns = Netns::new(name)?;
    for (card, network, addresses) in cards {
        plug(&ns, card, network)?;
        for address in *addresses {
            ns.ip(&format!("addr add {address} dev {card}{}", nodad(address)))?;
        }
        ns.ip(&format!("link set {card} up"))?;
    }
    Ok(ns)
}

fn nodad(address: &str) -> &'static str {
    if address.contains(':') { " nodad" } else { "" }
}

impl Pair {
    pub fn new() -> Result<Pair> {
        for network in ["ext", "int", "syn"] {
            switch(network)?;
        }
        let unit = |name, host: u8| {
            let [ext, int, syn] =
                [format!("10.0.0.{host}/24"), format!("192.168.2.{host}/24"), format!("10.9.9.{host}/24")];
            plugged(name, &[("eth0", "ext", &[&ext]), ("eth1", "int", &[&int]), ("eth2", "syn", &[&syn])])
        };
        let (a, b, c) = (unit("a", 1)?, unit("b", 2)?, unit("c", 3)?);
        for ns in [&a, &b, &c] {
            ns.sysctl("net.ipv4.ip_forward", "1")?;
            ns.sysctl("net.ipv6.conf.all.forwarding", "1")?;
        }
        let client = plugged("client", &[("eth0", "ext", &["10.0.0.31/24", "fd00:a::31/64"])])?;
        let rs1 = plugged("rs1", &[("eth0", "int", &["192.168.2.50/24", "fd00:b::50/64"])])?;
        let rs2 = plugged("rs2", &[("eth0", "int", &["192.168.2.51/24", "fd00:b::51/64"])])?;
        for rs in [&rs1, &rs2] {
            rs.ip("route add default via 192.168.2.21")?;
            rs.ip("-6 route add default via fd00:b::21")?;
        }
        Ok(Pair { client, a, b, c, rs1, rs2 })
    }

    /// The same service on every unit.
    pub fn service(&self, service: &[&str], servers: &[(&str, &str)]) -> Result<()> {
        for ns in [&self.a, &self.b, &self.c] {
            ns.run(C_TOOL, &[&["-A"], service].concat())?;
            for (server, method) in servers {
                ns.run(C_TOOL, &[&["-a"], &service[..2], &["-r", server, method]].concat())?;
            }
        }
        Ok(())
    }

    /// Gives a unit the addresses.
    pub fn serves(&self, ns: &Netns) -> Result<()> {
        for (address, card) in FLOATING {
            ns.ip(&format!("addr add {address} dev {card}{}", nodad(address)))?;
        }
        // In the place of an announcement.
        for ns in [&self.client, &self.rs1, &self.rs2] {
            ns.ip("neigh flush all")?;
        }
        Ok(())
    }

    /// From the first unit to the second.
    pub fn moves(&self) -> Result<()> {
        for (address, card) in FLOATING {
            self.a.ip(&format!("addr del {address} dev {card}"))?;
        }
        self.serves(&self.b)
    }

    /// What a unit has that stands by, for this virtual server and this real server.
    pub fn hold_back(&self, ns: &Netns, vip: SocketAddr, server: SocketAddr) -> Result<()> {
        self.rules(ns, Some(held_back(vip, &[server])))
    }

    /// A unit's table: MASQUERADE, so that conntrack looks at every packet, and what it holds back, if anything.
    pub fn rules(&self, ns: &Netns, held_back: Option<HeldBack>) -> Result<()> {
        let networks = vec!["192.168.2.0/24".parse()?];
        let out = "eth0".parse().map_err(|e| anyhow::anyhow!("{e}"))?;
        let rules = Ruleset { masquerade: Some(Masquerade { networks, out }), held_back, ..Ruleset::default() };
        ns.run("nft", &[&rules.script()]).map(drop)
    }

    /// The other unit's kernel is told of this connection.
    pub fn tell(&self, connection: &ipvs::sync::Connection) -> Result<()> {
        let connection = connection.clone();
        self.a.inside(move || {
            let mut message = ipvs::sync::Message::new(BACKUP_ID, 1472);
            ensure!(message.push(&connection) == Ok(true));
            UdpSocket::bind("10.9.9.1:0")?.send_to(message.bytes(), "224.0.0.81:8848")?;
            Ok(())
        })
    }

    pub fn table(&self, ns: &Netns) -> Result<String> {
        ns.run("cat", &["/proc/net/ip_vs_conn"])
    }

    pub fn entries(&self, ns: &Netns) -> Result<u64> {
        ns.inside(|| Ok(table_digest(KEY)?.entries()))
    }

    pub fn start_backup(&self, ns: &Netns) -> Result<()> {
        self.start_backup_as(ns, BACKUP_ID)
    }

    pub fn start_backup_as(&self, ns: &Netns, id: u8) -> Result<()> {
        start(ns, SyncRole::Backup, id)
    }

    /// The kernel's own, at the serving unit.
    pub fn start_master(&self) -> Result<()> {
        start(&self.a, SyncRole::Master, BACKUP_ID)
    }

    /// Until the other unit is hot.
    pub fn transfer(&self, to: &Netns, id: u8, pace: Pace) -> Result<Report> {
        self.transfer_from(First::Everything, to, id, pace)
    }

    pub fn transfer_from(&self, first: First, to: &Netns, id: u8, pace: Pace) -> Result<Report> {
        let mut other = Other(to.clone());
        self.a.inside(move || {
            let transfer = Transfer { daemon: daemon(id)?, marks: Vec::new(), key: KEY, pace, first };
            let (started, mut last) = (Instant::now(), None);
            let report = send_table(&transfer, &mut other, &mut |progress| {
                last = Some(progress);
                ControlFlow::Continue(())
            })?;
            println!("  {report:?} within {:?}", started.elapsed());
            ensure!(report.end == End::Hot, "not hot: {report:?}");
            if let Some(progress) = last {
                ensure!(progress.sent <= report.entries && progress.total > 0, "{progress:?} of {report:?}");
            }
            Ok(report)
        })
    }
}

/// What a unit holds back for this virtual server and these real servers.
pub fn held_back(vip: SocketAddr, servers: &[SocketAddr]) -> HeldBack {
    let mut answers = BTreeMap::<_, BTreeSet<_>>::new();
    for server in servers {
        answers.entry(Ports::from(server.port())).or_default().insert(server.ip());
    }
    HeldBack { floating: [vip.ip()].into(), answers }
}

/// The other unit's answers, as bytes, like over a channel.
struct Other(Netns);

impl OtherTable for Other {
    type Error = anyhow::Error;

    fn digest(&mut self, key: DigestKey) -> Result<Digest> {
        let bytes = self.0.inside(move || Ok(table_digest(key)?.to_bytes()))?;
        Digest::from_bytes(&bytes).context("no digest")
    }

    fn held(&mut self, key: DigestKey, buckets: &[u16]) -> Result<Held> {
        let buckets = buckets.to_vec();
        let bytes = self.0.inside(move || Ok(table_held(key, &buckets)?.to_bytes()))?;
        Held::from_bytes(&bytes).context("no fingerprints")
    }
}

/// What reconciles a unit's daemons; every time another one, which finds the journal of the one before.
pub struct Unit {
    ns: Netns,
    dir: tempfile::TempDir,
    pair: SyncPair,
}

impl Unit {
    pub fn new(ns: &Netns, own: u8, other: u8) -> Result<Unit> {
        let pair = SyncPair { master: daemon(own)?, backup: daemon(other)? };
        Ok(Unit { ns: ns.clone(), dir: tempfile::tempdir()?, pair })
    }

    pub fn templates(&self) -> Result<Vec<Template>> {
        let paths = paths(self.dir.path());
        self.ns.inside(move || {
            let mut found = Vec::new();
            let whole = Linux::open(paths)?.inspector().connections(&mut |c| {
                let Connection { client, virtual_server, real_server, .. } = *c;
                if c.is_template() {
                    found.push(Template { protocol: c.protocol.to_owned(), client, virtual_server, real_server });
                }
                ControlFlow::Continue(())
            })?;
            ensure!(whole.is_continue(), "broken off");
            Ok(found)
        })
    }

    pub fn forget(&self, template: Template) -> Result<Forgotten> {
        let paths = paths(self.dir.path());
        self.ns.inside(move || Ok(Linux::open(paths)?.inspector().forget(&template)?))
    }

    /// What was done, of what concerns synchronisation.
    pub fn reconcile(&self, paired: bool) -> Result<Vec<String>> {
        let (paths, pair) = (paths(self.dir.path()), self.pair.clone());
        self.ns.inside(move || {
            let mut kernel = Linux::open(paths)?;
            let single = desired(&lb_model::factory(), &Health::default());
            let desired = if paired { single.synchronised(pair) } else { single };
            let mut actions = plan(&desired, &kernel.observe(&desired)?).actions;
            actions.retain(|action| match action {
                Action::StartSync { .. } | Action::StopSync(_) => true,
                Action::SetSysctl { name, .. } => name.contains(".vs.sync_"),
                _ => false,
            });
            kernel.execute(&actions).into_iter().collect::<Result<(), _>>()?;
            Ok(actions.iter().map(ToString::to_string).collect())
        })
    }
}

fn daemon(id: u8) -> Result<SyncDaemon> {
    Ok(SyncDaemon::new("eth2".parse().map_err(|e| anyhow::anyhow!("{e}"))?, id, 1500))
}

fn paths(dir: &Path) -> Paths {
    Paths { etc: dir.join("etc"), run: dir.join("run"), ..Paths::default() }
}

fn start(ns: &Netns, role: SyncRole, id: u8) -> Result<()> {
    ns.inside(move || {
        let dir = tempfile::tempdir()?;
        let mut kernel = Linux::open(paths(dir.path()))?;
        let start = Action::StartSync { role, daemon: daemon(id)? };
        kernel.execute(&[start]).into_iter().collect::<Result<(), _>>()?;
        Ok(())
    })
}

//! The real kernel, in a network and host name namespace of the test's own. Needs root; says so and passes
//! without. IPVS is tried where the kernel has it, which is in the guest.

use lb_kernel::{Kernel, Linux, Paths, conformance};
use lb_model::{Family, Protocol, factory};
use lb_plan::{Action, Desired, Health, MarkRule, Ruleset, desired};
use nix::sched::{CloneFlags, unshare};
use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::mpsc::channel,
    thread,
    time::Duration,
};

/// Runs `f` on a thread in namespaces of its own, with eth0 and eth1.
fn in_namespace(f: impl FnOnce(&Path) + Send + 'static) {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let run = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS).expect("new namespaces");
        ip("link set lo up");
        for i in 0..2 {
            ip(&format!("link add eth{i} type veth peer name far{i}"));
            ip(&format!("link set far{i} up"));
        }
        let dir = tempfile::tempdir().expect("a directory");
        f(dir.path());
    });
    if let Err(panic) = run.join() {
        std::panic::resume_unwind(panic);
    }
}

fn ip(arguments: &str) -> String {
    run("/usr/sbin/ip", arguments)
}

fn run(program: &str, arguments: &str) -> String {
    let output = Command::new(program).args(arguments.split(' ')).output().expect("it runs");
    assert!(output.status.success(), "{program} {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn open(dir: &Path) -> Linux {
    let paths = Paths { etc: dir.into(), run: dir.join("run"), ..Paths::default() };
    Linux::open(paths).unwrap_or_else(|e| panic!("{e}: {:?}", e.cause))
}

fn has_ipvs() -> bool {
    Path::new("/proc/net/ip_vs").exists()
}

#[test]
fn linux_passes_the_stories() {
    in_namespace(|dir| conformance::run(&mut open(dir), has_ipvs(), |story| eprintln!("{story}")));
}

#[test]
fn linux_and_the_fake_end_equal() {
    in_namespace(|dir| {
        let mut kernel = open(dir);
        let mut converge = conformance::Converge::new(&mut kernel, has_ipvs());
        for seed in 0..60 {
            converge.step(&mut kernel, seed).unwrap_or_else(|e| panic!("{e}"));
        }
    });
}

fn wanted() -> Desired {
    let mut wanted = desired(&factory(), &Health::default());
    let rule = MarkRule {
        address: "192.168.2.21".parse().expect("an address"),
        protocol: Protocol::Tcp,
        ports: "80,443,8000-8100".parse().expect("ports"),
        mark: 0x8000_0000,
    };
    wanted.ruleset = Ruleset { marks: vec![rule], ..Ruleset::default() };
    wanted
}

/// A rule changed by hand shows, also to an lbd that was started again; one that was left alone shows as ours.
#[test]
fn a_firewall_changed_by_hand_shows() {
    in_namespace(|dir| {
        let wanted = wanted();
        let mut kernel = open(dir);
        let ruleset = |kernel: &mut Linux| kernel.observe(&wanted).expect("observed").ruleset;
        assert_eq!(ruleset(&mut kernel), None);
        kernel.execute(&[Action::SetRuleset(wanted.ruleset.clone())]).remove(0).expect("loaded");
        assert_eq!(ruleset(&mut kernel), Some(wanted.ruleset.clone()));
        let mut again = open(dir);
        assert_eq!(ruleset(&mut again), Some(wanted.ruleset.clone()), "after a restart");
        run("/usr/sbin/nft", "add rule inet steelyard marks tcp dport 25 drop");
        assert_eq!(ruleset(&mut again), None, "a rule too many");
        again.execute(&[Action::SetRuleset(wanted.ruleset.clone())]).remove(0).expect("loaded");
        assert_eq!(ruleset(&mut again), Some(wanted.ruleset.clone()));
        run("/usr/sbin/nft", "delete table inet steelyard");
        assert_eq!(ruleset(&mut again), None, "no table");
        again.execute(&[Action::SetRuleset(Ruleset::default())]).remove(0).expect("cleared");
        assert!(!run("/usr/sbin/nft", "list ruleset").contains("steelyard"));
        assert_eq!(
            open(dir).observe(&desired(&factory(), &Health::default())).expect("observed").ruleset,
            Some(Ruleset::default())
        );
    });
}

/// Half of one shows as such and is made whole; rules and tables of others are nobody's business here.
#[test]
fn a_detour_changed_by_hand_is_mended() {
    in_namespace(|dir| {
        ip("rule add fwmark 7 lookup 100");
        ip("route add local default dev lo table 100");
        let mut wanted = wanted();
        let mut kernel = open(dir);
        let mut seen = |wanted: &Desired| kernel.observe(wanted).expect("observed");
        assert!(seen(&wanted).detours.is_empty());
        wanted.detours = [Family::Ipv4].into();
        let mend = |wanted: &Desired, was: &lb_plan::Observed| {
            let todo = lb_plan::plan(wanted, was).actions;
            let detour = todo.into_iter().find(|action| action.to_string().contains("transparent")).expect("a detour");
            open(dir).execute(&[detour]).remove(0).expect("made");
        };
        mend(&wanted, &seen(&wanted));
        assert_eq!(seen(&wanted).detours, [(Family::Ipv4, true)].into());
        for half in ["rule del fwmark 0xc0000000 lookup 76", "route del local default dev lo table 76"] {
            ip(half);
            assert_eq!(seen(&wanted).detours, [(Family::Ipv4, false)].into());
            mend(&wanted, &seen(&wanted));
            assert_eq!(seen(&wanted).detours, [(Family::Ipv4, true)].into());
        }
        wanted.detours.clear();
        mend(&wanted, &seen(&wanted));
        assert!(seen(&wanted).detours.is_empty());
        assert!(ip("rule").contains("fwmark 0x7 lookup 100"));
    });
}

/// A socket with a client's address, as layer 7 makes one for a transparent virtual server.
fn under_a_clients_address(limit: Duration) -> std::io::Result<String> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.set_ip_transparent_v4(true)?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 7), 0).into())?;
    socket.connect_timeout(&SocketAddrV4::new(Ipv4Addr::new(10, 5, 0, 2), 80).into(), limit)?;
    let mut seen = String::new();
    TcpStream::from(socket).read_to_string(&mut seen)?;
    Ok(seen)
}

/// The real server, on a machine of its own whose router this unit is, sees the client, and its answer comes back.
#[test]
fn answers_to_a_clients_address_come_back() {
    in_namespace(|dir| {
        let ((here, server), (go, begin), (done, ready)) = (channel(), channel::<()>(), channel());
        thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("a new namespace");
            here.send(nix::unistd::gettid()).expect("told");
            begin.recv().expect("its card");
            ip("addr add 10.5.0.2/24 dev far0");
            ip("link set far0 up");
            ip("route add default via 10.5.0.1");
            let listener = TcpListener::bind("10.5.0.2:80").expect("its port");
            done.send(()).expect("told");
            for client in listener.incoming() {
                let mut client = client.expect("a client");
                let who = client.peer_addr().expect("its address").ip().to_string();
                client.write_all(who.as_bytes()).expect("answered");
            }
        });
        ip(&format!("link set far0 netns {}", server.recv().expect("a thread")));
        for command in ["addr add 10.5.0.1/24 dev eth0", "link set eth0 up"] {
            ip(command);
        }
        go.send(()).expect("told");
        ready.recv().expect("a server");
        assert!(under_a_clients_address(Duration::from_millis(300)).is_err(), "nobody takes the answer");
        let servers = [("80".parse().expect("a port"), [Ipv4Addr::new(10, 5, 0, 2).into()].into())].into();
        let ruleset = Ruleset { transparent: servers, ..Ruleset::default() };
        let mut kernel = open(dir);
        for action in [Action::AddDetour(Family::Ipv4), Action::SetRuleset(ruleset)] {
            kernel.execute(&[action]).remove(0).expect("done");
        }
        assert_eq!(under_a_clients_address(Duration::from_secs(10)).expect("an answer"), "203.0.113.7");
        for action in [Action::DelDetour(Family::Ipv4), Action::SetRuleset(Ruleset::default())] {
            kernel.execute(&[action]).remove(0).expect("undone");
        }
        assert!(under_a_clients_address(Duration::from_millis(300)).is_err());
    });
}

/// From one of the client's addresses, in the client's namespace.
fn connect(from: &str, to: &str) -> Option<TcpStream> {
    let (from, to): (SocketAddr, SocketAddr) = (from.parse().expect("an address"), to.parse().expect("an address"));
    let socket = socket2::Socket::new(socket2::Domain::for_address(to), socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&from.into()).expect("its own address");
    // The kernel asks a second time after a second.
    socket.connect_timeout(&to.into(), Duration::from_millis(1500)).ok()?;
    Some(socket.into())
}

/// Strangers are left out of the unit's own ports, by whichever of its addresses; connections that are there, virtual
/// servers and the unit itself do not notice.
#[test]
fn a_lock_down_leaves_out_strangers_and_nobody_else() {
    const OWN: [u16; 4] = lb_model::MANAGEMENT_PORTS;
    in_namespace(|dir| {
        let ((here, client), (go, begin)) = (channel(), channel::<()>());
        let ((ask, asked), (answer, answers)) = (channel::<(&str, String)>(), channel());
        thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("a new namespace");
            here.send(nix::unistd::gettid()).expect("told");
            begin.recv().expect("its card");
            for address in ["10.5.0.2/24", "10.5.0.3/24"] {
                ip(&format!("addr add {address} dev far0"));
            }
            for address in ["fd00::2/64", "fd00::3/64"] {
                ip(&format!("addr add {address} dev far0 nodad"));
            }
            ip("link set far0 up");
            for (from, to) in asked {
                answer.send(connect(from, &to)).expect("told");
            }
        });
        ip(&format!("link set far0 netns {}", client.recv().expect("a thread")));
        for command in [
            "addr add 10.5.0.1/24 dev eth0",
            "addr add 10.5.0.9/32 dev eth0",
            "addr add fd00::1/64 dev eth0 nodad",
            "link set eth0 up",
        ] {
            ip(command);
        }
        let listens = |port| TcpListener::bind(("::", port)).expect("its port");
        let (web, _others) = (listens(9080), [22, 80, 9081, 9443].map(listens));
        go.send(()).expect("told");
        let client = |from, to: &str| {
            ask.send((from, to.to_owned())).expect("asked");
            answers.recv().expect("an answer")
        };
        let reaches = |from, to: &str| client(from, to).is_some();
        let own = |from: [&'static str; 2]| {
            let both = [(from[0], "10.5.0.1"), (from[1], "[fd00::1]")];
            both.map(|(from, unit)| OWN.map(|port| reaches(from, &format!("{unit}:{port}"))))
        };
        let (admin, stranger) = (["10.5.0.2:0", "[fd00::2]:0"], ["10.5.0.3:0", "[fd00::3]:0"]);
        assert_eq!(own(stranger), [[true; 4]; 2]);
        let mut before = client(stranger[0], "10.5.0.1:9080").expect("open still");
        let port = before.local_addr().expect("its address").port();
        let accepted = || web.accept().expect("a connection").0;
        let mut before_here = std::iter::repeat_with(accepted)
            .find(|stream| stream.peer_addr().is_ok_and(|peer| peer.port() == port))
            .expect("endless");

        let door = lb_plan::ManagementDoor {
            sources: vec!["10.5.0.2/32".parse().expect("a net"), "fd00::2/128".parse().expect("a net")],
            services: [(Ipv4Addr::new(10, 5, 0, 9).into(), 22)].into(),
            marks: [7].into(),
        };
        let ruleset = Ruleset { management: Some(door), ..Ruleset::default() };
        let mut kernel = open(dir);
        kernel.execute(&[Action::SetRuleset(ruleset)]).remove(0).expect("loaded");
        assert_eq!((own(admin), own(stranger)), ([[true; 4]; 2], [[false; 4]; 2]));
        assert!(reaches(stranger[0], "10.5.0.1:80"), "what is no service of the unit's own");
        assert!(reaches(stranger[0], "10.5.0.9:22"), "a virtual server");
        assert!(!reaches(stranger[0], "10.5.0.9:9443"), "the unit by a virtual server's address");
        assert!(TcpStream::connect("10.5.0.9:9443").is_ok() && TcpStream::connect("[::1]:22").is_ok());
        before.write_all(b"?").expect("it goes on");
        let mut said = [0];
        before_here.read_exact(&mut said).expect("heard");
        before_here.write_all(b"!").expect("answered");
        before.read_exact(&mut said).expect("heard");
        assert_eq!(said, *b"!");

        kernel.execute(&[Action::SetRuleset(Ruleset::default())]).remove(0).expect("gone");
        assert_eq!(own(stranger), [[true; 4]; 2]);
    });
}

/// What somebody else added is not ours, and what we added is, to an lbd that was started again too.
#[test]
fn owners_are_told_apart() {
    in_namespace(|dir| {
        ip("link set eth0 up");
        ip("addr add 10.5.0.1/24 dev eth0");
        ip("route add 10.6.0.0/16 via 10.5.0.254");
        ip("route add 10.7.0.0/16 via 10.5.0.254 proto 76");
        let address =
            lb_plan::Address { interface: "eth0".parse().expect("a name"), net: "10.5.0.3/24".parse().expect("a net") };
        open(dir).execute(&[Action::AddAddress(address)]).remove(0).expect("added");
        let is = open(dir).observe(&desired(&factory(), &Health::default())).expect("observed");
        let addresses: Vec<String> = is.addresses.iter().map(|a| format!("{} {}", a.address, a.ours)).collect();
        assert_eq!(addresses, ["10.5.0.1/24 on eth0 false", "10.5.0.3/24 on eth0 true"]);
        let routes: Vec<String> = is.routes.iter().map(|r| format!("{} {}", r.route, r.ours)).collect();
        assert_eq!(routes, ["10.6.0.0/16 through 10.5.0.254 false", "10.7.0.0/16 through 10.5.0.254 true"]);
    });
}

/// People see all cards, addresses and routes, whoever made them, with their owners.
#[test]
fn cards_addresses_and_routes_are_shown() {
    in_namespace(|dir| {
        ip("link set eth0 up");
        ip("addr add 10.5.0.1/24 dev eth0");
        ip("route add 10.6.0.0/16 via 10.5.0.254");
        ip("route add 10.7.0.0/16 via 10.5.0.254 proto 76");
        run("/usr/sbin/nft", "add table inet by_hand");
        let ours =
            lb_plan::Address { interface: "eth0".parse().expect("a name"), net: "10.5.0.3/32".parse().expect("a net") };
        let mut kernel = open(dir);
        kernel.execute(&[Action::AddAddress(ours)]).remove(0).expect("added");
        let inspector = kernel.inspector();
        let network = inspector.network().expect("the network");
        let card = network.cards.iter().find(|c| c.name == "eth0").expect("eth0");
        assert!(card.up && card.carrier && card.mtu == 1500 && card.mac.len() == 17, "{card:?}");
        assert!(!network.cards.iter().any(|c| c.name == "lo"));
        let down = network.cards.iter().find(|c| c.name == "eth1").expect("eth1");
        assert!(!down.up && !down.carrier, "{down:?}");
        let v4 = card.addresses.iter().filter(|(net, _)| net.addr().is_ipv4());
        let addresses: Vec<String> = v4.map(|(net, owner)| format!("{net} {owner:?}")).collect();
        assert_eq!(addresses, ["10.5.0.1/24 Other", "10.5.0.3/32 Lbd"]);
        let v4 = network.routes.iter().filter(|r| r.to.addr().is_ipv4());
        let routes: Vec<String> = v4.map(|r| format!("{} {:?} {} {:?}", r.to, r.via, r.card, r.origin)).collect();
        let expected = [
            "10.5.0.0/24 None eth0 Kernel",
            "10.6.0.0/16 Some(10.5.0.254) eth0 Other",
            "10.7.0.0/16 Some(10.5.0.254) eth0 Lbd",
        ];
        assert_eq!(routes, expected);
        assert!(inspector.firewall().expect("the rules").contains("table inet by_hand"));
        let mut seen = 0;
        let read = inspector.connections(&mut |_| {
            seen += 1;
            std::ops::ControlFlow::Continue(())
        });
        assert!(read.expect("no table is an empty one").is_continue() && seen == 0);
    });
}

/// The other end of the cable hears of a new VIP three times, and of both families.
#[test]
fn a_new_vip_is_announced() {
    in_namespace(|dir| {
        use socket2::{Domain, Protocol, Socket, Type};
        ip("link set eth0 up");
        // ETH_P_ALL, on every card of the namespace: what leaves eth0 arrives at far0.
        let ear = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0x0300))).expect("a packet socket");
        ear.set_read_timeout(Some(std::time::Duration::from_millis(200))).expect("set");
        let mut kernel = open(dir);
        let vip = |net: &str| lb_plan::Address {
            interface: "eth0".parse().expect("a name"),
            net: net.parse().expect("a net"),
        };
        for result in kernel.execute(&[Action::AddVip(vip("10.0.0.20/32")), Action::AddVip(vip("2001:db8::20/128"))]) {
            result.expect("added");
        }
        let (mut arp, mut advertisements) = (0, 0);
        let mut buffer = [0_u8; 2048];
        while let Ok(n) = std::io::Read::read(&mut &ear, &mut buffer) {
            let frame = &buffer[..n];
            arp += usize::from(
                n >= 42
                    && frame[12..14] == [8, 6]
                    && frame[28..32] == [10, 0, 0, 20]
                    && frame[38..42] == [10, 0, 0, 20],
            );
            advertisements +=
                usize::from(n == 86 && frame[12..14] == [0x86, 0xdd] && frame[54] == 136 && frame[58] == 0xa0);
        }
        // Each is heard twice: where it leaves and where it arrives.
        assert_eq!((arp, advertisements), (6, 6));
    });
}

/// A kernel without IPVS still gets its addresses; a service fails with the way out.
#[test]
fn without_ipvs_only_services_fail() {
    if has_ipvs() {
        return;
    }
    in_namespace(|dir| {
        let mut kernel = open(dir);
        let key = lb_plan::ServiceKey::Mark { mark: 1, family: lb_model::Family::Ipv4 };
        let error = kernel.execute(&[Action::DelService(key)]).remove(0).expect_err("no IPVS");
        assert_eq!(error.cause.to_string(), "the kernel has no IPVS\nhint: modprobe ip_vs");
        assert!(kernel.observe(&wanted()).expect("observed").services.is_empty());
    });
}

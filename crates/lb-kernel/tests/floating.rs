//! Floating addresses on the real kernel, in network namespaces of the test's own. Needs root; says so and passes
//! without.

use lb_kernel::{Ear, Floating, FloatingAddress, Kernel, LinkWatch, Linux, LinuxFloating, NOTE, Paths, Said};
use lb_model::factory;
use lb_plan::{Action, Health, desired};
use nix::sched::{CloneFlags, setns, unshare};
use std::{
    fs::File,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

const LEASE: Duration = Duration::from_secs(3);
/// Longer than anything here takes on a loaded machine.
const LIMIT: Duration = Duration::from_secs(20);

/// Runs `f` on a thread in a namespace with eth0, whose other end is eth0 of the namespace in the file.
fn in_namespaces(f: impl FnOnce(&File) + Send + 'static) {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let run = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a namespace");
        let far = File::open("/proc/thread-self/ns/net").expect("its file");
        ip("link set lo up");
        unshare(CloneFlags::CLONE_NEWNET).expect("another");
        let here = File::open("/proc/thread-self/ns/net").expect("its file");
        ip("link set lo up");
        ip("link add eth0 type veth peer name far0");
        ip("link add eth1 type veth peer name far1");
        // The kernel finds the other namespace by the descriptor of the process that asks.
        let number = std::os::fd::AsRawFd::as_raw_fd(&far);
        ip(&format!("link set far0 netns /proc/{}/fd/{number} name eth0", std::process::id()));
        ip("link set eth0 up");
        setns(&far, CloneFlags::CLONE_NEWNET).expect("over there");
        ip("link set eth0 up");
        ip("addr add 10.0.0.2/24 dev eth0");
        ip("addr add 2001:db8::2/64 dev eth0 nodad");
        setns(&here, CloneFlags::CLONE_NEWNET).expect("back");
        ip("addr add 10.0.0.1/24 dev eth0");
        ip("addr add 2001:db8::1/64 dev eth0 nodad");
        f(&far);
    });
    if let Err(panic) = run.join() {
        std::panic::resume_unwind(panic);
    }
}

fn ip(arguments: &str) -> String {
    let output = Command::new("/usr/sbin/ip").args(arguments.split(' ')).output().expect("it runs");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn floating(net: &str) -> FloatingAddress {
    FloatingAddress { interface: "eth0".parse().expect("a name"), address: net.parse().expect("an address") }
}

fn two() -> [FloatingAddress; 2] {
    [floating("10.0.0.20"), floating("2001:db8::20")]
}

/// Addresses on eth0 but for link-local ones, as the kernel lists them.
fn addresses() -> Vec<String> {
    let text = ip("-o addr show dev eth0");
    let words = text.lines().filter_map(|line| line.split_whitespace().nth(3));
    words.filter(|net| !net.starts_with("fe80")).map(str::to_owned).collect()
}

const STATIC: [&str; 2] = ["10.0.0.1/24", "2001:db8::1/64"];

fn both() -> Vec<&'static str> {
    vec!["10.0.0.1/24", "10.0.0.20/32", "2001:db8::20/128", "2001:db8::1/64"]
}

fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort();
    list
}

fn until(what: &str, mut done: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        thread::sleep(Duration::from_millis(2));
    }
    start.elapsed()
}

/// The kernel itself removes what nobody renews, and a renewal after that does not bring it back.
#[test]
fn an_address_that_nobody_renews_goes_and_stays_gone() {
    in_namespaces(|_| {
        let mut hands = LinuxFloating::open().expect("opened");
        let start = Instant::now();
        hands.acquire(&two(), LEASE).expect("added");
        assert_eq!(sorted(addresses()), sorted(both()));
        until("they go", || addresses() == STATIC);
        let took = start.elapsed();
        assert!(took >= LEASE - Duration::from_millis(300), "{took:?}");
        println!("a lease of {LEASE:?} ended after {took:?}");
        assert_eq!(hands.renew(&two(), LEASE).expect("asked"), two());
        assert_eq!(addresses(), STATIC, "a renewal never adds");
        let route = ip("-6 route show dev eth0");
        assert!(route.contains("2001:db8::/64") && !route.contains("expires"), "{route}");
    });
}

/// For three leases; and one that is removed by hand is told, and the other goes on.
#[test]
fn a_renewed_address_stays() {
    in_namespaces(|_| {
        let mut hands = LinuxFloating::open().expect("opened");
        hands.acquire(&two(), LEASE).expect("added");
        let start = Instant::now();
        while start.elapsed() < 3 * LEASE {
            assert_eq!(hands.renew(&two(), LEASE).expect("renewed"), []);
            assert_eq!(sorted(addresses()), sorted(both()));
            thread::sleep(LEASE / 8);
        }
        ip("addr del 10.0.0.20/32 dev eth0");
        assert_eq!(hands.renew(&two(), LEASE).expect("renewed"), two()[..1]);
        assert_eq!(hands.release(&[], &[]).expect("removed"), 1);
        assert_eq!(addresses(), STATIC);
    });
}

/// Another daemon's hands remove what the first has left; nothing of an administrator's or of lbd's.
#[test]
fn a_successor_removes_what_its_predecessor_left_and_nothing_else() {
    in_namespaces(|_| {
        let mut dead = LinuxFloating::open().expect("opened");
        dead.acquire(&two(), Duration::from_secs(600)).expect("added");
        drop(dead);
        ip("addr add 10.0.0.7/32 dev eth0");
        let mut hands = LinuxFloating::open().expect("opened");
        assert_eq!(hands.release(&two()[1..], &[]).expect("removed"), 1, "the other is kept");
        assert_eq!(hands.release(&[], &[]).expect("removed"), 1);
        assert_eq!(hands.release(&[], &[]).expect("removed"), 0);
        assert_eq!(addresses(), ["10.0.0.1/24", "10.0.0.7/32", "2001:db8::1/64"]);
        let error = hands.acquire(&[floating("10.0.0.7")], LEASE).expect_err("it is not ours");
        assert_eq!(error.cause.to_string(), "10.0.0.7 on eth0 is there already, and heartbeat did not add it");
        hands.acquire(&[floating("10.0.0.8"), floating("10.0.0.7")], LEASE).expect_err("it is not ours");
        assert_eq!(hands.release(&[], &[]).expect("removed"), 1, "what a failed attempt has added");
        let nowhere = FloatingAddress { interface: "eth7".parse().expect("a name"), ..floating("10.0.0.9") };
        let error = hands.acquire(&[nowhere], LEASE).expect_err("no card");
        assert_eq!(error.cause.to_string(), "there is no interface eth7");
    });
}

fn hears(ear: &Ear, wanted: Said) -> bool {
    std::iter::from_fn(|| ear.hear().expect("readable")).any(|heard| heard.said == wanted)
}

/// A probe is answered by the far kernel, with no daemon there, for both families; and by nobody for a free address.
#[test]
fn a_probe_finds_who_has_the_address() {
    in_namespaces(|far| {
        let here = File::open("/proc/thread-self/ns/net").expect("its file");
        let ear = Ear::open().expect("opened");
        setns(far, CloneFlags::CLONE_NEWNET).expect("over there");
        let mut hands = LinuxFloating::open().expect("opened");
        hands.acquire(&two(), Duration::from_secs(600)).expect("added");
        setns(&here, CloneFlags::CLONE_NEWNET).expect("back");
        for address in two() {
            let mut asked = Instant::now();
            ear.probe(&address).expect("sent");
            until("an answer", || {
                // The far kernel joins the IPv6 address's group a moment after it has added it.
                if asked.elapsed() > Duration::from_millis(50) {
                    asked = Instant::now();
                    ear.probe(&address).expect("sent");
                }
                hears(&ear, Said::Has(address.address))
            });
            println!("{address} answered after {:?}", asked.elapsed());
        }
        // What is answered after others says that they were not.
        let heard_before_the_others = || {
            ear.probe(&floating("10.0.0.2")).expect("sent");
            ear.probe(&floating("2001:db8::2")).expect("sent");
            let mut answers = Vec::new();
            until("the other answers", || {
                answers.extend(std::iter::from_fn(|| ear.hear().expect("readable")).filter_map(
                    |heard| match heard.said {
                        Said::Has(address) => Some(address),
                        Said::Asks { .. } => None,
                    },
                ));
                ["10.0.0.2", "2001:db8::2"].iter().all(|a| answers.contains(&a.parse().expect("an address")))
            });
            answers
        };
        // A probe that was repeated too early has a second answer.
        heard_before_the_others();
        hands.release(&[], &[]).expect("removed");
        for address in two() {
            ear.probe(&address).expect("sent");
        }
        let answers = heard_before_the_others();
        assert!(!two().iter().any(|floating| answers.contains(&floating.address)), "{answers:?}");
        ip("link set eth0 down");
        let (mut ear, mut watch) = (Ear::open().expect("opened"), LinkWatch::open().expect("opened"));
        assert!(ear.probe(&two()[0]).is_err(), "no link is not the same as no answer");
        ip("link set eth0 up");
        until("a link", || watch.take_news().is_ok() && watch.links().up("eth0"));
        ear.follow(watch.links());
        ear.probe(&two()[0]).expect("sent");
    });
}

/// A question with a note in its padding arrives with it; the neighbour answers the one who asked.
#[test]
fn a_question_is_seen_by_the_network() {
    in_namespaces(|far| {
        let here = File::open("/proc/thread-self/ns/net").expect("its file");
        let mut ear = Ear::open().expect("opened");
        setns(far, CloneFlags::CLONE_NEWNET).expect("over there");
        let other = Ear::open().expect("opened");
        setns(&here, CloneFlags::CLONE_NEWNET).expect("back");
        let note = [7; NOTE];
        let witness = "10.0.0.2".parse().expect("an address");
        ear.ask("eth0", "10.0.0.1".parse().expect("an address"), witness, &note).expect("sent");
        until("the question", || hears(&other, Said::Asks { address: witness, note }));
        until("the answer", || hears(&ear, Said::Has(witness.into())));
        Command::new("/usr/bin/ping").args(["-c1", "-w5", "10.0.0.2"]).output().ok();
        ip("neigh replace 10.0.0.2 lladdr 02:00:00:00:00:02 dev eth0");
        assert_eq!(ear.neighbours("eth0").expect("listed"), [witness]);
    });
}

/// Announcements of both families arrive, as request, reply and advertisement.
#[test]
fn announcements_are_heard() {
    in_namespaces(|far| {
        let here = File::open("/proc/thread-self/ns/net").expect("its file");
        setns(far, CloneFlags::CLONE_NEWNET).expect("over there");
        let ear = Ear::open().expect("opened");
        setns(&here, CloneFlags::CLONE_NEWNET).expect("back");
        let mut hands = LinuxFloating::open().expect("opened");
        hands.acquire(&two(), LEASE).expect("added");
        hands.announce(&two());
        let mut heard = Vec::new();
        let count =
            |heard: &[Said], n: usize| heard.iter().filter(|said| **said == Said::Has(two()[n].address)).count();
        until("three announcements", || {
            heard.extend(std::iter::from_fn(|| ear.hear().expect("readable")).map(|heard| heard.said));
            (count(&heard, 0), count(&heard, 1)) == (2, 1)
        });
    });
}

/// Down for an administrator, down for the cable's other end, and up again.
#[test]
fn links_are_watched() {
    in_namespaces(|_| {
        let mut watch = LinkWatch::open().expect("opened");
        assert!(watch.links().up("eth0") && !watch.links().up("eth1") && !watch.links().up("eth9"));
        ip("link set eth1 up");
        ip("link set far1 up");
        until("eth1 has a link", || watch.take_news().is_ok() && watch.links().up("eth1"));
        ip("link set far1 down");
        until("it has none", || watch.take_news().is_ok() && !watch.links().up("eth1"));
        ip("link set far1 up");
        until("it has one again", || watch.take_news().is_ok() && watch.links().up("eth1"));
        ip("link del eth1");
        until("it is gone", || watch.take_news().is_ok() && !watch.links().up("eth1"));
    });
}

struct Monitor(Child);

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What happens to addresses and routes while `f` runs, as the kernel tells everybody.
fn told(f: impl FnOnce()) -> String {
    let mut monitor = Command::new("/usr/sbin/ip");
    let monitor = monitor.args(["-o", "monitor", "address", "route"]).stdout(Stdio::piped());
    let mut monitor = Monitor(monitor.spawn().expect("it runs"));
    let lines = BufReader::new(monitor.0.stdout.take().expect("piped")).lines();
    let heard = Arc::new(Mutex::new(String::new()));
    let hears = heard.clone();
    let reads = thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            hears.lock().expect("not poisoned").push_str(&format!("{line}\n"));
        }
    });
    let contains = |text: &str| heard.lock().expect("not poisoned").contains(text);
    // It listens when it tells of this.
    until("the monitor listens", || {
        ip("route add 192.0.2.1/32 dev lo");
        ip("route del 192.0.2.1/32 dev lo");
        contains("192.0.2.1")
    });
    f();
    ip("route add 198.51.100.1/32 dev lo");
    ip("route del 198.51.100.1/32 dev lo");
    until("all is told", || contains("198.51.100.1"));
    drop(monitor);
    reads.join().expect("ended");
    let heard = heard.lock().expect("not poisoned");
    let about = heard.lines().filter(|line| !line.contains("192.0.2.") && !line.contains("198.51.100.1"));
    about.map(|line| format!("{line}\n")).collect()
}

/// lbd's own address of a virtual server becomes a floating one where it is, and back: neither the address goes nor its
/// route in the table of local addresses. IPv6 has a second route, to the /128 as a network, which nothing needs.
#[test]
fn lbd_and_heartbeat_take_addresses_over_from_each_other_in_place() {
    in_namespaces(|_| {
        let dir = tempfile::tempdir().expect("a directory");
        let paths = Paths { etc: dir.path().into(), run: dir.path().join("run"), ..Paths::default() };
        let mut lbd = Linux::open(paths).expect("opened");
        let vips = ["10.0.0.20/32", "2001:db8::20/128"].map(|net| {
            Action::AddVip(lb_plan::Address {
                interface: "eth0".parse().expect("a name"),
                net: net.parse().expect("a net"),
            })
        });
        let add = |lbd: &mut Linux| lbd.execute(&vips).into_iter().for_each(|done| done.expect("added"));
        let sees = |lbd: &mut Linux| -> Vec<String> {
            let is = lbd.observe(&desired(&factory(), &Health::default())).expect("observed");
            let about = is.addresses.iter().filter(|a| a.address.net.addr().to_string().ends_with("20"));
            about.map(|a| format!("{} {}", a.address.net, a.ours)).collect()
        };
        let for_ever = || -> Vec<bool> {
            let lines = ip("-o addr show dev eth0");
            let lines = lines.lines().filter(|line| line.contains(".20/32") || line.contains("::20/128"));
            lines.map(|line| line.contains("valid_lft forever")).collect()
        };
        let gone = |heard: &str| -> Vec<String> {
            let gone = heard.lines().filter(|line| line.starts_with("Deleted"));
            gone.filter(|line| !line.starts_with("Deleted 2001:db8::20 dev eth0 ")).map(str::to_owned).collect()
        };
        add(&mut lbd);
        assert_eq!(sees(&mut lbd), ["10.0.0.20/32 true", "2001:db8::20/128 true"]);
        let mut hands = LinuxFloating::open().expect("opened");
        for _ in 0..2 {
            let heard = told(|| hands.acquire(&two(), Duration::from_secs(600)).expect("taken over"));
            println!("taken over from lbd:\n{heard}");
            assert_eq!(gone(&heard), [""; 0], "{heard}");
            assert!(sees(&mut lbd).is_empty(), "lbd neither owns nor reports it");
            assert_eq!(sorted(addresses()), sorted(both()));
            assert_eq!(for_ever(), [false, false]);
            let heard = told(|| add(&mut lbd));
            println!("taken over from heartbeat:\n{heard}");
            assert_eq!(gone(&heard), [""; 0], "{heard}");
            assert_eq!(sees(&mut lbd), ["10.0.0.20/32 true", "2001:db8::20/128 true"]);
            assert_eq!(for_ever(), [true, true]);
        }
        assert_eq!(hands.release(&[], &[]).expect("removed"), 0, "lbd's stay");
        assert_eq!(hands.release(&[], &two()[..1]).expect("removed"), 1, "but for those named");
        hands.acquire(&two(), LEASE).expect("added and taken over");
        until("they go", || addresses() == STATIC);
    });
}

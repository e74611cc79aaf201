//! Stories that every kernel must pass, the fake and a real one alike.
//!
//! A story panics where the kernel does not do what plans rely on. They start on a machine with two cards,
//! `eth0` and `eth1`, whose configuration they may change at will, and may run in any order.
//! [`Converge`] then drives it through configurations made from seeds, with a [`Fake`] beside it.

use crate::{Fake, Kernel, KernelError};
use ipnet::IpNet;
use lb_model::{Config, Family, IfName, Protocol, factory, problems, sample};
use lb_plan::{
    Action, Address, Desired, Dest, DestKey, Fitness, Forward, Health, Observed, ObservedSync, Route, Service,
    ServiceKey, SyncDaemon, SyncRole, desired, plan,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fmt::Write,
    net::IpAddr,
};

/// A story, by name.
pub struct Story {
    pub name: &'static str,
    /// It needs a kernel with IPVS.
    pub ipvs: bool,
    pub run: fn(&mut dyn Kernel),
}

/// All of them.
pub const STORIES: &[Story] = &[
    Story { name: "the factory settings are reached in one plan", ipvs: false, run: factory_settings },
    Story { name: "every action may be repeated", ipvs: false, run: network_repeated },
    Story { name: "a detour is made, mended and removed", ipvs: false, run: detours },
    Story { name: "a card that is not there", ipvs: false, run: missing_card },
    Story { name: "a route needs a router in reach", ipvs: false, run: unreachable_router },
    Story { name: "removing an address leaves its neighbours", ipvs: false, run: promoted },
    Story { name: "with a card's last address go its routes", ipvs: false, run: last_address },
    Story { name: "a sysctl that the kernel does not have", ipvs: false, run: missing_sysctl },
    Story { name: "IPVS actions may be repeated", ipvs: true, run: ipvs_repeated },
    Story { name: "one failure does not stop a batch", ipvs: true, run: one_failure },
    Story { name: "a service goes with its destinations", ipvs: true, run: service_with_dests },
    Story { name: "a change of a service keeps its destinations", ipvs: true, run: service_changed },
    Story { name: "sync daemons are started, replaced and stopped", ipvs: true, run: sync_daemons },
];

/// Runs the stories, those about IPVS only where there is one; panics at the first that fails.
pub fn run(kernel: &mut dyn Kernel, ipvs: bool, mut begin: impl FnMut(&str)) {
    for story in STORIES.iter().filter(|s| ipvs || !s.ipvs) {
        begin(story.name);
        clear(kernel);
        (story.run)(kernel);
    }
    clear(kernel);
}

/// Drives a kernel and a fake through the same configurations, one after the other.
pub struct Converge {
    fake: Fake,
    ipvs: bool,
}

impl Converge {
    /// The kernel must be as the stories leave it.
    pub fn new(kernel: &mut dyn Kernel, ipvs: bool) -> Self {
        clear(kernel);
        let mut fake = Fake::new(&["eth0", "eth1"]);
        clear(&mut fake);
        Converge { fake, ipvs }
    }

    /// Brings both to the configuration of `seed`. `Ok(false)` when that one makes no sense on purpose. The error says
    /// what was planned and what is wrong: a failed action, a second plan that is not empty, a difference to the fake.
    pub fn step(&mut self, kernel: &mut dyn Kernel, seed: u64) -> Result<bool, String> {
        let Some(wanted) = wanted(seed, self.ipvs) else { return Ok(false) };
        let before = seen(kernel, &wanted);
        let said = |what: &str| format!("seed {seed}: {what}\nplanned:\n{}", plan(&wanted, &before));
        let real = reach(kernel, &wanted).map_err(|e| said(&e))?;
        let model = reach(&mut self.fake, &wanted).map_err(|e| said(&format!("the fake: {e}")))?;
        let difference = difference(&real, &model, self.ipvs);
        if difference.is_empty() { Ok(true) } else { Err(said(&difference)) }
    }
}

fn wanted(seed: u64, ipvs: bool) -> Option<Desired> {
    let config = sample::config(seed, false);
    if !problems(&config).is_empty() {
        return None;
    }
    let mut wanted = desired(&config, &health(&config, seed));
    if !ipvs {
        wanted.services.clear();
    }
    Some(wanted)
}

fn health(config: &Config, seed: u64) -> Health {
    let mut random = sample::Random(seed);
    let mut health = Health::default();
    for vs in &config.virtual_servers {
        for rs in &vs.real_servers {
            health.set(&vs.label, &rs.label, random.pick(&[Fitness::Unknown, Fitness::Fit, Fitness::Unfit]));
        }
    }
    health
}

/// One plan, all of it works, and the second is empty.
fn reach(kernel: &mut dyn Kernel, wanted: &Desired) -> Result<Observed, String> {
    let todo = plan(wanted, &kernel.observe(wanted).map_err(|e| chain(&e))?);
    let mut wrong = String::new();
    for result in kernel.execute(&todo.actions) {
        if let Err(error) = result {
            let _ = writeln!(wrong, "failed: {}", chain(&error));
        }
    }
    let after = kernel.observe(wanted).map_err(|e| chain(&e))?;
    let second = plan(wanted, &after);
    if !second.is_empty() {
        let _ = writeln!(wrong, "the second plan is not empty:\n{second}");
    }
    if wrong.is_empty() { Ok(after) } else { Err(wrong) }
}

/// What a plan compares, without order and without what only one of the two can have.
fn difference(real: &Observed, model: &Observed, ipvs: bool) -> String {
    let mut text = String::new();
    let mut compare = |what: &str, real: String, model: String| {
        if real != model {
            let _ = writeln!(text, "{what} differ from the fake's:\n  {real}\n  {model}");
        }
    };
    let addresses =
        |o: &Observed| o.addresses.iter().map(|a| format!("{} {}", a.address, a.ours)).collect::<BTreeSet<_>>();
    let routes = |o: &Observed| o.routes.iter().map(|r| format!("{} {}", r.route, r.ours)).collect::<BTreeSet<_>>();
    let links = |o: &Observed| {
        o.links.iter().filter(|(n, _)| n.as_str().starts_with("eth")).map(|l| format!("{l:?}")).collect::<Vec<_>>()
    };
    compare("the links", format!("{:?}", links(real)), format!("{:?}", links(model)));
    compare("the addresses", format!("{:?}", addresses(real)), format!("{:?}", addresses(model)));
    compare("the routes", format!("{:?}", routes(real)), format!("{:?}", routes(model)));
    compare("the host names", real.hostname.clone(), model.hostname.clone());
    compare("the nameservers", format!("{:?}", real.nameservers), format!("{:?}", model.nameservers));
    compare("the time servers", format!("{:?}", real.time_servers), format!("{:?}", model.time_servers));
    compare("the detours", format!("{:?}", real.detours), format!("{:?}", model.detours));
    compare("the rules", format!("{:?}", real.ruleset), format!("{:?}", model.ruleset));
    if ipvs {
        compare("the time-outs", format!("{:?}", real.timeouts), format!("{:?}", model.timeouts));
        compare("the services", format!("{:#?}", real.services), format!("{:#?}", model.services));
        compare("our services", format!("{:?}", real.owned), format!("{:?}", model.owned));
    }
    text
}

fn chain(error: &KernelError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    text
}

/// The factory settings on eth0 alone, with nothing of anybody on either card.
fn clear(kernel: &mut dyn Kernel) {
    let wanted = basic();
    let is = seen(kernel, &wanted);
    let mut gone: Vec<Action> = is.routes.iter().map(|r| Action::DelRoute(r.route.clone())).collect();
    gone.extend(is.addresses.iter().map(|a| Action::DelAddress(a.address.clone())));
    gone.extend(is.services.keys().copied().map(Action::DelService));
    gone.extend(is.sync.keys().copied().map(Action::StopSync));
    gone.extend(["eth0", "eth1"].map(|n| Action::SetMtu { interface: name(n), mtu: 1500 }));
    gone.extend(["eth0", "eth1"].map(|n| Action::LinkUp(name(n))));
    all_work(kernel, &gone);
    if let Err(wrong) = reach(kernel, &wanted) {
        panic!("{wrong}");
    }
}

fn basic() -> Desired {
    desired(&factory(), &Health::default())
}

fn seen(kernel: &mut dyn Kernel, wanted: &Desired) -> Observed {
    kernel.observe(wanted).unwrap_or_else(|e| panic!("{}", chain(&e)))
}

fn all_work(kernel: &mut dyn Kernel, actions: &[Action]) {
    let results = kernel.execute(actions);
    assert_eq!(results.len(), actions.len(), "one result for each action");
    for result in results {
        result.unwrap_or_else(|e| panic!("{}", chain(&e)));
    }
}

fn name(text: &str) -> IfName {
    text.parse().unwrap_or_else(|e| panic!("{e}"))
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn address(interface: &str, text: &str) -> Address {
    Address { interface: name(interface), net: net(text) }
}

fn route(to: &str, via: &str) -> Route {
    Route { to: net(to), via: ip(via) }
}

fn has_address(observed: &Observed, address: &Address) -> bool {
    observed.addresses.iter().any(|a| a.address == *address && a.ours)
}

fn has_route(observed: &Observed, route: &Route) -> bool {
    observed.routes.iter().any(|r| r.route == *route && r.ours)
}

fn factory_settings(kernel: &mut dyn Kernel) {
    let is = seen(kernel, &basic());
    assert!(has_address(&is, &address("eth0", "192.168.2.21/24")), "{:?}", is.addresses);
    assert_eq!(is.hostname, "lbmaster");
    assert!(plan(&basic(), &is).is_empty());
}

fn network_repeated(kernel: &mut dyn Kernel) {
    let (a, six) = (address("eth1", "10.9.0.1/24"), address("eth1", "2001:db8:9::1/64"));
    let (vip, vip6) = (address("eth1", "10.9.0.2/32"), address("eth1", "2001:db8:9::2/128"));
    let (r, r6) = (route("0.0.0.0/0", "10.9.0.254"), route("2001:db8:77::/48", "2001:db8:9::fe"));
    let add = [
        Action::AddAddress(a.clone()),
        Action::AddAddress(six.clone()),
        Action::AddVip(vip.clone()),
        Action::AddVip(vip6.clone()),
        Action::ReplaceRoute(r.clone()),
        Action::ReplaceRoute(r6.clone()),
        Action::SetNameservers(vec![ip("192.0.2.53")]),
        Action::SetMtu { interface: name("eth1"), mtu: 1400 },
    ];
    for _ in 0..2 {
        all_work(kernel, &add);
        let is = seen(kernel, &basic());
        for address in [&a, &six, &vip, &vip6] {
            assert!(has_address(&is, address), "{address} is not in {:?}", is.addresses);
        }
        assert!(has_route(&is, &r) && has_route(&is, &r6), "{:?}", is.routes);
        assert_eq!((is.nameservers, is.links[&name("eth1")].mtu), (vec![ip("192.0.2.53")], 1400));
    }
    // In the place of the former one, with no second beside it.
    all_work(kernel, &[Action::ReplaceRoute(route("0.0.0.0/0", "10.9.0.253"))]);
    let is = seen(kernel, &basic());
    assert!(has_route(&is, &route("0.0.0.0/0", "10.9.0.253")) && !has_route(&is, &r), "{:?}", is.routes);
    let del = [
        Action::DelRoute(route("0.0.0.0/0", "10.9.0.253")),
        Action::DelRoute(r6),
        Action::DelAddress(vip6),
        Action::DelAddress(vip),
        Action::DelAddress(six),
        Action::DelAddress(a),
    ];
    for _ in 0..2 {
        all_work(kernel, &del);
        let is = seen(kernel, &basic());
        assert!(is.routes.is_empty() && is.addresses.len() == 1, "{:?} {:?}", is.routes, is.addresses);
    }
}

fn detours(kernel: &mut dyn Kernel) {
    let both = [Family::Ipv4, Family::Ipv6];
    for _ in 0..2 {
        all_work(kernel, &both.map(Action::AddDetour));
        assert_eq!(seen(kernel, &basic()).detours, both.map(|family| (family, true)).into());
    }
    for _ in 0..2 {
        all_work(kernel, &[Action::DelDetour(Family::Ipv4)]);
        assert_eq!(seen(kernel, &basic()).detours, [(Family::Ipv6, true)].into());
    }
    // Nobody wants the other one.
    assert!(reach(kernel, &basic()).is_ok_and(|is| is.detours.is_empty()));
}

fn missing_card(kernel: &mut dyn Kernel) {
    let there = address("eth7", "10.9.0.1/24");
    let results = kernel.execute(&[
        Action::AddAddress(there.clone()),
        Action::AddVip(there.clone()),
        Action::LinkUp(name("eth7")),
        Action::DelAddress(there),
    ]);
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, false, false, true]);
    let text = results[0].as_ref().map_or_else(chain, |()| String::new());
    assert_eq!(text, "address: add 10.9.0.1/24 on eth7: there is no interface eth7");
}

fn unreachable_router(kernel: &mut dyn Kernel) {
    let far = route("10.77.0.0/16", "172.31.1.1");
    assert!(kernel.execute(&[Action::ReplaceRoute(far.clone())])[0].is_err());
    assert!(!has_route(&seen(kernel, &basic()), &far));
}

fn promoted(kernel: &mut dyn Kernel) {
    let (first, second) = (address("eth1", "10.9.0.1/24"), address("eth1", "10.9.0.2/24"));
    all_work(
        kernel,
        &[Action::AddAddress(first.clone()), Action::AddAddress(second.clone()), Action::DelAddress(first)],
    );
    assert!(has_address(&seen(kernel, &basic()), &second));
}

fn last_address(kernel: &mut dyn Kernel) {
    let (only, far) = (address("eth1", "10.9.0.1/24"), route("10.77.0.0/16", "10.9.0.254"));
    all_work(kernel, &[Action::AddAddress(only.clone()), Action::ReplaceRoute(far.clone()), Action::DelAddress(only)]);
    assert!(!has_route(&seen(kernel, &basic()), &far));
}

fn missing_sysctl(kernel: &mut dyn Kernel) {
    let mut wanted = basic();
    wanted.sysctls.insert("net.ipv4.no_such_thing".into(), "1".into());
    let is = seen(kernel, &wanted);
    assert!(!is.sysctls.contains_key("net.ipv4.no_such_thing"));
    assert_eq!(is.sysctls.get("net.ipv4.ip_forward").map(String::as_str), Some("1"));
    let set = Action::SetSysctl { name: "net.ipv4.no_such_thing".into(), value: "1".into() };
    assert!(kernel.execute(&[set])[0].is_err());
}

fn key(port: u16) -> ServiceKey {
    ServiceKey::Address { protocol: Protocol::Tcp, address: ip("192.168.2.21"), port }
}

fn service(scheduler: &str) -> Service {
    Service {
        scheduler: scheduler.into(),
        persistence: None,
        one_packet: false,
        scheduler_flags: 0,
        dests: BTreeMap::new(),
    }
}

fn add_service(key: ServiceKey, scheduler: &str) -> Action {
    Action::AddService { key, service: service(scheduler) }
}

fn dest_key() -> DestKey {
    DestKey { address: ip("192.168.2.50"), port: 80 }
}

fn dest() -> Dest {
    Dest { forward: Forward::Nat, weight: 3, upper: 100, lower: 10 }
}

fn add_dest(service: ServiceKey) -> Action {
    Action::AddDest { service, key: dest_key(), dest: dest() }
}

fn ipvs_repeated(kernel: &mut dyn Kernel) {
    let mark = ServiceKey::Mark { mark: 0x8000_0000, family: Family::Ipv6 };
    let add = [add_service(key(80), "wlc"), add_dest(key(80)), add_service(mark, "rr")];
    for _ in 0..2 {
        all_work(kernel, &add);
        let is = seen(kernel, &basic());
        assert_eq!(is.services[&key(80)].dests, [(dest_key(), dest())].into());
        assert_eq!(is.services[&mark], service("rr"));
        assert_eq!(is.owned, [key(80), mark].into());
    }
    let counters = kernel.inspector().counters().unwrap_or_else(|e| panic!("{}", chain(&e)));
    assert_eq!(counters[&key(80)].dests[&dest_key()], Default::default());
    let del =
        [Action::DelDest { service: key(80), key: dest_key() }, Action::DelService(key(80)), Action::DelService(mark)];
    for _ in 0..2 {
        all_work(kernel, &del);
        let is = seen(kernel, &basic());
        assert!(is.services.is_empty() && is.owned.is_empty(), "{:?}", is.services);
    }
}

fn one_failure(kernel: &mut dyn Kernel) {
    let results = kernel.execute(&[
        add_service(key(80), "no-such"),
        add_dest(key(80)),
        add_service(key(81), "rr"),
        Action::SetDest { service: key(81), key: dest_key(), dest: dest() },
        Action::SetService { key: key(82), service: service("rr") },
        add_dest(key(81)),
    ]);
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, false, true, false, false, true]);
    let is = seen(kernel, &basic());
    assert_eq!(is.services.keys().collect::<Vec<_>>(), [&key(81)]);
    assert_eq!(is.services[&key(81)].dests.len(), 1);
}

fn service_with_dests(kernel: &mut dyn Kernel) {
    let again =
        [add_service(key(80), "rr"), add_dest(key(80)), Action::DelService(key(80)), add_service(key(80), "rr")];
    all_work(kernel, &again);
    assert_eq!(seen(kernel, &basic()).services[&key(80)].dests, BTreeMap::new());
}

fn service_changed(kernel: &mut dyn Kernel) {
    let sticky = Service { persistence: Some((600, 24)), scheduler_flags: 3, ..service("mh") };
    let change =
        [add_service(key(80), "rr"), add_dest(key(80)), Action::SetService { key: key(80), service: sticky.clone() }];
    all_work(kernel, &change);
    assert_eq!(seen(kernel, &basic()).services[&key(80)], Service { dests: [(dest_key(), dest())].into(), ..sticky });
}

fn sync_daemons(kernel: &mut dyn Kernel) {
    // A group is joined on a card with an address.
    all_work(kernel, &[Action::AddAddress(address("eth1", "10.9.0.1/24"))]);
    let daemon = |id| SyncDaemon::new(name("eth1"), id, 1500);
    let start = |role, id| Action::StartSync { role, daemon: daemon(id) };
    for ids in [[1, 2], [1, 2], [1, 3]] {
        let [master, backup] = ids;
        all_work(kernel, &[start(SyncRole::Master, master), start(SyncRole::Backup, backup)]);
        let ours = |id| ObservedSync { daemon: daemon(id), ours: true };
        let meant = BTreeMap::from([(SyncRole::Master, ours(master)), (SyncRole::Backup, ours(backup))]);
        assert_eq!(seen(kernel, &basic()).sync, meant);
    }
    let far = SyncDaemon::new(name("eth7"), 1, 1500);
    assert!(kernel.execute(&[Action::StartSync { role: SyncRole::Master, daemon: far }])[0].is_err());
    // Between families there is no synchronisation.
    let six = DestKey { address: ip("fd00::50"), port: 80 };
    let tunnel = Dest { forward: Forward::Tun(lb_model::Tunnel::Ipip), ..dest() };
    let mixed = Action::AddDest { service: key(80), key: six, dest: tunnel };
    all_work(kernel, &[add_service(key(80), "rr")]);
    assert!(kernel.execute(&[mixed])[0].is_err());
    for _ in 0..2 {
        all_work(kernel, &[Action::StopSync(SyncRole::Master), Action::StopSync(SyncRole::Backup)]);
        assert!(seen(kernel, &basic()).sync.is_empty());
    }
}

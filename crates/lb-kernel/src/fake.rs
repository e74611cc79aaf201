//! A kernel in memory, with the real one's semantics as far as plans can meet them.
//!
//! Clones share one state, so that a test keeps a clone and looks at it, changes it by hand as an
//! administrator would ([`Fake::edit`]), or makes actions fail ([`Fake::fail_next`]). For demonstrations it can have
//! [traffic](Fake::with_traffic) and a full [connection table](Fake::with_connections).

mod inspect;
mod traffic;

use crate::{Cause, Counters, Inspect, Kernel, KernelError, Template};
use ipnet::IpNet;
use lb_model::{Family, IfName, Scheduler, TimeServer, Timeouts};
use lb_plan::{
    Action, Address, Desired, Dest, DestKey, Forward, Link, Observed, ObservedAddress, ObservedRoute, ObservedSync,
    Route, Ruleset, Service, ServiceKey, SyncDaemon, SyncRole,
};
use nix::errno::Errno;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// What the fake holds. Everything may be changed through [`Fake::edit`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeState {
    pub hostname: String,
    pub nameservers: Vec<IpAddr>,
    pub time_servers: Option<Vec<TimeServer>>,
    /// See [`Kernel::clock_is_set`].
    pub clock_set: bool,
    pub links: BTreeMap<IfName, Link>,
    pub addresses: Vec<ObservedAddress>,
    pub routes: Vec<ObservedRoute>,
    /// Dotted names, as in [`Desired::sysctls`]; a name that is not here is one that the kernel does not have.
    /// `net.ipv4.conf.<link>.…` of every link is here from the start.
    pub sysctls: BTreeMap<String, String>,
    pub ruleset: Option<Ruleset>,
    pub detours: BTreeMap<Family, bool>,
    pub timeouts: Timeouts,
    pub services: BTreeMap<ServiceKey, Service>,
    pub owned: BTreeSet<ServiceKey>,
    pub sync: BTreeMap<SyncRole, ObservedSync>,
    pub fallback_page: Option<String>,
    /// What [`Inspect::counters`] says; services and destinations that are not here count 0. Traffic is added to it.
    pub counters: Counters,
    /// Names of the schedulers that the kernel has.
    pub schedulers: BTreeSet<String>,
}

impl FakeState {
    /// All of it as it would be observed, with every sysctl.
    pub fn observed(&self) -> Observed {
        Observed {
            hostname: self.hostname.clone(),
            nameservers: self.nameservers.clone(),
            time_servers: self.time_servers.clone(),
            links: self.links.clone(),
            addresses: self.addresses.clone(),
            routes: self.routes.clone(),
            sysctls: self.sysctls.clone(),
            ruleset: self.ruleset.clone(),
            detours: self.detours.clone(),
            timeouts: self.timeouts,
            services: self.services.clone(),
            sync: self.sync.clone(),
            fallback_page: self.fallback_page.clone(),
            owned: self.owned.iter().filter(|k| self.services.contains_key(k)).copied().collect(),
        }
    }
}

#[derive(Debug)]
struct Inner {
    state: FakeState,
    /// The card that a route went to when it was made: it goes with that card's last address.
    route_links: HashMap<Route, IfName>,
    failures: Vec<(String, usize)>,
    log: Vec<String>,
    traffic: Option<traffic::Traffic>,
    /// Entries in the connection table; `None`: as many as the traffic makes.
    connections: Option<usize>,
    /// Templates that [`Inspect::forget`] removed.
    forgotten: HashSet<Template>,
}

/// A kernel in memory; see the module.
#[derive(Debug, Clone)]
pub struct Fake(Arc<Mutex<Inner>>);

/// The sysctls of `lb_plan::desired` with the kernel's own defaults; `{}` is an interface.
const SYSCTLS: [(&str, &str); 14] = [
    ("net.ipv4.ip_forward", "0"),
    ("net.ipv4.ip_nonlocal_bind", "0"),
    ("net.ipv6.ip_nonlocal_bind", "0"),
    ("net.ipv4.vs.expire_nodest_conn", "0"),
    ("net.ipv4.vs.expire_quiescent_template", "0"),
    ("net.ipv4.vs.conn_reuse_mode", "1"),
    ("net.ipv4.vs.conntrack", "0"),
    ("net.ipv4.vs.run_estimation", "1"),
    ("net.ipv4.vs.sloppy_tcp", "0"),
    ("net.ipv4.vs.sync_threshold", "3 50"),
    ("net.ipv4.vs.sync_refresh_period", "0"),
    ("net.ipv4.vs.sync_retries", "0"),
    ("net.ipv6.conf.all.forwarding", "0"),
    ("net.ipv6.conf.default.forwarding", "0"),
];
const INTERFACE_SYSCTLS: [(&str, &str); 5] = [
    ("arp_ignore", "0"),
    ("arp_announce", "0"),
    ("send_redirects", "1"),
    ("promote_secondaries", "0"),
    ("rp_filter", "0"),
];

impl Fake {
    /// A machine that has just started, with these network cards down and without addresses.
    ///
    /// # Panics
    /// When a name is not an interface's.
    #[expect(clippy::panic, reason = "a test's own mistake")]
    pub fn new(links: &[&str]) -> Fake {
        let links: BTreeMap<IfName, Link> = links
            .iter()
            .map(|name| match name.parse() {
                Ok(name) => (name, Link { up: false, mtu: 1500 }),
                Err(error) => panic!("{error}"),
            })
            .collect();
        let mut sysctls: BTreeMap<String, String> =
            SYSCTLS.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        for interface in links.keys().map(|l| l.as_str().replace('.', "/")).chain(["all".into(), "default".into()]) {
            for (name, value) in INTERFACE_SYSCTLS {
                sysctls.insert(format!("net.ipv4.conf.{interface}.{name}"), value.to_owned());
            }
        }
        let state = FakeState {
            hostname: "(none)".into(),
            nameservers: Vec::new(),
            time_servers: Some(Vec::new()),
            clock_set: true,
            links,
            addresses: Vec::new(),
            routes: Vec::new(),
            sysctls,
            ruleset: Some(Ruleset::default()),
            detours: BTreeMap::new(),
            timeouts: Timeouts::default(),
            services: BTreeMap::new(),
            owned: BTreeSet::new(),
            sync: BTreeMap::new(),
            fallback_page: None,
            counters: BTreeMap::new(),
            schedulers: Scheduler::ALL.iter().map(|s| s.as_str().to_owned()).collect(),
        };
        Fake(Arc::new(Mutex::new(Inner {
            state,
            route_links: HashMap::new(),
            failures: Vec::new(),
            log: Vec::new(),
            traffic: None,
            connections: None,
            forgotten: HashSet::new(),
        })))
    }

    /// Gives every service with a usable destination clients, from now on, by `clock`: what it has carried and how
    /// many are connected follows from the time and from its name alone.
    pub fn with_traffic(self, clock: impl Fn() -> Duration + Send + 'static) -> Fake {
        self.lock().traffic = Some(traffic::Traffic::new(clock));
        self
    }

    /// Fills the connection table with so many entries, as long as there is a service with a usable destination.
    pub fn with_connections(self, entries: usize) -> Fake {
        self.lock().connections = Some(entries);
        self
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A test that panicked while it held the lock has failed already; the others may go on.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn state(&self) -> FakeState {
        self.lock().state.clone()
    }

    /// Changes the kernel behind lbd's back, as an administrator by hand.
    pub fn edit(&self, f: impl FnOnce(&mut FakeState)) {
        let mut inner = self.lock();
        inner.carry();
        f(&mut inner.state);
    }

    /// The next `times` actions whose text contains `matching` fail. The texts of the reading calls are
    /// `observe` and `counters`.
    pub fn fail_next(&self, matching: &str, times: usize) {
        self.lock().failures.push((matching.to_owned(), times));
    }

    /// The text of every action that was asked for, in order; ` -> ` and the reason follow where it failed.
    pub fn log(&self) -> Vec<String> {
        self.lock().log.clone()
    }

    pub fn clear_log(&self) {
        self.lock().log.clear();
    }
}

impl Kernel for Fake {
    fn observe(&mut self, desired: &Desired) -> Result<Observed, KernelError> {
        let mut inner = self.lock();
        inner.told_to_fail("observe").map_err(|cause| KernelError::new("observe", cause))?;
        let mut observed = inner.state.observed();
        observed.sysctls.retain(|name, _| desired.sysctls.contains_key(name));
        Ok(observed)
    }

    fn execute(&mut self, actions: &[Action]) -> Vec<Result<(), KernelError>> {
        let mut inner = self.lock();
        inner.carry();
        let results = actions
            .iter()
            .map(|action| {
                let text = action.to_string();
                let result = inner.told_to_fail(&text).and_then(|()| inner.execute(action));
                inner.log.push(match &result {
                    Ok(()) => text.clone(),
                    Err(cause) => format!("{text} -> {cause}"),
                });
                result.map_err(|cause| KernelError::new(text, cause))
            })
            .collect();
        // New services have clients from this moment on.
        inner.carry();
        results
    }

    fn clock_is_set(&self) -> bool {
        self.lock().state.clock_set
    }

    fn inspector(&self) -> Arc<dyn Inspect> {
        Arc::new(self.clone())
    }
}

impl Inner {
    /// Counts what was carried since the last time, by the destinations as they are now.
    fn carry(&mut self) {
        if let Some(traffic) = &mut self.traffic {
            traffic.carry(&self.state.services);
        }
    }

    fn told_to_fail(&mut self, text: &str) -> Result<(), Cause> {
        let Some(at) =
            self.failures.iter().position(|(matching, times)| *times > 0 && text.contains(matching.as_str()))
        else {
            return Ok(());
        };
        self.failures[at].1 -= 1;
        self.failures.retain(|(_, times)| *times > 0);
        Err(Cause::Refused("the fake was told to fail".into()))
    }

    fn execute(&mut self, action: &Action) -> Result<(), Cause> {
        let state = &mut self.state;
        let sync = !state.sync.is_empty();
        match action {
            Action::SetHostname(name) => state.hostname = name.to_string(),
            Action::SetNameservers(servers) => state.nameservers.clone_from(servers),
            Action::SetTimeServers(servers) => state.time_servers = Some(servers.clone()),
            Action::SetFallbackPage(page) => state.fallback_page.clone_from(page),
            Action::SetSysctl { name, value } => match state.sysctls.get_mut(name) {
                Some(is) => is.clone_from(value),
                None => return Err(Errno::ENOENT.into()),
            },
            Action::LinkUp(name) => link(state, name)?.up = true,
            Action::SetMtu { interface, mtu } => link(state, interface)?.mtu = *mtu,
            Action::AddAddress(address) | Action::AddVip(address) => {
                link(state, &address.interface)?;
                match state.addresses.iter_mut().find(|a| a.address == *address) {
                    Some(is) => is.ours = true,
                    None => state.addresses.push(ObservedAddress { address: address.clone(), ours: true }),
                }
            }
            Action::DelAddress(address) => self.del_address(address),
            Action::ReplaceRoute(route) => return self.replace_route(route),
            Action::DelRoute(route) => {
                self.route_links.remove(route);
                state.routes.retain(|r| r.route != *route);
            }
            Action::SetRuleset(ruleset) => state.ruleset = Some(ruleset.clone()),
            Action::AddDetour(family) => {
                state.detours.insert(*family, true);
            }
            Action::DelDetour(family) => {
                state.detours.remove(family);
            }
            Action::SetTimeouts(timeouts) => state.timeouts = *timeouts,
            Action::AddService { key, service } => {
                check_service(state, key, service)?;
                state.owned.insert(*key);
                state.services.entry(*key).or_insert_with(|| Service { dests: BTreeMap::new(), ..service.clone() });
            }
            Action::SetService { key, service } => {
                check_service(state, key, service)?;
                let is = state.services.get_mut(key).ok_or(Errno::ESRCH)?;
                let dests = std::mem::take(&mut is.dests);
                *is = Service { dests, ..service.clone() };
                state.owned.insert(*key);
            }
            Action::DelService(key) => {
                state.services.remove(key);
                state.owned.remove(key);
                state.counters.remove(key);
            }
            Action::AddDest { service, key, dest } => {
                let is = state.services.get_mut(service).ok_or(Errno::ESRCH)?;
                check_dest(service, key, dest, sync)?;
                is.dests.entry(*key).or_insert(*dest);
            }
            Action::SetDest { service, key, dest } => {
                let is = state.services.get_mut(service).ok_or(Errno::ESRCH)?;
                check_dest(service, key, dest, sync)?;
                *is.dests.get_mut(key).ok_or(Errno::ENOENT)? = *dest;
            }
            Action::DelDest { service, key } => {
                if let Some(is) = state.services.get_mut(service) {
                    is.dests.remove(key);
                }
            }
            Action::StartSync { role, daemon } => {
                check_sync(state, daemon)?;
                state.sync.insert(*role, ObservedSync { daemon: daemon.clone(), ours: true });
            }
            Action::StopSync(role) => {
                state.sync.remove(role);
            }
        }
        Ok(())
    }

    /// The first IPv4 address of a network on a card is the primary one; unless told to promote, the kernel
    /// removes the others along with it. With a card's last IPv4 address go the IPv4 routes over that card
    /// (`fib_inetaddr_event` -> `fib_disable_ip`).
    fn del_address(&mut self, address: &Address) {
        let state = &mut self.state;
        let Some(at) = state.addresses.iter().position(|a| a.address == *address) else { return };
        let siblings = |a: &ObservedAddress| {
            a.address.interface == address.interface
                && a.address.net.prefix_len() == address.net.prefix_len()
                && a.address.net.trunc() == address.net.trunc()
        };
        let primary = address.net.addr().is_ipv4() && state.addresses.iter().position(siblings) == Some(at);
        state.addresses.remove(at);
        let promote = |interface: &str| {
            let name = format!("net.ipv4.conf.{interface}.promote_secondaries");
            state.sysctls.get(&name).is_some_and(|v| v != "0")
        };
        if primary && !promote("all") && !promote(&address.interface.as_str().replace('.', "/")) {
            state.addresses.retain(|a| !siblings(a));
        }
        let left =
            state.addresses.iter().any(|a| a.address.interface == address.interface && a.address.net.addr().is_ipv4());
        if address.net.addr().is_ipv4() && !left {
            let over = &self.route_links;
            state.routes.retain(|r| {
                let card = match over.get(&r.route) {
                    Some(card) => *card == address.interface,
                    None => address.net.contains(&r.route.via),
                };
                !(card && r.route.via.is_ipv4())
            });
            self.route_links.retain(|_, card| *card != address.interface);
        }
    }

    fn replace_route(&mut self, route: &Route) -> Result<(), Cause> {
        if Family::of(route.to.addr()) != Family::of(route.via) {
            return Err(Errno::EINVAL.into());
        }
        let state = &mut self.state;
        let near =
            state.addresses.iter().filter(|a| a.address.net.contains(&route.via) && a.address.net.addr() != route.via);
        let up = |name: &IfName| state.links.get(name).is_some_and(|l| l.up);
        let Some(card) = near.map(|a| &a.address.interface).find(|name| up(name)).cloned() else {
            return Err(Errno::ENETUNREACH.into());
        };
        // NLM_F_REPLACE takes the place of the route to the same network, whoever made it.
        state.routes.retain(|r| r.route.to != route.to);
        self.route_links.retain(|r, _| r.to != route.to);
        state.routes.push(ObservedRoute { route: route.clone(), ours: true });
        self.route_links.insert(route.clone(), card);
        Ok(())
    }
}

fn link<'a>(state: &'a mut FakeState, name: &IfName) -> Result<&'a mut Link, Cause> {
    state.links.get_mut(name).ok_or_else(|| Cause::NoInterface(name.to_string()))
}

fn check_service(state: &FakeState, key: &ServiceKey, service: &Service) -> Result<(), Cause> {
    if !state.schedulers.contains(&service.scheduler) {
        return Err(Errno::ENOENT.into());
    }
    match service.persistence {
        Some((_, prefix)) if prefix == 0 || prefix > key.family().bits() => Err(Errno::EINVAL.into()),
        _ => Ok(()),
    }
}

/// `ip_vs_add_dest` and `__ip_vs_update_dest` in the kernel's `ip_vs_ctl.c`.
fn check_dest(service: &ServiceKey, key: &DestKey, dest: &Dest, sync: bool) -> Result<(), Cause> {
    if dest.lower > dest.upper || i32::try_from(dest.weight).is_err() {
        return Err(Errno::ERANGE.into());
    }
    let crosses = Family::of(key.address) != service.family();
    let unicast =
        !(key.address.is_multicast() || key.address.is_unspecified() || is_broadcast(IpNet::from(key.address)));
    if !unicast || (crosses && (sync || !matches!(dest.forward, Forward::Tun(_)))) {
        return Err(Errno::EINVAL.into());
    }
    Ok(())
}

/// `start_sync_thread`, and what `ip_vs_genl_new_daemon` asks before: no mixed pools.
fn check_sync(state: &mut FakeState, daemon: &SyncDaemon) -> Result<(), Cause> {
    link(state, &daemon.interface)?;
    let crosses = |(key, service): (&ServiceKey, &Service)| {
        service.dests.keys().any(|dest| Family::of(dest.address) != key.family())
    };
    if !daemon.group.is_multicast() || state.services.iter().any(crosses) {
        return Err(Errno::EINVAL.into());
    }
    Ok(())
}

fn is_broadcast(net: IpNet) -> bool {
    matches!(net.addr(), IpAddr::V4(a) if a.is_broadcast())
}

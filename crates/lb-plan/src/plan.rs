//! The way from what is to what should be.
//!
//! Order: settings, links and own addresses first; then services, each followed at once by its
//! destinations; then connection synchronisation; then the VIPs, which are reachable only when there is
//! something behind them; then what has to go. Nothing is ever flushed, nothing is removed to be added again.

use crate::{Action, Address, Desired, Observed, ObservedAddress, ObservedSync, Route, Service, ServiceKey, SyncRole};
use ipnet::IpNet;
use lb_model::{Family, IfName};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// What to do, and what was found that is not ours to touch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    pub actions: Vec<Action>,
    pub drift: Vec<Drift>,
}

impl Plan {
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }
}

/// One line an action.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for action in &self.actions {
            writeln!(f, "{action}")?;
        }
        for drift in &self.drift {
            writeln!(f, "# {drift}")?;
        }
        Ok(())
    }
}

/// Something in the kernel that neither the configuration nor we put there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drift {
    Address(Address),
    Route(Route),
    Service(ServiceKey),
    Sync(SyncRole),
    MissingInterface(IfName),
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Drift::Address(address) => write!(f, "address {address} was added by hand; it is left alone"),
            Drift::Route(route) => write!(f, "route {route} was added by hand; it is left alone"),
            Drift::Service(key) => write!(f, "IPVS service {key} was added by hand; it is left alone"),
            Drift::Sync(role) => write!(f, "the IPVS sync {role} was started by hand; it is left alone"),
            Drift::MissingInterface(name) => {
                write!(f, "interface {name} is configured, but this machine has none of that name")
            }
        }
    }
}

/// What leads from `observed` to `desired`. Executed in order, the next plan is empty.
pub fn plan(desired: &Desired, observed: &Observed) -> Plan {
    let mut plan = Plan::default();
    let do_ = &mut plan.actions;
    if observed.hostname != desired.hostname.as_str() {
        do_.push(Action::SetHostname(desired.hostname.clone()));
    }
    if observed.nameservers != desired.nameservers {
        do_.push(Action::SetNameservers(desired.nameservers.clone()));
    }
    if observed.time_servers.as_ref() != Some(&desired.time_servers) {
        do_.push(Action::SetTimeServers(desired.time_servers.clone()));
    }
    if observed.fallback_page != desired.fallback_page {
        do_.push(Action::SetFallbackPage(desired.fallback_page.clone()));
    }
    sysctls(desired, observed, do_);
    links(desired, observed, do_, &mut plan.drift);
    let stale = addresses(desired, observed, do_, &mut plan.drift);
    routes(desired, observed, do_, &mut plan.drift);
    if observed.timeouts != desired.timeouts {
        do_.push(Action::SetTimeouts(desired.timeouts));
    }
    let ruleset = observed.ruleset.as_ref() != Some(&desired.ruleset);
    // A new mark must find its service, an old one must not outlive its service: first the services, then the
    // rules, then what goes.
    let mut gone = Vec::new();
    services(desired, observed, do_, &mut gone, &mut plan.drift);
    sync(desired, observed, do_, &mut plan.drift);
    let whole = |family: &&Family| observed.detours.get(family) == Some(&true);
    do_.extend(desired.detours.iter().filter(|family| !whole(family)).copied().map(Action::AddDetour));
    let straight = observed.detours.keys().filter(|family| !desired.detours.contains(family));
    gone.extend(straight.copied().map(Action::DelDetour));
    if ruleset {
        do_.push(Action::SetRuleset(desired.ruleset.clone()));
    }
    vips(desired, observed, do_);
    do_.extend(stale.into_iter().map(Action::DelAddress));
    do_.extend(gone);
    plan
}

fn sysctls(desired: &Desired, observed: &Observed, do_: &mut Vec<Action>) {
    for (name, value) in &desired.sysctls {
        // A name that the kernel does not have (a module that is not there) cannot be set.
        if observed.sysctls.get(name).is_some_and(|is| is != value) {
            do_.push(Action::SetSysctl { name: name.clone(), value: value.clone() });
        }
    }
}

fn links(desired: &Desired, observed: &Observed, do_: &mut Vec<Action>, drift: &mut Vec<Drift>) {
    for (name, mtu) in &desired.links {
        let Some(link) = observed.links.get(name) else {
            drift.push(Drift::MissingInterface(name.clone()));
            continue;
        };
        if let Some(mtu) = mtu.filter(|m| *m != link.mtu) {
            do_.push(Action::SetMtu { interface: name.clone(), mtu });
        }
        if !link.up {
            do_.push(Action::LinkUp(name.clone()));
        }
    }
}

/// Adds what is missing and returns what is stale. An address of ours that moves to another card, or changes its
/// prefix length, must go from the old place first: the kernel would answer for both.
fn addresses(desired: &Desired, observed: &Observed, do_: &mut Vec<Action>, drift: &mut Vec<Drift>) -> Vec<Address> {
    let present: BTreeSet<&Address> = observed.addresses.iter().map(|a| &a.address).collect();
    let mut stale = Vec::new();
    for ObservedAddress { address, ours } in &observed.addresses {
        let sets = [&desired.addresses, &desired.vips, &desired.floating];
        let wanted = sets.iter().any(|set| set.contains(address));
        match (wanted, ours) {
            (true, _) => {}
            (false, true) => stale.push(address.clone()),
            (false, false) => drift.push(Drift::Address(address.clone())),
        }
    }
    let moves = |a: &Address| desired.addresses.iter().chain(&desired.vips).any(|d| d.net.addr() == a.net.addr());
    let (moving, stale): (Vec<Address>, Vec<Address>) = stale.into_iter().partition(moves);
    do_.extend(moving.into_iter().map(Action::DelAddress));
    for address in desired.addresses.iter().filter(|a| !present.contains(a)) {
        if observed.links.contains_key(&address.interface) {
            do_.push(Action::AddAddress(address.clone()));
        }
    }
    stale
}

fn vips(desired: &Desired, observed: &Observed, do_: &mut Vec<Action>) {
    for vip in &desired.vips {
        let present = observed.addresses.iter().any(|a| a.address == *vip);
        if !present && observed.links.contains_key(&vip.interface) {
            do_.push(Action::AddVip(vip.clone()));
        }
    }
}

fn routes(desired: &Desired, observed: &Observed, do_: &mut Vec<Action>, drift: &mut Vec<Drift>) {
    for is in &observed.routes {
        // One of ours to the same network is replaced below, without a moment in between.
        let replaced = desired.routes.iter().any(|d| d.to == is.route.to);
        match (desired.routes.contains(&is.route), is.ours) {
            (true, _) => {}
            (false, true) if replaced => {}
            (false, true) => do_.push(Action::DelRoute(is.route.clone())),
            (false, false) => drift.push(Drift::Route(is.route.clone())),
        }
    }
    // With a card's last IPv4 address, which one that moves can be for a moment, the kernel drops the routes over
    // that card.
    let leaves = |a: &Action| match a {
        Action::DelAddress(address) => Some(address.net),
        _ => None,
    };
    let left: Vec<IpNet> = do_.iter().filter_map(leaves).collect();
    for route in &desired.routes {
        let there =
            observed.routes.iter().any(|is| is.route == *route) && !left.iter().any(|net| net.contains(&route.via));
        if !there && reachable(desired, observed, route) {
            do_.push(Action::ReplaceRoute(route.clone()));
        }
    }
}

/// The kernel takes a route only when its router is in the network of an address on a card that exists.
fn reachable(desired: &Desired, observed: &Observed, route: &Route) -> bool {
    desired.addresses.iter().any(|a| a.net.contains(&route.via) && observed.links.contains_key(&a.interface))
}

fn services(
    desired: &Desired,
    observed: &Observed,
    do_: &mut Vec<Action>,
    gone: &mut Vec<Action>,
    drift: &mut Vec<Drift>,
) {
    for (key, want) in &desired.services {
        let empty = BTreeMap::new();
        let (exists, dests) = match observed.services.get(key) {
            None => {
                do_.push(Action::AddService { key: *key, service: settings(want) });
                (false, &empty)
            }
            Some(is) => {
                if !is.same_settings(want) {
                    do_.push(Action::SetService { key: *key, service: settings(want) });
                }
                (true, &is.dests)
            }
        };
        for (dest_key, dest) in &want.dests {
            match dests.get(dest_key) {
                None => do_.push(Action::AddDest { service: *key, key: *dest_key, dest: *dest }),
                Some(is) if is != dest => do_.push(Action::SetDest { service: *key, key: *dest_key, dest: *dest }),
                Some(_) => {}
            }
        }
        if exists {
            let stale = dests.keys().filter(|k| !want.dests.contains_key(k));
            do_.extend(stale.map(|k| Action::DelDest { service: *key, key: *k }));
        }
    }
    for key in observed.services.keys().filter(|k| !desired.services.contains_key(k)) {
        match observed.owned.contains(key) {
            true => gone.push(Action::DelService(*key)),
            false => drift.push(Drift::Service(*key)),
        }
    }
}

/// After the services: what a backup is told of finds its destination, and the kernel starts no daemon while there is a
/// destination of another family than its service.
fn sync(desired: &Desired, observed: &Observed, do_: &mut Vec<Action>, drift: &mut Vec<Drift>) {
    for role in [SyncRole::Master, SyncRole::Backup] {
        let want = desired.sync.as_ref().map(|pair| pair.daemon(role));
        match (want, observed.sync.get(&role)) {
            (Some(want), is) => {
                let runs = is.is_some_and(|is| is.daemon == *want);
                if !runs && observed.links.contains_key(&want.interface) {
                    do_.push(Action::StartSync { role, daemon: want.clone() });
                }
            }
            (None, Some(ObservedSync { ours: true, .. })) => do_.push(Action::StopSync(role)),
            (None, Some(ObservedSync { ours: false, .. })) => drift.push(Drift::Sync(role)),
            (None, None) => {}
        }
    }
}

/// A service's settings alone.
fn settings(service: &Service) -> Service {
    Service { dests: BTreeMap::new(), scheduler: service.scheduler.clone(), ..*service }
}

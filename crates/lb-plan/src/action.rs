//! One step on the way from what is to what should be, and its line of text.

use crate::{
    Address, Desired, Dest, DestKey, Observed, ObservedAddress, ObservedRoute, ObservedSync, Route, Ruleset, Service,
    ServiceKey, SyncDaemon, SyncRole,
};
use lb_model::{Family, Hostname, IfName, TimeServer, Timeouts};
use std::{fmt, net::IpAddr};

/// A step. Each is safe to repeat: executing it where it is done already changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    SetHostname(Hostname),
    SetNameservers(Vec<IpAddr>),
    /// Starts, changes or stops chronyd.
    SetTimeServers(Vec<TimeServer>),
    /// HTML; `None`: the shipped page.
    SetFallbackPage(Option<String>),
    SetSysctl {
        name: String,
        value: String,
    },
    LinkUp(IfName),
    SetMtu {
        interface: IfName,
        mtu: u32,
    },
    AddAddress(Address),
    /// Adds it and announces it by gratuitous ARP or an unsolicited neighbour advertisement.
    AddVip(Address),
    DelAddress(Address),
    /// Adds the route, or puts it in the place of ours to the same network.
    ReplaceRoute(Route),
    DelRoute(Route),
    SetRuleset(Ruleset),
    /// The rule and the route by which packets with [`Ruleset::DETOUR`] are delivered here.
    AddDetour(Family),
    DelDetour(Family),
    SetTimeouts(Timeouts),
    /// The service's settings; its destinations are actions of their own and follow at once.
    AddService {
        key: ServiceKey,
        service: Service,
    },
    SetService {
        key: ServiceKey,
        service: Service,
    },
    DelService(ServiceKey),
    AddDest {
        service: ServiceKey,
        key: DestKey,
        dest: Dest,
    },
    SetDest {
        service: ServiceKey,
        key: DestKey,
        dest: Dest,
    },
    DelDest {
        service: ServiceKey,
        key: DestKey,
    },
    /// Starts it, in the place of one that runs with other settings. What a master had not sent yet is lost with it.
    StartSync {
        role: SyncRole,
        daemon: SyncDaemon,
    },
    StopSync(SyncRole),
}

impl Action {
    /// IPVS actions in a row can go to the kernel in one batch.
    pub fn is_ipvs(&self) -> bool {
        matches!(
            self,
            Action::AddService { .. }
                | Action::SetService { .. }
                | Action::DelService(_)
                | Action::AddDest { .. }
                | Action::SetDest { .. }
                | Action::DelDest { .. }
        )
    }
}

impl Observed {
    /// What will be seen once all services are as `desired`: the same as [`Observed::after`] for each, without the copies.
    pub fn after_services(&mut self, desired: Desired) {
        let owned = &self.owned;
        self.services.retain(|key, _| !owned.contains(key) || desired.services.contains_key(key));
        self.owned = desired.services.keys().copied().collect();
        self.services.extend(desired.services);
    }

    /// What will be seen once `action` has worked. Lets an apply plan from what was seen last, without reading
    /// the whole kernel first.
    pub fn after(&mut self, action: &Action) {
        match action {
            Action::SetHostname(name) => self.hostname = name.to_string(),
            Action::SetNameservers(servers) => self.nameservers.clone_from(servers),
            Action::SetTimeServers(servers) => self.time_servers = Some(servers.clone()),
            Action::SetFallbackPage(page) => self.fallback_page.clone_from(page),
            Action::SetSysctl { name, value } => {
                self.sysctls.insert(name.clone(), value.clone());
            }
            Action::LinkUp(name) => {
                if let Some(link) = self.links.get_mut(name) {
                    link.up = true;
                }
            }
            Action::SetMtu { interface, mtu } => {
                if let Some(link) = self.links.get_mut(interface) {
                    link.mtu = *mtu;
                }
            }
            Action::AddAddress(address) | Action::AddVip(address) => {
                self.addresses.retain(|a| a.address != *address);
                self.addresses.push(ObservedAddress { address: address.clone(), ours: true });
            }
            Action::DelAddress(address) => self.addresses.retain(|a| a.address != *address),
            Action::ReplaceRoute(route) => {
                self.routes.retain(|r| r.route.to != route.to);
                self.routes.push(ObservedRoute { route: route.clone(), ours: true });
            }
            Action::DelRoute(route) => self.routes.retain(|r| r.route != *route),
            Action::SetRuleset(ruleset) => self.ruleset = Some(ruleset.clone()),
            Action::AddDetour(family) => {
                self.detours.insert(*family, true);
            }
            Action::DelDetour(family) => {
                self.detours.remove(family);
            }
            Action::SetTimeouts(timeouts) => self.timeouts = *timeouts,
            Action::AddService { key, service } => {
                self.services.insert(*key, service.clone());
                self.owned.insert(*key);
            }
            Action::SetService { key, service } => {
                if let Some(is) = self.services.get_mut(key) {
                    let dests = std::mem::take(&mut is.dests);
                    *is = Service { dests, ..service.clone() };
                }
                self.owned.insert(*key);
            }
            Action::DelService(key) => {
                self.services.remove(key);
                self.owned.remove(key);
            }
            Action::AddDest { service, key, dest } | Action::SetDest { service, key, dest } => {
                if let Some(service) = self.services.get_mut(service) {
                    service.dests.insert(*key, *dest);
                }
            }
            Action::DelDest { service, key } => {
                if let Some(service) = self.services.get_mut(service) {
                    service.dests.remove(key);
                }
            }
            Action::StartSync { role, daemon } => {
                self.sync.insert(*role, ObservedSync { daemon: daemon.clone(), ours: true });
            }
            Action::StopSync(role) => {
                self.sync.remove(role);
            }
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::SetHostname(name) => write!(f, "host name: set {name}"),
            Action::SetNameservers(servers) => {
                let servers: Vec<String> = servers.iter().map(IpAddr::to_string).collect();
                write!(f, "nameservers: set {}", if servers.is_empty() { "none".into() } else { servers.join(", ") })
            }
            Action::SetTimeServers(servers) => {
                let servers: Vec<&str> = servers.iter().map(TimeServer::as_str).collect();
                write!(f, "time servers: set {}", if servers.is_empty() { "none".into() } else { servers.join(", ") })
            }
            Action::SetFallbackPage(None) => f.write_str("fallback page: set the shipped one"),
            Action::SetFallbackPage(Some(page)) => write!(f, "fallback page: set {} bytes", page.len()),
            Action::SetSysctl { name, value } => write!(f, "sysctl: set {name} = {value}"),
            Action::LinkUp(name) => write!(f, "link: bring {name} up"),
            Action::SetMtu { interface, mtu } => write!(f, "link: set MTU {mtu} on {interface}"),
            Action::AddAddress(address) => write!(f, "address: add {address}"),
            Action::AddVip(address) => write!(f, "address: add and announce VIP {address}"),
            Action::DelAddress(address) => write!(f, "address: remove {address}"),
            Action::ReplaceRoute(route) => write!(f, "route: set {route}"),
            Action::DelRoute(route) => write!(f, "route: remove {route}"),
            Action::SetRuleset(ruleset) if ruleset.is_empty() => f.write_str("firewall: remove our rules"),
            Action::SetRuleset(ruleset) => {
                let masquerade = if ruleset.masquerade.is_some() { "on" } else { "off" };
                write!(f, "firewall: set {} mark rules, MASQUERADE {masquerade}", ruleset.marks.len())?;
                if !ruleset.transparent.is_empty() {
                    f.write_str(", transparent sources")?;
                }
                if ruleset.peers.is_some() {
                    f.write_str(", layer 7's peers only from the other unit")?;
                }
                if let Some(management) = &ruleset.management {
                    let networks: Vec<String> = management.sources.iter().map(ToString::to_string).collect();
                    write!(f, ", the unit's own services from {} only", networks.join(", "))?;
                }
                match ruleset.held_back {
                    Some(_) => f.write_str(", resets held back"),
                    None => Ok(()),
                }
            }
            Action::AddDetour(family) => write!(f, "route: deliver {family} answers to transparent sources here"),
            Action::DelDetour(family) => write!(f, "route: deliver {family} answers to transparent sources no more"),
            Action::SetTimeouts(t) => {
                write!(f, "ipvs: set time-outs tcp {} s, tcp fin {} s, udp {} s", t.tcp, t.tcp_fin, t.udp)
            }
            Action::AddService { key, service } => write!(f, "ipvs: add service {key} {service}"),
            Action::SetService { key, service } => write!(f, "ipvs: change service {key} to {service}"),
            Action::DelService(key) => write!(f, "ipvs: remove service {key}"),
            Action::AddDest { service, key, dest } => write!(f, "ipvs: add {key} to {service} {dest}"),
            Action::SetDest { service, key, dest } => write!(f, "ipvs: change {key} in {service} to {dest}"),
            Action::DelDest { service, key } => write!(f, "ipvs: remove {key} from {service}"),
            Action::StartSync { role, daemon } => write!(f, "ipvs: start sync {role} {daemon}"),
            Action::StopSync(role) => write!(f, "ipvs: stop sync {role}"),
        }
    }
}

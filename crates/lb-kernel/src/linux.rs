//! The kernel of the calling thread's network namespace.
//!
//! Every socket is opened once and kept: closing one of the packet sockets costs an RCU grace period, and a
//! socket stays in the namespace it was opened in, whichever thread uses it later. Files below `/proc/sys`
//! and `nft` are those of the thread that calls, so call from the thread that opened, or one beside it.

mod announce;
mod clock;
mod daemons;
mod ear;
mod files;
mod firewall;
mod floating;
mod forget;
mod inspector;
mod journal;
mod link_watch;
mod net;
mod route_socket;
mod services;
mod transfer;

use crate::{Cause, Inspect, Kernel, KernelError, Paths};
use announce::Announcer;
use daemons::Daemons;
pub use ear::{Ear, Heard, NOTE, Said};
use files::Files;
use firewall::Firewall;
pub use floating::LinuxFloating;
use inspector::Inspector;
use lb_plan::{Action, Desired, Observed};
pub use link_watch::{LinkWatch, Links};
use net::Net;
pub use net::{ADDRESS_OWNER, HEARTBEAT_ADDRESS_OWNER, ROUTE_OWNER};
use services::Services;
use std::{collections::BTreeMap, sync::Arc};
pub use transfer::{End, First, OtherTable, Pace, Progress, Report, Transfer, send_table, table_digest, table_held};

/// Linux, as root (CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN for the host name).
pub struct Linux {
    files: Files,
    firewall: Firewall,
    net: Net,
    announcer: Announcer,
    services: Services,
    daemons: Daemons,
    inspector: Arc<Inspector>,
}

impl Linux {
    /// Opens the sockets in the calling thread's network namespace, and reads back what an lbd before us left in
    /// `paths.run`. A kernel without IPVS is no error here: addresses must come up without it too; adding a service
    /// to it is one.
    pub fn open(paths: Paths) -> Result<Linux, KernelError> {
        let run = paths.run.clone();
        std::fs::create_dir_all(&run).map_err(|source| {
            KernelError::new("create the run directory", Cause::File { path: run.display().to_string(), source })
        })?;
        Ok(Linux {
            firewall: Firewall::open(&run),
            services: Services::open(&run)
                .map_err(|cause| KernelError::new("read the journal of our IPVS services", cause))?,
            daemons: Daemons::open(&run)
                .map_err(|source| KernelError::new("read which sync daemons are ours", source))?,
            net: Net::open().map_err(|cause| KernelError::new("open rtnetlink", cause))?,
            announcer: Announcer::open().map_err(|cause| KernelError::new("open a packet socket", cause))?,
            files: Files::new(paths),
            inspector: Arc::new(
                Inspector::open().map_err(|cause| KernelError::new("open rtnetlink for reading", cause))?,
            ),
        })
    }

    fn one(&mut self, action: &Action) -> Result<(), Cause> {
        match action {
            Action::SetHostname(name) => self.files.set_hostname(name),
            Action::SetNameservers(servers) => self.files.set_nameservers(servers),
            Action::SetTimeServers(servers) => self.files.set_time_servers(servers),
            Action::SetFallbackPage(page) => self.files.set_fallback_page(page.as_deref()),
            Action::SetSysctl { name, value } => self.files.set_sysctl(name, value),
            Action::LinkUp(name) => self.net.link_up(name),
            Action::SetMtu { interface, mtu } => self.net.set_mtu(interface, *mtu),
            Action::AddAddress(address) => {
                let card = self.net.add_address(address, false)?;
                self.announcer.announce(&card, address);
                Ok(())
            }
            Action::AddVip(address) => {
                let card = self.net.add_address(address, true)?;
                self.announcer.announce(&card, address);
                Ok(())
            }
            Action::DelAddress(address) => self.net.del_address(address),
            Action::ReplaceRoute(route) => self.net.replace_route(route),
            Action::DelRoute(route) => self.net.del_route(route),
            Action::SetRuleset(ruleset) => self.firewall.set(ruleset),
            Action::AddDetour(family) => self.net.add_detour(*family),
            Action::DelDetour(family) => self.net.del_detour(*family),
            Action::SetTimeouts(timeouts) => self.services.set_timeouts(*timeouts),
            Action::StartSync { role, daemon } => self.daemons.start(*role, daemon),
            Action::StopSync(role) => self.daemons.stop(*role),
            Action::AddService { .. }
            | Action::SetService { .. }
            | Action::DelService(_)
            | Action::AddDest { .. }
            | Action::SetDest { .. }
            | Action::DelDest { .. } => self.services.execute(std::slice::from_ref(action)).pop().unwrap_or(Ok(())),
        }
    }
}

impl Kernel for Linux {
    fn observe(&mut self, desired: &Desired) -> Result<Observed, KernelError> {
        let doing = |text: &'static str| move |cause| KernelError::new(text, cause);
        let net::State { links, addresses, routes, detours } =
            self.net.observe().map_err(doing("read links, addresses and routes"))?;
        let (timeouts, services) = match self.services.observe() {
            Ok(table) => table,
            // Nothing to compare with: adding the services says what is wrong.
            Err(Cause::NoIpvs) => (desired.timeouts, BTreeMap::new()),
            Err(cause) => return Err(KernelError::new("read the IPVS table", cause)),
        };
        let sync = match self.daemons.observe() {
            Err(Cause::NoIpvs) => BTreeMap::new(),
            other => other.map_err(doing("read the sync daemons"))?,
        };
        Ok(Observed {
            sync,
            hostname: self.files.hostname(&desired.hostname).map_err(doing("read the host name"))?,
            nameservers: self.files.nameservers().map_err(doing("read the nameservers"))?,
            time_servers: self.files.time_servers().map_err(doing("read the time servers"))?,
            fallback_page: self
                .files
                .fallback_page(desired.fallback_page.as_deref())
                .map_err(doing("read the fallback page"))?,
            links,
            addresses,
            routes,
            sysctls: self.files.sysctls(desired.sysctls.keys()).map_err(doing("read sysctls"))?,
            ruleset: self.firewall.observe(&desired.ruleset),
            detours,
            timeouts,
            owned: self.services.owned(&services),
            services,
        })
    }

    fn execute(&mut self, actions: &[Action]) -> Vec<Result<(), KernelError>> {
        let mut results: Vec<Result<(), Cause>> = Vec::with_capacity(actions.len());
        for run in actions.chunk_by(|a, b| a.is_ipvs() && b.is_ipvs()) {
            match run {
                [action] if !action.is_ipvs() => results.push(self.one(action)),
                batch => results.extend(self.services.execute(batch)),
            }
        }
        let named = |(action, result): (&Action, Result<(), Cause>)| {
            result.map_err(|cause| KernelError::new(action.to_string(), cause))
        };
        actions.iter().zip(results).map(named).collect()
    }

    fn clock_is_set(&self) -> bool {
        clock::is_set()
    }

    fn inspector(&self) -> Arc<dyn Inspect> {
        self.inspector.clone()
    }
}

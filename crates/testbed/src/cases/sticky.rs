//! Clients that stay: 1,000 requests of 50 clients by layer 7, each way it has of knowing a client, in the guide's one
//! arm; and both layers on one address.

use super::{
    kept::{SESSION, Server, Visitor},
    layer7::Supervisor,
    net::Netns,
    topology::{Appliance, Lab, guide},
    wait,
    web::{self, Load, fetch},
};
use anyhow::{Context, Result, bail, ensure};
use lb_model::{ForwardingMethod, RequestedState, layer7::Certificate};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

const SHOP: &str = "10.0.0.21:8080";
const SERVERS: [&str; 3] = ["Shop1", "Shop2", "Shop3"];
pub(super) const CLIENTS: usize = 50;
/// Of each client, on two connections.
const REQUESTS: usize = 20;
/// Clients that ask at the same time.
const AT_ONCE: usize = 10;

/// How a visitor asks so many times on one connection.
type Ask = Arc<dyn Fn(&mut Visitor, usize) -> Result<Vec<String>> + Send + Sync>;

/// Three servers behind a virtual server of layer 7, `10.0.0.21:8080` where nothing else is said.
pub(super) struct Story {
    pub lab: Lab,
    pub appliance: Appliance,
    pub supervisor: Supervisor,
    servers: Vec<Option<Server>>,
    start: fn(&Netns, u16, &str) -> Result<Server>,
    pub ask: Ask,
}

impl Story {
    fn open(persistence: &Value, start: fn(&Netns, u16, &str) -> Result<Server>) -> Result<Story> {
        let story = Story::begin(start)?;
        story.apply(json!({"persistence": persistence}), Vec::new())?;
        Ok(story)
    }

    /// Without a virtual server so far.
    pub fn begin(start: fn(&Netns, u16, &str) -> Result<Server>) -> Result<Story> {
        let lab = Lab::one_arm()?;
        let appliance = Appliance::start(&lab.lb)?;
        let supervisor = Supervisor::start(&lab.lb, &appliance)?;
        let address: SocketAddr = SHOP.parse()?;
        let ask: Ask = Arc::new(move |visitor, requests| visitor.ask(address, requests));
        let mut story = Story { lab, appliance, supervisor, servers: Vec::new(), start, ask };
        for n in 0..SERVERS.len() {
            story.servers.push(None);
            story.serve(n)?;
        }
        Ok(story)
    }

    /// The virtual server, with what else its fields are; runs when every server is active.
    pub fn apply(&self, fields: Value, certificates: Vec<Certificate>) -> Result<()> {
        let mut config = guide(ForwardingMethod::Dr, ["10.0.0.50", "10.0.0.51"]);
        config.virtual_servers.clear();
        let mut shop = json!({"label":"Shop","address":"10.0.0.21","ports":"8080","real_servers":[
            {"label":"Shop1","address":"10.0.0.50","port":8001},{"label":"Shop2","address":"10.0.0.51","port":8002},
            {"label":"Shop3","address":"10.0.0.51","port":8003}]});
        for (name, value) in fields.as_object().into_iter().flatten() {
            shop[name] = value.clone();
        }
        config.layer7 = serde_json::from_value(json!({"certificates": certificates, "virtual_servers": [shop]}))?;
        self.appliance.apply(&config)?;
        self.appliance.wait_for(&["active"; 3])?;
        self.settled()
    }

    pub fn settled(&self) -> Result<()> {
        let see = || Ok(self.appliance.client.status()?);
        wait("HAProxy does as it was told", see, |status| status.converged).map(drop)
    }

    fn serve(&mut self, n: usize) -> Result<()> {
        let ns = if n == 0 { &self.lab.rs1 } else { &self.lab.rs2 };
        self.servers[n] = Some((self.start)(ns, 8001 + n as u16, SERVERS[n])?);
        Ok(())
    }

    /// So many requests of each on one connection; the one server that each met.
    fn visit(&self, visitors: Vec<Visitor>, requests: usize) -> Result<(Vec<Visitor>, Vec<String>)> {
        let mut threads = Vec::new();
        let many = visitors.len().div_ceil(AT_ONCE);
        let mut visitors = visitors.into_iter().peekable();
        while visitors.peek().is_some() {
            let (group, ask): (Vec<Visitor>, Ask) = (visitors.by_ref().take(many).collect(), self.ask.clone());
            threads.push(self.lab.client.thread(move || {
                let one = |mut visitor: Visitor| {
                    let met = ask(&mut visitor, requests)?;
                    anyhow::Ok((visitor, one_of(&met)?))
                };
                group.into_iter().map(one).collect::<Result<Vec<_>>>()
            })?);
        }
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().map_err(|_| anyhow::anyhow!("a client panicked"))??);
        }
        Ok(all.into_iter().unzip())
    }

    /// Every client stays on its server; a server that stops loses its own, and only these move; when it is back none does.
    pub fn tell(&mut self, visitors: Vec<Visitor>, same: impl Fn(usize) -> usize) -> Result<()> {
        let (visitors, homes) = self.visit(visitors, REQUESTS / 2)?;
        let (visitors, again) = self.visit(visitors, REQUESTS / 2)?;
        let met: BTreeSet<&String> = homes.iter().collect();
        ensure!(met.len() == SERVERS.len(), "clients met {met:?} only");
        for (n, home) in homes.iter().enumerate() {
            ensure!(again[n] == *home, "client {n} moved from {home} to {}", again[n]);
            let first = &homes[same(n)];
            ensure!(first == home, "clients {} and {n} are one, and met {first} and {home}", same(n));
        }
        self.servers[0] = None;
        self.appliance.wait_for(&["non-active", "active", "active"])?;
        let (visitors, moved) = self.visit(visitors, 2)?;
        for (n, (was, is)) in homes.iter().zip(&moved).enumerate() {
            ensure!(is != "Shop1", "client {n} was answered by a server that is down");
            ensure!(was == "Shop1" || was == is, "client {n} moved from {was} to {is}");
        }
        self.serve(0)?;
        self.appliance.wait_for(&["active"; 3])?;
        let (_, after) = self.visit(visitors, 2)?;
        ensure!(after == moved, "a server that came back took clients away");
        Ok(())
    }
}

fn one_of(met: &[String]) -> Result<String> {
    match met.iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()[..] {
        [one] => Ok(one.clone()),
        ref several => bail!("one client met {several:?}"),
    }
}

/// HAProxy's own cookie.
pub fn cookie() -> Result<()> {
    let mut story = Story::open(&json!({"type":"cookie"}), Server::start)?;
    story.tell(vec![Visitor::default(); CLIENTS], |n| n)
}

/// The application's: its own server sets it, HAProxy remembers who.
pub fn application_cookie() -> Result<()> {
    let persistence = json!({"type":"application-cookie","name":SESSION});
    let mut story = Story::open(&persistence, Server::with_sessions)?;
    story.tell(vec![Visitor::default(); CLIENTS], |n| n)
}

/// Five clients each in ten networks of 256 addresses, without cookies.
pub fn networks() -> Result<()> {
    let mut story = Story::open(&json!({"type":"source","granularity":24}), Server::start)?;
    let mut visitors = Vec::new();
    for network in 1..=10 {
        for host in [1, 2, 77, 200, 254] {
            // The appliance's gateway is the client.
            story.lab.client.ip(&format!("addr add 10.1.{network}.{host}/32 dev lo"))?;
            visitors.push(Visitor { from: Some(Ipv4Addr::new(10, 1, network, host)), ..Visitor::default() });
        }
    }
    story.tell(visitors, |n| n - n % 5)
}

/// Both layers on one address, under load: what changes at one is not felt at the other, and their ports are not mixed up.
pub fn side_by_side() -> Result<()> {
    let story = Story::open(&json!({"type":"cookie"}), Server::start)?;
    let balanced = [
        web::Server::start(&story.lab.rs1, "0.0.0.0:80", "rs1")?,
        web::Server::start(&story.lab.rs2, "0.0.0.0:80", "rs2")?,
    ];
    let mut config = story.appliance.client.running()?.config;
    config.virtual_servers = guide(ForwardingMethod::Dr, ["10.0.0.50", "10.0.0.51"]).virtual_servers;
    story.appliance.apply(&config)?;
    story.appliance.wait_for(&["active"; 5])?;
    let loads = ["10.0.0.21:80", SHOP].map(|address| Load::start(&story.lab.client, address, 2));
    let [layer4, layer7] = loads;
    let (layer4, layer7) = (layer4?, layer7?);
    let both = |what: &str| {
        let before = (layer4.count(), layer7.count());
        wait(what, || Ok((layer4.count(), layer7.count())), |now| now.0 > before.0 + 20 && now.1 > before.1 + 20)
    };
    both("requests at both layers")?;
    // A reload of the one; servers of the other; and each without the other.
    config.layer7.virtual_servers[0].compression = true;
    story.appliance.apply(&config)?;
    both("requests after a reload")?;
    for state in [RequestedState::Drain, RequestedState::Online] {
        config.virtual_servers[0].real_servers[1].state = state;
        config.layer7.virtual_servers[0].real_servers[1].state = state;
        story.appliance.apply(&config)?;
        both("requests after a state")?;
    }
    for (load, layer) in [(layer4, 4), (layer7, 7)] {
        let (done, failures) = load.stop();
        ensure!(failures.is_empty(), "layer {layer}: {} of {done} requests failed: {:?}", failures.len(), failures[0]);
    }
    // The kernel's wheel begins anew whenever a server is changed (`ip_vs_wrr_dest_changed`), in the midst of ten, too.
    let even = BTreeMap::from([("rs1".into(), 5), ("rs2".into(), 5)]);
    wait("ten requests in equal shares", || fetch(&story.lab.client, "10.0.0.21:80", 10), |answers| *answers == even)?;
    let (_, homes) = story.visit(vec![Visitor::default(); 6], 2)?;
    ensure!(homes.iter().all(|home| SERVERS.contains(&home.as_str())), "{homes:?}");
    let status = story.appliance.client.status()?;
    let layers: Vec<_> = status.virtual_servers.iter().map(|vs| (vs.layer, vs.service.to_string())).collect();
    ensure!(layers.len() == 2 && layers[0].0 == 4 && layers[1].0 == 7, "{layers:?}");
    drop(balanced);
    // The kernel's part goes, HAProxy's stays.
    config.virtual_servers.clear();
    story.appliance.apply(&config)?;
    ensure!(fetch(&story.lab.client, "10.0.0.21:80", 1).is_err(), "a virtual server that is gone answers");
    story.visit(vec![Visitor::default()], 2).context("layer 7 alone").map(drop)
}

//! Servers of a farm.

use super::{
    Call, Done, Fault, Result, number,
    read::{self, Body, Patch},
    take_id,
};
use crate::render;
use lb_model::{
    dialects::ovh::{MOST_SERVERS, Ovh, OvhFarm, OvhKind, OvhProxyProtocol, OvhServer},
    layer7::CookieValue,
};
use serde_json::{Value, json};

pub fn handle(call: &Call<'_>, farm: &OvhFarm, method: &str, below: &[&str]) -> Result<Done> {
    match (method, below) {
        ("GET", []) => {
            let other = |server: &&OvhServer| {
                call.filtered("address", Some(server.address.to_string()))
                    || call.filtered("status", Some(status(server).to_owned()))
                    || (farm.kind == OvhKind::Http && call.filtered("cookie", server.cookie.clone()))
            };
            let servers = farm.servers.iter().filter(|server| !other(server));
            Ok(Done::Look(servers.map(|server| server.id).collect()))
        }
        (_, []) => create(call, farm),
        (_, [id, ..]) => {
            let server = number(id)?.and_then(|id| farm.server(id));
            let server = server.ok_or_else(|| Fault::not_found(format!("Server {id} does not exist")))?;
            match method {
                "GET" => Ok(Done::Look(shown(call, farm, server))),
                "PUT" => {
                    let mut new = server.clone();
                    let mut body = read::body(&call.request.body)?;
                    body.ignore(&["address"]);
                    read(farm.kind, &mut new, body)?;
                    own_cookie(farm, &new)?;
                    let mut farm = farm.clone();
                    farm.servers.iter_mut().filter(|s| s.id == new.id).for_each(|s| *s = new.clone());
                    Done::changed(with_farm(call, farm), comment("Change", server.id))
                }
                _ => {
                    let mut farm = farm.clone();
                    farm.servers.retain(|other| other.id != server.id);
                    Done::changed(with_farm(call, farm), comment("Remove", server.id))
                }
            }
        }
    }
}

fn comment(did: &str, id: u32) -> String {
    format!("{did} server {id} (OVH, not yet applied)")
}

/// The state with this farm in its old place.
pub fn with_farm(call: &Call<'_>, farm: OvhFarm) -> Ovh {
    let mut state = call.state();
    state.objects.farms.iter_mut().filter(|other| other.id == farm.id).for_each(|other| *other = farm.clone());
    state
}

fn status(server: &OvhServer) -> &'static str {
    if server.inactive { "inactive" } else { "active" }
}

/// Whether the server is fit, as the front-ends that use its farm see it; nothing where nobody asks.
pub fn fit(call: &Call<'_>, farm: &OvhFarm, server: &OvhServer) -> Option<bool> {
    let users = call.ovh().applied.frontends.iter().filter(|frontend| frontend.default_farm == Some(farm.id));
    let mut known = users.filter_map(|frontend| {
        call.facts.fit(&render::frontend_label(frontend.kind, frontend.id), &render::server_label(server.id))
    });
    known.next().filter(|_| farm.probe.is_some() && server.probe)
}

fn shown(call: &Call<'_>, farm: &OvhFarm, server: &OvhServer) -> Value {
    let mut shown = json!({
        "serverId": server.id,
        "backendId": farm.id,
        "address": server.address,
        "displayName": server.display_name,
        "port": server.port,
        "status": status(server),
    });
    if let Some(map) = shown.as_object_mut().filter(|_| farm.kind != OvhKind::Udp) {
        let state = fit(call, farm, server).map(|fit| {
            json!({"instanceId": 1, "status": if fit { "UP" } else { "DOWN" }, "checkStatus": null,
                   "checkCode": null, "checkTime": null, "lastCheckContent": null})
        });
        for (name, value) in [
            ("weight", json!(server.weight)),
            ("probe", json!(server.probe)),
            ("ssl", json!(server.ssl)),
            ("backup", json!(server.backup)),
            ("chain", json!(server.chain)),
            ("onMarkedDown", json!(server.shutdown_sessions.then_some("shutdown-sessions"))),
            ("proxyProtocolVersion", json!(server.proxy_protocol)),
            ("serverState", json!(state.into_iter().collect::<Vec<_>>())),
        ] {
            map.insert(name.into(), value);
        }
        if farm.kind == OvhKind::Http {
            map.insert("cookie".into(), json!(server.cookie));
        }
    }
    shown
}

/// What a body says of a server.
fn read(kind: OvhKind, server: &mut OvhServer, mut body: Body) -> Result<()> {
    body.ignore(&["serverId", "backendId", "serverState"]);
    match body.take("status") {
        None => {}
        Some(Value::String(word)) if word == "active" || word == "inactive" => server.inactive = word == "inactive",
        Some(_) => return Err(Fault::bad_request("status must be active or inactive")),
    }
    body.text("displayName", 255)?.into_option(&mut server.display_name);
    body.port("port")?.into_option(&mut server.port);
    if kind == OvhKind::Udp {
        return body.end();
    }
    match body.number("weight", 0, 256)? {
        Patch::Absent => {}
        Patch::Null => server.weight = 1,
        Patch::Set(weight) => server.weight = u16::try_from(weight).unwrap_or(1),
    }
    body.flag("probe")?.or(&mut server.probe, false);
    body.flag("ssl")?.or(&mut server.ssl, false);
    body.flag("backup")?.or(&mut server.backup, false);
    body.text("chain", 65_536)?.into_option(&mut server.chain);
    if server.chain.is_some() {
        return Err(Fault::bad_request("chain is not available on this unit: servers' certificates are not verified"));
    }
    match body.text("onMarkedDown", 32)? {
        Patch::Absent => {}
        Patch::Null => server.shutdown_sessions = false,
        Patch::Set(word) if word == "shutdown-sessions" => server.shutdown_sessions = true,
        Patch::Set(_) => return Err(Fault::bad_request("onMarkedDown must be shutdown-sessions")),
    }
    let versions = OvhProxyProtocol::ALL;
    body.word("proxyProtocolVersion", versions, OvhProxyProtocol::as_str)?.into_option(&mut server.proxy_protocol);
    if kind == OvhKind::Http {
        body.text("cookie", 64)?.into_option(&mut server.cookie);
        let value = server.cookie.get_or_insert_with(|| render::server_label(server.id));
        value.parse::<CookieValue>().map_err(|e| Fault::bad_request(e.to_string()))?;
    }
    body.end()
}

/// Two servers with one value would be one to the clients.
fn own_cookie(farm: &OvhFarm, server: &OvhServer) -> Result<()> {
    let same = |other: &&OvhServer| other.id != server.id && other.cookie.is_some() && other.cookie == server.cookie;
    match farm.servers.iter().find(same) {
        Some(other) => Err(Fault::conflict(format!("Server {} has this cookie already", other.id))),
        None => Ok(()),
    }
}

fn create(call: &Call<'_>, farm: &OvhFarm) -> Result<Done> {
    if farm.servers.len() >= MOST_SERVERS {
        return Err(Fault::forbidden(format!("At most {MOST_SERVERS} servers are possible")));
    }
    let mut body = read::body(&call.request.body)?;
    let address = body.address("address")?.flat().ok_or_else(|| Fault::bad_request("address is required"))?;
    if !body.has("status") {
        return Err(Fault::bad_request("status is required"));
    }
    let mut numbers = call.state();
    let mut server = OvhServer {
        id: take_id(&mut numbers),
        address,
        inactive: false,
        port: None,
        weight: 1,
        probe: false,
        ssl: false,
        backup: false,
        chain: None,
        display_name: None,
        shutdown_sessions: false,
        proxy_protocol: None,
        cookie: None,
    };
    read(farm.kind, &mut server, body)?;
    if farm.servers.iter().any(|other| (other.address, other.port) == (server.address, server.port)) {
        return Err(Fault::conflict(format!("Server {} is in this farm already", server.address)));
    }
    own_cookie(farm, &server)?;
    let (shown, comment) = (shown(call, farm, &server), comment("Add", server.id));
    let mut farm = farm.clone();
    farm.servers.push(server);
    let mut state = with_farm(call, farm);
    state.next_id = numbers.next_id;
    Done::with(state, shown, comment)
}

//! The service itself: its names, zones and state.

use super::{Call, Done, Fault, Result, read, servers};
use crate::render;
use lb_model::dialects::ovh::{OvhFarm, OvhKind, OvhMatch, OvhProbeMethod, OvhProbeType, OvhSslConfiguration};
use serde_json::{Value, json};
use std::net::IpAddr;

pub fn handle(call: &Call<'_>, method: &str, rest: &[&str]) -> Result<Done> {
    let state = call.ovh();
    Ok(Done::Look(match (method, rest) {
        ("GET", []) => shown(call),
        ("PUT", []) => return update(call),
        (_, ["zone"]) => json!([state.zone]),
        (_, ["zone", name]) if *name == state.zone => json!({"name": name, "state": "ok"}),
        (_, ["zone", name]) => return Err(Fault::not_found(format!("Zone {name} does not exist"))),
        (_, ["status"]) => status(call),
        (_, ["definedFarms"]) => {
            state.objects.farms.iter().map(|farm| json!({"type": farm.kind, "id": farm.id})).collect()
        }
        (_, ["definedFrontends"]) => {
            state.objects.frontends.iter().map(|frontend| json!({"type": frontend.kind, "id": frontend.id})).collect()
        }
        (_, ["availableFarmType" | "availableFrontendType"]) => OvhKind::ALL.iter().map(|kind| json!(kind)).collect(),
        (_, ["availableFarmProbes"]) => probes(),
        (_, ["natIp"]) => {
            let own = render::own_address(call.config, true, false).map(|address| format!("{address}/32"));
            json!([{"zone": state.zone, "ip": own.into_iter().collect::<Vec<_>>()}])
        }
        _ => return Err(Fault::no_such_place()),
    }))
}

fn shown(call: &Call<'_>) -> Value {
    let state = call.ovh();
    let own = state.address.or_else(|| render::own_address(call.config, false, false));
    let six = own.filter(IpAddr::is_ipv6).or_else(|| render::own_address(call.config, false, true));
    json!({
        "serviceName": state.service_name,
        "displayName": state.display_name,
        "ipLoadbalancing": own,
        "ipv4": own.filter(IpAddr::is_ipv4),
        "ipv6": six,
        "metricsToken": null,
        "offer": "appliance",
        "orderableZone": [],
        "sslConfiguration": state.objects.ssl_configuration,
        "state": "ok",
        "vrackEligibility": false,
        "vrackName": null,
        "zone": [state.zone],
    })
}

fn update(call: &Call<'_>) -> Result<Done> {
    let mut body = read::body(&call.request.body)?;
    let read_only = [
        "serviceName",
        "ipLoadbalancing",
        "ipv4",
        "ipv6",
        "metricsToken",
        "offer",
        "orderableZone",
        "state",
        "vrackEligibility",
        "vrackName",
        "zone",
    ];
    body.ignore(&read_only);
    let mut state = call.state();
    body.text("displayName", 50)?.into_option(&mut state.display_name);
    let all = OvhSslConfiguration::ALL;
    body.word("sslConfiguration", all, OvhSslConfiguration::as_str)?.into_option(&mut state.objects.ssl_configuration);
    body.end()?;
    Done::changed(state, "Change the settings of the OVH service")
}

fn counted(total: usize, ok: usize, error: usize) -> Value {
    let unknown = total.saturating_sub(ok + error);
    json!({"total": total, "status": {"ok": ok, "warn": 0, "error": error, "unknown": unknown}})
}

fn status(call: &Call<'_>) -> Value {
    let objects = &call.ovh().applied;
    let (mut servers, mut good, mut bad) = (0, 0, 0);
    for farm in &objects.farms {
        for server in &farm.servers {
            servers += 1;
            match servers::fit(call, farm, server) {
                Some(true) => good += 1,
                Some(false) => bad += 1,
                None => {}
            }
        }
    }
    let dead = |farm: &&OvhFarm| {
        !farm.servers.is_empty() && farm.servers.iter().all(|server| servers::fit(call, farm, server) == Some(false))
    };
    let dead = objects.farms.iter().filter(dead).count();
    let frontends = objects.frontends.len();
    json!({
        "service": {"status": if dead > 0 { "error" } else if bad > 0 { "warn" } else { "ok" }},
        "farms": counted(objects.farms.len(), objects.farms.len() - dead, dead),
        "frontends": counted(frontends, frontends, 0),
        "servers": counted(servers, good, bad),
    })
}

fn probes() -> Value {
    let probe = |kind: &OvhProbeType| {
        let http = *kind == OvhProbeType::Http;
        let (methods, matches) = if http { (OvhProbeMethod::ALL, OvhMatch::ALL) } else { (&[][..], &[][..]) };
        json!({"type": kind, "port": true, "interval": true, "url": http, "pattern": http, "negate": http,
               "forceSsl": http, "method": methods, "match": matches})
    };
    OvhProbeType::ALL.iter().map(probe).collect()
}

//! Farms: groups of servers, and what keeps a client on one.

use super::{
    Call, Done, Fault, Result,
    read::{self, Body, Patch},
    take_id,
};
use lb_model::{
    StatusCodes,
    dialects::ovh::{
        MOST_FARMS, OvhBalance, OvhFarm, OvhKind, OvhMatch, OvhProbe, OvhProbeMethod, OvhProbeType, OvhStickiness,
    },
    layer7::HttpText,
};
use serde_json::{Value, json};

pub fn handle(call: &Call<'_>, kind: OvhKind, method: &str, below: &[&str]) -> Result<Done> {
    match (method, below) {
        ("GET", []) => {
            let other = |farm: &&OvhFarm| {
                call.filtered("zone", Some(farm.zone.clone()))
                    || call.filtered("vrackNetworkId", farm.vrack_network_id.map(|id| id.to_string()))
            };
            let farms = call.ovh().objects.farms.iter().filter(|farm| farm.kind == kind && !other(farm));
            Ok(Done::Look(farms.map(|farm| farm.id).collect()))
        }
        (_, []) => create(call, kind),
        (_, [id, ..]) => {
            let farm = call.farm(kind, id)?;
            match method {
                "GET" => Ok(Done::Look(shown(farm))),
                "PUT" => update(call, farm),
                _ => delete(call, farm),
            }
        }
    }
}

pub fn shown(farm: &OvhFarm) -> Value {
    let mut shown = json!({
        "farmId": farm.id,
        "displayName": farm.display_name,
        "port": farm.port,
        "vrackNetworkId": farm.vrack_network_id,
        "zone": farm.zone,
    });
    if let Some(map) = shown.as_object_mut().filter(|_| farm.kind != OvhKind::Udp) {
        map.insert("balance".into(), json!(farm.balance));
        map.insert("stickiness".into(), json!(farm.stickiness));
        map.insert("probe".into(), farm.probe.as_ref().map_or(Value::Null, probe_shown));
    }
    shown
}

fn probe_shown(probe: &OvhProbe) -> Value {
    json!({
        "type": probe.kind.unwrap_or_default(),
        "interval": probe.interval.unwrap_or(30),
        "url": probe.url,
        "method": probe.method,
        "match": probe.matching.unwrap_or_default(),
        "pattern": probe.pattern,
        "negate": probe.negate,
        "port": probe.port,
        "forceSsl": probe.force_ssl,
    })
}

/// What a body says of a farm.
fn read(farm: &mut OvhFarm, mut body: Body) -> Result<()> {
    body.ignore(&["farmId"]);
    body.text("displayName", 255)?.into_option(&mut farm.display_name);
    body.port("port")?.into_option(&mut farm.port);
    body.number("vrackNetworkId", 1, u32::MAX)?.into_option(&mut farm.vrack_network_id);
    if farm.vrack_network_id.is_some() {
        return Err(Fault::bad_request("vrackNetworkId: this unit is in no vRack"));
    }
    if farm.kind == OvhKind::Udp {
        if farm.port.is_none() {
            return Err(Fault::bad_request("port is required for a UDP farm"));
        }
        return body.end();
    }
    let http = farm.kind == OvhKind::Http;
    let all = OvhBalance::ALL.iter().copied().filter(|balance| http || *balance != OvhBalance::Uri);
    body.word("balance", &all.collect::<Vec<_>>(), OvhBalance::as_str)?.into_option(&mut farm.balance);
    let all = OvhStickiness::ALL.iter().copied().filter(|word| http || *word != OvhStickiness::Cookie);
    body.word("stickiness", &all.collect::<Vec<_>>(), OvhStickiness::as_str)?.into_option(&mut farm.stickiness);
    match body.object("probe")? {
        Patch::Absent => {}
        Patch::Null => farm.probe = None,
        Patch::Set(fields) => {
            let mut probe = farm.probe.clone().unwrap_or_default();
            read_probe(&mut probe, fields)?;
            farm.probe = Some(probe);
        }
    }
    body.end()
}

fn read_probe(probe: &mut OvhProbe, mut body: Body) -> Result<()> {
    body.word("type", OvhProbeType::ALL, OvhProbeType::as_str)?.into_option(&mut probe.kind);
    body.number("interval", 30, 3600)?.into_option(&mut probe.interval);
    body.text("url", 255)?.into_option(&mut probe.url);
    body.word("method", OvhProbeMethod::ALL, OvhProbeMethod::as_str)?.into_option(&mut probe.method);
    body.word("match", OvhMatch::ALL, OvhMatch::as_str)?.into_option(&mut probe.matching);
    body.text("pattern", 255)?.into_option(&mut probe.pattern);
    body.flag("negate")?.into_option(&mut probe.negate);
    body.port("port")?.into_option(&mut probe.port);
    body.flag("forceSsl")?.into_option(&mut probe.force_ssl);
    body.end()?;
    if probe.url.as_deref().is_some_and(|url| !url.contains('/') || !url.bytes().all(|b| b.is_ascii_graphic())) {
        return Err(Fault::bad_request(
            "probe.url must be a path, or a host and a path, such as www.example.com/check",
        ));
    }
    if probe.negate == Some(true) && probe.matching.is_none_or(|m| m == OvhMatch::Default) {
        return Err(Fault::bad_request("A probe can not negate without a match"));
    }
    let pattern = probe.pattern.as_deref();
    let taken = match probe.matching {
        Some(OvhMatch::Status) => pattern.is_none_or(|codes| codes.parse::<StatusCodes>().is_ok()),
        Some(OvhMatch::Contains | OvhMatch::Matches) => pattern.is_none_or(|text| text.parse::<HttpText>().is_ok()),
        Some(OvhMatch::Default | OvhMatch::Internal) | None => true,
    };
    if !taken {
        return Err(Fault::bad_request("probe.pattern must be status codes such as 200-299,302, or printable text"));
    }
    if probe.negate == Some(true) && pattern.is_none() {
        return Err(Fault::bad_request("A probe can not negate without a pattern"));
    }
    Ok(())
}

fn create(call: &Call<'_>, kind: OvhKind) -> Result<Done> {
    let mut body = read::body(&call.request.body)?;
    let zone = body.text("zone", 16)?.flat().ok_or_else(|| Fault::bad_request("zone is required"))?;
    let zone = call.zone(&zone)?;
    let mut state = call.state();
    if state.objects.farms.len() >= MOST_FARMS {
        return Err(Fault::forbidden(format!("At most {MOST_FARMS} farms are possible")));
    }
    let mut farm = OvhFarm {
        id: take_id(&mut state),
        kind,
        zone,
        display_name: None,
        balance: None,
        port: None,
        stickiness: None,
        vrack_network_id: None,
        probe: None,
        servers: Vec::new(),
    };
    read(&mut farm, body)?;
    let (shown, comment) = (shown(&farm), format!("Add {kind} farm {} (OVH, not yet applied)", farm.id));
    state.objects.farms.push(farm);
    Done::with(state, shown, comment)
}

fn update(call: &Call<'_>, farm: &OvhFarm) -> Result<Done> {
    let mut body = read::body(&call.request.body)?;
    body.ignore(&["zone"]);
    let mut new = farm.clone();
    read(&mut new, body)?;
    let comment = format!("Change {} farm {} (OVH, not yet applied)", farm.kind, farm.id);
    Done::changed(super::servers::with_farm(call, new), comment)
}

fn delete(call: &Call<'_>, farm: &OvhFarm) -> Result<Done> {
    let mut state = call.state();
    if let Some(user) = state.objects.frontends.iter().find(|frontend| frontend.default_farm == Some(farm.id)) {
        return Err(Fault::conflict(format!("Farm {} is the default farm of frontend {}", farm.id, user.id)));
    }
    state.objects.farms.retain(|other| other.id != farm.id);
    Done::changed(state, format!("Remove {} farm {} (OVH, not yet applied)", farm.kind, farm.id))
}

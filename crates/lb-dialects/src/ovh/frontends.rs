//! Front-ends: where clients arrive.

use super::{
    Call, Done, Fault, Result, number,
    read::{self, Body, Patch},
    take_id,
};
use crate::render;
use ipnet::IpNet;
use lb_model::{
    Ports,
    dialects::ovh::{MOST_FRONTENDS, OvhFrontend, OvhKind},
};
use serde_json::{Value, json};

/// Ports of one front-end, where HAProxy listens on each.
const MOST_PORTS: usize = 64;

pub fn handle(call: &Call<'_>, kind: OvhKind, method: &str, below: &[&str]) -> Result<Done> {
    match (method, below) {
        ("GET", []) => {
            let other = |frontend: &&OvhFrontend| {
                call.filtered("zone", Some(frontend.zone.clone()))
                    || call.filtered("port", Some(frontend.ports.to_string()))
                    || call.filtered("defaultFarmId", frontend.default_farm.map(|id| id.to_string()))
                    || call.filtered("defaultSslId", frontend.default_ssl.map(|id| id.to_string()))
            };
            let all = call.ovh().objects.frontends.iter().filter(|frontend| frontend.kind == kind && !other(frontend));
            Ok(Done::Look(all.map(|frontend| frontend.id).collect()))
        }
        (_, []) => create(call, kind),
        (_, [id, ..]) => {
            let wanted = number(id)?;
            let found = call.ovh().objects.frontends.iter().find(|f| Some(f.id) == wanted && f.kind == kind);
            let frontend = found.ok_or_else(|| Fault::not_found(format!("Frontend {id} does not exist")))?;
            let mut state = call.state();
            match method {
                "GET" => Ok(Done::Look(shown(frontend))),
                "PUT" => {
                    let mut new = frontend.clone();
                    let mut body = read::body(&call.request.body)?;
                    body.ignore(&["zone"]);
                    read(call, &mut new, body)?;
                    let frontends = &mut state.objects.frontends;
                    frontends.iter_mut().filter(|f| f.id == new.id).for_each(|f| *f = new.clone());
                    Done::changed(state, comment("Change", frontend))
                }
                _ => {
                    state.objects.frontends.retain(|other| other.id != frontend.id);
                    Done::changed(state, comment("Remove", frontend))
                }
            }
        }
    }
}

fn comment(did: &str, frontend: &OvhFrontend) -> String {
    format!("{did} {} front-end {} (OVH, not yet applied)", frontend.kind, frontend.id)
}

fn shown(frontend: &OvhFrontend) -> Value {
    let own: Vec<String> = frontend.addresses.iter().map(|address| format!("{address}/32")).collect();
    let networks = |list: &[IpNet]| match list.is_empty() {
        true => Value::Null,
        false => list.iter().map(ToString::to_string).collect(),
    };
    let mut shown = json!({
        "frontendId": frontend.id,
        "zone": frontend.zone,
        "port": frontend.ports.to_string(),
        "displayName": frontend.display_name,
        "defaultFarmId": frontend.default_farm,
        "disabled": frontend.disabled,
        "dedicatedIpfo": if own.is_empty() { Value::Null } else { json!(own) },
    });
    let Some(map) = shown.as_object_mut() else { return shown };
    if frontend.kind != OvhKind::Udp {
        map.insert("allowedSource".into(), networks(&frontend.allowed_source));
        map.insert("deniedSource".into(), networks(&frontend.denied_source));
        map.insert("defaultSslId".into(), json!(frontend.default_ssl));
        map.insert("ssl".into(), json!(frontend.ssl));
        map.insert("vrackNetworkId".into(), Value::Null);
    }
    if frontend.kind == OvhKind::Http {
        let headers = &frontend.http_header;
        map.insert("hsts".into(), json!(frontend.hsts));
        map.insert("redirectLocation".into(), json!(frontend.redirect_location));
        map.insert("httpHeader".into(), if headers.is_empty() { Value::Null } else { json!(headers) });
    }
    shown
}

/// What a body says of a front-end.
fn read(call: &Call<'_>, frontend: &mut OvhFrontend, mut body: Body) -> Result<()> {
    body.ignore(&["frontendId", "vrackNetworkId", "vrackVrouterId"]);
    match body.take("port") {
        None => {}
        Some(Value::String(text)) => frontend.ports = ports(frontend.kind, &text)?,
        Some(_) => return Err(Fault::bad_request("port must be a text such as \"80\" or \"80,8080\"")),
    }
    body.text("displayName", 255)?.into_option(&mut frontend.display_name);
    match body.number("defaultFarmId", 1, u32::MAX)? {
        Patch::Absent => {}
        Patch::Null => frontend.default_farm = None,
        Patch::Set(id) => {
            let farm = call.ovh().objects.farm(id);
            let farm = farm.ok_or_else(|| Fault::bad_request(format!("defaultFarmId: farm {id} does not exist")))?;
            if farm.kind != frontend.kind {
                let (is, wanted) = (farm.kind, frontend.kind);
                return Err(Fault::bad_request(format!("defaultFarmId: farm {id} is for {is}, not for {wanted}")));
            }
            frontend.default_farm = Some(farm.id);
        }
    }
    body.flag("disabled")?.or(&mut frontend.disabled, false);
    body.addresses("dedicatedIpfo")?.or(&mut frontend.addresses, Vec::new());
    if frontend.kind == OvhKind::Udp {
        return body.end();
    }
    body.networks("allowedSource")?.or(&mut frontend.allowed_source, Vec::new());
    body.networks("deniedSource")?.or(&mut frontend.denied_source, Vec::new());
    if !frontend.allowed_source.is_empty() && !frontend.denied_source.is_empty() {
        return Err(Fault::bad_request("allowedSource and deniedSource are mutually exclusive"));
    }
    body.flag("ssl")?.or(&mut frontend.ssl, false);
    body.number("defaultSslId", 1, u32::MAX)?.into_option(&mut frontend.default_ssl);
    let certificates = &call.ovh().objects.ssl;
    if let Some(id) = frontend.default_ssl.filter(|id| !certificates.iter().any(|ssl| ssl.id == *id)) {
        return Err(Fault::bad_request(format!("defaultSslId: certificate {id} does not exist")));
    }
    if frontend.ssl && certificates.is_empty() {
        return Err(Fault::bad_request(
            "ssl needs a certificate, and there is none: add one to the service's ssl first",
        ));
    }
    if frontend.kind == OvhKind::Tcp {
        return body.end();
    }
    body.flag("hsts")?.or(&mut frontend.hsts, false);
    if frontend.hsts && !frontend.ssl {
        return Err(Fault::bad_request("hsts needs ssl"));
    }
    body.text("redirectLocation", 1000)?.into_option(&mut frontend.redirect_location);
    let web = |to: &String| ["http://", "https://", "/"].iter().any(|start| to.starts_with(start));
    let plain = |to: &String| to.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    if frontend.redirect_location.as_ref().is_some_and(|to| !web(to) || !plain(to)) {
        return Err(Fault::bad_request("redirectLocation must begin with http://, https:// or /"));
    }
    body.texts("httpHeader")?.or(&mut frontend.http_header, Vec::new());
    if let Some(line) = frontend.http_header.iter().find(|line| line.contains('%') || render::header(line).is_none()) {
        return Err(Fault::bad_request(format!(
            "httpHeader: {line:?} is not a header's name and value; % is not taken"
        )));
    }
    body.end()
}

fn ports(kind: OvhKind, text: &str) -> Result<Ports> {
    let ports: Ports = text.parse().map_err(|e| Fault::bad_request(format!("port: {e}")))?;
    let count: usize = ports.ranges().iter().map(|range| usize::from(range.last - range.first) + 1).sum();
    if ports.is_any() {
        return Err(Fault::bad_request("port must name its ports, such as \"53\", \"80,8080\" or \"1-10\""));
    }
    if kind != OvhKind::Udp && count > MOST_PORTS {
        return Err(Fault::bad_request(format!("port: at most {MOST_PORTS} ports are possible")));
    }
    Ok(ports)
}

fn create(call: &Call<'_>, kind: OvhKind) -> Result<Done> {
    let mut body = read::body(&call.request.body)?;
    let zone = body.text("zone", 16)?.flat().ok_or_else(|| Fault::bad_request("zone is required"))?;
    let zone = call.zone(&zone)?;
    let Some(Value::String(port)) = body.take("port") else {
        return Err(Fault::bad_request("port is required, as a text such as \"80\""));
    };
    let mut state = call.state();
    if state.objects.frontends.len() >= MOST_FRONTENDS {
        return Err(Fault::forbidden(format!("At most {MOST_FRONTENDS} frontends are possible")));
    }
    let mut frontend = OvhFrontend {
        id: take_id(&mut state),
        kind,
        zone,
        ports: ports(kind, &port)?,
        display_name: None,
        default_farm: None,
        disabled: false,
        allowed_source: Vec::new(),
        denied_source: Vec::new(),
        addresses: Vec::new(),
        redirect_location: None,
        http_header: Vec::new(),
        ssl: false,
        default_ssl: None,
        hsts: false,
    };
    read(call, &mut frontend, body)?;
    let (shown, comment) = (shown(&frontend), comment("Add", &frontend));
    state.objects.frontends.push(frontend);
    Done::with(state, shown, comment)
}

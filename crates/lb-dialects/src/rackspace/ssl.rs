//! SSL termination: a certificate with its key, and a port on which TLS ends.
//!
//! The key goes to the unit's shelf and is shown nowhere. A PUT that brings one is decided twice: at first it is only
//! handed over, then, when it lies on the shelf, the load balancer is changed.

use super::{Call, Done, Fault, Response, Result, features::set, load_balancers, read};
use crate::{Hidden, Upload, render};
use lb_model::{
    dialects::rackspace::{LONGEST_CERTIFICATE, RackspaceLoadBalancer, RackspaceSslTermination},
    layer7::Certificate,
};
use serde_json::{Value, json};

pub fn handle(call: &Call<'_>, lb: &RackspaceLoadBalancer, method: &str) -> Result<Done> {
    let none = || Fault::not_found("SSL termination not found");
    match method {
        "GET" => {
            let ssl = lb.ssl_termination.as_ref().ok_or_else(none)?;
            Done::look(json!({"sslTermination": shown(ssl)}))
        }
        "PUT" => put(call, lb),
        _ if lb.ssl_termination.is_none() => Err(none()),
        _ => set(call, lb, "SSL termination", |lb| lb.ssl_termination = None),
    }
}

/// Without the key, which is on the shelf.
pub fn shown(ssl: &RackspaceSslTermination) -> Value {
    let mut shown = json!({
        "enabled": ssl.enabled,
        "secureTrafficOnly": ssl.secure_traffic_only,
        "securePort": ssl.secure_port,
        "certificate": ssl.certificate,
    });
    if let (Some(map), Some(text)) = (shown.as_object_mut(), &ssl.intermediate_certificate) {
        map.insert("intermediateCertificate".into(), json!(text));
    }
    shown
}

/// The first one brings everything; what is left out of a later one stays. A certificate comes with its key.
fn put(call: &Call<'_>, lb: &RackspaceLoadBalancer) -> Result<Done> {
    let mut fields = read::object(&call.request.body, "sslTermination")?;
    let mut pem = |name: &str| match fields.text(name)? {
        Some(text) if text.len() > LONGEST_CERTIFICATE || text.is_empty() => {
            Err(Fault::invalid(format!("{name} must have 1 to {LONGEST_CERTIFICATE} bytes.")))
        }
        text => Ok(text),
    };
    let (certificate, key) = (pem("certificate")?, pem("privatekey")?.map(Hidden::new));
    let intermediate = pem("intermediateCertificate")?;
    let wrong = "securePort is invalid. Must specify a valid port between 1 and 65535.";
    let port = fields.number("securePort", 1, 65_535, wrong)?.and_then(|port| u16::try_from(port).ok());
    let (enabled, only) = (fields.flag("enabled")?, fields.flag("secureTrafficOnly")?);
    fields.end()?;
    let old = lb.ssl_termination.as_ref();
    let port = port.or(old.map(|ssl| ssl.secure_port)).ok_or_else(|| Fault::invalid("Must provide securePort."))?;
    let flags = |ssl: RackspaceSslTermination| RackspaceSslTermination {
        enabled: enabled.unwrap_or(ssl.enabled),
        secure_traffic_only: only.unwrap_or(ssl.secure_traffic_only),
        secure_port: port,
        ..ssl
    };
    let ssl = match (certificate, key, old) {
        (None, None, Some(old)) if intermediate.is_none() => flags(old.clone()),
        (Some(certificate), Some(key), _) => {
            let upload = Upload::new(&certificate, intermediate.as_deref(), key);
            let of = |kept| {
                flags(RackspaceSslTermination {
                    enabled: true,
                    secure_traffic_only: false,
                    secure_port: port,
                    certificate,
                    intermediate_certificate: intermediate,
                    kept,
                })
            };
            match call.facts.kept(render::certificate_label(lb.id)) {
                Some(kept) => of(kept.map_err(Fault::bad_request)?.0),
                None => {
                    // What is wrong with the rest is said before anything is kept.
                    possible(call, lb, &of(nothing(lb)))?;
                    return Ok(Done::Brings(upload));
                }
            }
        }
        _ => return Err(Fault::invalid("Must provide a certificate with its privatekey.")),
    };
    possible(call, lb, &ssl)?;
    match set(call, lb, "SSL termination", |lb| lb.ssl_termination = Some(ssl.clone()))? {
        Done::Changed { state, comment, .. } => {
            let body = json!({"sslTermination": shown(&ssl)});
            Ok(Done::Changed { state, comment, response: Response::json(200, body) })
        }
        other => Ok(other),
    }
}

/// That it goes with the load balancer and its neighbours.
fn possible(call: &Call<'_>, lb: &RackspaceLoadBalancer, ssl: &RackspaceSslTermination) -> Result<()> {
    let new = RackspaceLoadBalancer { ssl_termination: Some(ssl.clone()), ..lb.clone() };
    load_balancers::fits(&new)?;
    load_balancers::shares(&call.config.dialects.rackspace, &new)
}

/// In place of a certificate that nobody has read yet.
fn nothing(lb: &RackspaceLoadBalancer) -> Certificate {
    Certificate::awaited(render::certificate_label(lb.id), Vec::new())
}

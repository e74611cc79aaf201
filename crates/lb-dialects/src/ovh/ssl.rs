//! Certificates: what front-ends with `ssl` show.
//!
//! The key goes to the unit's shelf and is shown nowhere. A POST is decided twice: at first certificate and key are only
//! handed over, then, when they lie on the shelf, the certificate gets its number. Clients see it after a refresh.

use super::{Call, Done, Fault, Result, datetime, number, read, take_id};
use crate::{Hidden, Upload, render};
use lb_model::dialects::{
    ovh::{MOST_SSL, OvhSsl},
    rackspace::LONGEST_CERTIFICATE,
};
use serde_json::{Value, json};

/// What its owner brought; the vendor's other kinds are those that it orders itself.
const TYPE: &str = "custom";

pub fn handle(call: &Call<'_>, method: &str, below: &[&str]) -> Result<Done> {
    let all = &call.ovh().objects.ssl;
    match (method, below) {
        ("GET", []) => {
            let other = |ssl: &&OvhSsl| {
                call.filtered("fingerprint", Some(ssl.kept.fingerprint.to_string()))
                    || call.filtered("serial", Some(ssl.serial.clone()))
                    || call.filtered("type", Some(TYPE.to_owned()))
            };
            Ok(Done::Look(all.iter().filter(|ssl| !other(ssl)).map(|ssl| ssl.id).collect()))
        }
        (_, []) => create(call),
        (_, [id, ..]) => {
            let wanted = number(id)?;
            let ssl = all.iter().find(|ssl| Some(ssl.id) == wanted);
            let ssl = ssl.ok_or_else(|| Fault::not_found(format!("Certificate {id} does not exist")))?;
            match method {
                "GET" => Ok(Done::Look(shown(ssl))),
                "PUT" => update(call, ssl),
                _ => delete(call, ssl),
            }
        }
    }
}

fn shown(ssl: &OvhSsl) -> Value {
    json!({
        "id": ssl.id,
        "displayName": ssl.display_name,
        "expireDate": datetime(ssl.kept.not_after),
        "fingerprint": ssl.kept.fingerprint,
        "san": ssl.kept.names,
        "serial": ssl.serial,
        "subject": ssl.subject,
        "type": TYPE,
    })
}

fn comment(did: &str, id: u32) -> String {
    format!("{did} certificate {id} (OVH, not yet applied)")
}

fn create(call: &Call<'_>) -> Result<Done> {
    let mut body = read::body(&call.request.body)?;
    let mut pem = |name: &str| -> Result<Option<String>> {
        Ok(body.text(name, LONGEST_CERTIFICATE)?.flat().filter(|text| !text.is_empty()))
    };
    let (certificate, key, chain) = (pem("certificate")?, pem("key")?.map(Hidden::new), pem("chain")?);
    let display_name = body.text("displayName", 255)?.flat();
    body.end()?;
    let certificate = certificate.ok_or_else(|| Fault::bad_request("certificate is required, as PEM"))?;
    let key = key.ok_or_else(|| Fault::bad_request("key is required, as PEM"))?;
    let mut state = call.state();
    if state.objects.ssl.len() >= MOST_SSL {
        return Err(Fault::forbidden(format!("At most {MOST_SSL} certificates are possible")));
    }
    let id = take_id(&mut state);
    let Some(kept) = call.facts.kept(render::ssl_label(id)) else {
        return Ok(Done::Brings(Upload::new(&certificate, chain.as_deref(), key)));
    };
    let (kept, view) = kept.map_err(Fault::bad_request)?;
    if let Some(same) = state.objects.ssl.iter().find(|ssl| ssl.kept.fingerprint == kept.fingerprint) {
        return Err(Fault::conflict(format!("This certificate is there already, as {}", same.id)));
    }
    let cut = |text: &str| text.chars().take(255).collect();
    let ssl = OvhSsl { id, display_name, subject: cut(&view.subject), serial: cut(&view.serial), kept };
    let shown = shown(&ssl);
    state.objects.ssl.push(ssl);
    Done::with(state, shown, comment("Add", id))
}

/// Only its name: another certificate is another object.
fn update(call: &Call<'_>, ssl: &OvhSsl) -> Result<Done> {
    let mut body = read::body(&call.request.body)?;
    body.ignore(&["id", "expireDate", "fingerprint", "san", "serial", "subject", "type"]);
    let mut new = ssl.clone();
    body.text("displayName", 255)?.into_option(&mut new.display_name);
    body.end()?;
    let mut state = call.state();
    state.objects.ssl.iter_mut().filter(|other| other.id == new.id).for_each(|other| *other = new.clone());
    Done::changed(state, comment("Change", ssl.id))
}

/// Certificate and key stay on the shelf, where somebody may want them back.
fn delete(call: &Call<'_>, ssl: &OvhSsl) -> Result<Done> {
    let mut state = call.state();
    let last = state.objects.ssl.len() == 1;
    let uses = state.objects.frontends.iter().find(|f| f.default_ssl == Some(ssl.id) || (last && f.ssl));
    if let Some(user) = uses {
        return Err(Fault::conflict(format!("Certificate {} is used by frontend {}", ssl.id, user.id)));
    }
    state.objects.ssl.retain(|other| other.id != ssl.id);
    Done::changed(state, comment("Remove", ssl.id))
}

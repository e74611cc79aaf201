//! Keys, signatures and grants.
//!
//! A signature is made of what arrived, never of a re-serialised form, and compared in constant time. Clients differ in
//! whether they sign the port, and whoever ends TLS before us changes the scheme: all four are taken.

use super::{Call, Fault, Result, read};
use crate::{AccessRule, Accounts, Consumer, ConsumerState, Request, Response, timestamp};
use ipnet::IpNet;
use serde_json::{Value, json};
use sha1::{Digest, Sha1};
use std::net::IpAddr;
use subtle::{Choice, ConstantTimeEq};

/// Seconds that a client's clock may be off.
const CLOCK: u64 = 180;
const MOST_RULES: usize = 50;
const LONGEST_RULE: usize = 255;

/// What `X-Ovh-Signature` must say.
pub fn signature(secret: &str, consumer: &str, method: &str, url: &str, body: &[u8], time: &str) -> String {
    let mut hash = Sha1::new();
    for part in [secret, "+", consumer, "+", method, "+", url, "+"] {
        hash.update(part.as_bytes());
    }
    hash.update(body);
    hash.update(b"+");
    hash.update(time.as_bytes());
    hash.finalize().iter().fold("$1$".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// The URLs that the client may have signed.
fn urls(request: &Request) -> Vec<String> {
    let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
    let bare = match request.host.strip_prefix('[') {
        Some(_) => request.host.split_inclusive(']').next(),
        None => request.host.split(':').next(),
    };
    let hosts = [request.host.as_str(), bare.unwrap_or_default()];
    let all = ["https", "http"].iter().flat_map(|scheme| hosts.map(|host| (scheme, host)));
    all.map(|(scheme, host)| format!("{scheme}://{host}{}{query}", request.path)).collect()
}

/// Who calls, if everything about the call is right.
pub fn authorize(call: &Call<'_>, accounts: &dyn Accounts, parts: &[&str]) -> Result<Consumer> {
    let request = call.request;
    let header = |name: &str| request.header(name).filter(|value| !value.is_empty());
    let (Some(key), Some(consumer), Some(time), Some(shown)) =
        (header("x-ovh-application"), header("x-ovh-consumer"), header("x-ovh-timestamp"), header("x-ovh-signature"))
    else {
        return Err(Fault::unauthorized());
    };
    let application = accounts.application(key).ok_or_else(unknown_application)?;
    let unknown = || Fault::code(403, "NOT_CREDENTIAL", "This credential does not exist");
    let found = accounts.consumer(consumer).filter(|found| found.application == key).ok_or_else(unknown)?;
    let near = time.parse::<u64>().is_ok_and(|time| time.abs_diff(call.now) <= CLOCK);
    if !near {
        return Err(Fault::code(400, "QUERY_TIME_OUT", "Query out of time"));
    }
    let right = urls(request).iter().fold(Choice::from(0), |right, url| {
        let wanted = signature(&application.secret, consumer, &request.method, url, &request.body, time);
        right | wanted.as_bytes().ct_eq(shown.as_bytes())
    });
    if !bool::from(right) {
        return Err(Fault::code(400, "INVALID_SIGNATURE", "Invalid signature"));
    }
    if found.state != ConsumerState::Validated || found.person.is_none() {
        return Err(Fault::not_valid());
    }
    let place = format!("/{}", parts.join("/"));
    let fits = |rule: &AccessRule| (rule.method == "*" || rule.method == request.verb()) && fits(&rule.path, &place);
    // What a program may always ask about itself.
    let own = matches!(parts, ["auth", _]);
    if !found.here || !(own || found.rules.iter().any(fits)) {
        return Err(Fault::code(403, "NOT_GRANTED_CALL", "This call has not been granted"));
    }
    Ok(found)
}

fn unknown_application() -> Fault {
    Fault::code(403, "INVALID_KEY", "This application key is invalid")
}

/// `*` stands for anything. Linear: a rule comes from a stranger.
fn fits(rule: &str, path: &str) -> bool {
    let Some((first, rest)) = rule.split_once('*') else { return rule == path };
    let Some(mut path) = path.strip_prefix(first) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return path.ends_with(part);
        }
        match path.find(part) {
            Some(at) => path = &path[at + part.len()..],
            None => return false,
        }
    }
    true
}

/// `POST /auth/credential`: a grant that a person must approve.
pub fn request(call: &Call<'_>, accounts: &dyn Accounts) -> Result<Response> {
    let key = call.request.header("x-ovh-application").ok_or_else(Fault::unauthorized)?;
    accounts.application(key).ok_or_else(unknown_application)?;
    let mut body = read::body(&call.request.body)?;
    let rules = match body.take("accessRules") {
        Some(Value::Array(list)) if (1..=MOST_RULES).contains(&list.len()) => {
            list.iter().map(rule).collect::<Result<Vec<_>>>()?
        }
        _ => return Err(Fault::bad_request(format!("accessRules must be a list of 1 to {MOST_RULES} rules"))),
    };
    let redirection = body.text("redirection", 1000)?.flat();
    let web = |url: &String| url.starts_with("https://") || url.starts_with("http://");
    if redirection.as_ref().is_some_and(|url| !web(url) || !url.bytes().all(|b| b.is_ascii_graphic())) {
        return Err(Fault::bad_request("redirection must begin with https:// or http://"));
    }
    let addresses = body.networks("allowedIPs")?.flat().unwrap_or_default();
    body.end()?;
    let new = accounts.request(key, rules, redirection, addresses);
    let new = new.ok_or_else(|| Fault::forbidden("Too many credentials wait for their approval"))?;
    let Request { scheme, host, .. } = call.request;
    let url = format!("{scheme}://{host}{}?credentialToken={}", super::APPROVAL, new.approval);
    let state = ConsumerState::Pending.as_str();
    Ok(Response::json(200, json!({"consumerKey": new.consumer_key, "state": state, "validationUrl": url})))
}

fn rule(value: &Value) -> Result<AccessRule> {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let known = ["GET", "POST", "PUT", "DELETE", "*"];
    match (text("method"), text("path")) {
        (Some(method), Some(path))
            if known.contains(&method) && path.starts_with('/') && path.len() <= LONGEST_RULE =>
        {
            Ok(AccessRule { method: method.into(), path: path.into() })
        }
        _ => Err(Fault::bad_request("accessRules: a rule has a method (GET, POST, PUT, DELETE) and a path from / on")),
    }
}

/// `GET /auth/currentCredential`
pub fn shown(consumer: &Consumer) -> Value {
    let rules: Vec<Value> =
        consumer.rules.iter().map(|rule| json!({"method": rule.method, "path": rule.path})).collect();
    json!({
        "credentialId": consumer.id,
        "applicationId": 1,
        "status": consumer.state.as_str(),
        "rules": rules,
        "creation": timestamp(consumer.created),
        "expiration": null,
        "lastUse": null,
        "ovhSupport": false,
        "allowedIPs": null,
    })
}

/// Whether an address is in one of the networks; none at all allow every address.
pub fn allowed(networks: &[IpNet], address: IpAddr) -> bool {
    networks.is_empty() || networks.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vendor's public example.
    #[test]
    fn the_public_check_value_comes_out() {
        let (secret, consumer) = ("EXEgWIz07P0HYwtQDs7cNIqCiQaWSuHF", "MtSwSrPpNjqfVSmJhLbPyr2i45lSwPU1");
        let url = "https://eu.api.ovh.com/1.0/domains/";
        let made = signature(secret, consumer, "GET", url, b"", "1366560945");
        assert_eq!(made, "$1$d3705e8afb27a0d2970a322b96550abfc67bb798");
    }

    #[test]
    fn rules_have_wildcards() {
        for (rule, path, fit) in [
            ("/*", "/ipLoadbalancing", true),
            ("/ipLoadbalancing", "/ipLoadbalancing", true),
            ("/ipLoadbalancing", "/ipLoadbalancing/x", false),
            ("/ipLoadbalancing/*", "/ipLoadbalancing/x/http/farm", true),
            ("/ipLoadbalancing/*", "/ipLoadbalancing", false),
            ("/*/http/*/server", "/a/http/farm/1/server", true),
            ("/*/http/*/server", "/a/tcp/farm/1/server", false),
            ("*", "", true),
        ] {
            assert_eq!(fits(rule, path), fit, "{rule} {path}");
        }
    }
}

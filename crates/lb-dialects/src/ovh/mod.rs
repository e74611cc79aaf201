//! OVH ipLoadbalancing v1, with the keys and signatures that its clients call with.
//!
//! Edits stay in [`lb_model::dialects::ovh::Ovh::objects`] until a refresh makes them run. [`handle`] takes every
//! request below `/1.0` and its alias `/v1`: [`auth`] says who calls, [`table`] what there is, and the other modules
//! hold an object each. Tested by `tests/it/ovh.rs`, row by row, and against the vendor's public check value.

mod auth;
mod farms;
mod fault;
mod frontends;
mod read;
mod refresh;
mod servers;
mod service;
mod ssl;
mod table;

use crate::{
    Accounts, Change, Facts, Outcome, Request, Response, Upload,
    commit::{absorbed, commit, sentence},
};
pub use auth::{allowed, signature};
pub use fault::Fault;
use lb_model::{
    Config, Problem,
    dialects::ovh::{Ovh, OvhFarm, OvhKind},
};
use serde_json::{Value, json};

/// Where everything is, and its other name.
pub const ROOTS: [&str; 2] = ["/1.0/", "/v1/"];
/// Where a person approves a grant.
pub const APPROVAL: &str = "/auth/";

type Result<T> = std::result::Result<T, Fault>;

/// What every handler sees.
struct Call<'a> {
    config: &'a Config,
    facts: &'a Facts,
    request: &'a Request,
    now: u64,
}

/// What a handler says: an answer, and where it changes something the state that it leaves.
enum Done {
    Look(Value),
    Changed {
        state: Box<Ovh>,
        body: Value,
        comment: String,
    },
    /// What it says waits for a certificate's place on the shelf.
    Brings(Upload),
}

impl Done {
    /// What says nothing is the literal `null`: an empty body breaks a client.
    fn changed(state: Ovh, comment: impl Into<String>) -> Result<Done> {
        Done::with(state, Value::Null, comment)
    }

    fn with(state: Ovh, body: Value, comment: impl Into<String>) -> Result<Done> {
        Ok(Done::Changed { state: Box::new(state), body, comment: comment.into() })
    }
}

pub fn handle(config: &Config, facts: &Facts, accounts: &dyn Accounts, request: &Request, now: u64) -> Outcome {
    let config = absorbed(config);
    let call = Call { config: &config, facts, request, now };
    answer(&call, accounts).unwrap_or_else(|fault| fault.response().into())
}

fn answer(call: &Call<'_>, accounts: &dyn Accounts) -> Result<Outcome> {
    let root = ROOTS.iter().find(|root| call.request.path.starts_with(**root)).copied().unwrap_or(ROOTS[0]);
    let parts = call.request.segments(root);
    let method = call.request.verb();
    match (method, &parts[..]) {
        ("GET", ["auth", "time"]) => return Ok(Response::json(200, json!(call.now)).into()),
        ("GET", ["auth.json" | "ipLoadbalancing.json"]) => {
            return Ok(Response::json(200, table::describe(call.request, parts[0])).into());
        }
        ("POST", ["auth", "credential"]) => return auth::request(call, accounts).map(Outcome::from),
        _ => {}
    }
    let methods = table::methods(&parts);
    let consumer = auth::authorize(call, accounts, &parts)?;
    let methods = methods.ok_or_else(Fault::no_such_place)?;
    if !methods.contains(&method) {
        return Err(Fault::method_not_allowed(&methods));
    }
    match (method, &parts[..]) {
        ("GET", ["auth", "currentCredential"]) => return Ok(Response::json(200, auth::shown(&consumer)).into()),
        ("POST", ["auth", "logout"]) => {
            accounts.revoke(call.request.header("x-ovh-consumer").unwrap_or_default());
            return Ok(Response::json(200, Value::Null).into());
        }
        _ => {}
    }
    let person = consumer.person.as_ref().ok_or_else(Fault::not_valid)?;
    if method != "GET" && !person.changes {
        return Err(Fault::forbidden("Your role on this unit does not allow changes"));
    }
    if method != "GET" && call.request.body.len() > crate::LARGEST_BODY {
        return Err(Fault::bad_request("The body is too large"));
    }
    match service(call, method, &parts)? {
        Done::Look(body) => Ok(Response::json(200, body).into()),
        Done::Changed { state, body, comment } => {
            change(call, *state, body, comment).map(|outcome| outcome.by(&person.author))
        }
        Done::Brings(upload) => {
            let later = Fault::unavailable("The certificate cannot be kept just now; try again");
            Ok(Outcome { certificate: Some(upload), ..later.response().into() }.by(&person.author))
        }
    }
}

fn service(call: &Call<'_>, method: &str, parts: &[&str]) -> Result<Done> {
    let state = &call.config.dialects.ovh;
    let ["ipLoadbalancing", rest @ ..] = parts else { return Err(Fault::no_such_place()) };
    let Some((service, rest)) = rest.split_first() else { return Ok(Done::Look(json!([state.service_name]))) };
    if *service != state.service_name {
        return Err(Fault::not_found(format!("Service {service} does not exist")));
    }
    match rest {
        ["refresh"] => refresh::refresh(call),
        ["pendingChanges"] => Ok(Done::Look(refresh::pending(state))),
        ["task", below @ ..] => refresh::tasks(call, below),
        ["ssl", below @ ..] => ssl::handle(call, method, below),
        [word @ ("http" | "tcp" | "udp"), object, below @ ..] => {
            let kind = OvhKind::ALL.iter().copied().find(|kind| kind.as_str() == *word).unwrap_or_default();
            match (*object, below) {
                ("farm", [id, "server", below @ ..]) => servers::handle(call, call.farm(kind, id)?, method, below),
                ("farm", below) => farms::handle(call, kind, method, below),
                ("frontend", below) => frontends::handle(call, kind, method, below),
                _ => Err(Fault::no_such_place()),
            }
        }
        rest => service::handle(call, method, rest),
    }
}

impl Call<'_> {
    fn ovh(&self) -> &Ovh {
        &self.config.dialects.ovh
    }

    /// A copy to be changed.
    fn state(&self) -> Ovh {
        self.ovh().clone()
    }

    fn farm(&self, kind: OvhKind, id: &str) -> Result<&OvhFarm> {
        let farm = number(id)?.and_then(|id| self.ovh().objects.farm(id)).filter(|farm| farm.kind == kind);
        farm.ok_or_else(|| Fault::not_found(format!("Farm {id} does not exist")))
    }

    /// A zone that a farm or a front-end may be in.
    fn zone(&self, zone: &str) -> Result<String> {
        let known = zone == "all" || zone == self.ovh().zone;
        known.then(|| zone.to_owned()).ok_or_else(|| Fault::bad_request(format!("zone {zone} does not exist")))
    }

    /// Whether a query's parameter of this name asks for something else.
    fn filtered(&self, name: &str, value: Option<String>) -> bool {
        self.request.parameter(name).is_some_and(|wanted| value.as_deref() != Some(wanted.as_str()))
    }
}

/// A number in a path. What is none is an error of its own.
fn number(text: &str) -> Result<Option<u32>> {
    match text.parse::<u64>() {
        Ok(number) if number > 0 && text.bytes().all(|b| b.is_ascii_digit()) => Ok(u32::try_from(number).ok()),
        _ => Err(Fault::bad_request(format!("{text} is not an id: it must be a positive integer"))),
    }
}

/// `2026-11-21T21:46:21+00:00`
fn datetime(seconds: u64) -> String {
    crate::timestamp(seconds).replace('Z', "+00:00")
}

/// The next number of all objects together.
fn take_id(state: &mut Ovh) -> u32 {
    let id = state.next_id;
    state.next_id = state.next_id.saturating_add(1);
    id
}

fn change(call: &Call<'_>, state: Ovh, body: Value, comment: String) -> Result<Outcome> {
    let mut dialects = call.config.dialects.clone();
    dialects.ovh = state;
    let response = Response::json(200, body);
    match commit(call.config, dialects) {
        Ok(config) if config == *call.config => Ok(response.into()),
        Ok(config) => {
            let otherwise = refresh::failed(call, &config).map(Box::new);
            let change = Change { config, comment, author: String::new(), otherwise };
            Ok(Outcome { response, change: Some(change), certificate: None })
        }
        Err(problems) => refused(call, &problems),
    }
}

/// A refresh that cannot run ends as a failed task; anything else is refused.
fn refused(call: &Call<'_>, problems: &[Problem]) -> Result<Outcome> {
    match refresh::is_refresh(call) {
        true => refresh::failure(call, &sentence(problems)).ok_or_else(|| Fault::bad_request(sentence(problems))),
        false => Err(Fault::bad_request(sentence(problems))),
    }
}

//! Rackspace Cloud Load Balancers v1.0, with the log-in that its clients begin with.
//!
//! A change is live before it is answered, so every load balancer is ACTIVE whenever somebody looks. [`login`] and
//! [`handle`] take every request; the shapes are in [`show`], the words of bodies in [`read`], the vendor's refusals in
//! [`fault`]. XML is refused. Tested by `tests/it/rackspace.rs`, row by row.

mod access_list;
mod create;
mod fault;
mod features;
mod load_balancers;
mod login;
mod metadata;
mod nodes;
mod rates;
mod read;
mod show;
mod ssl;
mod virtual_ips;

use crate::{
    Change, Facts, Outcome, Person, Request, Response, Upload,
    commit::{absorbed, commit, sentence},
};
pub use fault::Fault;
use lb_model::{
    Config, Problem,
    dialects::rackspace::{Rackspace, RackspaceLoadBalancer},
};
pub use login::login;
pub use rates::Rates;
use serde_json::{Value, json};

/// Below this are the load balancers; the account number follows.
pub const ROOT: &str = "/v1.0/";
/// Where programs log in.
pub const TOKENS: &str = "/v2.0/tokens";

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
    Look(Response),
    Changed {
        state: Box<Rackspace>,
        response: Response,
        comment: String,
    },
    /// What it says waits for a certificate's place on the shelf.
    Brings(Upload),
}

impl Done {
    fn look(body: Value) -> Result<Done> {
        Ok(Done::Look(Response::json(200, body)))
    }

    /// 202 without a body.
    fn changed(state: Rackspace, comment: impl Into<String>) -> Result<Done> {
        Done::with(state, Response::empty(202), comment)
    }

    fn with(state: Rackspace, response: Response, comment: impl Into<String>) -> Result<Done> {
        Ok(Done::Changed { state: Box::new(state), response, comment: comment.into() })
    }
}

/// Answers a call of somebody who has shown a token.
pub fn handle(config: &Config, facts: &Facts, person: &Person, request: &Request, now: u64) -> Outcome {
    let config = absorbed(config);
    let call = Call { config: &config, facts, request, now };
    answer(&call, person).map(|outcome| outcome.by(&person.author)).unwrap_or_else(|fault| fault.response().into())
}

fn answer(call: &Call<'_>, person: &Person) -> Result<Outcome> {
    let path = path(call.request)?;
    let places: Vec<&str> = path.iter().map(String::as_str).collect();
    let Some((account, rest)) = places.split_first() else { return Err(Fault::not_found("Resource not found")) };
    if account.parse() != Ok(call.config.dialects.rackspace.account) {
        return Err(Fault::not_found("Resource not found"));
    }
    let method = call.request.verb();
    let methods = methods(rest).ok_or_else(|| Fault::not_found("Resource not found"))?;
    if !methods.contains(&method) {
        return Err(Fault::method_not_allowed(methods));
    }
    if method != "GET" {
        if !person.changes {
            return Err(Fault::new(403, "You are not authorized to perform this operation."));
        }
        content_type(call.request)?;
    }
    match dispatch(call, method, rest)? {
        Done::Look(response) => Ok(response.into()),
        Done::Changed { state, response, comment } => change(call, *state, response, comment),
        Done::Brings(upload) => Ok(Outcome {
            certificate: Some(upload),
            ..Fault::new(503, "The certificate cannot be kept just now; try again").response().into()
        }),
    }
}

/// The account and what follows; `.json` at the end says only what is said anyway.
fn path(request: &Request) -> Result<Vec<String>> {
    let mut parts: Vec<String> = request.segments(ROOT).into_iter().map(str::to_owned).collect();
    if let Some(last) = parts.last_mut() {
        if last.ends_with(".xml") {
            return Err(Fault::new(406, "XML is not available; use JSON."));
        }
        if let Some(bare) = last.strip_suffix(".json") {
            *last = bare.to_owned();
        }
    }
    Ok(parts)
}

fn content_type(request: &Request) -> Result<()> {
    let kind = request.header("content-type").unwrap_or("application/json");
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if request.body.is_empty() || kind == "application/json" {
        return Ok(());
    }
    Err(Fault::new(415, "Unsupported media type; use application/json."))
}

/// What may be done at a place below the account.
fn methods(rest: &[&str]) -> Option<&'static [&'static str]> {
    Some(match rest {
        ["limits"] => &["GET"],
        ["loadbalancers"] => &["GET", "POST", "DELETE"],
        ["loadbalancers", "algorithms" | "protocols" | "absolutelimits" | "alloweddomains"] => &["GET"],
        ["loadbalancers", _] => &["GET", "PUT", "DELETE"],
        ["loadbalancers", _, "stats"] => &["GET"],
        ["loadbalancers", _, "nodes"] => &["GET", "POST", "DELETE"],
        ["loadbalancers", _, "nodes", "events"] => &["GET"],
        ["loadbalancers", _, "nodes", _] => &["GET", "PUT", "DELETE"],
        ["loadbalancers", _, "metadata"] | ["loadbalancers", _, "nodes", _, "metadata"] => &["GET", "POST", "DELETE"],
        ["loadbalancers", _, "metadata", _] | ["loadbalancers", _, "nodes", _, "metadata", _] => {
            &["GET", "PUT", "DELETE"]
        }
        ["loadbalancers", _, "virtualips"] => &["GET", "POST", "DELETE"],
        ["loadbalancers", _, "virtualips", _] => &["DELETE"],
        ["loadbalancers", _, "accesslist"] => &["GET", "POST", "DELETE"],
        ["loadbalancers", _, "accesslist", _] => &["DELETE"],
        [
            "loadbalancers",
            _,
            "sessionpersistence" | "healthmonitor" | "connectionthrottle" | "errorpage" | "ssltermination",
        ] => &["GET", "PUT", "DELETE"],
        ["loadbalancers", _, "connectionlogging" | "contentcaching"] => &["GET", "PUT"],
        _ => return None,
    })
}

fn dispatch(call: &Call<'_>, method: &str, rest: &[&str]) -> Result<Done> {
    match (method, rest) {
        (_, ["limits"]) => Done::look(show::limits()),
        ("GET", ["loadbalancers"]) => load_balancers::list(call),
        ("POST", ["loadbalancers"]) => create::create(call),
        (_, ["loadbalancers"]) => load_balancers::delete_several(call),
        (_, ["loadbalancers", "algorithms"]) => Done::look(show::algorithms()),
        (_, ["loadbalancers", "protocols"]) => Done::look(show::protocols()),
        (_, ["loadbalancers", "absolutelimits"]) => Done::look(json!({"absolute": show::absolute_limits()})),
        (_, ["loadbalancers", "alloweddomains"]) => Done::look(json!({"allowedDomains": []})),
        (_, ["loadbalancers", id, below @ ..]) => {
            let lb = call.load_balancer(id)?;
            match (method, below) {
                ("GET", []) => Done::look(json!({"loadBalancer": show::full(call, lb)})),
                ("PUT", []) => load_balancers::update(call, lb),
                (_, []) => load_balancers::delete(call, &[lb.id]),
                (_, ["stats"]) => Done::look(show::stats(call, lb)),
                (_, ["nodes", "events"]) => Done::look(json!({"nodeServiceEvents": []})),
                (_, ["nodes", node, "metadata", below @ ..]) => {
                    metadata::handle(call, lb, Some(call.node(lb, node)?), method, below)
                }
                (_, ["nodes", below @ ..]) => nodes::handle(call, lb, method, below),
                (_, ["metadata", below @ ..]) => metadata::handle(call, lb, None, method, below),
                (_, ["virtualips", below @ ..]) => virtual_ips::handle(call, lb, method, below),
                (_, ["accesslist", below @ ..]) => access_list::handle(call, lb, method, below),
                (_, ["ssltermination"]) => ssl::handle(call, lb, method),
                (_, [feature, ..]) => features::handle(call, lb, method, feature),
            }
        }
        _ => Err(Fault::not_found("Resource not found")),
    }
}

impl Call<'_> {
    fn state(&self) -> Rackspace {
        self.config.dialects.rackspace.clone()
    }

    fn load_balancer(&self, id: &str) -> Result<&RackspaceLoadBalancer> {
        let id = number(id).ok_or_else(|| Fault::not_found("Load balancer not found"))?;
        let found = self.config.dialects.rackspace.load_balancer(id);
        found.ok_or_else(|| Fault::not_found("Load balancer not found"))
    }

    fn node<'a>(
        &self,
        lb: &'a RackspaceLoadBalancer,
        id: &str,
    ) -> Result<&'a lb_model::dialects::rackspace::RackspaceNode> {
        number(id).and_then(|id| lb.node(id)).ok_or_else(|| Fault::not_found("Node not found"))
    }

    /// The state with this load balancer changed.
    fn with(&self, id: u32, change: impl FnOnce(&mut RackspaceLoadBalancer)) -> Rackspace {
        let mut state = self.state();
        if let Some(lb) = state.load_balancers.iter_mut().find(|lb| lb.id == id) {
            change(lb);
            lb.updated = self.now;
        }
        state
    }

    /// The numbers in `?id=1&id=2`, each once.
    fn ids(&self) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        for (name, value) in self.request.parameters() {
            if name == "id" {
                let id = number(&value).ok_or_else(|| Fault::bad_request(format!("\"{value}\" is not an id.")))?;
                if !ids.contains(&id) {
                    ids.push(id);
                }
            }
        }
        Ok(ids)
    }
}

/// A number as the vendor writes its ids.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|id| *id > 0 && text.bytes().all(|b| b.is_ascii_digit()))
}

/// The next number of all objects together.
fn take_id(state: &mut Rackspace) -> u32 {
    let id = state.next_id;
    state.next_id = state.next_id.saturating_add(1);
    id
}

fn change(call: &Call<'_>, state: Rackspace, response: Response, comment: String) -> Result<Outcome> {
    let mut dialects = call.config.dialects.clone();
    dialects.rackspace = state;
    match commit(call.config, dialects) {
        Ok(config) if config == *call.config => Ok(response.into()),
        Ok(config) => {
            let change = Change { config, comment, author: String::new(), otherwise: None };
            Ok(Outcome { response, change: Some(change), certificate: None })
        }
        Err(problems) => Err(refused(&problems)),
    }
}

/// A configuration that cannot run, in the vendor's words.
pub fn refused(problems: &[Problem]) -> Fault {
    Fault::bad_request(sentence(problems))
}

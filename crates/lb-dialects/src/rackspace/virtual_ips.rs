//! Virtual IPs: which address a load balancer gets, and who shares one.

use super::{
    Call, Done, Fault, Response, Result, load_balancers,
    read::{self, fields},
    show, take_id,
};
use crate::render;
use lb_model::dialects::rackspace::{
    Rackspace, RackspaceLoadBalancer, RackspaceVirtualIp, RackspaceVirtualIpType as Type,
};
use serde_json::{Value, json};
use std::net::IpAddr;

/// IPv6 addresses of one load balancer, and the first.
const MOST: usize = 26;

pub fn handle(call: &Call<'_>, lb: &RackspaceLoadBalancer, method: &str, below: &[&str]) -> Result<Done> {
    match (method, below) {
        ("GET", []) => Done::look(json!({"virtualIps": show::virtual_ips(call, lb)})),
        ("POST", []) => add(call, lb),
        (_, []) => {
            let ids = call.ids()?;
            if ids.is_empty() {
                return Err(Fault::bad_request("Must supply one or more ids to process this request."));
            }
            if let Some(id) = ids.iter().find(|id| !lb.virtual_ips.contains(id)) {
                return Err(Fault::bad_request(format!("Virtual ip {id} is not a part of your loadbalancer")));
            }
            delete(call, lb, &ids)
        }
        (_, [id, ..]) => {
            let id = load_balancers::id_of(id, "Virtual ip")?;
            if !lb.virtual_ips.contains(&id) {
                return Err(Fault::not_found("Virtual ip not found"));
            }
            delete(call, lb, &[id])
        }
    }
}

/// What is asked for: a number that is shared, or a new address of a kind.
enum Asked {
    Shared(u32),
    New { kind: Type, six: bool },
}

fn asked(value: Value) -> Result<Asked> {
    let mut fields = fields(value)?;
    let id = fields.number("id", 1, u32::MAX, "Virtual ip id is invalid.")?;
    let kind = fields.word("type", Type::ALL, Type::as_str, "Virtual ip type is invalid.")?;
    let version = fields.text("ipVersion")?;
    fields.end()?;
    let six = match version.as_deref() {
        None | Some("IPV4") => false,
        Some("IPV6") => true,
        Some(_) => return Err(Fault::invalid("ipVersion must be IPV4 or IPV6.")),
    };
    match (id, kind) {
        (Some(_), _) if kind.is_some() || version.is_some() => {
            Err(Fault::invalid("Must specify either a shared virtual ip's id or a type, not both."))
        }
        (Some(id), _) => Ok(Asked::Shared(id)),
        (None, None) => Err(Fault::invalid("Must provide a virtual ip type or the id of a shared virtual ip.")),
        (None, Some(Type::Servicenet)) if six => Err(Fault::bad_request("IPV6 with type SERVICENET is not supported.")),
        (None, Some(kind)) => Ok(Asked::New { kind, six }),
    }
}

/// Gives a new load balancer its addresses.
pub fn give(call: &Call<'_>, state: &mut Rackspace, lb: &mut RackspaceLoadBalancer, list: Vec<Value>) -> Result<()> {
    if list.len() > MOST {
        return Err(Fault::over_limit(format!("At most {MOST} virtual ips are possible.")));
    }
    for value in list {
        let id = match asked(value)? {
            Asked::Shared(id) if state.virtual_ip(id).is_some() => id,
            Asked::Shared(_) => return Err(Fault::bad_request("Shared virtual ip not found.")),
            Asked::New { kind, six } => new(call, state, kind, six)?,
        };
        if lb.virtual_ips.contains(&id) {
            return Err(Fault::bad_request("A virtual ip is named twice."));
        }
        lb.virtual_ips.push(id);
    }
    Ok(())
}

/// A free address of the pool; without a pool the unit's own, shared.
fn new(call: &Call<'_>, state: &mut Rackspace, kind: Type, six: bool) -> Result<u32> {
    let pool = match kind {
        Type::Public => &state.public,
        Type::Servicenet => &state.servicenet,
    };
    let mut pool = pool.iter().copied().filter(|address| address.is_ipv6() == six).peekable();
    let address = match pool.peek() {
        None => render::own_address(call.config, kind == Type::Servicenet, six),
        Some(_) => {
            let used: Vec<IpAddr> =
                call.config.virtual_addresses().chain(state.virtual_ips.iter().map(|ip| ip.address)).collect();
            pool.find(|address| !used.contains(address))
        }
    };
    let address = address.ok_or_else(|| Fault::over_limit("No virtual ip of this kind is available."))?;
    let id = take_id(state);
    state.virtual_ips.push(RackspaceVirtualIp { id, address, kind });
    Ok(id)
}

fn add(call: &Call<'_>, lb: &RackspaceLoadBalancer) -> Result<Done> {
    let body = read::json(&call.request.body)?;
    let value = match body {
        Value::Object(mut map) => map.remove("virtualIp").unwrap_or(Value::Object(map)),
        _ => return Err(Fault::schema()),
    };
    if lb.virtual_ips.len() >= MOST {
        return Err(Fault::over_limit(format!("At most {MOST} virtual ips are possible.")));
    }
    let mut state = call.state();
    let id = match asked(value)? {
        Asked::New { kind, six: true } => new(call, &mut state, kind, true)?,
        Asked::Shared(id) => {
            let shared = state.virtual_ip(id).filter(|ip| ip.address.is_ipv6() && !lb.virtual_ips.contains(&id));
            shared.map(|ip| ip.id).ok_or_else(|| Fault::bad_request("Shared IPv6 virtual ip not found."))?
        }
        Asked::New { six: false, .. } => return Err(Fault::bad_request("Only IPV6 virtual ips can be added.")),
    };
    let mut changed = lb.clone();
    changed.virtual_ips.push(id);
    changed.updated = call.now;
    load_balancers::shares(&state, &changed)?;
    let shown = state.virtual_ip(id).map(show::virtual_ip);
    state.load_balancers.iter_mut().filter(|other| other.id == lb.id).for_each(|other| *other = changed.clone());
    let comment = format!("Add a virtual IP to load balancer {}", lb.id);
    Done::with(state, Response::json(202, shown.unwrap_or_default()), comment)
}

fn delete(call: &Call<'_>, lb: &RackspaceLoadBalancer, ids: &[u32]) -> Result<Done> {
    if lb.virtual_ips.iter().all(|id| ids.contains(id)) {
        let words = "Cannot delete virtual ips. Minimum number of virtual ips required is 1.";
        return Err(Fault::bad_request(words));
    }
    let mut state = call.with(lb.id, |lb| lb.virtual_ips.retain(|id| !ids.contains(id)));
    load_balancers::forget_addresses(&mut state);
    Done::changed(state, format!("Remove a virtual IP from load balancer {}", lb.id))
}

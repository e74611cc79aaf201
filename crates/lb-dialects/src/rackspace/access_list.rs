//! Who may connect: ALLOW wins over DENY.

use super::{
    Call, Done, Fault, Result, load_balancers,
    read::{self, fields},
    show, take_id,
};
use ipnet::IpNet;
use lb_model::dialects::rackspace::{
    MOST_ACCESS_ITEMS, Rackspace, RackspaceAccess, RackspaceAccessType, RackspaceLoadBalancer,
};
use serde_json::{Value, json};
use std::net::IpAddr;

pub fn handle(call: &Call<'_>, lb: &RackspaceLoadBalancer, method: &str, below: &[&str]) -> Result<Done> {
    let removal = |ids: &[u32]| {
        let state = call.with(lb.id, |lb| lb.access_list.retain(|item| !ids.contains(&item.id)));
        Done::changed(state, format!("Shorten the access list of load balancer {}", lb.id))
    };
    match (method, below) {
        ("GET", []) => Done::look(json!({"accessList": show::access_list(&lb.access_list)})),
        ("POST", []) => create(call, lb),
        (_, []) => {
            let named = call.ids()?;
            if lb.access_list.is_empty() {
                return Err(Fault::unprocessable("No access list found to delete."));
            }
            let all: Vec<u32> = lb.access_list.iter().map(|item| item.id).collect();
            if let Some(id) = named.iter().find(|id| !all.contains(id)) {
                return Err(Fault::bad_request(format!("Network item {id} is not a part of your loadbalancer")));
            }
            removal(if named.is_empty() { &all } else { &named })
        }
        (_, [id, ..]) => {
            let id = load_balancers::id_of(id, "Access list item")?;
            if !lb.access_list.iter().any(|item| item.id == id) {
                return Err(Fault::not_found("Access list item not found"));
            }
            removal(&[id])
        }
    }
}

fn network(text: &str) -> Result<IpNet> {
    let address: Option<IpNet> = text.parse::<IpAddr>().ok().map(IpNet::from);
    let network = address.or_else(|| text.parse().ok());
    network.map(|net| net.trunc()).ok_or_else(|| Fault::invalid("Address is invalid. Use an IP address or a network."))
}

/// Puts new items in.
pub fn add(lb: &mut RackspaceLoadBalancer, list: Vec<Value>, state: &mut Rackspace) -> Result<()> {
    if lb.access_list.len() + list.len() > MOST_ACCESS_ITEMS {
        return Err(Fault::over_limit(format!("Access list limit reached: at most {MOST_ACCESS_ITEMS}.")));
    }
    for value in list {
        let mut fields = fields(value)?;
        let address = fields.text("address")?.ok_or_else(|| Fault::invalid("Must provide an address."))?;
        let network = network(&address)?;
        let wrong = "Type is invalid. Please specify ALLOW or DENY.";
        let kind = fields.word("type", RackspaceAccessType::ALL, RackspaceAccessType::as_str, wrong)?;
        let kind = kind.ok_or_else(|| Fault::invalid("Must provide a type."))?;
        fields.take("id");
        fields.end()?;
        if lb.access_list.iter().any(|item| item.network == network) {
            return Err(Fault::bad_request("Access list contains duplicate items."));
        }
        lb.access_list.push(RackspaceAccess { id: take_id(state), network, kind });
    }
    Ok(())
}

fn create(call: &Call<'_>, lb: &RackspaceLoadBalancer) -> Result<Done> {
    let list = match read::json(&call.request.body)? {
        Value::Object(mut map) => match map.remove("accessList") {
            Some(Value::Array(list)) => list,
            Some(_) => return Err(Fault::schema()),
            None => vec![map.remove("networkItem").unwrap_or(Value::Object(map))],
        },
        Value::Array(list) => list,
        _ => return Err(Fault::schema()),
    };
    if list.is_empty() {
        return Err(Fault::invalid("Must provide at least one access list item."));
    }
    let mut numbers = call.state();
    let mut new = lb.clone();
    add(&mut new, list, &mut numbers)?;
    load_balancers::fits(&new)?;
    let mut state = call.with(lb.id, |lb| lb.access_list = new.access_list);
    state.next_id = numbers.next_id;
    Done::changed(state, format!("Lengthen the access list of load balancer {}", lb.id))
}

//! Nodes of a load balancer.

use super::{
    Call, Done, Fault, Response, Result, load_balancers,
    read::{self, Fields, fields},
    show, take_id,
};
use lb_model::dialects::rackspace::{
    MOST_METADATA, MOST_NODES, Rackspace, RackspaceCondition, RackspaceLoadBalancer, RackspaceNode, RackspaceNodeType,
};
use serde_json::{Value, json};

const WEIGHT: &str = "Node weight is invalid. Range is 1-100. Please specify a valid weight.";
const CONDITION: &str = "Node condition is invalid. Please specify a valid condition.";
const TYPE: &str = "Node type is invalid. Please specify PRIMARY or SECONDARY.";
const ONE_PRIMARY: &str = "you must have at least one primary node enabled";

pub fn handle(call: &Call<'_>, lb: &RackspaceLoadBalancer, method: &str, below: &[&str]) -> Result<Done> {
    match (method, below) {
        ("GET", []) => {
            let page = load_balancers::page(call, &lb.nodes, |node| node.id)?;
            let shown: Vec<Value> = page.iter().map(|node| show::node(call, lb, node)).collect();
            Done::look(json!({"nodes": shown}))
        }
        ("POST", []) => create(call, lb),
        (_, []) => delete_several(call, lb),
        (_, [id, ..]) => {
            let node = call.node(lb, id)?;
            match method {
                "GET" => Done::look(json!({"node": show::node(call, lb, node)})),
                "PUT" => update(call, lb, node),
                _ => delete(call, lb, &[node.id]),
            }
        }
    }
}

fn condition(fields: &mut Fields) -> Result<Option<RackspaceCondition>> {
    fields.word("condition", RackspaceCondition::ALL, RackspaceCondition::as_str, CONDITION)
}

fn kind(fields: &mut Fields) -> Result<Option<RackspaceNodeType>> {
    fields.word("type", RackspaceNodeType::ALL, RackspaceNodeType::as_str, TYPE)
}

fn weight(fields: &mut Fields) -> Result<Option<u16>> {
    Ok(fields.number("weight", 1, 100, WEIGHT)?.and_then(|n| u16::try_from(n).ok()))
}

/// Puts new nodes in.
pub fn add(lb: &mut RackspaceLoadBalancer, list: Vec<Value>, state: &mut Rackspace) -> Result<()> {
    if lb.nodes.len() + list.len() > MOST_NODES {
        return Err(Fault::over_limit(format!("Nodes limit reached: at most {MOST_NODES}.")));
    }
    for value in list {
        let mut fields = fields(value)?;
        let address = fields.text("address")?.ok_or_else(|| Fault::invalid("Must provide an address for the node."))?;
        let address = read::address(&address)?;
        let port = fields.port("port")?.ok_or_else(|| Fault::invalid("Must provide a port for the node."))?;
        let condition =
            condition(&mut fields)?.ok_or_else(|| Fault::invalid("Must provide a condition for the node."))?;
        let kind = kind(&mut fields)?.unwrap_or_default();
        let weight = weight(&mut fields)?.unwrap_or(1);
        let mut metadata = read::metadata(fields.list("metadata")?.unwrap_or_default())?;
        if metadata.len() > MOST_METADATA {
            return Err(Fault::over_limit(format!("At most {MOST_METADATA} entries of metadata are possible.")));
        }
        fields.end()?;
        if lb.nodes.iter().any(|node| (node.address, node.port) == (address, port)) {
            return Err(duplicate(state, lb));
        }
        for entry in &mut metadata {
            entry.id = take_id(state);
        }
        lb.nodes.push(RackspaceNode { id: take_id(state), address, port, condition, kind, weight, metadata });
    }
    Ok(())
}

/// In a new load balancer it is the body that is wrong.
fn duplicate(state: &Rackspace, lb: &RackspaceLoadBalancer) -> Fault {
    let words = "Duplicate nodes detected. One or more nodes already configured on load balancer.";
    match state.load_balancer(lb.id) {
        None => Fault::bad_request(words),
        Some(_) => Fault::unprocessable(words),
    }
}

pub fn secondaries_have_a_monitor(lb: &RackspaceLoadBalancer) -> Result<()> {
    if lb.health_monitor.is_none() && lb.nodes.iter().any(|node| node.kind == RackspaceNodeType::Secondary) {
        return Err(Fault::bad_request("you must enable health monitoring to use secondary nodes"));
    }
    let primary =
        |node: &RackspaceNode| node.kind == RackspaceNodeType::Primary && node.condition == RackspaceCondition::Enabled;
    if !lb.nodes.is_empty() && !lb.nodes.iter().any(primary) {
        return Err(Fault::bad_request(ONE_PRIMARY));
    }
    Ok(())
}

fn create(call: &Call<'_>, lb: &RackspaceLoadBalancer) -> Result<Done> {
    let list = match read::json(&call.request.body)? {
        Value::Object(mut map) => match map.remove("nodes") {
            Some(Value::Array(list)) => list,
            Some(_) => return Err(Fault::schema()),
            None => vec![map.remove("node").unwrap_or(Value::Object(map))],
        },
        Value::Array(list) => list,
        _ => return Err(Fault::schema()),
    };
    if list.is_empty() {
        return Err(Fault::invalid("Must provide at least one node."));
    }
    let mut state = call.state();
    let mut new = lb.clone();
    add(&mut new, list, &mut state)?;
    secondaries_have_a_monitor(&new)?;
    let shown: Vec<Value> = new.nodes[lb.nodes.len()..].iter().map(|node| show::node(call, &new, node)).collect();
    let comment = format!("Add {} node(s) to load balancer {}", shown.len(), lb.id);
    let next = state.next_id;
    let mut state = call.with(lb.id, |lb| lb.nodes = new.nodes);
    state.next_id = next;
    Done::with(state, Response::json(202, json!({"nodes": shown})), comment)
}

fn update(call: &Call<'_>, lb: &RackspaceLoadBalancer, node: &RackspaceNode) -> Result<Done> {
    let mut fields = read::object(&call.request.body, "node")?;
    for (name, words) in [
        ("address", "Node ip field cannot be modified."),
        ("port", "Port field cannot be modified."),
        ("id", "Node id field cannot be modified."),
    ] {
        if fields.has(name) {
            return Err(Fault::invalid(words));
        }
    }
    if fields.is_empty() {
        return Err(Fault::invalid("You must specify at least one: condition, weight or type."));
    }
    let mut new = node.clone();
    new.condition = condition(&mut fields)?.unwrap_or(node.condition);
    new.kind = kind(&mut fields)?.unwrap_or(node.kind);
    new.weight = weight(&mut fields)?.unwrap_or(node.weight);
    fields.end()?;
    let state = call.with(lb.id, |lb| lb.nodes.iter_mut().filter(|n| n.id == new.id).for_each(|n| *n = new.clone()));
    if let Some(lb) = state.load_balancer(lb.id) {
        secondaries_have_a_monitor(lb)?;
    }
    Done::changed(state, format!("Update node {} of load balancer {}", node.id, lb.id))
}

fn delete_several(call: &Call<'_>, lb: &RackspaceLoadBalancer) -> Result<Done> {
    let ids = call.ids()?;
    if ids.is_empty() {
        return Err(Fault::bad_request("Must supply one or more ids to process this request."));
    }
    let foreign: Vec<String> = ids.iter().filter(|id| lb.node(**id).is_none()).map(ToString::to_string).collect();
    if !foreign.is_empty() {
        let list = foreign.join(",");
        return Err(Fault::bad_request(format!("Node ids {list} are not a part of your loadbalancer")));
    }
    delete(call, lb, &ids)
}

fn delete(call: &Call<'_>, lb: &RackspaceLoadBalancer, ids: &[u32]) -> Result<Done> {
    let state = call.with(lb.id, |lb| lb.nodes.retain(|node| !ids.contains(&node.id)));
    if let Some(lb) = state.load_balancer(lb.id) {
        secondaries_have_a_monitor(lb)?;
    }
    Done::changed(state, format!("Remove {} node(s) from load balancer {}", ids.len(), lb.id))
}

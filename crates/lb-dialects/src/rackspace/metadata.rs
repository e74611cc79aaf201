//! Words that programs keep with a load balancer or a node.

use super::{Call, Done, Fault, Response, Result, load_balancers, read, show, take_id};
use lb_model::dialects::rackspace::{
    MOST_METADATA, Rackspace, RackspaceLoadBalancer, RackspaceMetadata, RackspaceNode,
};
use serde_json::{Value, json};

pub fn handle(
    call: &Call<'_>,
    lb: &RackspaceLoadBalancer,
    node: Option<&RackspaceNode>,
    method: &str,
    below: &[&str],
) -> Result<Done> {
    let list = node.map_or(&lb.metadata, |node| &node.metadata);
    let missing = || Fault::not_found("Metadata item not found");
    match (method, below) {
        ("GET", []) => Done::look(json!({"metadata": show::metadata(list)})),
        ("POST", []) => {
            let body = match read::json(&call.request.body)? {
                Value::Object(mut map) => map.remove("metadata").ok_or_else(Fault::schema)?,
                other => other,
            };
            let Value::Array(body) = body else { return Err(Fault::schema()) };
            let mut new = read::metadata(body)?;
            if new.iter().any(|entry| list.iter().any(|other| other.key == entry.key)) {
                return Err(Fault::bad_request("Duplicate metadata keys detected."));
            }
            if list.len() + new.len() > MOST_METADATA {
                return Err(Fault::over_limit(format!("At most {MOST_METADATA} entries of metadata are possible.")));
            }
            let mut numbers = call.state();
            new.iter_mut().for_each(|entry| entry.id = take_id(&mut numbers));
            let shown = json!({"metadata": show::metadata(&new)});
            let mut state = put(call, lb, node, [list.as_slice(), &new].concat());
            state.next_id = numbers.next_id;
            Done::with(state, Response::json(200, shown), comment(lb))
        }
        (_, []) => {
            let ids = call.ids()?;
            if ids.is_empty() {
                return Err(Fault::bad_request("Must supply one or more ids to process this request."));
            }
            if ids.iter().any(|id| !list.iter().any(|entry| entry.id == *id)) {
                return Err(Fault::bad_request("Metadata ids are not a part of your loadbalancer"));
            }
            let left = list.iter().filter(|entry| !ids.contains(&entry.id)).cloned().collect();
            Done::with(put(call, lb, node, left), Response::empty(200), comment(lb))
        }
        (_, [id, ..]) => {
            let id = load_balancers::id_of(id, "Metadata item")?;
            let entry = list.iter().find(|entry| entry.id == id).ok_or_else(missing)?;
            match method {
                "GET" => Done::look(json!({"meta": {"id": entry.id, "key": entry.key, "value": entry.value}})),
                "PUT" => {
                    let mut fields = read::object(&call.request.body, "meta")?;
                    let value = fields.text("value")?.ok_or_else(|| Fault::invalid("Must provide a value."))?;
                    if value.chars().count() > 256 || fields.has("key") {
                        return Err(Fault::invalid("Only the value can be changed, to at most 256 characters."));
                    }
                    let change = |entry: &RackspaceMetadata| match entry.id == id {
                        true => RackspaceMetadata { value: value.clone(), ..entry.clone() },
                        false => entry.clone(),
                    };
                    let new = list.iter().map(change).collect();
                    Done::with(put(call, lb, node, new), Response::empty(200), comment(lb))
                }
                _ => {
                    let left = list.iter().filter(|entry| entry.id != id).cloned().collect();
                    Done::with(put(call, lb, node, left), Response::empty(200), comment(lb))
                }
            }
        }
    }
}

fn comment(lb: &RackspaceLoadBalancer) -> String {
    format!("Change the metadata of load balancer {}", lb.id)
}

fn put(
    call: &Call<'_>,
    lb: &RackspaceLoadBalancer,
    node: Option<&RackspaceNode>,
    list: Vec<RackspaceMetadata>,
) -> Rackspace {
    call.with(lb.id, |lb| match node {
        None => lb.metadata = list,
        Some(node) => lb.nodes.iter_mut().filter(|n| n.id == node.id).for_each(|n| n.metadata = list.clone()),
    })
}

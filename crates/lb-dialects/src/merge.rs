//! Two changes of one document brought together.
//!
//! What only one side changed is taken from it, and where both changed the same value, `theirs` counts. Lists whose
//! entries have a label or a number are brought together entry by entry; other lists, and objects of different types,
//! are one value.

use lb_model::Config;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// What says which fields an object has.
const TAGS: [&str; 4] = ["type", "kind", "on", "do"];

/// `ours` with what was changed from `base` to `theirs`.
pub fn merge(base: &Value, ours: &Value, theirs: &Value) -> Value {
    if theirs == base {
        return ours.clone();
    }
    if ours == base || ours == theirs {
        return theirs.clone();
    }
    match (base, ours, theirs) {
        (Value::Object(base), Value::Object(ours), Value::Object(theirs)) if alike(ours, theirs) => {
            Value::Object(objects(base, ours, theirs))
        }
        (Value::Array(base), Value::Array(ours), Value::Array(theirs)) => {
            let keyed = [base, ours, theirs].into_iter().flatten().all(|entry| key(entry).is_some());
            if keyed { Value::Array(lists(base, ours, theirs)) } else { Value::Array(theirs.clone()) }
        }
        _ => theirs.clone(),
    }
}

fn alike(ours: &Map<String, Value>, theirs: &Map<String, Value>) -> bool {
    TAGS.iter().all(|tag| ours.get(*tag).is_some_and(Value::is_object) || ours.get(*tag) == theirs.get(*tag))
}

fn objects(base: &Map<String, Value>, ours: &Map<String, Value>, theirs: &Map<String, Value>) -> Map<String, Value> {
    let mut merged = Map::new();
    let more = theirs.keys().filter(|name| !ours.contains_key(*name));
    for name in ours.keys().chain(more) {
        if let Some(value) = entry(base.get(name), ours.get(name), theirs.get(name)) {
            merged.insert(name.clone(), value);
        }
    }
    merged
}

/// A value that may be missing on either side.
fn entry(base: Option<&Value>, ours: Option<&Value>, theirs: Option<&Value>) -> Option<Value> {
    match (base, ours, theirs) {
        (base, ours, theirs) if theirs == base => ours.cloned(),
        (base, ours, theirs) if ours == base => theirs.cloned(),
        (Some(base), Some(ours), Some(theirs)) => Some(merge(base, ours, theirs)),
        (_, _, theirs) => theirs.cloned(),
    }
}

fn key(entry: &Value) -> Option<String> {
    match (entry.get("label"), entry.get("id")) {
        (Some(Value::String(label)), _) => Some(label.clone()),
        (_, Some(Value::Number(id))) => Some(id.to_string()),
        _ => None,
    }
}

fn lists(base: &[Value], ours: &[Value], theirs: &[Value]) -> Vec<Value> {
    let find = |list: &'_ [Value], wanted: &Value| list.iter().find(|entry| key(entry) == key(wanted)).cloned();
    let more = theirs.iter().filter(|entry| find(ours, entry).is_none());
    ours.iter()
        .chain(more)
        .filter_map(|wanted| {
            let (base, ours, theirs) = (find(base, wanted), find(ours, wanted), find(theirs, wanted));
            entry(base.as_ref(), ours.as_ref(), theirs.as_ref())
        })
        .collect()
}

/// The same for anything that is written as JSON; `theirs` where the two do not go together.
pub(crate) fn merged<T: Serialize + DeserializeOwned + Clone>(base: &T, ours: &T, theirs: &T) -> T {
    let value = |of: &T| serde_json::to_value(of).unwrap_or_default();
    serde_json::from_value(merge(&value(base), &value(ours), &value(theirs))).unwrap_or_else(|_| theirs.clone())
}

/// An administrator's candidate that was made from `base`, with what a dialect has changed since.
pub fn candidate(base: &Config, candidate: &Config, now: &Config) -> Config {
    let mut new = candidate.clone();
    new.dialects = merged(&base.dialects, &candidate.dialects, &now.dialects);
    new.virtual_servers = merged(&base.virtual_servers, &candidate.virtual_servers, &now.virtual_servers);
    new.layer7.certificates =
        merged(&base.layer7.certificates, &candidate.layer7.certificates, &now.layer7.certificates);
    new.layer7.virtual_servers =
        merged(&base.layer7.virtual_servers, &candidate.layer7.virtual_servers, &now.layer7.virtual_servers);
    new
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(base: Value, ours: Value, theirs: Value, expected: Value) {
        assert_eq!(merge(&base, &ours, &theirs), expected);
    }

    #[test]
    fn each_side_keeps_what_it_alone_changed() {
        check(json!({"a": 1, "b": 1}), json!({"a": 2, "b": 1}), json!({"a": 1, "b": 3}), json!({"a": 2, "b": 3}));
        check(json!({"a": 1}), json!({"a": 1, "b": 2}), json!({"a": 3}), json!({"a": 3, "b": 2}));
        check(json!({"a": 1, "b": 1}), json!({"a": 5, "b": 1}), json!({"a": 1}), json!({"a": 5}));
    }

    #[test]
    fn theirs_counts_where_both_changed() {
        check(json!({"a": 1}), json!({"a": 2}), json!({"a": 3}), json!({"a": 3}));
        let by = |kind: &str, n: u8| json!({"p": {"type": kind, "n": n}});
        check(by("cookie", 1), by("cookie", 2), by("source", 3), by("source", 3));
    }

    #[test]
    fn entries_of_lists_are_found_by_their_label() {
        let list = |weights: &[(&str, u8)]| {
            Value::Array(weights.iter().map(|(label, weight)| json!({"label": label, "weight": weight})).collect())
        };
        let base = list(&[("a", 1), ("b", 1), ("c", 1)]);
        check(
            base.clone(),
            list(&[("a", 9), ("b", 1), ("c", 1), ("hand", 1)]),
            list(&[("a", 1), ("c", 4), ("d", 1)]),
            list(&[("a", 9), ("c", 4), ("hand", 1), ("d", 1)]),
        );
        // What somebody removed stays away, unless the dialect changes it.
        check(base.clone(), list(&[("a", 1)]), list(&[("a", 2), ("b", 1), ("c", 7)]), list(&[("a", 2), ("c", 7)]));
    }
}

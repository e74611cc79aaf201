//! Reads and edits one value of a configuration by its path.
//!
//! Owns the path language: dotted, with labels as selectors (`virtual_servers.HTTP_Cluster.weight`),
//! or a JSON pointer (RFC 6901). The model is the schema: an edit is made on the JSON tree, and the
//! tree must then be a [`Config`] again; what serde says of it is turned into a sentence that names
//! the path. Pure. Tested beside the code, with properties.

use crate::suggest::closest;
use lb_model::Config;
use serde_json::Value;

/// Why a path or a value was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PathError {
    pub message: String,
    pub hint: Option<String>,
}

impl PathError {
    fn new(message: impl Into<String>) -> Self {
        PathError { message: message.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn did_you_mean(self, name: &str, known: &[String], what: &str) -> Self {
        match closest(name, known.iter().map(String::as_str)) {
            Some(near) => self.hint(format!("did you mean {near}?")),
            None if known.is_empty() => self.hint(format!("there is no {what} yet")),
            None => self.hint(format!("there {} {}", if known.len() == 1 { "is" } else { "are" }, known.join(", "))),
        }
    }
}

/// One step down the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
    Append,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Segment {
    text: String,
    /// Written in quotes, or part of a JSON pointer: it is one name, dots and all.
    whole: bool,
}

/// The value at `path`; `null` for a field that is known and not set.
pub fn get(config: &Config, path: &str) -> Result<Value, PathError> {
    let tree = tree(config)?;
    let steps = resolve(&tree, path)?;
    match find(&tree, &steps) {
        Some(value) => Ok(value.clone()),
        None => {
            // What the model says of a null there tells a field that is not set from one that does not exist.
            let mut probe = tree;
            put(&mut probe, &steps, Value::Null, path)?;
            match serde_json::from_value::<Config>(probe) {
                Err(e) if e.to_string().starts_with("unknown field") => Err(explain(&e, path)),
                _ => Ok(Value::Null),
            }
        }
    }
}

/// `config` with `text` at `path`. The text is taken as JSON, else as text, else as a list `a,b,c`.
pub fn set(config: &Config, path: &str, text: &str) -> Result<Config, PathError> {
    let tree = tree(config)?;
    let steps = resolve(&tree, path)?;
    let mut refused = None;
    for value in readings(text, find(&tree, &steps)) {
        let mut edited = tree.clone();
        put(&mut edited, &steps, value, path)?;
        match serde_json::from_value(edited) {
            Ok(config) => return Ok(config),
            Err(e) => refused = refused.or(Some(e)),
        }
    }
    Err(refused
        .map_or_else(|| PathError::new(format!("{path} cannot be set")), |e| explain(&e, &format!("{path} = {text}"))))
}

/// `config` without what is at `path`; `None` when nothing is.
pub fn unset(config: &Config, path: &str) -> Result<Option<Config>, PathError> {
    if get(config, path)?.is_null() {
        return Ok(None);
    }
    let mut tree = tree(config)?;
    let steps = resolve(&tree, path)?;
    let Some((last, parents)) = steps.split_last() else {
        return Err(PathError::new("the whole configuration cannot be left out")
            .hint("lbctl rollback 0 goes back to factory settings"));
    };
    match (find_mut(&mut tree, parents), last) {
        (Some(Value::Object(map)), Step::Key(key)) => {
            map.remove(key);
        }
        (Some(Value::Array(items)), Step::Index(i)) if *i < items.len() => {
            items.remove(*i);
        }
        _ => return Ok(None),
    }
    match serde_json::from_value(tree) {
        Ok(config) => Ok(Some(config)),
        Err(_) => {
            Err(PathError::new(format!("{path} cannot be left out"))
                .hint("give it another value with lbctl config set"))
        }
    }
}

/// A JSON pointer as a person writes it: `/virtual_servers/0/scheduler` is `virtual_servers.HTTP_Cluster.scheduler`.
pub fn dotted(config: &Config, pointer: &str) -> String {
    let Ok(tree) = tree(config) else { return pointer.to_owned() };
    let Ok(steps) = resolve(&tree, pointer) else { return pointer.to_owned() };
    let mut at = Some(&tree);
    let mut words = Vec::new();
    for step in &steps {
        let word = match step {
            Step::Key(key) => key.clone(),
            Step::Append => "+".to_owned(),
            Step::Index(i) => match at.and_then(|v| v.get(i)).and_then(name_of) {
                Some(name) if name.contains('.') => format!("\"{name}\""),
                Some(name) => name.to_owned(),
                None => i.to_string(),
            },
        };
        words.push(word);
        at = down(at, step);
    }
    let path = words.join(".");
    // Two entries of one name, or a name that reads as several: only the pointer is exact.
    match resolve(&tree, &path) {
        Ok(again) if again == steps => path,
        _ => pointer.to_owned(),
    }
}

fn tree(config: &Config) -> Result<Value, PathError> {
    let mut tree = serde_json::to_value(config)
        .map_err(|e| PathError::new(format!("the configuration cannot be written as JSON: {e}")))?;
    // An empty list that is not written is a list all the same: entries can be added to it.
    if let Value::Object(map) = &mut tree {
        map.entry("floating_ips").or_insert_with(|| Value::Array(Vec::new()));
        if let Some(Value::Object(globals)) = map.get_mut("globals") {
            globals.entry("time_servers").or_insert_with(|| Value::Array(Vec::new()));
            let lockdown = globals.entry("lockdown").or_insert_with(|| serde_json::json!({ "enabled": false }));
            if let Value::Object(lockdown) = lockdown {
                lockdown.entry("networks").or_insert_with(|| Value::Array(Vec::new()));
            }
        }
        if let Ok(empty) = serde_json::to_value(lb_model::Layer7::default()) {
            map.entry("layer7").or_insert(empty);
        }
        let layer7 = map.get_mut("layer7").and_then(|l| l.get_mut("virtual_servers")).and_then(Value::as_array_mut);
        for vs in layer7.into_iter().flatten().filter_map(Value::as_object_mut) {
            for list in ["rules", "request_headers", "response_headers"] {
                vs.entry(list).or_insert_with(|| Value::Array(Vec::new()));
            }
        }
    }
    Ok(tree)
}

fn readings(text: &str, now: Option<&Value>) -> Vec<Value> {
    let mut readings = Vec::new();
    readings.extend(serde_json::from_str(text).ok());
    readings.push(Value::String(text.to_owned()));
    if matches!(now, Some(Value::Array(_))) && !text.trim_start().starts_with(['[', '{']) {
        readings.push(text.split(',').map(|s| Value::String(s.trim().to_owned())).filter(|s| s != "").collect());
    }
    // Of a list, or of text that looks like nothing else, the last reading explains best what is wrong.
    if !matches!(readings.first(), Some(Value::Object(_) | Value::Array(_))) && matches!(now, Some(Value::Array(_))) {
        readings.reverse();
    }
    readings
}

fn segments(path: &str) -> Result<Vec<Segment>, PathError> {
    if let Some(pointer) = path.strip_prefix('/') {
        let unescape = |s: &str| s.replace("~1", "/").replace("~0", "~");
        return Ok(pointer.split('/').map(|s| Segment { text: unescape(s), whole: true }).collect());
    }
    let mut segments = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (text, after) =
                quoted.split_once('"').ok_or_else(|| PathError::new(format!("a quote is not closed in {path}")))?;
            segments.push(Segment { text: text.to_owned(), whole: true });
            rest = match after.strip_prefix('.') {
                Some(more) if !more.is_empty() => more,
                _ if after.is_empty() => after,
                _ => return Err(PathError::new(format!("a dot is missing after \"{text}\" in {path}"))),
            };
        } else {
            let (text, after) = rest.split_once('.').map_or((rest, None), |(text, after)| (text, Some(after)));
            if text.is_empty() || after == Some("") {
                return Err(PathError::new(format!("{path} has a dot too many")));
            }
            segments.push(Segment { text: text.to_owned(), whole: false });
            rest = after.unwrap_or("");
        }
    }
    Ok(segments)
}

fn resolve(tree: &Value, path: &str) -> Result<Vec<Step>, PathError> {
    let segments = segments(path)?;
    let mut steps: Vec<Step> = Vec::new();
    let mut at = Some(tree);
    let mut rest = &segments[..];
    while let Some((first, tail)) = rest.split_first() {
        let step = match at {
            Some(Value::Array(items)) => {
                let (step, used) = element(items, rest, path)?;
                rest = &rest[used..];
                step
            }
            None if steps.last() == Some(&Step::Append) => {
                return Err(PathError::new(format!("{path}: a new entry is set as a whole"))
                    .hint("end the path at the +, and give the entry as JSON"));
            }
            None | Some(Value::Null | Value::Object(_)) => {
                rest = tail;
                Step::Key(first.text.clone())
            }
            Some(_) => {
                let inside: Vec<&str> =
                    segments[..segments.len() - rest.len()].iter().map(|s| s.text.as_str()).collect();
                return Err(PathError::new(format!(
                    "{} is a plain value; there is no {} in it",
                    inside.join("."),
                    first.text
                )));
            }
        };
        at = down(at, &step);
        steps.push(step);
    }
    Ok(steps)
}

/// Which entry of a list the beginning of `rest` names, and how many segments the name takes: labels may hold dots.
fn element(items: &[Value], rest: &[Segment], path: &str) -> Result<(Step, usize), PathError> {
    let first = &rest[0];
    let pointer = path.starts_with('/');
    if !pointer {
        let joinable = rest.iter().take_while(|s| !s.whole).count();
        for used in (1..=joinable.max(1)).rev() {
            let name = rest[..used].iter().map(|s| s.text.as_str()).collect::<Vec<_>>().join(".");
            if let Some(i) = items.iter().position(|item| name_of(item) == Some(name.as_str())) {
                return Ok((Step::Index(i), used));
            }
        }
    }
    if matches!(first.text.as_str(), "+" | "-") {
        return Ok((Step::Append, 1));
    }
    match first.text.parse::<usize>() {
        Ok(i) if i < items.len() => Ok((Step::Index(i), 1)),
        Ok(i) => Err(PathError::new(format!("{path}: there is no entry {i}; the list has {}", items.len()))
            .hint("the first is 0; + is a new entry")),
        Err(_) => {
            let known: Vec<String> = items.iter().filter_map(name_of).map(str::to_owned).collect();
            Err(PathError::new(format!("{path}: there is no entry {}", first.text)).did_you_mean(
                &first.text,
                &known,
                "entry",
            ))
        }
    }
}

fn name_of(item: &Value) -> Option<&str> {
    match item {
        Value::String(s) => Some(s),
        Value::Object(map) => ["label", "name", "to"].iter().find_map(|key| map.get(*key)?.as_str()),
        _ => None,
    }
}

fn down<'a>(at: Option<&'a Value>, step: &Step) -> Option<&'a Value> {
    match step {
        Step::Key(key) => at?.get(key),
        Step::Index(i) => at?.get(i),
        Step::Append => None,
    }
}

fn find<'a>(tree: &'a Value, steps: &[Step]) -> Option<&'a Value> {
    steps.iter().try_fold(tree, |at, step| down(Some(at), step))
}

fn find_mut<'a>(tree: &'a mut Value, steps: &[Step]) -> Option<&'a mut Value> {
    steps.iter().try_fold(tree, |at, step| match step {
        Step::Key(key) => at.get_mut(key),
        Step::Index(i) => at.get_mut(i),
        Step::Append => None,
    })
}

/// Sets the value, and makes the objects on the way that are not there yet.
fn put(tree: &mut Value, steps: &[Step], value: Value, path: &str) -> Result<(), PathError> {
    let mut at = tree;
    for step in steps {
        if at.is_null() {
            *at = Value::Object(serde_json::Map::new());
        }
        at = match (at, step) {
            (Value::Object(map), Step::Key(key)) => map.entry(key.clone()).or_insert(Value::Null),
            (Value::Array(items), Step::Append) => {
                items.push(Value::Null);
                let last = items.len() - 1;
                &mut items[last]
            }
            (Value::Array(items), Step::Index(i)) if *i < items.len() => &mut items[*i],
            _ => return Err(PathError::new(format!("{path} leads nowhere"))),
        };
    }
    *at = value;
    Ok(())
}

/// Makes a sentence of what serde says. The document was valid before the edit, so the fault is the edit's.
fn explain(error: &serde_json::Error, path: &str) -> PathError {
    let text = error.to_string();
    let mut quoted = text.split('`').skip(1).step_by(2).map(str::to_owned);
    let refused = |what: &str, name: &str, known: Vec<String>| {
        PathError::new(format!("{path}: there is no {what} {name}")).did_you_mean(name, &known, what)
    };
    match (text.split(" `").next(), quoted.next()) {
        (Some("unknown field"), Some(name)) => refused("field", &name, quoted.collect()),
        (Some("unknown variant"), Some(name)) => refused("value", &name, quoted.collect()),
        (Some("missing field"), Some(name)) => PathError::new(format!("{path}: {name} is missing"))
            .hint("set what holds it as a whole, as JSON; for example check.method '{\"type\": \"negotiate\", \"service\": \"http\"}'"),
        _ => PathError::new(format!("{path}: {}", text.replace("expected u32", "expected a whole number").replace("expected u16", "expected 0 to 65535"))),
    }
}

#[cfg(test)]
mod tests;

//! Whether a JSON value fits its schema in the served document, and everything in which it does not.
//!
//! The document is the truth: what it refuses is refused, with a JSON pointer for each place, before a handler sees
//! it. Knows the words of JSON Schema that the document uses; a test fails when a new one appears.

use lb_model::Problem;
use regex::Regex;
use serde_json::{Map, Value};
use std::{
    collections::HashMap,
    net::{Ipv4Addr, Ipv6Addr},
    sync::{Mutex, PoisonError},
};

/// More are not listed.
const MOST: usize = 100;

/// Every keyword that is looked at, or that says nothing about validity.
#[cfg(test)]
const KNOWN: &[&str] = &[
    "$ref",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "default",
    "description",
    "enum",
    "example",
    "examples",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "oneOf",
    "pattern",
    "prefixItems",
    "properties",
    "propertyNames",
    "required",
    "title",
    "type",
    "contentMediaType",
    "writeOnly",
];

/// The schemas that `$ref` speaks of, by name.
pub struct Schemas<'a>(pub &'a Map<String, Value>);

impl Schemas<'_> {
    /// All that is wrong with `value`, each with its pointer into it.
    pub fn problems(&self, schema: &Value, value: &Value) -> Vec<Problem> {
        let mut found = Vec::new();
        self.check(schema, value, "", &mut found);
        found.truncate(MOST);
        found
    }

    fn resolve<'s>(&'s self, schema: &'s Value) -> &'s Value {
        let name = schema.get("$ref").and_then(Value::as_str).and_then(|r| r.rsplit('/').next());
        match name.and_then(|n| self.0.get(n)) {
            Some(referred) => self.resolve(referred),
            None => schema,
        }
    }

    fn fits(&self, schema: &Value, value: &Value) -> bool {
        let mut found = Vec::new();
        self.check(schema, value, "", &mut found);
        found.is_empty()
    }

    fn check(&self, schema: &Value, value: &Value, at: &str, found: &mut Vec<Problem>) {
        if found.len() > MOST {
            return;
        }
        let schema = self.resolve(schema);
        // What is only written is a secret: it is not said back.
        let said = if schema.get("writeOnly").is_some() { &Value::Null } else { value };
        if let Some(types) = schema.get("type")
            && !one_or_many(types).any(|t| is(t, value))
        {
            let words: Vec<&str> = one_or_many(types).map(word).collect();
            return add(found, at, said, format!("must be {}", words.join(" or ")));
        }
        if let Some(Value::Array(allowed)) = schema.get("enum")
            && !allowed.contains(value)
        {
            let words: Vec<String> = allowed.iter().map(short).collect();
            return add(found, at, said, format!("must be {}", words.join(", ")));
        }
        if let Some(only) = schema.get("const")
            && only != value
        {
            return add(found, at, said, format!("must be {}", short(only)));
        }
        for part in list(schema, "allOf") {
            self.check(part, value, at, found);
        }
        for choice in ["oneOf", "anyOf"] {
            if schema.get(choice).is_some() {
                self.choose(list(schema, choice), value, at, found);
            }
        }
        match value {
            Value::Object(fields) => self.object(schema, fields, at, found),
            Value::Array(items) => self.array(schema, items, value, at, found),
            Value::String(text) => string(schema, text, said, at, found),
            Value::Number(_) => number(schema, value, at, found),
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// One of several forms. What is wrong is said about the form that was meant, where that can be told.
    fn choose(&self, forms: &[Value], value: &Value, at: &str, found: &mut Vec<Problem>) {
        if forms.iter().any(|form| self.fits(form, value)) {
            return;
        }
        let tagged: Vec<&Value> = forms.iter().filter(|form| self.tag_fits(form, value)).collect();
        if let [meant] = tagged[..] {
            return self.check(meant, value, at, found);
        }
        let tag = forms.iter().find_map(|form| self.tag(form).map(|(name, _)| name));
        match tag {
            Some(name) if value.is_object() => {
                let words: Vec<String> =
                    forms.iter().filter_map(|f| self.tag(f)).flat_map(|(_, words)| words).map(short).collect();
                let at = format!("{at}/{name}");
                add(found, &at, value.get(name).unwrap_or(&Value::Null), format!("must be {}", words.join(", ")));
            }
            _ => {
                let kind: Vec<&Value> = forms.iter().filter(|f| self.type_fits(f, value)).collect();
                match kind[..] {
                    [meant] => self.check(meant, value, at, found),
                    _ => {
                        let mut words: Vec<&str> = forms.iter().filter_map(|f| self.described(f)).collect();
                        words.dedup();
                        add(found, at, value, format!("must be {}", words.join(" or ")));
                    }
                }
            }
        }
    }

    /// The property by which a form is told from the others, and what it may be there.
    fn tag<'s>(&'s self, form: &'s Value) -> Option<(&'s str, &'s [Value])> {
        let properties = self.resolve(form).get("properties")?.as_object()?;
        properties.iter().find_map(|(name, property)| {
            let words = property.get("enum")?.as_array()?;
            (words.len() == 1).then_some((name.as_str(), words.as_slice()))
        })
    }

    fn tag_fits(&self, form: &Value, value: &Value) -> bool {
        self.tag(form).is_some_and(|(name, words)| value.get(name).is_some_and(|v| words.contains(v)))
    }

    fn type_fits(&self, form: &Value, value: &Value) -> bool {
        let form = self.resolve(form);
        form.get("type").is_none_or(|types| one_or_many(types).any(|t| is(t, value)))
    }

    fn described<'s>(&'s self, form: &'s Value) -> Option<&'s str> {
        let form = self.resolve(form);
        match form.get("format").and_then(Value::as_str) {
            Some("ipv4") => Some("an IPv4 address"),
            Some("ipv6") => Some("an IPv6 address"),
            _ => form.get("type").and_then(|types| one_or_many(types).map(word).next()),
        }
    }

    fn object(&self, schema: &Value, fields: &Map<String, Value>, at: &str, found: &mut Vec<Problem>) {
        let properties = schema.get("properties").and_then(Value::as_object);
        for name in list(schema, "required").iter().filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                add(found, &format!("{at}/{}", escaped(name)), &Value::Null, "is missing".into());
            }
        }
        for (name, value) in fields {
            let at = format!("{at}/{}", escaped(name));
            if let Some(names) = schema.get("propertyNames") {
                self.check(names, &Value::String(name.clone()), &at, found);
            }
            match (properties.and_then(|p| p.get(name)), schema.get("additionalProperties")) {
                (Some(property), _) => self.check(property, value, &at, found),
                (None, Some(Value::Bool(false))) => add(found, &at, value, "is not a field of this".into()),
                (None, Some(other @ Value::Object(_))) => self.check(other, value, &at, found),
                (None, _) => {}
            }
        }
    }

    fn array(&self, schema: &Value, items: &[Value], value: &Value, at: &str, found: &mut Vec<Problem>) {
        let length = items.len() as u64;
        if let Some(least) = schema.get("minItems").and_then(Value::as_u64).filter(|least| length < *least) {
            add(found, at, value, format!("must have at least {least}"));
        }
        if let Some(most) = schema.get("maxItems").and_then(Value::as_u64).filter(|most| length > *most) {
            add(found, at, value, format!("must have at most {most}"));
        }
        if let Some(each) = schema.get("items") {
            for (i, item) in items.iter().enumerate() {
                self.check(each, item, &format!("{at}/{i}"), found);
            }
        }
    }
}

fn string(schema: &Value, text: &str, value: &Value, at: &str, found: &mut Vec<Problem>) {
    let length = text.chars().count() as u64;
    let least = schema.get("minLength").and_then(Value::as_u64).unwrap_or(0);
    let most = schema.get("maxLength").and_then(Value::as_u64).unwrap_or(u64::MAX);
    if length < least || length > most {
        let words = match (least, most) {
            (_, u64::MAX) => format!("must have at least {least} characters"),
            (0, _) => format!("must have at most {most} characters"),
            _ => format!("must have {least} to {most} characters"),
        };
        add(found, at, value, words);
    } else if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
        && !matches(pattern, text)
    {
        let example = schema.get("examples").and_then(|e| e.get(0)).map(|e| format!("for example {}", short(e)));
        let words = match schema.get("description").and_then(Value::as_str) {
            Some(what) => format!("does not fit: {}", what.trim_end_matches('.')),
            None => format!("does not match {pattern}"),
        };
        push(found, at, value, words, example);
    }
    let fits = match schema.get("format").and_then(Value::as_str) {
        Some("ipv4") => text.parse::<Ipv4Addr>().is_ok(),
        Some("ipv6") => text.parse::<Ipv6Addr>().is_ok(),
        _ => true,
    };
    if !fits {
        add(found, at, value, "is not an address".into());
    }
}

fn number(schema: &Value, value: &Value, at: &str, found: &mut Vec<Problem>) {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let Some(n) = value.as_f64() else { return };
    let (least, most) = (bound("minimum"), bound("maximum"));
    if least.is_some_and(|least| n < least) || most.is_some_and(|most| n > most) {
        let words = match (least, most) {
            (Some(least), Some(most)) => format!("must be {least} to {most}"),
            (Some(least), None) => format!("must be {least} or more"),
            (_, most) => format!("must be {} or less", most.unwrap_or_default()),
        };
        add(found, at, value, words);
    }
}

/// Patterns come from our own document: few, and the same again and again.
fn matches(pattern: &str, text: &str) -> bool {
    static COMPILED: Mutex<Option<HashMap<String, Regex>>> = Mutex::new(None);
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let compiled = compiled.get_or_insert_with(HashMap::new);
    if !compiled.contains_key(pattern) {
        let Ok(regex) = Regex::new(pattern) else { return false };
        compiled.insert(pattern.to_owned(), regex);
    }
    compiled.get(pattern).is_some_and(|regex| regex.is_match(text))
}

fn list<'v>(schema: &'v Value, name: &str) -> &'v [Value] {
    schema.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn one_or_many(types: &Value) -> impl Iterator<Item = &str> {
    let many = types.as_array().map_or(std::slice::from_ref(types), Vec::as_slice);
    many.iter().filter_map(Value::as_str)
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => false,
    }
}

fn word(kind: &str) -> &'static str {
    match kind {
        "null" => "null",
        "boolean" => "true or false",
        "object" => "an object",
        "array" => "a list",
        "string" => "a text",
        "integer" => "a whole number",
        _ => "a number",
    }
}

/// RFC 6901, section 3.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn short(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn add(found: &mut Vec<Problem>, at: &str, value: &Value, reason: String) {
    push(found, at, value, reason, None);
}

fn push(found: &mut Vec<Problem>, at: &str, value: &Value, reason: String, hint: Option<String>) {
    found.push(Problem { path: at.to_owned(), value: short(value), reason, hint });
}

#[cfg(test)]
mod tests;

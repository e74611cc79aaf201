//! Bodies: what is left out stays, `null` clears, types are strict, and unknown fields are refused.

use super::{Fault, Result};
use ipnet::IpNet;
use serde_json::{Map, Value};
use std::net::{IpAddr, Ipv4Addr};

/// What a body says of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Patch<T> {
    Absent,
    Null,
    Set(T),
}

impl<T> Patch<T> {
    pub fn flat(self) -> Option<T> {
        match self {
            Patch::Set(value) => Some(value),
            Patch::Absent | Patch::Null => None,
        }
    }

    /// Puts it into a field that may be empty.
    pub fn into_option(self, field: &mut Option<T>) {
        match self {
            Patch::Absent => {}
            Patch::Null => *field = None,
            Patch::Set(value) => *field = Some(value),
        }
    }

    /// Puts it into a field that always has a value, and this one when it is cleared.
    pub fn or(self, field: &mut T, cleared: T) {
        match self {
            Patch::Absent => {}
            Patch::Null => *field = cleared,
            Patch::Set(value) => *field = value,
        }
    }
}

/// The fields that are still to be read.
pub struct Body(Map<String, Value>);

/// An empty body is an object without fields.
pub fn body(bytes: &[u8]) -> Result<Body> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Body(Map::new()));
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(map)) => Ok(Body(map)),
        Ok(Value::Null) => Ok(Body(Map::new())),
        Ok(_) => Err(Fault::bad_request("The body must be a JSON object")),
        Err(_) => Err(Fault::bad_request("The body is not valid JSON")),
    }
}

fn wrong(name: &str, what: &str) -> Fault {
    Fault::bad_request(format!("{name} must be {what}"))
}

impl Body {
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Fields that only the service itself changes.
    pub fn ignore(&mut self, names: &[&str]) {
        self.0.retain(|name, _| !names.contains(&name.as_str()));
    }

    fn patch<T>(&mut self, name: &str, read: impl FnOnce(Value) -> Result<T>) -> Result<Patch<T>> {
        match self.0.remove(name) {
            None => Ok(Patch::Absent),
            Some(Value::Null) => Ok(Patch::Null),
            Some(value) => read(value).map(Patch::Set),
        }
    }

    pub fn text(&mut self, name: &str, longest: usize) -> Result<Patch<String>> {
        self.patch(name, |value| match value {
            Value::String(text) if text.chars().count() <= longest => Ok(text),
            _ => Err(wrong(name, &format!("a text of at most {longest} characters"))),
        })
    }

    pub fn flag(&mut self, name: &str) -> Result<Patch<bool>> {
        self.patch(name, |value| value.as_bool().ok_or_else(|| wrong(name, "true or false")))
    }

    pub fn number(&mut self, name: &str, from: u32, to: u32) -> Result<Patch<u32>> {
        self.patch(name, |value| {
            let number = value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| (from..=to).contains(n));
            number.ok_or_else(|| wrong(name, &format!("an integer from {from} to {to}")))
        })
    }

    pub fn port(&mut self, name: &str) -> Result<Patch<u16>> {
        Ok(match self.number(name, 1, 65_535)? {
            Patch::Set(number) => u16::try_from(number).map_or(Patch::Null, Patch::Set),
            Patch::Null => Patch::Null,
            Patch::Absent => Patch::Absent,
        })
    }

    pub fn word<T: Copy>(&mut self, name: &str, all: &[T], as_str: fn(T) -> &'static str) -> Result<Patch<T>> {
        self.patch(name, |value| {
            let found = value.as_str().and_then(|text| all.iter().copied().find(|word| as_str(*word) == text));
            let words = || all.iter().map(|word| as_str(*word)).collect::<Vec<_>>().join(", ");
            found.ok_or_else(|| wrong(name, &format!("one of {}", words())))
        })
    }

    pub fn object(&mut self, name: &str) -> Result<Patch<Body>> {
        self.patch(name, |value| match value {
            Value::Object(map) => Ok(Body(map)),
            _ => Err(wrong(name, "an object")),
        })
    }

    pub fn address(&mut self, name: &str) -> Result<Patch<Ipv4Addr>> {
        self.patch(name, |value| {
            value.as_str().and_then(|text| text.parse().ok()).ok_or_else(|| wrong(name, "an IPv4 address"))
        })
    }

    fn list<T>(
        &mut self,
        name: &str,
        what: &str,
        most: usize,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Patch<Vec<T>>> {
        self.patch(name, |value| {
            let list = value.as_array().filter(|list| list.len() <= most);
            let read = list.and_then(|list| list.iter().map(|value| value.as_str().and_then(&read)).collect());
            read.ok_or_else(|| wrong(name, &format!("a list of at most {most} {what}")))
        })
    }

    pub fn texts(&mut self, name: &str) -> Result<Patch<Vec<String>>> {
        self.list(name, "texts", 100, |text| (text.len() <= 1000).then(|| text.to_owned()))
    }

    pub fn networks(&mut self, name: &str) -> Result<Patch<Vec<IpNet>>> {
        self.list(name, "addresses or networks", 100, |text| {
            let address = text.parse::<IpAddr>().ok().map(IpNet::from);
            address.or_else(|| text.parse().ok()).map(|net: IpNet| net.trunc())
        })
    }

    pub fn addresses(&mut self, name: &str) -> Result<Patch<Vec<Ipv4Addr>>> {
        self.list(name, "IPv4 addresses", 16, |text| text.strip_suffix("/32").unwrap_or(text).parse().ok())
    }

    /// What is left is nothing that the vendor knows.
    pub fn end(self) -> Result<()> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(Fault::bad_request(format!("{name} is not a field of this object"))),
        }
    }
}

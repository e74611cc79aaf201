//! Bodies: wrapped in the name of their object or bare, with null for what is not there, and strict in everything else.

use super::{Fault, Result};
use crate::http::without_nulls;
use lb_model::dialects::rackspace::RackspaceMetadata;
use serde_json::{Map, Value};
use std::net::IpAddr;

/// An object's fields, of which each is taken once.
pub struct Fields(Map<String, Value>);

pub fn json(body: &[u8]) -> Result<Value> {
    serde_json::from_slice(body).map(without_nulls).map_err(|_| Fault::schema())
}

/// The object called `root`, or the whole body.
pub fn object(body: &[u8], root: &str) -> Result<Fields> {
    match json(body)? {
        Value::Object(mut map) => match map.remove(root) {
            Some(Value::Object(inner)) => Ok(Fields(inner)),
            Some(_) => Err(Fault::schema()),
            None => Ok(Fields(map)),
        },
        _ => Err(Fault::schema()),
    }
}

pub fn fields(value: Value) -> Result<Fields> {
    match value {
        Value::Object(map) => Ok(Fields(map)),
        _ => Err(Fault::schema()),
    }
}

impl Fields {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    pub fn text(&mut self, name: &str) -> Result<Option<String>> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Fault::schema()),
        }
    }

    pub fn list(&mut self, name: &str) -> Result<Option<Vec<Value>>> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(Value::Array(list)) => Ok(Some(list)),
            Some(_) => Err(Fault::schema()),
        }
    }

    pub fn object(&mut self, name: &str) -> Result<Option<Fields>> {
        self.0.remove(name).map(fields).transpose()
    }

    /// Also the words `"true"` and `"false"`, which a client sends.
    pub fn flag(&mut self, name: &str) -> Result<Option<bool>> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(Value::String(word)) if word == "true" => Ok(Some(true)),
            Some(Value::String(word)) if word == "false" => Ok(Some(false)),
            Some(_) => Err(Fault::invalid(format!("{name} must be true or false."))),
        }
    }

    /// An integer, or the text of one, which a client sends.
    pub fn number(&mut self, name: &str, from: u32, to: u32, wrong: &str) -> Result<Option<u32>> {
        let Some(value) = self.0.remove(name) else { return Ok(None) };
        let number = match &value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
            _ => None,
        };
        match number.and_then(|n| u32::try_from(n).ok()).filter(|n| (from..=to).contains(n)) {
            Some(number) => Ok(Some(number)),
            None => Err(Fault::invalid(wrong)),
        }
    }

    pub fn port(&mut self, name: &str) -> Result<Option<u16>> {
        let number = self.number(name, 1, 65_535, "Port is invalid. Must specify a valid port between 1 and 65535.")?;
        Ok(number.and_then(|n| u16::try_from(n).ok()))
    }

    /// One of a vendor's words, in its own case.
    pub fn word<T: Copy>(
        &mut self,
        name: &str,
        all: &[T],
        as_str: fn(T) -> &'static str,
        wrong: &str,
    ) -> Result<Option<T>> {
        let Some(value) = self.0.remove(name) else { return Ok(None) };
        let found = value.as_str().and_then(|text| all.iter().copied().find(|word| as_str(*word) == text));
        found.map(Some).ok_or_else(|| Fault::invalid(wrong))
    }

    /// What is left is nothing that the vendor knows.
    pub fn end(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Fault::schema()) }
    }
}

pub fn address(text: &str) -> Result<IpAddr> {
    text.parse().map_err(|_| Fault::invalid("Address is invalid. Please specify a valid IP address."))
}

/// Entries of metadata, without their numbers.
pub fn metadata(list: Vec<Value>) -> Result<Vec<RackspaceMetadata>> {
    let mut entries: Vec<RackspaceMetadata> = Vec::new();
    for value in list {
        let mut fields = fields(value)?;
        let key = fields.text("key")?.ok_or_else(|| Fault::invalid("Must provide a key."))?;
        let value = fields.text("value")?.ok_or_else(|| Fault::invalid("Must provide a value."))?;
        fields.take("id");
        fields.end()?;
        if !(1..=256).contains(&key.chars().count()) || value.chars().count() > 256 {
            return Err(Fault::invalid("Keys have 1 to 256 characters, values at most 256."));
        }
        if entries.iter().any(|entry| entry.key == key) {
            return Err(Fault::invalid("Duplicate metadata keys detected."));
        }
        entries.push(RackspaceMetadata { id: 0, key, value });
    }
    Ok(entries)
}

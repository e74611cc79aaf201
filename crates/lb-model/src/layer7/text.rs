//! Texts that reach HAProxy's configuration: parsed once, so that none can say more than it should.

use crate::{NameError, names::string_name};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

string_name! {
    /// A cookie's name: 1 to 64 of letters, digits, `_`, `-` and `.`.
    CookieName, check_cookie
}

string_name! {
    /// The name of a header or of a query's parameter: 1 to 64 of letters, digits, `_`, `-` and `.`.
    HeaderName, check_header
}

string_name! {
    /// One line of at most 1,000 printable ASCII characters.
    HttpText, check_text
}

string_name! {
    /// Lines of HAProxy's own language: at most 16 KiB. No section begins in it.
    ManualBlock, check_manual
}

impl CookieName {
    /// The name that HAProxy's own manual uses.
    pub fn server_id() -> CookieName {
        CookieName("SERVERID".to_owned())
    }
}

fn name(what: &str, s: &str, example: &str) -> Result<(), String> {
    if s.is_empty() || s.len() > 64 {
        return Err(format!("{what} \"{s}\" has {} characters; 1 to 64 are allowed", s.len()));
    }
    match s.chars().find(|c| !c.is_ascii_alphanumeric() && !"_-.".contains(*c)) {
        Some(c) => Err(format!("{what} \"{s}\" contains {c:?}; use letters, digits, _ - and ., for example {example}")),
        None => Ok(()),
    }
}

fn check_cookie(s: &str) -> Result<(), String> {
    name("cookie name", s, "SERVERID")
}

fn check_header(s: &str) -> Result<(), String> {
    name("name", s, "X-Shop")
}

fn check_text(s: &str) -> Result<(), String> {
    if s.is_empty() || s.len() > 1000 {
        return Err(format!("\"{}\" has {} characters; 1 to 1000 are allowed", s.escape_debug(), s.len()));
    }
    match s.chars().find(|c| !c.is_ascii_graphic() && *c != ' ') {
        Some(c) => Err(format!("\"{}\" contains {c:?}; use printable ASCII characters", s.escape_debug())),
        None => Ok(()),
    }
}

/// The words that begin a section (HAProxy's Configuration Manual, chapters 3, 4, 9 and 10).
const SECTIONS: &[&str] = &[
    "global",
    "defaults",
    "frontend",
    "backend",
    "listen",
    "peers",
    "resolvers",
    "mailers",
    "userlist",
    "program",
    "ring",
    "http-errors",
    "cache",
    "fcgi-app",
    "log-forward",
];

fn check_manual(s: &str) -> Result<(), String> {
    if s.len() > 16_384 {
        return Err(format!("the manual configuration has {} bytes; at most 16384 are allowed", s.len()));
    }
    for (n, line) in s.lines().enumerate() {
        let n = n + 1;
        if let Some(c) = line.chars().find(|c| !c.is_ascii_graphic() && !" \t".contains(*c)) {
            return Err(format!("line {n} of the manual configuration contains {c:?}; use printable ASCII characters"));
        }
        let first = line.split_whitespace().next().unwrap_or_default();
        if SECTIONS.contains(&first) || first.starts_with('.') {
            let reason = "the lines belong to the virtual server's own section";
            return Err(format!("line {n} of the manual configuration begins with \"{first}\"; {reason}"));
        }
        if line.ends_with('\\') || line.matches(['"', '\'']).count() % 2 == 1 {
            return Err(format!(
                "line {n} of the manual configuration does not end: it closes no quote, or ends in \\"
            ));
        }
    }
    Ok(())
}

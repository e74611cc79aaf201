//! Texts that reach HAProxy's configuration: parsed once, so that none can say more than it should.

use crate::{NameError, names::string_name};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

string_name! {
    /// A cookie's name: 1 to 64 of letters, digits, `_`, `-` and `.`.
    CookieName, check_cookie
}

string_name! {
    /// What a cookie says of a real server: 1 to 64 of letters, digits and `_.~+/=@:-`.
    CookieValue, check_cookie_value
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

string_name! {
    /// HTML of 1 to 12,288 bytes, in lines, without other control characters than tabs.
    PageText, check_page
}

impl PageText {
    /// Bytes. HAProxy sends an answer of its own in one buffer of 16,384, of which headers need a part.
    pub const LONGEST: usize = 12_288;
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

fn check_cookie_value(s: &str) -> Result<(), String> {
    if s.is_empty() || s.len() > 64 {
        return Err(format!("cookie value \"{}\" has {} characters; 1 to 64 are allowed", s.escape_debug(), s.len()));
    }
    match s.chars().find(|c| !c.is_ascii_alphanumeric() && !"_.~+/=@:-".contains(*c)) {
        Some(c) => {
            Err(format!("cookie value \"{}\" contains {c:?}; use letters, digits and _.~+/=@:-", s.escape_debug()))
        }
        None => Ok(()),
    }
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
    "namespace_list",
];

/// Words that would make HAProxy, which starts as root, read a file, run a program, or speak with sockets of this unit:
/// whoever may configure it need not be root. And those that need CAP_NET_ADMIN, for want of which it would not start.
const REACHES_OUT: &[&str] = &[
    "-f",
    "-M",
    "bind",
    "ca-file",
    "crl-file",
    "crt",
    "crt-list",
    "email-alert",
    "errorfile",
    "errorfiles",
    "external-check",
    "file",
    "filter",
    "interface",
    "lf-file",
    "log",
    "namespace",
    "set-mark",
    "set-tos",
    "use-fcgi-app",
    "usesrc",
];

/// The same within a word.
const REACHES_OUT_WITHIN: &[&str] = &["-acl(", "-map(", "map(", "map_", "lua.", "abns@", "fd@", "sockpair@", "unix@"];

/// As HAProxy joins what stands in quotes with what stands beside them. Its two other ways to write a word, `\x66` and
/// variables in `""` (Configuration Manual, 2.2 and 2.3), are refused before.
fn plain(line: &str) -> String {
    line.replace(['"', '\'', '\\'], "")
}

fn reaches_out(line: &str) -> Option<String> {
    let plain = plain(line);
    let out = |word: &&str| REACHES_OUT.contains(word) || REACHES_OUT_WITHIN.iter().any(|part| word.contains(part));
    plain.split_whitespace().find(out).map(str::to_owned)
}

fn check_page(s: &str) -> Result<(), String> {
    if s.is_empty() || s.len() > PageText::LONGEST {
        return Err(format!("the page has {} bytes; 1 to {} are allowed", s.len(), PageText::LONGEST));
    }
    match s.chars().find(|c| c.is_control() && !"\n\r\t".contains(*c)) {
        Some(c) => Err(format!("the page contains {c:?}; use no control characters but line ends and tabs")),
        None => Ok(()),
    }
}

fn check_manual(s: &str) -> Result<(), String> {
    if s.len() > 16_384 {
        return Err(format!("the manual configuration has {} bytes; at most 16384 are allowed", s.len()));
    }
    for (n, line) in s.lines().enumerate() {
        let n = n + 1;
        if let Some(c) = line.chars().find(|c| !c.is_ascii_graphic() && !" \t".contains(*c)) {
            return Err(format!("line {n} of the manual configuration contains {c:?}; use printable ASCII characters"));
        }
        if line.contains("\\x") || (line.contains('"') && line.contains('$')) {
            let reason = "write characters as they are, and $ in '' instead of \"\"";
            return Err(format!("line {n} of the manual configuration has \\x or $ in quotes; {reason}"));
        }
        let plain = plain(line);
        let first = plain.split_whitespace().next().unwrap_or_default();
        if SECTIONS.contains(&first) || first.starts_with('.') {
            let reason = "the lines belong to the virtual server's own section";
            return Err(format!("line {n} of the manual configuration begins with \"{first}\"; {reason}"));
        }
        if let Some(word) = reaches_out(line) {
            let reason = "it would reach files, programs or sockets of this unit";
            return Err(format!("line {n} of the manual configuration has \"{word}\"; {reason}"));
        }
        if line.ends_with('\\') || line.matches(['"', '\'']).count() % 2 == 1 {
            return Err(format!(
                "line {n} of the manual configuration does not end: it closes no quote, or ends in \\"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_text_of_a_length_that_can_be_sent() {
        for good in ["<h1>Läden \"zu\"</h1>\r\n\t$x\n", &"x".repeat(PageText::LONGEST)] {
            assert_eq!(check_page(good), Ok(()), "{good}");
        }
        for bad in ["", "a\u{0}b", "\u{1b}[0m", "\u{85}", &"x".repeat(PageText::LONGEST + 1)] {
            assert!(check_page(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_manual_block_stays_in_its_section() {
        for good in [
            "",
            "# a note\nhttp-request deny if { path -m end .php }\n",
            "option http-no-delay",
            "acl a path_beg '/a b'",
            "acl a path_reg '\\.php$'",
        ] {
            assert_eq!(check_manual(good), Ok(()), "{good}");
        }
        for bad in [
            "backend other",
            "  global",
            ".if 1",
            "acl a path_beg 'open",
            "http-request deny \\",
            "http-request return file /etc/shadow",
            "acl a src -f /etc/shadow",
            "acl a src -\"f\" /etc/shadow",
            "errorfile 503 /etc/shadow",
            "http-request set-header A %[src,map(/etc/shadow)]",
            "option external-check",
            "server a unix@/run/lbd.sock",
            "bind 10.0.0.1:22",
            "source 0.0.0.0 usesrc clientip",
            "http-request set-mark 1",
            "source 10.0.0.1 interface eth1",
            "'global'",
            "fr\\ontend x",
            "\"${NOPE-global}\"",
            "http-request return \\x66ile /etc/shadow",
            "http-request return \"${NOPE-file}\" /etc/shadow",
            "a\u{7}b",
        ] {
            assert!(check_manual(bad).is_err(), "{bad}");
        }
    }
}

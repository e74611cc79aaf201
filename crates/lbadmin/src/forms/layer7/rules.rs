//! Content rules and header rules as lines of text.
//!
//! ```text
//!  rule    = ["not"] test "->" outcome
//!  test    = ("path" | "path-end" | "host") VALUE...  |  ("header" | "query") NAME VALUE...  |  "source" NETWORK...
//!  outcome = "use" LABEL | "redirect" PLACE | "refuse"
//!  header  = ("set" | "add") NAME ":" VALUE | "remove" NAME
//! ```
//! Words are separated by spaces. A value with a space or a quote in it stands in double quotes, where `\"` is a quote
//! and `\\` a backslash. Any rule of the model can be said, and is read back as it was.

use ipnet::IpNet;
use lb_model::layer7::{HeaderOperation, HeaderRule, HttpText, Outcome, Rule, Test};
use std::{net::IpAddr, str::FromStr};

const ARROW: &str = "->";
const NOT: &str = "not";
const EXAMPLE: &str = "for example path /images -> use Images";
const EXAMPLE_OF_A_HEADER: &str = "for example set X-Shop: 1";

/// A rule as one line.
pub fn rule_text(rule: &Rule) -> String {
    let mut words: Vec<String> = Vec::new();
    if rule.not {
        words.push(NOT.into());
    }
    let (test, name) = match &rule.test {
        Test::PathBegins { .. } => ("path", None),
        Test::PathEnds { .. } => ("path-end", None),
        Test::Host { .. } => ("host", None),
        Test::Header { name, .. } => ("header", Some(name)),
        Test::Query { name, .. } => ("query", Some(name)),
        Test::Source { .. } => ("source", None),
    };
    words.push(test.into());
    words.extend(name.map(|name| name.to_string()));
    match &rule.test {
        Test::PathBegins { values }
        | Test::PathEnds { values }
        | Test::Host { values }
        | Test::Header { values, .. }
        | Test::Query { values, .. } => words.extend(values.iter().map(|v| quoted(v.as_str()))),
        Test::Source { values } => words.extend(values.iter().map(IpNet::to_string)),
    }
    words.push(ARROW.into());
    match &rule.then {
        Outcome::Use { virtual_server } => words.extend(["use".into(), virtual_server.to_string()]),
        Outcome::Redirect { to } => words.extend(["redirect".into(), quoted(to.as_str())]),
        Outcome::Refuse {} => words.push("refuse".into()),
    }
    words.join(" ")
}

/// A header rule as one line.
pub fn header_text(rule: &HeaderRule) -> String {
    let HeaderRule { operation, name, value } = rule;
    match value.as_ref().map(HttpText::as_str) {
        None => format!("{operation} {name}"),
        Some(value) if value.trim() != value || value.starts_with('"') => {
            format!("{operation} {name}: {}", in_quotes(value))
        }
        Some(value) => format!("{operation} {name}: {value}"),
    }
}

fn quoted(value: &str) -> String {
    match value.contains([' ', '"']) || value == ARROW {
        true => in_quotes(value),
        false => value.to_owned(),
    }
}

fn in_quotes(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

#[derive(Debug, PartialEq, Eq)]
struct Word {
    text: String,
    quoted: bool,
}

impl Word {
    /// A word of the notation, which a value in quotes never is.
    fn is(&self, word: &str) -> bool {
        !self.quoted && self.text == word
    }
}

fn words(line: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        if rest.starts_with('"') {
            let (text, behind) = unquoted(rest)?;
            if !behind.is_empty() && !behind.starts_with(char::is_whitespace) {
                return Err(format!("behind the closing quote of \"{text}\" a space is needed"));
            }
            words.push(Word { text, quoted: true });
            rest = behind.trim_start();
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            words.push(Word { text: rest[..end].to_owned(), quoted: false });
            rest = rest[end..].trim_start();
        }
    }
    Ok(words)
}

/// The text in the quotes that `rest` begins with, and what is behind them.
fn unquoted(rest: &str) -> Result<(String, &str), String> {
    let mut text = String::new();
    let mut letters = rest.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Ok((text, &rest[at + 1..])),
            '\\' => match letters.next() {
                Some((_, escaped @ ('"' | '\\'))) => text.push(escaped),
                Some((_, other)) => {
                    return Err(format!("\\{other} means nothing; write \\\\ for a backslash in quotes"));
                }
                None => break,
            },
            letter => text.push(letter),
        }
    }
    Err(format!("the quote before {text} is not closed; write \\\" for a quote in quotes"))
}

/// One line as a rule.
pub fn rule(line: &str) -> Result<Rule, String> {
    let words = words(line)?;
    let Some(at) = words.iter().position(|w| w.is(ARROW)) else {
        return Err(format!(
            "\"{line}\" does not say what is done; write {ARROW} and use, redirect or refuse, {EXAMPLE}"
        ));
    };
    let (test, then) = (&words[..at], &words[at + 1..]);
    let not = test.first().is_some_and(|w| w.is(NOT));
    Ok(Rule { test: self::test(&test[usize::from(not)..])?, not, then: outcome(then)? })
}

fn test(words: &[Word]) -> Result<Test, String> {
    const TESTS: &str = "begin with path, path-end, host, header, query or source";
    let Some((test, values)) = words.split_first() else {
        return Err(format!("before {ARROW} a test is missing; {TESTS}, {EXAMPLE}"));
    };
    let values = match test.text.as_str() {
        "header" | "query" => match values.split_first() {
            Some((name, values)) => {
                let name = parsed(&name.text)?;
                let values = texts(test, values)?;
                return Ok(match test.text.as_str() {
                    "header" => Test::Header { name, values },
                    _ => Test::Query { name, values },
                });
            }
            None => return Err(format!("{0} needs a name and a value, for example {0} shop north", test.text)),
        },
        _ => values,
    };
    match test.text.as_str() {
        "path" => Ok(Test::PathBegins { values: texts(test, values)? }),
        "path-end" => Ok(Test::PathEnds { values: texts(test, values)? }),
        "host" => Ok(Test::Host { values: texts(test, values)? }),
        "source" => {
            some(test, values)?;
            Ok(Test::Source { values: values.iter().map(|w| network(&w.text)).collect::<Result<_, _>>()? })
        }
        other => Err(format!("\"{other}\" is not a test; {TESTS}, {EXAMPLE}")),
    }
}

fn some(test: &Word, values: &[Word]) -> Result<(), String> {
    match values.is_empty() {
        true => Err(format!("{} needs a value before {ARROW}, {EXAMPLE}", test.text)),
        false => Ok(()),
    }
}

fn texts(test: &Word, values: &[Word]) -> Result<Vec<HttpText>, String> {
    some(test, values)?;
    values.iter().map(|w| parsed(&w.text)).collect()
}

fn parsed<T: FromStr<Err = lb_model::NameError>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|e: lb_model::NameError| e.to_string())
}

/// A network, or one address.
fn network(text: &str) -> Result<IpNet, String> {
    let address = |text: &str| text.parse::<IpAddr>().map(IpNet::from);
    text.parse::<IpNet>()
        .or_else(|_| address(text))
        .map_err(|_| format!("\"{text}\" is not a network; use for example 192.0.2.0/24 or 192.0.2.7"))
}

fn outcome(words: &[Word]) -> Result<Outcome, String> {
    const OUTCOMES: &str = "use VIRTUAL SERVER, redirect PLACE or refuse";
    let Some((what, of)) = words.split_first() else {
        return Err(format!("behind {ARROW} is missing what is done; write {OUTCOMES}"));
    };
    match (what.text.as_str(), of) {
        ("use", [label]) => Ok(Outcome::Use { virtual_server: parsed(&label.text)? }),
        ("use", []) => Err("use needs the label of a layer 7 virtual server behind it".into()),
        ("redirect", [to]) => Ok(Outcome::Redirect { to: parsed(&to.text)? }),
        ("redirect", []) => Err("redirect needs a place behind it, for example https://www.example.com/".into()),
        ("refuse", []) => Ok(Outcome::Refuse {}),
        ("use" | "redirect" | "refuse", more) => {
            let last = more.last().map_or("", |w| w.text.as_str());
            Err(format!("\"{last}\" is one word too many; each line is one rule, a text with spaces stands in quotes"))
        }
        (other, _) => Err(format!("\"{other}\" cannot be done; write {OUTCOMES}")),
    }
}

/// One line as a header rule.
pub fn header(line: &str) -> Result<HeaderRule, String> {
    let (operation, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let Ok(operation) = operation.parse::<HeaderOperation>() else {
        return Err(format!(
            "\"{operation}\" cannot be done to a header; begin with set, add or remove, {EXAMPLE_OF_A_HEADER}"
        ));
    };
    let (name, value) = match rest.split_once(':') {
        Some((name, value)) => (name.trim(), Some(value.trim())),
        None => (rest.trim(), None),
    };
    if name.is_empty() {
        return Err(format!("{operation} needs the name of a header behind it, {EXAMPLE_OF_A_HEADER}"));
    }
    let name = parsed(name)?;
    match (operation, value) {
        (HeaderOperation::Remove, None) => Ok(HeaderRule { operation, name, value: None }),
        (HeaderOperation::Remove, Some(_)) => Err(format!("what is removed has no value; write remove {name}")),
        (_, None | Some("")) => Err(format!("{operation} needs a colon and a value, {EXAMPLE_OF_A_HEADER}")),
        (_, Some(value)) if value.starts_with('"') => match unquoted(value)? {
            (value, "") => Ok(HeaderRule { operation, name, value: Some(parsed(&value)?) }),
            (_, behind) => Err(format!("nothing may stand behind the closing quote, and{behind} does")),
        },
        (_, Some(value)) => Ok(HeaderRule { operation, name, value: Some(parsed(value)?) }),
    }
}

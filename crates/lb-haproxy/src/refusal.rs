//! What `haproxy -c` complains of, at the field that caused it.
//!
//! HAProxy names a line, or a section by its name; the line's origin is known from rendering. What names neither stands
//! at `/layer7`. Tested beside the code, and against the real one in `tests/`.

use crate::Rendered;
use lb_model::Problem;
use std::path::Path;

/// More are not read.
const MOST: usize = 50;

/// The complaints in `said` (standard error) about `wanted`, which HAProxy read from `file`; never empty.
pub(crate) fn problems(said: &str, file: &Path, wanted: &Rendered) -> Vec<Problem> {
    let mut found: Vec<Problem> = Vec::new();
    for alert in said.lines().filter_map(alert).take(MOST) {
        let problem = problem(alert, &file.display().to_string(), wanted);
        if !found.contains(&problem) {
            found.push(problem);
        }
    }
    if found.is_empty() {
        let words = said.lines().last().unwrap_or("it says nothing").trim();
        found.push(at("/layer7".into(), "", words));
    }
    found
}

/// `[ALERT]    (3756) : config : WORDS`, without the two lines that only say that there were some.
fn alert(line: &str) -> Option<&str> {
    let (_, words) = line.strip_prefix("[ALERT]")?.split_once(" : ")?;
    let words = words.strip_prefix("config : ").unwrap_or(words).trim();
    let summary = words.starts_with("Error(s) found in") || words.starts_with("Fatal errors found in");
    (!summary && !words.is_empty()).then_some(words)
}

fn problem(words: &str, file: &str, wanted: &Rendered) -> Problem {
    let place = format!("[{file}:");
    if let Some((before, rest)) = words.split_once(&place)
        && let Some((number, after)) = rest.split_once(']')
        && let Ok(number) = number.parse::<usize>()
    {
        let line = wanted.text.lines().nth(number.wrapping_sub(1)).unwrap_or_default();
        let before = before.trim_end().trim_end_matches("parsing").trim_end_matches([':', ' ']);
        let after = after.trim_start_matches([':', ' ', ',']);
        let words = if before.is_empty() { after.to_owned() } else { format!("{before}: {after}") };
        return at(wanted.origin(number).to_owned(), line.trim(), &words.replace(file, "the configuration"));
    }
    let sections = wanted.text.lines().enumerate().filter_map(|(i, line)| {
        let name = line.strip_prefix("backend ").or_else(|| line.strip_prefix("frontend "))?;
        Some((i + 1, name.split(' ').next()?))
    });
    let named = |name: &str| words.split(['\'', '"', ' ', '/', ',']).any(|word| word.trim_end_matches(':') == name);
    let section = sections.into_iter().find(|(_, name)| named(name));
    let pointer = section.map_or("/layer7", |(number, _)| wanted.origin(number).trim_end_matches("/label"));
    at(pointer.to_owned(), section.map_or("", |(_, name)| name), &words.replace(file, "the configuration"))
}

fn at(path: String, value: &str, words: &str) -> Problem {
    let hint = if path.ends_with("/manual") {
        "mend or remove this line; HAProxy's Configuration Manual, version 2.6, explains the words"
    } else {
        "HAProxy 2.6 cannot do this; choose another value"
    };
    let reason = format!("HAProxy refuses it: {}", words.trim().trim_end_matches('.'));
    Problem { path, value: value.to_owned(), reason, hint: Some(hint.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Rendered {
        let config = serde_json::from_str(include_str!("../tests/cases/everything-http/config.json")).unwrap();
        crate::render(&config).unwrap()
    }

    fn line(wanted: &Rendered, text: &str) -> usize {
        wanted.text.lines().position(|line| line.trim().starts_with(text)).unwrap_or_else(|| panic!("{text}")) + 1
    }

    fn check(said: &str, path: &str, reason: &str) {
        let found = problems(said, Path::new("/run/haproxy/check"), &wanted());
        assert_eq!((found[0].path.as_str(), found[0].reason.as_str()), (path, reason), "{found:?}");
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn a_line() {
        let number = line(&wanted(), "retries 2");
        let said = format!(
            "[NOTICE]   (1) : haproxy version is 2.6.12\n\
             [ALERT]    (1) : config : parsing [/run/haproxy/check:{number}] : 'retries' is bad.\n\
             [ALERT]    (1) : config : Error(s) found in configuration file : /run/haproxy/check\n\
             [ALERT]    (1) : config : Fatal errors found in configuration.\n"
        );
        check(&said, "/layer7/virtual_servers/0/manual", "HAProxy refuses it: 'retries' is bad");
    }

    #[test]
    fn a_section() {
        let said = "[ALERT]    (1) : config : Proxy 'vs:Images': unable to find required default_backend: 'X'.";
        let reason = "HAProxy refuses it: Proxy 'vs:Images': unable to find required default_backend: 'X'";
        check(said, "/layer7/virtual_servers/1", reason);
    }

    #[test]
    fn neither() {
        check("[ALERT]    (1) : out of memory", "/layer7", "HAProxy refuses it: out of memory");
        check("", "/layer7", "HAProxy refuses it: it says nothing");
    }

    #[test]
    fn every_line_has_a_field_that_is_there() {
        let config: lb_model::Config =
            serde_json::from_str(include_str!("../tests/cases/everything-http/config.json")).unwrap();
        let config = serde_json::to_value(config).unwrap();
        let wanted = wanted();
        let field = |text: &str| wanted.origin(line(&wanted, text)).to_owned();
        let shop = "/layer7/virtual_servers/0";
        assert_eq!(field("acl rule:2 src -u 1000004 -- "), format!("{shop}/rules/2/test/values"));
        assert_eq!(field("http-request del-header X-Secret"), format!("{shop}/request_headers/2"));
        assert_eq!(field("server Web1 10.0.0.41:80 check "), "/layer7/virtual_servers/1/real_servers/0");
        assert_eq!(field("timeout tunnel 60s"), format!("{shop}/timeouts/tunnel"));
        for pointer in wanted.origins.values().filter(|pointer| pointer.starts_with(shop)) {
            assert!(config.pointer(pointer).is_some(), "{pointer}");
        }
    }
}

//! Where in the configuration something is, in words; and which problems are new.

use lb_model::{Config, Problem, problems};

/// `/virtual_servers/0/real_servers/1/port` as `Virtual Server HTTP_Cluster > Real Server WebServer2 > port`.
/// A pointer that leads nowhere is given back as it is.
pub fn place(config: &Config, pointer: &str) -> String {
    let parts: Vec<&str> = pointer.split('/').skip(1).collect();
    let words = |rest: &[&str]| -> Vec<String> {
        rest.iter().filter(|p| p.parse::<usize>().is_err()).map(|p| p.replace('_', " ")).collect()
    };
    let number = |n: &str| n.parse::<usize>().ok();
    let (mut place, rest): (Vec<String>, &[&str]) = match parts[..] {
        ["virtual_servers", i, "real_servers", j, ..] => {
            let vs = number(i).and_then(|i| config.virtual_servers.get(i));
            let rs = number(j).and_then(|j| vs?.real_servers.get(j));
            match (vs, rs) {
                (Some(vs), Some(rs)) => {
                    (vec![format!("Virtual Server {}", vs.label), format!("Real Server {}", rs.label)], &parts[4..])
                }
                _ => return pointer.to_owned(),
            }
        }
        ["virtual_servers", i, ..] => match number(i).and_then(|i| config.virtual_servers.get(i)) {
            Some(vs) => (vec![format!("Virtual Server {}", vs.label)], &parts[2..]),
            None => return pointer.to_owned(),
        },
        ["layer7", "virtual_servers", i, "real_servers", j, ..] => {
            let vs = number(i).and_then(|i| config.layer7.virtual_servers.get(i));
            let rs = number(j).and_then(|j| vs?.real_servers.get(j));
            match (vs, rs) {
                (Some(vs), Some(rs)) => (
                    vec![format!("Layer 7 Virtual Server {}", vs.label), format!("Real Server {}", rs.label)],
                    &parts[5..],
                ),
                _ => return pointer.to_owned(),
            }
        }
        ["layer7", "virtual_servers", i, ..] => match number(i).and_then(|i| config.layer7.virtual_servers.get(i)) {
            Some(vs) => (vec![format!("Layer 7 Virtual Server {}", vs.label)], &parts[3..]),
            None => return pointer.to_owned(),
        },
        ["layer7", ..] => (vec!["Global Settings".into(), "layer 7".into()], &parts[1..]),
        ["node", "interfaces", i, ..] => match number(i).and_then(|i| config.node.interfaces.get(i)) {
            Some(interface) => (vec![format!("Network Interface {}", interface.name)], &parts[3..]),
            None => return pointer.to_owned(),
        },
        ["node", "interfaces"] => (vec!["Network Interfaces".into()], &[]),
        ["node", "gateway"] => (vec!["Routing".into(), "default gateway".into()], &[]),
        ["node", "gateway6"] => (vec!["Routing".into(), "IPv6 default gateway".into()], &[]),
        ["node", "routes", i, ..] => match number(i).and_then(|i| config.node.routes.get(i)) {
            Some(route) => (vec!["Routing".into(), format!("route to {}", route.to)], &parts[3..]),
            None => return pointer.to_owned(),
        },
        ["node", "unit"] => (vec!["Heartbeat Configuration".into(), "which unit this is".into()], &[]),
        ["heartbeat", "paths", i, ..] => match number(i).and_then(|i| config.heartbeat.as_ref()?.paths.get(i)) {
            Some(path) => (vec!["Heartbeat Configuration".into(), path.to_string()], &[]),
            None => return pointer.to_owned(),
        },
        ["heartbeat", ..] => (vec!["Heartbeat Configuration".into()], &parts[1..]),
        ["floating_ips", i] => match number(i).and_then(|i| config.floating_ips.get(i)) {
            Some(address) => (vec![format!("Floating IP {address}")], &[]),
            None => return pointer.to_owned(),
        },
        ["floating_ips"] => (vec!["Floating IPs".into()], &[]),
        ["node", ..] => (vec!["DNS & hostname".into()], &parts[1..]),
        ["fallback_page"] => (vec!["Fallback Page".into()], &[]),
        ["globals", "lockdown", ..] => (vec!["Firewall Lock-down".into()], &parts[2..]),
        ["globals", ..] => (vec!["Global Settings".into()], &parts[1..]),
        _ => return pointer.to_owned(),
    };
    place.extend(words(rest));
    place.join(" > ")
}

/// The problems of `new` that `old` does not have. `shifted`: entries were taken out, so that numbers in the
/// pointers of the same problem may differ.
pub fn new_problems(old: &Config, new: &Config, shifted: bool) -> Vec<Problem> {
    let mut found = problems(new);
    if found.is_empty() {
        return found;
    }
    let key = |p: &Problem| {
        let path = if shifted { p.path.replace(|c: char| c.is_ascii_digit(), "") } else { p.path.clone() };
        (path, p.value.clone(), p.reason.clone())
    };
    let mut before = std::collections::HashMap::new();
    for problem in problems(old) {
        *before.entry(key(&problem)).or_insert(0usize) += 1;
    }
    found.retain(|p| match before.get_mut(&key(p)).filter(|n| **n > 0) {
        Some(n) => {
            *n -= 1;
            false
        }
        None => true,
    });
    found
}

/// Whether the reason goes on where the value ends.
pub(super) fn about_the_value(problem: &Problem) -> bool {
    ["is ", "has ", "cannot ", "overlaps "].iter().any(|w| problem.reason.starts_with(w))
}

/// A problem's value and reason as a sentence.
pub(super) fn sentence(problem: &Problem) -> String {
    match about_the_value(problem) {
        // What was typed stays as it was typed.
        true if problem.value.starts_with(|c: char| c.is_lowercase()) => {
            format!("\"{}\" {}", problem.value, problem.reason)
        }
        true => format!("{} {}", problem.value, problem.reason),
        false => capital(&problem.reason),
    }
}

pub(super) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A problem somewhere else than in the form, in words.
pub(super) fn elsewhere(config: &Config, problem: &Problem) -> String {
    let hint = problem.hint.as_ref().map_or_else(String::new, |h| format!("; {h}"));
    format!("{}: {}{hint}.", place(config, &problem.path), sentence(problem))
}

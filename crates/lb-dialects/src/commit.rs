//! From an edited dialect to a configuration that may be applied, and what somebody did to its virtual servers by hand.

use crate::{
    merge::merged,
    render::{Rendered, render},
};
use lb_model::{
    Config, Dialects, Problem, RequestedState, Service, changes, dialects::rackspace::RackspaceCondition, problems,
};
use std::collections::HashSet;

/// `old`, which was [`absorbed`], with other dialects and what they become in virtual servers; or the problems that
/// this brings.
pub fn commit(old: &Config, dialects: Dialects) -> Result<Config, Vec<Problem>> {
    let before = render(old);
    let mut new = Config { dialects, ..old.clone() };
    let after = render(&new);
    let mut taken = after.labels().filter(|label| !before.labels().any(|b| b == *label));
    let used = |label: &str| old.virtual_server(label).is_some() || old.layer7_virtual_server(label).is_some();
    if let Some(label) = taken.find(|label| used(label)) {
        return Err(vec![Problem {
            path: "/dialects".into(),
            value: label.to_owned(),
            reason: "a virtual server that somebody made by hand has this label".into(),
            hint: Some("rename that virtual server on the appliance".into()),
        }]);
    }
    let mut certificates = after.certificates.iter().map(|kept| kept.label.as_str());
    let given = |label: &str| before.certificates.iter().any(|kept| kept.label.as_str() == label);
    if let Some(label) = certificates.find(|label| !given(label) && old.layer7.certificate(label).is_some()) {
        return Err(vec![Problem {
            path: "/dialects".into(),
            value: label.to_owned(),
            reason: "a certificate that somebody added by hand has this label".into(),
            hint: Some("rename that certificate on the appliance".into()),
        }]);
    }
    if before != after {
        new.layer7.certificates = merged(&before.certificates, &old.layer7.certificates, &after.certificates);
        new.virtual_servers = merged(&before.layer4, &old.virtual_servers, &after.layer4);
        new.layer7.virtual_servers = merged(&before.layer7, &old.layer7.virtual_servers, &after.layer7);
    }
    new.assign_marks();
    let brought = problems(&new);
    if brought.is_empty() {
        return Ok(new);
    }
    // Paths move when an entry before them goes; what is wrong stays the same words.
    let known: HashSet<(String, String)> = problems(old).into_iter().map(|p| (p.value, p.reason)).collect();
    let brought: Vec<Problem> =
        brought.into_iter().filter(|p| !known.contains(&(p.value.clone(), p.reason.clone()))).collect();
    if brought.is_empty() { Ok(new) } else { Err(brought) }
}

/// A problem in one line.
pub(crate) fn sentence(problems: &[Problem]) -> String {
    problems.first().map_or_else(String::new, |p| match &p.hint {
        Some(hint) => format!("{} {} ({hint})", p.value, p.reason),
        None => format!("{} {}", p.value, p.reason),
    })
}

/// The state in which somebody put a real server on the appliance, where it differs from what was rendered.
fn state_by_hand(config: &Config, rendered: &Rendered, vs: &str, rs: &str) -> Option<RequestedState> {
    let running = match config.layer7_virtual_server(vs) {
        Some(vs) => vs.real_servers.iter().find(|r| r.label.as_str() == rs).map(|r| r.state),
        None => config.virtual_server(vs)?.real_servers.iter().find(|r| r.label.as_str() == rs).map(|r| r.state),
    }?;
    (rendered.state(vs, rs)? != running).then_some(running)
}

/// `config` with the dialects' own words for servers that were taken offline, drained or taken online by hand.
pub fn absorbed(config: &Config) -> Config {
    let rendered = render(config);
    let mut new = config.clone();
    for lb in &mut new.dialects.rackspace.load_balancers {
        let labels = [render::label_of(lb.id), render::secure_label_of(lb.id)];
        for node in &mut lb.nodes {
            let own = render::node_label(node.id);
            match labels.iter().find_map(|label| state_by_hand(config, &rendered, label, &own)) {
                Some(RequestedState::Online) => node.condition = RackspaceCondition::Enabled,
                Some(RequestedState::Drain) => node.condition = RackspaceCondition::Draining,
                Some(RequestedState::Offline) => node.condition = RackspaceCondition::Disabled,
                None => {}
            }
        }
    }
    new
}

use crate::render;

/// What was changed by hand in virtual servers that a dialect made, in sentences.
pub fn by_hand(config: &Config) -> Vec<String> {
    let config = absorbed(config);
    let rendered = render(&config);
    let labels: HashSet<&str> = rendered.labels().collect();
    let mut is = config.clone();
    is.virtual_servers.retain(|vs| labels.contains(vs.label.as_str()));
    is.layer7.virtual_servers.retain(|vs| labels.contains(vs.label.as_str()));
    for vs in &mut is.virtual_servers {
        if let Service::Address { mark, .. } = &mut vs.service {
            *mark = None;
        }
    }
    let mut should = is.clone();
    should.virtual_servers = in_order(&rendered.layer4, |vs| position(&is.virtual_servers, |o| o.label == vs.label));
    should.layer7.virtual_servers =
        in_order(&rendered.layer7, |vs| position(&is.layer7.virtual_servers, |o| o.label == vs.label));
    changes(&should, &is).into_iter().map(|change| change.text).collect()
}

fn position<T>(list: &[T], test: impl FnMut(&T) -> bool) -> usize {
    list.iter().position(test).unwrap_or(usize::MAX)
}

fn in_order<T: Clone>(list: &[T], key: impl FnMut(&T) -> usize) -> Vec<T> {
    let mut list = list.to_vec();
    list.sort_by_key(key);
    list
}

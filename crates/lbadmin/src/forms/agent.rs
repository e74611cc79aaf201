//! The part of a virtual server's form that is about the agents on its real servers, the same at both layers.

use super::{
    edit::{Typed, Values},
    form::{Field, Section},
    parse,
};
use lb_model::{Agent, Config, layer7::HttpText};

const FIELDS: [&str; 3] = ["agent_port", "agent_interval", "agent_send"];

/// Where agents listen by custom.
const USUAL_PORT: u16 = 3333;

pub(super) fn section(config: &Config, usual: &Values) -> Section {
    Section::folding(
        "Agent on the real servers",
        vec![
            Field::number("agent_port", "Agent port", "agent-port", 1, 65_535)
                .placeholder(USUAL_PORT.to_string())
                .hint("Asked beside the check how much of the load each server wants; empty: none is"),
            Field::number("agent_interval", "Agent interval", "agent-interval", 1, 3600)
                .unit("seconds")
                .placeholder(format!("{} (global)", config.globals.health.interval)),
            Field::text("agent_send", "Text to send", "agent-send").hint("As a line; empty: nothing is sent"),
        ],
        usual,
    )
}

pub(super) fn values(agent: Option<&Agent>, values: &mut Values) {
    let number = |n: Option<u32>| n.map_or_else(String::new, |n| n.to_string());
    values.extend([
        ("agent_port", number(agent.map(|agent| agent.port.into()))),
        ("agent_interval", number(agent.and_then(|agent| agent.interval))),
        ("agent_send", agent.and_then(|agent| agent.send.as_ref()).map_or_else(String::new, HttpText::to_string)),
    ]);
}

pub(super) fn write(agent: &mut Option<Agent>, typed: &mut Typed) {
    if !typed.changed(&FIELDS) {
        return;
    }
    if typed.text("agent_port").is_empty() {
        // What was there goes with the port; what was typed just now waits for one.
        let alone = FIELDS[1..].iter().any(|name| !typed.text(name).is_empty() && typed.changed(&[*name]));
        if alone {
            typed.wrong("agent_port", "the agents' port is missing; without one leave the next two fields empty");
        }
        *agent = None;
        return;
    }
    let mut new = agent.clone().unwrap_or_else(|| Agent::new(USUAL_PORT));
    typed.put("agent_port", &mut new.port, parse::port);
    typed.put_optional_number("agent_interval", &mut new.interval);
    typed.put("agent_send", &mut new.send, |text| match text {
        "" => Ok(None),
        text => text.parse::<HttpText>().map(Some),
    });
    *agent = Some(new);
}

/// The field that a pointer below `/agent` is about.
pub(super) fn field_at(tail: &str) -> &'static str {
    match tail {
        "/interval" => "agent_interval",
        "/send" => "agent_send",
        _ => "agent_port",
    }
}

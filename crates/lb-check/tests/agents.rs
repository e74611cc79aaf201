//! When agents are asked, and what stays of what they said.

use lb_check::{AgentState, Agents, agents};
use lb_model::{Agent, Config, factory};
use std::time::Duration;

fn config(servers: &str, agent: Option<Agent>) -> Config {
    let mut config = factory();
    let vs = format!(
        r#"{{"label": "A", "service": {{"kind": "address", "address": "192.168.2.21", "ports": "80"}},
            "real_servers": [{servers}]}}"#
    );
    let mut vs: lb_model::VirtualServer = serde_json::from_str(&vs).unwrap();
    vs.agent = agent;
    config.virtual_servers = vec![vs];
    config
}

fn server(label: &str, last: u8, state: &str) -> String {
    format!(r#"{{"label": "{label}", "address": "192.168.2.{last}", "forwarding": "dr", "state": "{state}"}}"#)
}

fn every(seconds: u32) -> Option<Agent> {
    Some(Agent { interval: Some(seconds), ..Agent::new(3333) })
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn unknown(_: &lb_model::Label, _: &lb_model::Label) -> AgentState {
    AgentState::default()
}

#[test]
fn who_is_asked_and_what() {
    let servers = [server("One", 50, "online"), server("Two", 51, "drain"), server("Three", 52, "offline")].join(",");
    let mut config = config(&servers, every(7));
    config.globals.health.timeout = 3;
    let asked = agents(&config);
    assert_eq!(asked.len(), 1, "an administrator's word is above an agent's");
    let (vs, rs, spec) = &asked[0];
    assert_eq!((vs.as_str(), rs.as_str(), spec.target.to_string()), ("A", "One", "192.168.2.50:3333".into()));
    assert_eq!((spec.interval, spec.timeout, spec.send.as_str()), (seconds(7), seconds(3), ""));
    config.virtual_servers[0].agent = Some(Agent { interval: None, send: "idle".parse().ok(), port: 1 });
    let (_, _, spec) = &agents(&config)[0];
    assert_eq!((spec.interval, spec.send.as_str()), (seconds(config.globals.health.interval.into()), "idle\n"));
}

#[test]
fn asked_at_once_and_then_at_its_interval_one_question_at_a_time() {
    let mut all = Agents::default();
    all.configure(agents(&config(&server("One", 50, "online"), every(5))), seconds(100), unknown);
    assert_eq!(all.deadline(), Some(seconds(100)));
    let first = all.due(seconds(100));
    assert_eq!((first.len(), all.deadline()), (1, None), "in flight");
    let turn = all.result(first[0].key, Ok(b"75%\n".to_vec()), seconds(101)).expect("it said something");
    assert_eq!((turn.from.percent, turn.to.percent, turn.text.as_str()), (100, 75, "agent: 75%"));
    assert_eq!(all.result(first[0].key, Ok(b"1%".to_vec()), seconds(101)), None, "answered already");
    let next = all.deadline().expect("asked again");
    assert!(next > seconds(101) && next <= seconds(106), "{next:?}");
    assert!(all.due(next - Duration::from_millis(1)).is_empty());
    let second = all.due(next);
    assert_eq!(all.result(second[0].key, Ok(b"75%".to_vec()), next), None, "the same again is no news");
    assert_eq!(all.deadline(), Some(next + seconds(5)), "on its grid");
}

#[test]
fn an_unreachable_agent_changes_nothing() {
    let mut all = Agents::default();
    all.configure(agents(&config(&server("One", 50, "online"), every(5))), seconds(0), unknown);
    let key = all.due(seconds(0))[0].key;
    all.result(key, Ok(b"drain 30%".to_vec()), seconds(0));
    let again = all.due(seconds(10))[0].key;
    let turn = all.result(again, Err("connection refused".into()), seconds(10)).expect("people see it");
    assert_eq!(turn.from, turn.to);
    assert_eq!(turn.text, "agent unreachable: connection refused (drain, 30% as before)");
}

#[test]
fn what_was_said_lasts_as_long_as_the_agent_is_the_same() {
    let mut all = Agents::default();
    let label = |text: &str| text.parse().unwrap();
    let one = |all: &Agents| all.standing(&label("A"), &label("One")).map(|(state, _)| state.to_string());
    all.configure(agents(&config(&server("One", 50, "online"), every(5))), seconds(0), unknown);
    let key = all.due(seconds(0))[0].key;
    all.result(key, Ok(b"40%".to_vec()), seconds(0));

    // Another interval: the same agent, asked at once.
    all.configure(agents(&config(&server("One", 50, "online"), every(6))), seconds(1), unknown);
    assert_eq!((one(&all).as_deref(), all.deadline()), (Some("40%"), Some(seconds(1))));
    let stale = all.due(seconds(1))[0].key;

    // Another machine, with the question to the old one under way.
    all.configure(agents(&config(&server("One", 60, "online"), every(6))), seconds(2), unknown);
    assert_eq!(all.result(stale, Ok(b"1%".to_vec()), seconds(2)), None);
    assert_eq!(one(&all).as_deref(), Some("100%"));

    // Drained and put online again: it begins anew, with what is known.
    all.configure(agents(&config(&server("One", 60, "drain"), every(6))), seconds(3), unknown);
    assert_eq!((one(&all), all.deadline()), (None, None));
    let known = |_: &_, _: &_| AgentState { percent: 60, ..AgentState::default() };
    all.configure(agents(&config(&server("One", 60, "online"), every(6))), seconds(4), known);
    assert_eq!(one(&all).as_deref(), Some("60%"));
}

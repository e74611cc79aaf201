//! Agents on real servers: what they say counts, and an administrator's word more.

use crate::harness::{Live, eventually, free_port, get, installed, servers, shop};
use lb_haproxy::{AgentAnswer, ObservedAgent, Proxy as _, ServerKey};
use lb_model::RequestedState;
use serde_json::json;
use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

const RELOAD: &str = "layer 7: reload HAProxy: open connections stay with the old process";
const WEB1: &str = "/virtual_servers/0/real_servers/0";

/// Answers each connection with what it is to say, until the test ends.
struct Agent {
    port: u16,
    says: Arc<Mutex<String>>,
    /// What it was sent first on its last connection.
    heard: Arc<Mutex<String>>,
    /// How often it was asked.
    asked: Arc<AtomicUsize>,
    /// And how often it has answered.
    answered: Arc<AtomicUsize>,
    /// It waits with its answers.
    waits: Arc<Mutex<bool>>,
}

impl Agent {
    fn start(says: &str, waits_for_words: bool) -> Agent {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let says = Arc::new(Mutex::new(says.to_owned()));
        let (asked, answered) = (Arc::default(), Arc::default());
        let agent = Agent { port, says, heard: Arc::default(), asked, answered, waits: Arc::default() };
        let (says, heard) = (agent.says.clone(), agent.heard.clone());
        let (asked, answered, waits) = (agent.asked.clone(), agent.answered.clone(), agent.waits.clone());
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
                let mut buffer = [0; 200];
                if waits_for_words && let Ok(n) = stream.read(&mut buffer) {
                    *heard.lock().unwrap() = String::from_utf8_lossy(&buffer[..n]).into_owned();
                }
                let text = says.lock().unwrap().clone();
                asked.fetch_add(1, Ordering::SeqCst);
                let speaks = loop {
                    let waits = waits.lock().unwrap();
                    if !*waits {
                        break waits;
                    }
                    drop(waits);
                    thread::sleep(Duration::from_millis(5));
                };
                // Whoever asked may be gone.
                let _ = stream.write_all(text.as_bytes());
                answered.fetch_add(1, Ordering::SeqCst);
                drop(speaks);
            }
        });
        agent
    }

    fn say(&self, text: &str) {
        *self.says.lock().unwrap() = format!("{text}\n");
    }

    /// The settings of Shop with this agent on each server.
    fn asked(&self) -> serde_json::Value {
        let check = json!({"method": "connect", "interval": 1, "timeout": 1, "fall": 1, "rise": 1});
        json!({"agent": {"port": self.port, "interval": 1}, "check": check})
    }
}

fn key(label: &str) -> ServerKey {
    ServerKey { virtual_server: "Shop".parse().unwrap(), real_server: label.parse().unwrap() }
}

/// `weight state` of Web1, with `down` where it is, as its agent has made it.
fn web1(live: &mut Live) -> String {
    let statistics = live.haproxy.statistics().unwrap();
    let server = &statistics.servers[&key("Web1")];
    let Some(agent) = &server.agent else { return "not asked".into() };
    format!("{} {}{}", agent.weight, agent.state, if agent.down { " down" } else { "" })
}

#[track_caller]
fn becomes(live: &mut Live, wanted: &str) {
    eventually(wanted, || (web1(live) == wanted).then_some(()));
    assert_eq!(live.apply(), [] as [String; 0], "what an agent did is nothing to be put right");
}

fn shares(port: u16, requests: usize) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for _ in 0..requests {
        *shares.entry(get(port, "/", "").by().to_owned()).or_default() += 1;
    }
    shares
}

/// Both servers are on one machine here, so one agent speaks for both.
#[test]
fn an_agent_sets_weight_and_state() {
    if !installed() {
        return;
    }
    let (agent, port, servers) = (Agent::start("75%\n", false), free_port(), servers(1));
    let mut live = Live::start(json!({"virtual_servers": [shop(port, &servers, agent.asked())]}));
    let worker = live.worker();
    // A weight of 1 is 100 in HAProxy, so that an agent can divide it.
    becomes(&mut live, "75 ONLINE");
    agent.say("drain 20%");
    becomes(&mut live, "20 DRAIN");
    agent.say("maint #sunday");
    becomes(&mut live, "20 OFFLINE");
    agent.say("ready up 50%");
    becomes(&mut live, "50 ONLINE");
    agent.say("down #too hot");
    becomes(&mut live, "50 ONLINE down");
    let last = live.haproxy.statistics().unwrap().servers[&key("Web1")].clone();
    assert_eq!(last.fit, Some(false));
    assert_eq!(last.agent.unwrap().last, AgentAnswer::Reply("too hot".into()));
    assert_eq!(get(port, "/", "").status, 503);
    agent.say("up");
    becomes(&mut live, "50 ONLINE");
    agent.say("75");
    eventually("it is not understood", || {
        let statistics = live.haproxy.statistics().unwrap();
        let last = statistics.servers[&key("Web1")].agent.clone()?.last;
        (last == AgentAnswer::NotUnderstood("75".into())).then_some(())
    });
    assert_eq!(get(port, "/", "").by(), "Web1");
    assert_eq!(live.worker(), worker);
}

/// An agent's `ready` brings nobody back whom an administrator has taken out.
#[test]
fn an_administrators_word_is_above_the_agents() {
    if !installed() {
        return;
    }
    let (agent, port, servers) = (Agent::start("ready up 40%\n", false), free_port(), servers(1));
    let mut live = Live::start(json!({"virtual_servers": [shop(port, &servers, agent.asked())]}));
    let worker = live.worker();
    becomes(&mut live, "40 ONLINE");
    for (state, word) in [("drain", "DRAIN"), ("offline", "OFFLINE")] {
        live.edit(&format!("{WEB1}/state"), json!(state));
        assert_eq!(live.apply(), [format!("layer 7: set Web1 in Shop to {word}")]);
        thread::sleep(Duration::from_millis(2500));
        assert_eq!(live.apply(), [] as [String; 0], "the agent is not asked any more");
        assert_eq!(web1(&mut live), "not asked");
        assert_eq!(get(port, "/", "").status, 503);
    }
    live.edit(&format!("{WEB1}/state"), json!("online"));
    let back = live.apply();
    assert_eq!(back.last().map(String::as_str), Some("layer 7: set Web1 in Shop to ONLINE"), "{back:?}");
    becomes(&mut live, "40 ONLINE");
    eventually("it serves", || (get(port, "/", "").status == 200).then_some(()));
    assert_eq!(live.worker(), worker);
}

/// Asked before it and answered after it: HAProxy takes nothing of such an answer, though its Management Guide says so
/// of weights alone (`disable agent`).
#[test]
fn an_answer_under_way_does_not_undo_an_administrators_word() {
    if !installed() {
        return;
    }
    let (agent, port, servers) = (Agent::start("ready up 40%\n", false), free_port(), servers(1));
    let mut asked = agent.asked();
    // The agent has as long for its answer, and HAProxy waits so long before it asks again.
    asked["check"] = json!({"method": "connect", "interval": 5, "timeout": 5});
    let mut live = Live::start(json!({"virtual_servers": [shop(port, &servers, asked)]}));
    becomes(&mut live, "40 ONLINE");
    for (state, observed) in [("drain", RequestedState::Drain), ("offline", RequestedState::Offline)] {
        *agent.waits.lock().unwrap() = true;
        let answered = agent.answered.load(Ordering::SeqCst);
        eventually("it is asked", || (agent.asked.load(Ordering::SeqCst) > answered).then_some(()));
        live.edit(&format!("{WEB1}/state"), json!(state));
        live.apply();
        assert!(is_being_asked(&live), "the answer is still to come");
        *agent.waits.lock().unwrap() = false;
        eventually("it has answered", || (agent.answered.load(Ordering::SeqCst) > answered).then_some(()));
        thread::sleep(Duration::from_millis(500));
        assert_eq!(live.observed().servers[&key("Web1")].state, observed);
        assert_eq!(live.apply(), [] as [String; 0]);
        live.edit(&format!("{WEB1}/state"), json!("online"));
        live.apply();
        becomes(&mut live, "40 ONLINE");
    }
}

/// Whether a question to Web1's agent is under way: `CHK_ST_INPROGRESS` of the column `srv_agent_state`.
fn is_being_asked(live: &Live) -> bool {
    let states = live.ask("show servers state Shop");
    let row = states.lines().find(|line| line.contains(" Web1 ")).unwrap();
    row.split(' ').nth(14).unwrap().parse::<u32>().unwrap() & 1 != 0
}

/// Out over a reload as well; the way back is a reload then, as only the file can name an agent.
#[test]
fn what_an_agent_said_and_what_an_administrator_wants_last_over_a_reload() {
    if !installed() {
        return;
    }
    let (agent, port, servers) = (Agent::start("30%\n", false), free_port(), servers(2));
    let mut live = Live::start(json!({"virtual_servers": [shop(port, &servers, agent.asked())]}));
    becomes(&mut live, "30 ONLINE");
    agent.say("maint");
    becomes(&mut live, "30 OFFLINE");
    // An agent that falls silent: what it said last lasts, also over a reload.
    agent.say("");
    live.edit("/virtual_servers/0/max_connections", json!(1000));
    assert_eq!(live.apply(), [RELOAD]);
    assert_eq!(web1(&mut live), "30 OFFLINE");
    agent.say("ready up 60%");
    becomes(&mut live, "60 ONLINE");

    live.edit(&format!("{WEB1}/state"), json!("offline"));
    live.apply();
    live.edit("/virtual_servers/0/max_connections", json!(2000));
    assert_eq!(live.apply(), [RELOAD]);
    thread::sleep(Duration::from_millis(2500));
    assert_eq!(live.observed().servers[&key("Web1")].state, RequestedState::Offline);
    live.edit(&format!("{WEB1}/state"), json!("online"));
    assert_eq!(live.apply(), [RELOAD]);
    becomes(&mut live, "60 ONLINE");

    // The weight that the percentage is of: 3 to 1 becomes 255 to 85, and 60 % of them.
    live.edit(&format!("{WEB1}/weight"), json!(3));
    assert_eq!(live.apply(), [RELOAD]);
    becomes(&mut live, "153 ONLINE");
    eventually("both serve by their weights", || {
        (shares(port, 24) == BTreeMap::from([("Web1".into(), 18), ("Web2".into(), 6)])).then_some(())
    });
}

#[test]
fn servers_with_agents_come_and_go_and_agents_are_sent_a_text() {
    if !installed() {
        return;
    }
    let (agent, port, servers) = (Agent::start("20%\n", false), free_port(), servers(2));
    let mut live = Live::start(json!({"virtual_servers": [shop(port, &servers[..1], agent.asked())]}));
    let worker = live.worker();
    let both: Vec<_> = servers
        .iter()
        .zip(["Web1", "Web2"])
        .map(|(server, label)| json!({"label": label, "address": "127.0.0.1", "port": server.port}))
        .collect();
    live.edit("/virtual_servers/0/real_servers", json!(both));
    assert_eq!(live.apply(), ["layer 7: add Web2 in Shop: no connection notices"]);
    eventually("its agent is asked", || {
        let statistics = live.haproxy.statistics().unwrap();
        (statistics.servers[&key("Web2")].agent.as_ref()?.weight == 20).then_some(())
    });
    assert_eq!(live.observed().servers[&key("Web2")].agent, ObservedAgent::On);
    live.edit("/virtual_servers/0/real_servers", json!(both[1..]));
    assert_eq!(live.apply(), ["layer 7: remove Web1 in Shop, which has no connections"]);
    assert_eq!(live.worker(), worker);

    let curious = Agent::start("10%\n", true);
    let agent = json!({"port": curious.port, "interval": 1, "send": "how is it, $HOME 'friend'?"});
    live.edit("/virtual_servers/0/agent", agent);
    assert_eq!(live.apply(), [RELOAD]);
    eventually("it is asked", || (*curious.heard.lock().unwrap() == "how is it, $HOME 'friend'?\n").then_some(()));
    // Without an agent the weight is the configured one again.
    live.edit("/virtual_servers/0/agent", json!(null));
    assert_eq!(live.apply(), [RELOAD]);
    let observed = live.observed().servers[&key("Web2")];
    assert_eq!((observed.weight, observed.agent), (1, ObservedAgent::None));
}

//! Layer 7 with a HAProxy in memory: what reaches it, what does not, and what people are told.

use crate::{
    pair,
    rig::{Hands, LIMIT, Rig},
};
use lb_api::{
    ActualState, ApiError, Applied, ApplyRequest, ErrorCode, PlanRequest, PlanView, RollbackRequest, StateRequest,
};
use lb_haproxy::{
    Action, ActualServer, Observed, Proxy, ProxyError, Rendered, ServerKey, Statistics, Totals,
    VirtualServerStatistics, fake,
};
use lb_kernel::Fake;
use lb_model::{Config, Label, NodeId, Problem, RequestedState};
use lbd::engine::{Command, pair::NotTaken};
use std::{
    io,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

/// The guide's one arm: a shop at layer 7, and a layer 4 virtual server beside it on the same address.
fn shop() -> Config {
    let document = r#"{"version":1,
      "node":{"hostname":"lbmaster","interfaces":[{"name":"eth0","addresses":["10.0.0.21/24"]}],"gateway":"10.0.0.31"},
      "virtual_servers":[{"label":"Bytes","service":{"kind":"address","address":"10.0.0.21","ports":"90"},
        "check":{"method":{"type":"on"}},
        "real_servers":[{"label":"Bytes1","address":"10.0.0.50","forwarding":"dr"}]}],
      "layer7":{"virtual_servers":[{"label":"Shop","address":"10.0.0.21","ports":"80",
        "persistence":{"type":"cookie"},
        "real_servers":[{"label":"Shop1","address":"10.0.0.50","port":80},
                        {"label":"Shop2","address":"10.0.0.51","port":80}]}]}}"#;
    lb_model::migrate(document).expect("the shop's configuration")
}

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

fn label(text: &str) -> Label {
    text.parse().expect("a label")
}

fn key(server: &str) -> ServerKey {
    ServerKey { virtual_server: label("Shop"), real_server: label(server) }
}

fn done(rig: &Rig) -> Vec<Action> {
    rig.proxy.0.lock().expect("HAProxy").done.clone()
}

fn reloads(rig: &Rig) -> usize {
    done(rig).iter().filter(|action| matches!(action, Action::Reload)).count()
}

fn settled(rig: &Rig) {
    rig.wait("HAProxy does as it was told", |rig| rig.summary().converged);
}

/// With the shop running.
fn running(dir: &tempfile::TempDir) -> Rig {
    let rig = Rig::start(dir.path());
    let applied = rig.apply(&shop()).expect("applied");
    assert!(applied.plan.contains(&"layer 7: start HAProxy".to_owned()), "{:?}", applied.plan);
    settled(&rig);
    rig
}

fn state(server: &str, state: RequestedState) -> Command {
    Command::SetState(StateRequest {
        virtual_server: label("Shop"),
        real_server: label(server),
        state,
        author: "test".into(),
    })
}

fn complaint() -> Problem {
    Problem {
        path: "/layer7/virtual_servers/0/manual".into(),
        value: "no such word".into(),
        reason: "unknown keyword 'no'".into(),
        hint: None,
    }
}

#[test]
fn an_apply_starts_haproxy_and_a_weight_goes_over_its_socket() {
    let dir = dir();
    let rig = running(&dir);
    assert_eq!(reloads(&rig), 1);
    let mut heavier = shop();
    heavier.layer7.virtual_servers[0].real_servers[1].weight = 5;
    let applied = rig.apply(&heavier).expect("applied");
    assert!(applied.plan.contains(&"layer 7: set weight of Shop2 in Shop to 5".to_owned()), "{:?}", applied.plan);
    settled(&rig);
    assert!(done(&rig).contains(&Action::SetWeight { server: key("Shop2"), weight: 5 }), "{:?}", done(&rig));
    assert_eq!(reloads(&rig), 1, "a weight needs no reload");
}

/// And what somebody at the socket makes of them is put right.
#[test]
fn values_of_a_rule_go_over_the_socket() {
    let dir = dir();
    let rig = Rig::start(dir.path());
    let with = |values: &str| -> Config {
        let rule = format!(r#"{{"test":{{"on":"path-begins","values":{values}}},"then":{{"do":"refuse"}}}}"#);
        let mut config = shop();
        config.layer7.virtual_servers[0].rules = vec![serde_json::from_str(&rule).expect("a rule")];
        config
    };
    rig.apply(&with(r#"["/a"]"#)).expect("applied");
    settled(&rig);
    let applied = rig.apply(&with(r#"["/b","/c d"]"#)).expect("applied");
    let line = "layer 7: give rule 1 of Shop its 2 values: no connection notices".to_owned();
    assert!(applied.plan.contains(&line), "{:?}", applied.plan);
    settled(&rig);
    let lists = || rig.proxy.0.lock().expect("HAProxy").observed.lists.clone();
    let wanted = [(1_000_000, vec!["/b".to_owned(), "/c d".to_owned()])].into();
    assert_eq!(lists(), wanted);
    rig.proxy.0.lock().expect("HAProxy").observed.lists.get_mut(&1_000_000).expect("a list").pop();
    rig.wait("the values are back", |_| lists() == wanted);
    assert_eq!(reloads(&rig), 1, "values need no reload");
}

#[test]
fn the_plan_says_what_a_reload_would_cost() {
    let dir = dir();
    let rig = running(&dir);
    let busy = VirtualServerStatistics { totals: Totals { current: 12, ..Totals::default() }, fallback: false };
    rig.proxy.0.lock().expect("HAProxy").statistics.virtual_servers.insert(label("Shop"), busy);
    let mut other = shop();
    other.layer7.virtual_servers[0].compression = true;
    let plan = |config: &Config| -> PlanView {
        rig.ask(Command::Plan(Box::new(PlanRequest { config: Some(config.clone()) }))).expect("a plan")
    };
    let line = "layer 7: reload HAProxy: 12 connections keep the old process until they end".to_owned();
    rig.wait("the connections are seen", |_| plan(&other).actions.contains(&line));
    assert_eq!(plan(&shop()).actions, [] as [String; 0], "what runs needs nothing");
    rig.proxy.0.lock().expect("HAProxy").observed.old_connections = 3;
    let line = format!("{line}; older processes serve 3 already");
    rig.wait("the old connections are seen", |_| plan(&other).actions.contains(&line));
    assert_eq!(rig.status().old_connections, 3);
    rig.proxy.0.lock().expect("HAProxy").observed.last_connections = 2;
    let last = format!("{line}, and 2 of them end now: their process is too old");
    rig.wait("the last connections are seen", |_| plan(&other).actions.contains(&last));
    rig.proxy.0.lock().expect("HAProxy").observed.last_connections = 0;
    rig.wait("they are gone", |_| plan(&other).actions.contains(&line));
    let end =
        "layer 7: stop HAProxy: 12 connections are served to their end; older processes serve 3 already".to_owned();
    let without = Config { layer7: lb_model::Layer7::default(), ..shop() };
    assert!(plan(&without).actions.contains(&end), "{:?}", plan(&without).actions);
    assert_eq!(reloads(&rig), 1, "a plan does nothing");
}

#[test]
fn what_haproxy_refuses_is_a_problem_at_its_field_and_changes_nothing() {
    let dir = dir();
    let rig = running(&dir);
    let before = done(&rig);
    rig.proxy.0.lock().expect("HAProxy").complaints.push(complaint());
    let mut wrong = shop();
    wrong.layer7.virtual_servers[0].manual = Some("no such word".parse().expect("a manual block"));
    let by_apply = rig.apply(&wrong).expect_err("refused");
    let by_plan = rig
        .ask::<PlanView>(Command::Plan(Box::new(PlanRequest { config: Some(wrong.clone()) })))
        .expect_err("refused by a plan too");
    for error in [by_apply, by_plan] {
        assert_eq!((error.code, error.problems), (ErrorCode::Invalid, vec![complaint()]));
    }
    assert_eq!(rig.running().config, shop());
    assert_eq!(done(&rig), before);
    // What needs no reload is not asked about.
    let mut heavier = shop();
    heavier.layer7.virtual_servers[0].real_servers[0].weight = 7;
    rig.apply(&heavier).expect("a weight is always taken");
    rig.proxy.0.lock().expect("HAProxy").complaints.clear();
    rig.apply(&wrong).expect("taken once HAProxy knows the word");
}

#[test]
fn a_rollback_is_checked_too() {
    let dir = dir();
    let rig = running(&dir);
    rig.apply(&lb_model::factory()).expect("without layer 7");
    rig.proxy.0.lock().expect("HAProxy").complaints.push(complaint());
    let rollback = RollbackRequest { revision: 1, author: "test".into(), comment: String::new(), ..Default::default() };
    let error = rig.ask::<Applied>(Command::Rollback(rollback)).expect_err("refused");
    assert_eq!(error.problems, [complaint()]);
    assert_eq!(rig.running().revision.number, 2);
}

#[test]
fn what_haproxy_refuses_is_not_taken_from_the_other_unit_either() {
    let dir = dir();
    let rig = Rig::start(dir.path());
    pair::joining(&rig);
    let before = rig.running();
    let mut theirs = pair::pair(NodeId::One);
    theirs.layer7 = shop().layer7;
    theirs.layer7.virtual_servers[0].address = [10, 0, 0, 20].into();
    theirs.layer7.virtual_servers[0].ports = 8080.into();
    let push = || rig.push(pair::pushed(&theirs, lb_pair::next(None, "text"), None));
    rig.proxy.0.lock().expect("HAProxy").complaints.push(complaint());
    let refused = push();
    let Err(NotTaken::Problems(problems)) = refused else { panic!("{refused:?}") };
    assert_eq!(problems, [complaint()]);
    assert_eq!(rig.running(), before);
    rig.proxy.0.lock().expect("HAProxy").complaints.clear();
    push().expect("taken");
    settled(&rig);
    assert_eq!(reloads(&rig), 1, "a unit that stands by has its HAProxy ready");
}

#[test]
fn a_haproxy_that_does_not_run_is_pending_with_the_reason_and_an_alarm_and_is_repaired() {
    let dir = dir();
    let rig = running(&dir);
    rig.proxy.0.lock().expect("HAProxy").down = true;
    let mut heavier = shop();
    heavier.layer7.virtual_servers[0].real_servers[0].weight = 9;
    rig.apply(&heavier).expect("acknowledged all the same");
    rig.wait("the reason", |rig| {
        rig.status().pending.iter().any(|p| p.action.starts_with("layer 7:") && p.error == "HAProxy does not run")
    });
    assert!(!rig.summary().converged);
    rig.wait("the alarm", |rig| rig.summary().alarms.iter().any(|a| a.contains("HAProxy does not run")));
    rig.proxy.0.lock().expect("HAProxy").down = false;
    settled(&rig);
    assert!(done(&rig).contains(&Action::SetWeight { server: key("Shop1"), weight: 9 }), "{:?}", done(&rig));
    assert_eq!(rig.summary().alarms, [] as [String; 0]);
}

#[test]
fn what_somebody_did_by_hand_is_put_right() {
    let dir = dir();
    let rig = running(&dir);
    let weight = |rig: &Rig| rig.proxy.0.lock().expect("HAProxy").observed.servers[&key("Shop1")].weight;
    rig.proxy.0.lock().expect("HAProxy").observed.servers.get_mut(&key("Shop1")).expect("a server").weight = 77;
    rig.wait("the weight is back", |rig| weight(rig) == 1);
}

#[test]
fn a_restart_of_lbd_changes_nothing() {
    let dir = dir();
    let (kernel, proxy): (Fake, fake::Fake) = {
        let rig = running(&dir);
        (rig.kernel.clone(), rig.proxy.clone())
    };
    let before = proxy.0.lock().expect("HAProxy").done.len();
    let rig = Rig::with(dir.path(), kernel, proxy);
    settled(&rig);
    assert_eq!(done(&rig).len(), before, "{:?}", done(&rig));
}

#[test]
fn offline_drain_and_online_are_runtime_changes_of_either_layer() {
    let dir = dir();
    let rig = running(&dir);
    for wanted in [RequestedState::Drain, RequestedState::Offline, RequestedState::Online] {
        rig.ask::<Applied>(state("Shop1", wanted)).expect("set");
        settled(&rig);
        let observed = rig.proxy.0.lock().expect("HAProxy").observed.servers[&key("Shop1")];
        assert_eq!(observed.state, wanted);
    }
    assert_eq!(reloads(&rig), 1);
    let error = rig.ask::<Applied>(state("Shop9", RequestedState::Drain)).expect_err("no such server");
    assert!(error.to_string().contains("Shop1, Shop2"), "{error}");
    let unknown = StateRequest {
        virtual_server: label("Nowhere"),
        real_server: label("Shop1"),
        state: RequestedState::Drain,
        author: "test".into(),
    };
    let error = rig.ask::<Applied>(Command::SetState(unknown)).expect_err("no such virtual server");
    assert!(error.to_string().contains("Bytes, Shop"), "{error}");
}

#[test]
fn both_layers_stand_in_the_status_in_the_same_words() {
    let dir = dir();
    let rig = running(&dir);
    rig.ask::<Applied>(state("Shop2", RequestedState::Drain)).expect("drained");
    let actual = |fit, check: &str, current| ActualServer {
        fit,
        check: Some(check.into()),
        since: 60,
        totals: Totals { current, sessions: 7, bytes_in: 700, ..Totals::default() },
        agent: None,
    };
    {
        let mut haproxy = rig.proxy.0.lock().expect("HAProxy");
        haproxy.statistics.servers.insert(key("Shop1"), actual(Some(false), "connection refused", 0));
        haproxy.statistics.servers.insert(key("Shop2"), actual(Some(true), "status 200", 3));
    }
    rig.wait("HAProxy's statistics", |rig| {
        rig.status().virtual_servers[1].real_servers[0].actual == ActualState::NonActive
    });
    let status = rig.status();
    let layers: Vec<_> = status.virtual_servers.iter().map(|vs| (vs.layer, vs.label.as_str())).collect();
    assert_eq!(layers, [(4, "Bytes"), (7, "Shop")]);
    let shop = &status.virtual_servers[1];
    assert_eq!((shop.service.as_str(), shop.active), ("http 10.0.0.21:80", false));
    let [one, two] = &shop.real_servers[..] else { panic!("{shop:?}") };
    let check = one.check.as_ref().expect("a check");
    assert_eq!((one.address.as_str(), check.text.as_str()), ("10.0.0.50:80", "connection refused"));
    assert!(check.since > 1_700_000_000, "{check:?}");
    assert_eq!((two.requested, two.actual), (RequestedState::Drain, ActualState::Draining));
    assert_eq!((two.active_connections, two.counters.connections, two.counters.bytes_in), (3, 7, 700));
}

#[test]
fn an_unconfirmed_change_is_taken_back_though_nobody_asks_haproxy_again() {
    let dir = dir();
    let rig = running(&dir);
    let mut other = shop();
    other.layer7.virtual_servers[0].compression = true;
    let request = ApplyRequest { config: Some(other), confirm_within: Some(10), ..ApplyRequest::default() };
    rig.ask::<Applied>(Command::Apply(Box::new(request))).expect("applied");
    settled(&rig);
    assert_eq!(reloads(&rig), 2);
    rig.proxy.0.lock().expect("HAProxy").complaints.push(complaint());
    rig.wait("the way back", |rig| rig.running().config == shop());
    settled(&rig);
    assert_eq!(reloads(&rig), 3);
}

#[test]
fn without_layer_7_haproxy_is_stopped() {
    let dir = dir();
    let rig = running(&dir);
    assert_eq!(rig.kernel.state().sysctls["net.ipv4.ip_nonlocal_bind"], "1");
    rig.apply(&lb_model::factory()).expect("back to the factory settings");
    settled(&rig);
    assert_eq!(done(&rig).last(), Some(&Action::Stop));
    // HAProxy need not be there for what has no layer 7.
    rig.proxy.0.lock().expect("HAProxy").down = true;
    let mut config = lb_model::factory();
    config.node.hostname = "other".parse().expect("a name");
    assert!(rig.apply(&config).expect("applied").converged);
    settled(&rig);
}

/// A HAProxy whose check takes until the test lets it go: `false`, and it runs out of time.
struct Slow {
    fake: fake::Fake,
    asked: Sender<()>,
    go: Receiver<bool>,
}

impl Proxy for Slow {
    fn check(&mut self, wanted: &Rendered) -> Result<Vec<Problem>, ProxyError> {
        let _ = self.asked.send(());
        match self.go.recv() {
            Ok(true) => self.fake.check(wanted),
            _ => Err(ProxyError::Io { doing: "checking".into(), source: io::ErrorKind::TimedOut.into() }),
        }
    }

    fn observe(&mut self) -> Result<Observed, ProxyError> {
        self.fake.observe()
    }

    fn execute(&mut self, action: &Action) -> Result<(), ProxyError> {
        self.fake.execute(action)
    }

    fn statistics(&mut self) -> Result<Statistics, ProxyError> {
        self.fake.statistics()
    }
}

/// What checks wait for.
struct Checks {
    asked: Receiver<()>,
    go: Sender<bool>,
}

impl Checks {
    /// Until one has begun.
    fn begun(&self) {
        self.asked.recv_timeout(LIMIT).expect("a check");
    }
}

fn slow(dir: &tempfile::TempDir) -> (Rig, Checks) {
    let (asks, asked) = channel();
    let (go, goes) = channel();
    let proxy = fake::Fake::default();
    let checker = Slow { fake: proxy.clone(), asked: asks, go: goes };
    let hands = (Box::new(proxy.clone()) as Hands, Box::new(checker) as Hands, lb_haproxy::Places::default());
    let rig = Rig::with_hands(dir.path(), Fake::new(&["eth0", "eth1"]), proxy, hands, |_, _| {});
    (rig, Checks { asked, go })
}

/// The shop, for whoever has seen this revision.
fn shop_upon(base: Option<u64>) -> Command {
    let request = ApplyRequest { config: Some(shop()), base, author: "test".into(), ..ApplyRequest::default() };
    Command::Apply(Box::new(request))
}

#[test]
fn while_haproxy_is_asked_everybody_else_is_served() {
    let dir = dir();
    let (rig, checks) = slow(&dir);
    // The engine has them in this order: one that came after the first check's answer would need none.
    let late = rig.begin::<Applied>(shop_upon(Some(0)));
    checks.begun();
    let whatever = rig.begin::<Applied>(shop_upon(None));
    // What has no layer 7 needs no check, and runs meanwhile.
    let mut other = lb_model::factory();
    other.node.hostname = "other".parse().expect("a name");
    assert_eq!(rig.apply(&other).expect("applied").revision.number, 1);
    assert_eq!(rig.running().config, other);
    checks.go.send(true).expect("the checker");
    assert_eq!(late().expect_err("made from what ran before").code, ErrorCode::Conflict);
    checks.begun();
    checks.go.send(true).expect("the checker");
    assert_eq!(whatever().expect("applied").revision.number, 2);
    assert_eq!(rig.running().config, shop());
    settled(&rig);
}

#[test]
fn a_check_that_ran_out_of_time_is_no_refusal() {
    let dir = dir();
    let (rig, checks) = slow(&dir);
    checks.go.send(false).expect("the checker");
    let error: ApiError = rig.apply(&shop()).expect_err("not checked");
    assert_eq!((error.code, error.problems.len()), (ErrorCode::Busy, 0), "{error}");
    assert!(error.message.contains("timed out"), "{error}");
    assert_eq!(rig.running().revision.number, 0);
    // The same again is asked again.
    checks.go.send(true).expect("the checker");
    rig.apply(&shop()).expect("applied");
    settled(&rig);
}

/// A look that lasts holds up neither HAProxy's thread nor the next look: the engine once stood still for ever, when
/// that thread had something to say between two looks.
#[test]
fn looking_holds_nobody_up() {
    let proxy = || Box::new(fake::Fake::default());
    let mut layer7 =
        lbd::layer7::Layer7::start(proxy(), proxy(), lb_haproxy::Places::default(), |_| ()).expect("threads");
    let look = layer7.view();
    layer7.want(None);
    let late = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while layer7.view().order == look.order {
        assert!(std::time::Instant::now() < late, "the thread waits for who looks");
        thread::yield_now();
    }
}

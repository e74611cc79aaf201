use super::*;
use crate::{Proxy, ServerSetting, fake::Fake, render};
use lb_model::Config;

/// One virtual server, Shop, with Web1 of `weight` and `state`, listening on `port`.
fn wanted(port: u16, weight: u16, state: RequestedState) -> Rendered {
    let mut config: Config =
        serde_json::from_str(include_str!("../../tests/cases/plain/config.json")).expect("a configuration");
    let shop = &mut config.layer7.virtual_servers[0];
    shop.ports = port.into();
    shop.real_servers.truncate(1);
    shop.real_servers[0].weight = weight;
    shop.real_servers[0].state = state;
    render(&config).expect("layer 7")
}

/// Carries the plan out, and expects that nothing is left to do then.
fn settle(fake: &mut Fake, wanted: Option<&Rendered>) -> String {
    let actions = plan(wanted, &fake.observe().unwrap());
    for action in &actions {
        fake.execute(action).unwrap();
    }
    assert_eq!(plan(wanted, &fake.observe().unwrap()), []);
    let name = |line: String| match line.strip_prefix("layer 7: ").unwrap_or("?") {
        write if write.starts_with("write ") => WRITE.to_owned(),
        other => other.to_owned(),
    };
    actions.iter().map(|action| name(action.to_string())).collect::<Vec<_>>().join("; ")
}

const WRITE: &str = "write";
const RELOAD: &str = "reload HAProxy: open connections stay with the old process";

#[test]
fn the_ladder() {
    use RequestedState::{Drain, Offline, Online};
    let mut fake = Fake::default();
    let mut step = |wanted: Option<Rendered>| settle(&mut fake, wanted.as_ref());
    assert_eq!(step(None), "");
    assert_eq!(step(Some(wanted(80, 1, Online))), format!("{WRITE}; {RELOAD}"));
    assert_eq!(step(Some(wanted(80, 1, Online))), "");
    assert_eq!(step(Some(wanted(80, 5, Online))), format!("{WRITE}; set weight of Web1 in Shop to 5"));
    assert_eq!(step(Some(wanted(80, 5, Drain))), format!("{WRITE}; set Web1 in Shop to DRAIN"));
    assert_eq!(step(Some(wanted(80, 5, Offline))), format!("{WRITE}; set Web1 in Shop to OFFLINE"));
    // The weight first: it never serves with the old one.
    assert_eq!(
        step(Some(wanted(80, 7, Online))),
        format!("{WRITE}; set weight of Web1 in Shop to 7; set Web1 in Shop to ONLINE")
    );
    assert_eq!(step(Some(wanted(8080, 7, Online))), format!("{WRITE}; {RELOAD}"));
    // What runs goes on for a while, or for good if the reload fails.
    assert_eq!(step(Some(wanted(90, 7, Offline))), format!("{WRITE}; set Web1 in Shop to OFFLINE; {RELOAD}"));
    assert_eq!(step(None), "stop HAProxy");
}

#[test]
fn a_drained_server_is_one_of_weight_0_after_a_start() {
    let mut fake = Fake::default();
    let drained = wanted(80, 5, RequestedState::Drain);
    assert_eq!(settle(&mut fake, Some(&drained)), format!("{WRITE}; {RELOAD}"));
    let online = wanted(80, 5, RequestedState::Online);
    assert_eq!(settle(&mut fake, Some(&online)), format!("{WRITE}; set weight of Web1 in Shop to 5"));
}

#[test]
fn what_somebody_changed_by_hand_is_put_right() {
    let mut fake = Fake::default();
    let online = wanted(80, 5, RequestedState::Online);
    settle(&mut fake, Some(&online));
    let server = online.servers.keys().next().unwrap().clone();
    fake.0.lock().unwrap().observed.servers.get_mut(&server).unwrap().weight = 9;
    assert_eq!(settle(&mut fake, Some(&online)), "set weight of Web1 in Shop to 5");
    fake.0.lock().unwrap().observed.servers.get_mut(&server).unwrap().state = RequestedState::Offline;
    assert_eq!(settle(&mut fake, Some(&online)), "set Web1 in Shop to ONLINE");
    fake.0.lock().unwrap().observed.text = Some("somebody's".into());
    assert_eq!(settle(&mut fake, Some(&online)), WRITE);
    fake.0.lock().unwrap().observed.servers.clear();
    assert_eq!(settle(&mut fake, Some(&online)), RELOAD);
}

/// Every pair of settings is reached, in both ways that a drain is seen.
#[test]
fn every_setting_is_reached_from_every_other() {
    use RequestedState::{Drain, Offline, Online};
    let all: Vec<ServerSetting> = [Online, Drain, Offline]
        .into_iter()
        .flat_map(|state| [0, 1, 256].map(|weight| ServerSetting { weight, state, agent: false }))
        .collect();
    for from in &all {
        for to in &all {
            let (before, after) = (wanted(80, from.weight, from.state), wanted(80, to.weight, to.state));
            assert_eq!(before.shape, after.shape);
            let mut fake = Fake::default();
            settle(&mut fake, Some(&before));
            assert!(!settle(&mut fake, Some(&after)).contains("reload"), "{from:?} {to:?}");
        }
    }
}

fn certificate(pem: &str, sha1: &str) -> crate::Material {
    crate::Material { pem: std::sync::Arc::new(pem.to_owned().into()), sha1: sha1.to_owned(), ocsp: None }
}

/// The golden case with TLS, with these behind `shop`, `blog` and `office`.
fn over_tls(shop: crate::Material, certificates: &[&str]) -> Rendered {
    let mut config: Config =
        serde_json::from_str(include_str!("../../tests/cases/tls/config.json")).expect("a configuration");
    config.layer7.virtual_servers.truncate(1);
    let tls = config.layer7.virtual_servers[0].tls.as_mut().unwrap();
    tls.certificates = certificates.iter().map(|label| label.parse().unwrap()).collect();
    let mut all = config.layer7.certificates.iter().map(|named| named.fingerprint.clone());
    let mut next = || all.next().unwrap();
    let at_hand = [(next(), shop), (next(), certificate("blog", "B1")), (next(), certificate("office", "C1"))];
    crate::render_in(&config, &crate::Places::default(), &at_hand.into()).expect("layer 7")
}

#[test]
fn a_renewed_certificate_needs_no_reload() {
    let mut fake = Fake::default();
    let files = "write Shop.list; write blog.pem; write office.ca; write shop.pem";
    let both = ["shop", "blog"];
    let mut step = |wanted: Option<Rendered>| settle(&mut fake, wanted.as_ref());
    let plain = |said: String| said.replace("write; ", "");
    assert_eq!(plain(step(Some(over_tls(certificate("one", "A1"), &both)))), RELOAD);
    assert_eq!(step(Some(over_tls(certificate("one", "A1"), &both))), "", "{files}");
    let renew = "renew certificate shop: no connection notices";
    assert_eq!(step(Some(over_tls(certificate("two", "A2"), &both))), format!("{WRITE}; {renew}"));
    // The chain alone.
    assert_eq!(step(Some(over_tls(certificate("two and more", "A2"), &both))), format!("{WRITE}; {renew}"));
    // More than the runtime API takes at once.
    let long = certificate(&"x".repeat(15_001), "A3");
    assert_eq!(step(Some(over_tls(long, &both))), format!("{WRITE}; {RELOAD}"));
    let one = step(Some(over_tls(certificate("two", "A2"), &["shop"])));
    assert_eq!(plain(one), format!("{RELOAD}; remove blog.pem"), "after nothing reads it any more");
    assert_eq!(step(None), "stop HAProxy; remove Shop.list, office.ca, shop.pem");
}

/// The same with this answer of its responder.
fn stapled(pem: &str, sha1: &str, answer: &str) -> crate::Material {
    crate::Material { ocsp: Some(std::sync::Arc::new(answer.into())), ..certificate(pem, sha1) }
}

#[test]
fn what_is_stapled_comes_and_goes_without_a_reload() {
    let mut fake = Fake::default();
    let one = ["shop"];
    let mut step = |shop: crate::Material| settle(&mut fake, Some(&over_tls(shop, &one)));
    step(certificate("one", "A1"));
    let staple = format!("staple an OCSP response to certificate shop: no connection notices; {WRITE}");
    assert_eq!(step(stapled("one", "A1", "good")), staple, "the file comes last: it says what runs");
    assert_eq!(step(stapled("one", "A1", "good")), "");
    assert_eq!(step(stapled("one", "A1", "still good")), staple);
    let none = "staple no OCSP response to certificate shop: no connection notices; remove shop.pem.ocsp";
    assert_eq!(step(certificate("one", "A1")), none);
    // With a renewed certificate: its own, or none; never the one of before.
    let renew = "renew certificate shop: no connection notices";
    step(stapled("one", "A1", "good"));
    assert_eq!(step(stapled("two", "A2", "of two")), format!("{WRITE}; {renew}; {WRITE}"));
    assert_eq!(step(certificate("three", "A3")), format!("{WRITE}; {renew}; remove shop.pem.ocsp"));
    step(stapled("three", "A3", "good"));
    assert_eq!(settle(&mut fake, None), "stop HAProxy; remove Shop.list, office.ca, shop.pem, shop.pem.ocsp");
}

#[test]
fn before_a_reload_the_files_say_what_is_to_be_stapled() {
    let mut fake = Fake::default();
    settle(&mut fake, Some(&over_tls(stapled("one", "A1", "good"), &["shop"])));
    // Whatever asks for the reload: here a second certificate.
    let both = ["shop", "blog"];
    let said = settle(&mut fake, Some(&over_tls(certificate("one", "A1"), &both)));
    assert!(said.ends_with(&format!("remove shop.pem.ocsp; {RELOAD}")), "{said}");
    let said = settle(&mut fake, Some(&over_tls(stapled("one", "A1", "good"), &["shop"])));
    assert!(said.contains(&format!("{WRITE}; {RELOAD}")), "{said}");
    assert!(said.ends_with("remove blog.pem"), "{said}");
}

#[test]
fn nothing_is_stapled_where_the_document_says_so() {
    let wanted = over_tls(stapled("one", "A1", "good"), &["shop"]);
    let names = |wanted: &Rendered| wanted.files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&wanted), ["Shop.list", "office.ca", "shop.pem", "shop.pem.ocsp"]);
    let mut config: Config =
        serde_json::from_str(include_str!("../../tests/cases/tls/config.json")).expect("a configuration");
    for certificate in &mut config.layer7.certificates {
        certificate.stapling = false;
    }
    let fingerprint = config.layer7.certificates[0].fingerprint.clone();
    let at_hand = [(fingerprint, stapled("one", "A1", "good"))].into();
    let off = crate::render_in(&config, &crate::Places::default(), &at_hand).expect("layer 7");
    assert!(!names(&off).iter().any(|name| name.ends_with(".ocsp")), "{:?}", names(&off));
}

#[test]
fn somebody_at_the_socket_or_the_files_is_put_right() {
    let mut fake = Fake::default();
    let wanted = over_tls(certificate("one", "A1"), &["shop"]);
    settle(&mut fake, Some(&wanted));
    fake.0.lock().unwrap().observed.certificates.insert("shop.pem".into(), "EE".into());
    assert_eq!(settle(&mut fake, Some(&wanted)), "renew certificate shop: no connection notices");
    fake.0.lock().unwrap().observed.files.insert("key.bak".into(), "00".into());
    assert_eq!(settle(&mut fake, Some(&wanted)), "remove key.bak");
    fake.0.lock().unwrap().observed.files.remove("Shop.list");
    assert_eq!(settle(&mut fake, Some(&wanted)), WRITE);
}

/// A unit whose shelf was lost serves everything else, and nothing unencrypted or unverified instead.
#[test]
fn without_its_key_a_virtual_server_does_not_listen() {
    let mut config: Config =
        serde_json::from_str(include_str!("../../tests/cases/tls/config.json")).expect("a configuration");
    config.layer7.virtual_servers[0].server_verification = None;
    let rendered = render(&config).expect("layer 7");
    let frontends = |rendered: &Rendered| {
        let lines = rendered.text.lines().filter_map(|line| line.strip_prefix("frontend vs:"));
        lines.filter_map(|line| line.split(' ').next().map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(frontends(&rendered), ["Redirect"]);
    assert!(rendered.files.is_empty());
    assert!(rendered.missing.iter().all(|missing| missing.stops), "{:?}", rendered.missing);
    // Without the authority of clients neither.
    let mut all = config.layer7.certificates.iter().map(|named| named.fingerprint.clone());
    let at_hand = [(all.next().unwrap(), certificate("shop", "A")), (all.next().unwrap(), certificate("blog", "B"))];
    let rendered = crate::render_in(&config, &crate::Places::default(), &at_hand.into()).expect("layer 7");
    assert_eq!(frontends(&rendered), ["Redirect", "Mail"]);
}

#[test]
fn no_key_is_in_debug_or_on_a_screen() {
    let wanted = over_tls(certificate("SECRET", "A1"), &["shop"]);
    let mut fake = Fake::default();
    let actions = plan(Some(&wanted), &fake.observe().unwrap());
    settle(&mut fake, Some(&wanted));
    let shown = format!(
        "{wanted:?} {actions:?} {:?} {}",
        fake.0.lock().unwrap(),
        actions.iter().map(ToString::to_string).collect::<String>()
    );
    assert!(!shown.contains("SECRET"), "{shown}");
}

/// Shop with these servers, balanced so and with these further settings.
fn shop_of(labels: &[&str], more: impl FnOnce(&mut lb_model::Layer7VirtualServer)) -> Rendered {
    let mut config: Config =
        serde_json::from_str(include_str!("../../tests/cases/plain/config.json")).expect("a configuration");
    let shop = &mut config.layer7.virtual_servers[0];
    let server = |label: &&str| {
        let last = label.trim_start_matches("Web").parse::<u8>().unwrap();
        lb_model::Layer7RealServer::new(label.parse().unwrap(), [10, 0, 0, 100 + last].into(), Some(80))
    };
    (shop.persistence, shop.manual) = (None, None);
    shop.real_servers = labels.iter().map(server).collect();
    more(shop);
    render(&config).expect("layer 7")
}

#[test]
fn servers_come_and_go() {
    let mut fake = Fake::default();
    let plain = |labels: &[&str]| shop_of(labels, |_| {});
    settle(&mut fake, Some(&plain(&["Web1"])));
    let two = plain(&["Web1", "Web2"]);
    assert_eq!(settle(&mut fake, Some(&two)), format!("{WRITE}; add Web2 in Shop: no connection notices"));
    let gone = "remove Web1 in Shop, which has no connections";
    assert_eq!(settle(&mut fake, Some(&plain(&["Web2"]))), format!("{WRITE}; {gone}"));
    // What somebody made or took at the socket.
    let web2 = fake.0.lock().unwrap().observed.servers.pop_first().unwrap();
    assert_eq!(settle(&mut fake, Some(&plain(&["Web2"]))), "add Web2 in Shop: no connection notices");
    let mut web1 = web2.clone();
    web1.0.real_server = "Web1".parse().unwrap();
    fake.0.lock().unwrap().observed.servers.extend([web1]);
    assert_eq!(settle(&mut fake, Some(&plain(&["Web2"]))), gone);
    // Their connections stay with an old process.
    settle(&mut fake, Some(&two));
    let web1 = two.servers.keys().next().unwrap().clone();
    fake.0.lock().unwrap().observed.busy.insert(web1);
    assert_eq!(settle(&mut fake, Some(&plain(&["Web2"]))), format!("{WRITE}; {RELOAD}"));
    // Another one of the same name.
    let narrow = shop_of(&["Web2"], |shop| shop.real_servers[0].max_connections = 7);
    assert_eq!(narrow.shape, plain(&["Web2"]).shape);
    assert_ne!(narrow.outline, plain(&["Web2"]).outline);
    assert_eq!(settle(&mut fake, Some(&narrow)), format!("{WRITE}; {RELOAD}"));
}

/// What HAProxy cannot make as the file says it is a reload.
#[test]
fn some_servers_come_by_a_reload() {
    use lb_model::layer7::{Balance, Layer7Check, Layer7CheckMethod, Layer7Persistence};
    let by_reload = |more: &dyn Fn(&mut lb_model::Layer7VirtualServer)| {
        let [one, two] = [&["Web1"][..], &["Web1", "Web2"]].map(|labels| shop_of(labels, more));
        assert_eq!(one.runtime.is_empty(), one.shape != two.shape);
        one.shape != two.shape
    };
    for (balance, reload) in [
        (Balance::RoundRobin, false),
        (Balance::LeastConn, false),
        (Balance::Random, false),
        (Balance::Source, true),
        (Balance::First, true),
    ] {
        assert_eq!(by_reload(&|shop| shop.balance = balance), reload, "{balance}");
    }
    assert!(by_reload(&|shop| shop.persistence = Some(Layer7Persistence::Cookie(Default::default()))));
    assert!(!by_reload(&|shop| shop.persistence = Some(Layer7Persistence::Source(Default::default()))));
    assert!(by_reload(&|shop| shop.manual = Some("retries 2".parse().unwrap())));
    assert!(!by_reload(&|shop| shop.manual = Some("http-request deny if { path /a }".parse().unwrap())));
    let tls = |shop: &mut lb_model::Layer7VirtualServer| shop.real_servers.iter_mut().for_each(|rs| rs.tls = true);
    assert!(by_reload(&tls));
    let https = Layer7Check { method: Layer7CheckMethod::Https, ..Layer7Check::default() };
    assert!(!by_reload(&|shop| {
        tls(shop);
        shop.check = https.clone();
    }));
    let odd = Layer7Check { virtual_host: Some("a;b".parse().unwrap()), ..https.clone() };
    assert!(by_reload(&|shop| shop.check = odd.clone()));
}

/// A server that comes or goes moves no other one's clients: its place in the hash is its own.
#[test]
fn a_source_hash_keeps_its_places() {
    let source = |labels: &[&str]| shop_of(labels, |shop| shop.balance = lb_model::layer7::Balance::Source);
    let (few, many) = (source(&["Web2"]), source(&["Web1", "Web2", "Web3"]));
    let line = |rendered: &Rendered| {
        rendered.text.lines().find(|line| line.contains("server Web2 ")).expect("Web2").to_owned()
    };
    assert_eq!(line(&few), line(&many));
    assert!(line(&few).contains(" id "));
}

/// The golden case with rules, whose first rule has these values.
fn ruled(values: &[&str], more: impl FnOnce(&mut Vec<lb_model::layer7::Rule>)) -> Rendered {
    use lb_model::layer7::Test;
    let mut config: Config =
        serde_json::from_str(include_str!("../../tests/cases/rules/config.json")).expect("a configuration");
    let rules = &mut config.layer7.virtual_servers[0].rules;
    let Test::Header { values: own, .. } = &mut rules[0].test else { panic!("a header") };
    *own = values.iter().map(|value| value.parse().unwrap()).collect();
    more(rules);
    render(&config).expect("layer 7")
}

#[test]
fn values_of_rules_need_no_reload() {
    let mut fake = Fake::default();
    let mut step = |wanted: Rendered| settle(&mut fake, Some(&wanted));
    let same = |_: &mut Vec<lb_model::layer7::Rule>| {};
    let give = |values| format!("{WRITE}; give rule 1 of Front its {values}: no connection notices");
    assert_eq!(step(ruled(&["a", "b"], same)), format!("{WRITE}; {RELOAD}"));
    assert_eq!(step(ruled(&["a"], same)), give("1 value"));
    assert_eq!(step(ruled(&["b", "a"], same)), give("2 values"));
    assert_eq!(step(ruled(&["a", "b", "b"], same)), WRITE, "the same in other words");
    // More than a line takes; then as a start would have it.
    let many: Vec<String> = (0..100).map(|n| format!("it's {n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(step(ruled(&many, same)), give("100 values"));
    let turned = |rules: &mut Vec<lb_model::layer7::Rule>| rules[0].not = true;
    assert_eq!(step(ruled(&many, turned)), format!("{WRITE}; {RELOAD}"));
    assert_eq!(step(ruled(&many[1..], turned)), give("99 values"));
    assert_eq!(step(ruled(&["a"], turned)), give("1 value"));
    // What is not a value.
    assert_eq!(step(ruled(&["a"], |rules| rules.truncate(2))), format!("{WRITE}; {RELOAD}"));
    assert_eq!(step(ruled(&["a"], |rules| rules.swap(0, 1))), format!("{WRITE}; {RELOAD}"));
    step(ruled(&["a"], same));
    // At the socket.
    let wanted = ruled(&["a"], same);
    let first = *wanted.lists.keys().next().unwrap();
    let set = |fake: &Fake, values: &[&str]| {
        let values = values.iter().map(ToString::to_string).collect();
        fake.0.lock().unwrap().observed.lists.insert(first, values);
    };
    for other in [&["a", "x"][..], &[], &["x"]] {
        set(&fake, other);
        let give = "give rule 1 of Front its 1 value: no connection notices";
        assert_eq!(settle(&mut fake, Some(&wanted)), give, "{other:?}");
    }
    fake.0.lock().unwrap().observed.lists.clear();
    assert_eq!(settle(&mut fake, Some(&wanted)), RELOAD, "it does not run what we believe");
}

//! From the configuration to what is asked: one line for each real server.

use lb_check::{Kind, specs};
use lb_model::factory;

fn ask(virtual_server: &str) -> String {
    let mut config = factory();
    config.virtual_servers.push(serde_json::from_str(virtual_server).unwrap());
    let line = |(vs, rs, s): (lb_model::Label, lb_model::Label, lb_check::CheckSpec)| {
        let kind = match &s.kind {
            Kind::Connect => "connect".to_owned(),
            Kind::Ping => "ping".to_owned(),
            Kind::Negotiate(n) => format!("{:?} {}", n.service, n.request),
        };
        let [every, within, again] = [s.interval, s.timeout, s.retry].map(|d| d.as_secs());
        format!(
            "{vs}/{rs} {kind} {} every {every} within {within} retry {again} fall {} rise {}",
            s.target, s.fall, s.rise
        )
    };
    specs(&config).into_iter().map(line).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn check(service: &str, check: &str, asked: &str) {
    let vs = format!(
        r#"{{"label":"web","service":{service},"check":{check},"real_servers":[
            {{"label":"a","address":"192.168.2.50","port":8080,"forwarding":"nat"}},
            {{"label":"b","address":"2001:db8::50","forwarding":"dr","state":"offline"}}]}}"#
    );
    assert_eq!(ask(&vs), asked.lines().map(str::trim).collect::<Vec<_>>().join("\n"));
}

const HTTP: &str = r#"{"kind":"address","address":"10.0.0.21","ports":"80"}"#;

/// Also one requested offline.
#[test]
fn defaults_come_from_the_globals() {
    check(
        HTTP,
        r#"{"method":{"type":"connect"}}"#,
        "web/a connect 192.168.2.50:8080 every 10 within 5 retry 1 fall 1 rise 1
         web/b connect [2001:db8::50]:80 every 10 within 5 retry 1 fall 1 rise 1",
    );
    check(
        HTTP,
        r#"{"method":{"type":"negotiate","service":"https","request":"/ok"}}"#,
        "web/a Https /ok 192.168.2.50:8080 every 10 within 30 retry 1 fall 1 rise 1
         web/b Https /ok [2001:db8::50]:80 every 10 within 30 retry 1 fall 1 rise 1",
    );
}

#[test]
fn the_checks_own_settings_win() {
    check(
        HTTP,
        r#"{"method":{"type":"negotiate","service":"http"},"port":81,"interval":1,"timeout":2,"fall":3,"rise":4}"#,
        "web/a Http / 192.168.2.50:81 every 1 within 2 retry 1 fall 3 rise 4
         web/b Http / [2001:db8::50]:81 every 1 within 2 retry 1 fall 3 rise 4",
    );
}

/// The lowest of several; a firewall mark has none, so the check names it.
#[test]
fn ports() {
    let connect = r#"{"method":{"type":"connect"}}"#;
    check(
        r#"{"kind":"address","address":"10.0.0.21","ports":"443,80,8000-8100"}"#,
        connect,
        "web/a connect 192.168.2.50:8080 every 10 within 5 retry 1 fall 1 rise 1
         web/b connect [2001:db8::50]:80 every 10 within 5 retry 1 fall 1 rise 1",
    );
    check(
        r#"{"kind":"firewall-mark","mark":7}"#,
        r#"{"method":{"type":"connect"},"port":443}"#,
        "web/a connect 192.168.2.50:443 every 10 within 5 retry 1 fall 1 rise 1
         web/b connect [2001:db8::50]:443 every 10 within 5 retry 1 fall 1 rise 1",
    );
}

/// A ping knows no port; what has no TCP to connect to is pinged.
#[test]
fn pings() {
    let asked = "web/a ping 192.168.2.50 every 10 within 5 retry 1 fall 1 rise 1
                 web/b ping 2001:db8::50 every 10 within 5 retry 1 fall 1 rise 1";
    check(HTTP, r#"{"method":{"type":"ping"},"port":81}"#, asked);
    for protocol in ["udp", "sctp"] {
        let service = format!(r#"{{"kind":"address","address":"10.0.0.21","protocol":"{protocol}","ports":"53"}}"#);
        check(&service, r#"{"method":{"type":"connect"}}"#, asked);
    }
}

#[test]
fn on_and_off_ask_nothing() {
    check(HTTP, r#"{"method":{"type":"on"}}"#, "");
    check(HTTP, r#"{"method":{"type":"off"}}"#, "");
}

use super::rules::{header, rule};
use super::*;
use crate::forms::{
    Edit, Posted, Refused,
    form::{Form, Kind},
    golden,
    tests::{changes, refused, sent, shown, typed},
};
use lb_model::{
    Agent, Config, Layer7VirtualServer,
    layer7::{
        ApplicationCookie, Cookie, HeaderOperation, HeaderRule, HttpText, Layer7CheckMethod, Layer7Fallback,
        Layer7Persistence, Limits, Outcome, OwnTimeouts, ProxyMode, Rule, SourceTable, Test,
    },
    sample::Random,
};

/// One arm: Shop by http with two servers, and Images beside it.
fn lab() -> Config {
    serde_json::from_str(
        r#"{"version": 1, "node": {"hostname": "lbmaster", "gateway": "192.168.1.1",
        "interfaces": [{"name": "eth0", "addresses": ["192.168.1.20/24"]}]},
        "layer7": {"virtual_servers": [
          {"label": "Shop", "address": "192.168.1.21", "ports": 80,
           "persistence": {"type": "cookie", "idle": 1800}, "manual": "http-response del-header Server\n",
           "rules": [{"test": {"on": "path-begins", "values": ["/images", "/static"]}, "then": {"do": "use", "virtual_server": "Images"}}],
           "real_servers": [{"label": "WebServer1", "address": "192.168.1.50", "port": 80}]},
          {"label": "Images", "address": "192.168.1.22", "ports": 80}]}}"#,
    )
    .expect("the lab's configuration")
}

#[test]
fn the_forms_of_layer_7() {
    let config = lab();
    for (name, form) in [
        ("layer-7-virtual-server-add", Layer7VirtualServerForm::add().form(&config)),
        ("layer-7-virtual-server-modify", Layer7VirtualServerForm::modify("Shop").form(&config)),
        ("layer-7-real-server-add", Layer7RealServerForm::add("Shop").form(&config)),
        ("layer-7-real-server-modify", Layer7RealServerForm::modify("Shop", "WebServer1").form(&config)),
    ] {
        golden(&format!("{name}.txt"), &shown(&form.expect(name)));
    }
}

#[test]
fn a_virtual_server_with_a_cookie_and_a_server_are_added() {
    let config = lab();
    let editor = Layer7VirtualServerForm::add();
    let form = editor.form(&config).expect("a form");
    let posted = typed(&form, &[("label", "Blog"), ("service", "192.168.1.23:80,8080"), ("persistence", "cookie")]);
    let new = editor.read(&config, &posted).expect("a configuration");
    let blog = new.layer7.virtual_servers.last().expect("the new one");
    assert_eq!(blog.persistence, Some(Layer7Persistence::Cookie(Cookie::default())));
    let editor = Layer7RealServerForm::add("Blog");
    let form = editor.form(&new).expect("a form");
    let posted =
        typed(&form, &[("label", "WebServer1"), ("address", "192.168.1.60:80"), ("weight", "3"), ("tls", "on")]);
    let new = editor.read(&new, &posted).expect("a configuration");
    assert_eq!(
        changes(&config, &new),
        [
            "Add layer 7 virtual server Blog on http 192.168.1.23:80,8080 (roundrobin)",
            "Add real server WebServer1 at 192.168.1.60 port 80 (weight 3) to Blog"
        ]
    );
}

#[test]
fn all_errors_come_at_once_each_at_its_field() {
    let config = lab();
    let editor = Layer7VirtualServerForm::add();
    let form = editor.form(&config).expect("a form");
    let posted = typed(
        &form,
        &[
            ("label", "my shop"),
            ("service", "192.168.1.23"),
            ("balance", "best"),
            ("persistence", "application-cookie"),
            ("table_size", "many"),
            ("by_source", "on"),
            ("source_granularity", "255.0.255.0"),
            ("check_type", "http"),
            ("check_status", "20x"),
            ("check_interval", "0"),
            ("agent_interval", "5"),
            ("fallback", "somewhere"),
            ("fallback_page", "<h1>\u{7}</h1>"),
            ("slow_start", "-1"),
            ("rules", "path /a -> use Images\n\npaht /b -> refuse\nhost www.example.com\nsource 10.0.0.0/33 -> refuse"),
            ("request_headers", "set X-Shop 1\nput X: 1\nremove X-Y: 2"),
            ("response_headers", "set X Y: 1"),
            ("limit_requests", "2000000"),
            ("timeout_client", "0"),
            ("manual", "http-request deny\nbackend other"),
        ],
    );
    golden("layer-7-all-wrong.txt", &shown(&refused(editor.read(&config, &posted))));
}

#[test]
fn problems_of_the_whole_come_at_the_field() {
    let config = lab();
    let editor = Layer7VirtualServerForm::modify("Shop");
    let form = editor.form(&config).expect("a form");
    let posted = typed(
        &form,
        &[
            ("service", "192.168.1.20:22"),
            ("balance", "first"),
            ("slow_start", "30"),
            ("rules", "path images -> use Images\nhost a -> use Nobody\npath /old -> redirect www.example.com"),
            ("check_host", "www example"),
            ("check_type", "http"),
        ],
    );
    golden("layer-7-problems.txt", &shown(&refused(editor.read(&config, &posted))));
    // Mode tcp reads no requests.
    let posted = typed(&form, &[("mode", "tcp")]);
    let form = refused(editor.read(&config, &posted));
    for name in ["persistence", "rules"] {
        assert!(form.field(name).is_some_and(|f| f.error.is_some()), "{name}: {form:?}");
    }
    let switching = form.sections.iter().find(|s| s.heading == "Content switching").expect("the section");
    assert!(switching.is_open(), "an error is never folded away");
}

#[test]
fn what_is_as_usual_is_folded_away() {
    let config = lab();
    let open = |label: &str| -> Vec<&str> {
        let form = Layer7VirtualServerForm::modify(label).form(&config).expect("a form");
        let folding = form.sections.iter().filter(|s| s.usual.is_some() && s.is_open());
        folding.map(|s| s.heading).collect()
    };
    assert_eq!(open("Images"), Vec::<&str>::new());
    assert_eq!(open("Shop"), ["Content switching", "Manual configuration"]);
}

#[test]
fn who_leads_to_a_renamed_virtual_server_leads_to_its_new_name() {
    let config = lab();
    let editor = Layer7VirtualServerForm::modify("Images");
    let new = editor.read(&config, &typed(&editor.form(&config).expect("a form"), &[("label", "Pictures")]));
    let new = new.expect("a configuration");
    assert_eq!(rule_text(&new.layer7.virtual_servers[0].rules[0]), "path /images /static -> use Pictures");
    let removal = crate::forms::Remove::remove(&editor, &config).expect("it is there");
    assert_eq!(
        removal.consequences,
        [
            "Layer 7 Virtual Server Shop > rules > then > virtual server: There is no such layer 7 virtual server; add it first."
        ]
    );
}

/// A method that sends no request takes what belonged to requests with it; what is typed beside it is refused.
#[test]
fn another_check_method_takes_the_request_with_it() {
    let mut config = lab();
    let check = &mut config.layer7.virtual_servers[0].check;
    check.method = Layer7CheckMethod::Http;
    check.request = Some("/check.html".parse().expect("a path"));
    let editor = Layer7VirtualServerForm::modify("Shop");
    let form = editor.form(&config).expect("a form");
    let new = editor.read(&config, &typed(&form, &[("check_type", "connect")])).expect("a configuration");
    assert_eq!(new.layer7.virtual_servers[0].check, lb_model::layer7::Layer7Check::default());
    let form = refused(editor.read(&config, &typed(&form, &[("check_type", "smtp"), ("check_request", "/x")])));
    assert!(form.field("check_request").is_some_and(|f| f.error.is_some()));
}

#[test]
fn each_kind_of_persistence_reads_its_own_fields() {
    let config = lab();
    let editor = Layer7VirtualServerForm::modify("Images");
    let form = editor.form(&config).expect("a form");
    let read = |fields: &[(&str, &str)]| {
        editor.read(&config, &typed(&form, fields)).map(|c| c.layer7.virtual_servers[1].persistence.clone())
    };
    let table = SourceTable { timeout: 60, size: 100_000, granularity: Some(24) };
    let source = read(&[("persistence", "source"), ("table_timeout", "60"), ("granularity", "255.255.255.0")]);
    assert_eq!(source, Ok(Some(Layer7Persistence::Source(table))));
    let own = ApplicationCookie { source: Some(table), ..ApplicationCookie::new("PHPSESSID".parse().expect("a name")) };
    let application = read(&[
        ("persistence", "application-cookie"),
        ("cookie_name", "PHPSESSID"),
        ("by_source", "on"),
        ("source_timeout", "60"),
        ("source_granularity", "/24"),
        ("cookie_idle", "what does not belong to it does not matter"),
    ]);
    assert_eq!(application, Ok(Some(Layer7Persistence::ApplicationCookie(own))));
    let Err(Refused::Wrong(form)) = read(&[("persistence", "application-cookie")]) else { panic!("a name is needed") };
    assert!(form.field("cookie_name").is_some_and(|f| f.error.is_some()));
    // From one kind to another with what the form shows.
    let mut config = config.clone();
    config.layer7.virtual_servers[0].rules.clear();
    config.layer7.virtual_servers[1].persistence = Some(Layer7Persistence::Source(table));
    let form = editor.form(&config).expect("a form");
    let new = editor.read(&config, &typed(&form, &[("mode", "tcp"), ("persistence", "rdp-cookie")])).expect("accepted");
    assert_eq!(new.layer7.virtual_servers[1].persistence, Some(Layer7Persistence::RdpCookie(table)));
}

#[test]
fn rules_are_read_as_they_are_written() {
    for line in [
        "path /images /static -> use Images",
        "path-end .png -> use Images",
        "host www.example.com example.com -> redirect https://shop.example.com/",
        "not source 192.0.2.0/24 fd00::/8 -> refuse",
        "header User-Agent \"Mobile Safari\" \"a \\\"quoted\\\" \\\\ one\" -> use Mobile",
        "query page \"->\" not -> redirect \"/a b\"",
        "path /a\\b -> refuse",
    ] {
        let read = rule(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        assert_eq!(rule_text(&read), line);
    }
    assert_eq!(
        rule("  source\t10.0.0.7   ->   refuse ").map(|r| rule_text(&r)).as_deref(),
        Ok("source 10.0.0.7/32 -> refuse")
    );
    for line in
        ["set X-Shop: 1", "add Link: </a>; rel=\"next\"", "remove Server", "set X: \" spaces \\\"and\\\" quotes \""]
    {
        let read = header(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        assert_eq!(header_text(&read), line);
    }
}

#[test]
fn a_wrong_line_is_told_with_value_reason_and_a_way_out() {
    let mut told = String::new();
    for line in [
        "paht /a -> refuse",
        "path /a",
        "path -> refuse",
        "-> refuse",
        "not -> refuse",
        "path /a ->",
        "path /a -> serve Images",
        "path /a -> use",
        "path /a -> use Images now",
        "path /a -> use two words",
        "path /a -> refuse it",
        "path /a -> redirect",
        "header X-A -> refuse",
        "header -> refuse",
        "header X:A b -> refuse",
        "source 10.0.0 -> refuse",
        "path \"/a -> refuse",
        "path \"/a\"b -> refuse",
        "path \"a\\n\" -> refuse",
        "path /caf\u{e9} -> refuse",
    ] {
        told += &format!("{line}\n    {}\n", rule(line).expect_err(line));
    }
    for line in
        ["put X: 1", "set", "set X", "set X:", "set : 1", "remove X: 1", "set X Y: 1", "set X: \"1", "set X: \"1\" 2"]
    {
        told += &format!("{line}\n    {}\n", header(line).expect_err(line));
    }
    golden("layer-7-lines.txt", &told);
}

fn text(random: &mut Random) -> HttpText {
    let pieces = ["/", "a", "->", "not", " ", "\"", "\\", "use", ":", "#", ",", "é", "%", "10.0.0.1", "\\\"", "refuse"];
    loop {
        let text: String = (0..=random.below(5)).map(|_| random.pick(&pieces)).collect();
        if let Ok(text) = text.parse() {
            return text;
        }
    }
}

fn any_rule(random: &mut Random) -> Rule {
    let values: Vec<HttpText> = (0..=random.below(3)).map(|_| text(random)).collect();
    let name = "X-Name".parse().expect("a name");
    let test = match random.below(6) {
        0 => Test::PathBegins { values },
        1 => Test::PathEnds { values },
        2 => Test::Host { values },
        3 => Test::Header { name, values },
        4 => Test::Query { name, values },
        _ => Test::Source {
            values: vec!["192.0.2.7/24".parse().expect("a network"), "fd00::1/128".parse().expect("one")],
        },
    };
    let then = match random.below(3) {
        0 => Outcome::Use { virtual_server: random.pick(&["use", "not", "A-1"]).parse().expect("a label") },
        1 => Outcome::Redirect { to: text(random) },
        _ => Outcome::Refuse {},
    };
    Rule { test, not: random.one_in(2), then }
}

fn any_header(random: &mut Random) -> HeaderRule {
    let name = random.pick(&["X-Shop", "set", "remove"]).parse().expect("a name");
    match random.below(3) {
        0 => HeaderRule { operation: HeaderOperation::Remove, name, value: None },
        1 => HeaderRule { operation: HeaderOperation::Set, name, value: Some(text(random)) },
        _ => HeaderRule { operation: HeaderOperation::Add, name, value: Some(text(random)) },
    }
}

#[test]
fn any_rule_and_any_header_survives_its_text() {
    let mut random = Random(11);
    for _ in 0..20_000 {
        let made = any_rule(&mut random);
        let line = rule_text(&made);
        assert_eq!(rule(&line), Ok(made), "{line}");
        let made = any_header(&mut random);
        let line = header_text(&made);
        assert_eq!(header(&line), Ok(made), "{line}");
    }
}

fn any_table(random: &mut Random) -> SourceTable {
    let number = |random: &mut Random| 1 + u32::try_from(random.below(9000)).expect("it is small");
    let granularity = random.one_in(2).then(|| 1 + u8::try_from(random.below(31)).expect("it is small"));
    SourceTable { timeout: number(random), size: number(random), granularity: granularity.filter(|g| *g < 32) }
}

fn any_virtual_server(random: &mut Random) -> Layer7VirtualServer {
    let (label, ports) = ("Any".parse().expect("a label"), "80,8000-8010".parse().expect("ports"));
    let mut vs = Layer7VirtualServer::new(label, "192.168.1.30".parse().expect("an address"), ports);
    let source = random.one_in(2).then(|| any_table(random));
    let name = || "JSESSIONID".parse().expect("a name");
    vs.persistence = match random.below(6) {
        0 => None,
        1 => Some(Layer7Persistence::Cookie(Cookie {
            idle: random.one_in(2).then_some(7),
            life: None,
            source,
            name: name(),
        })),
        2 => Some(Layer7Persistence::ApplicationCookie(ApplicationCookie {
            size: 9,
            source,
            ..ApplicationCookie::new(name())
        })),
        3 => Some(Layer7Persistence::Source(any_table(random))),
        4 => Some(Layer7Persistence::RdpCookie(any_table(random))),
        _ => Some(Layer7Persistence::SslSessionId(any_table(random))),
    };
    if matches!(vs.persistence, Some(Layer7Persistence::RdpCookie(_) | Layer7Persistence::SslSessionId(_))) {
        vs.mode = ProxyMode::Tcp;
    } else {
        vs.rules = (0..random.below(3)).map(|_| any_rule(random)).collect();
        vs.request_headers = (0..random.below(3)).map(|_| any_header(random)).collect();
        vs.response_headers = (0..random.below(3)).map(|_| any_header(random)).collect();
        (vs.compression, vs.redirect_https) = (random.one_in(2), random.one_in(2));
    }
    vs.check.method = random.pick(Layer7CheckMethod::ALL);
    if vs.check.method.is_http() {
        vs.check.request = Some("/check".parse().expect("a path"));
        vs.check.status = Some("200-204".parse().expect("codes"));
        vs.check.response = Some(text(random));
    }
    vs.check.fall = random.one_in(2).then_some(3);
    vs.check.port = random.one_in(2).then_some(8081);
    vs.agent = random.one_in(2).then(|| Agent {
        interval: random.one_in(2).then_some(5),
        send: random.one_in(2).then(|| text(random)),
        ..Agent::new(3333)
    });
    vs.timeouts = OwnTimeouts { client: random.one_in(2).then_some(5), tunnel: Some(7), ..OwnTimeouts::default() };
    (vs.max_connections, vs.slow_start) = (random.pick(&[0, 10]), random.pick(&[0, 30]));
    (vs.forwarded_for, vs.accept_proxy) = (random.one_in(2), random.one_in(2));
    vs.transparent = random.one_in(2);
    vs.keep_alive = random.pick(lb_model::layer7::KeepAlive::ALL);
    vs.balance = random.pick(&[lb_model::layer7::Balance::RoundRobin, lb_model::layer7::Balance::Random]);
    vs.limits = random.one_in(2).then_some(Limits { requests_per_10s: 5, connections: 0 });
    vs.fallback = random.pick(&[None, Some(())]).and_then(|()| Layer7Fallback::page());
    vs.log_requests = random.one_in(2);
    if vs.mode == ProxyMode::Http {
        vs.fallback_page = random.one_in(2).then(|| " <h1>zu</h1>\n\n\t<p>ä $x".parse().expect("a page"));
    }
    vs.manual = random.one_in(2).then(|| "  http-request deny\n\n  option x".parse().expect("a block"));
    vs
}

/// As it is shown it changes nothing, and what it says makes the same object once more.
#[test]
fn a_form_says_everything_about_its_virtual_server() {
    let mut random = Random(5);
    let mut made = 0;
    for round in 0..2000 {
        let mut config = lab();
        let vs = any_virtual_server(&mut random);
        config.layer7.virtual_servers.push(vs.clone());
        let editor = Layer7VirtualServerForm::modify("Any");
        let shown = editor.form(&config).expect("a form");
        assert_eq!(editor.read(&config, &sent(&shown)), Ok(config.clone()), "round {round}: {vs:?}");
        if !lb_model::problems(&config).is_empty() {
            continue;
        }
        config.layer7.virtual_servers.pop();
        let editor = Layer7VirtualServerForm::add();
        let mut posted = sent(&shown);
        posted.set("seen", &editor.form(&config).expect("a form").seen);
        let new = editor.read(&config, &posted).unwrap_or_else(|refused| panic!("round {round}: {refused:?}\n{vs:?}"));
        assert_eq!(new.layer7.virtual_servers.last(), Some(&vs), "round {round}");
        made += 1;
    }
    assert!(made > 200, "only {made} made sense");
}

/// What no form shows stays.
#[test]
fn what_the_form_does_not_show_stays() {
    let mut config = lab();
    let vs = &mut config.layer7.virtual_servers[0];
    vs.transparent = true;
    vs.real_servers[0].state = lb_model::RequestedState::Drain;
    let editor = Layer7VirtualServerForm::modify("Shop");
    let new = editor.read(&config, &typed(&editor.form(&config).expect("a form"), &[("max_connections", "10")]));
    let mut expected = config.clone();
    expected.layer7.virtual_servers[0].max_connections = 10;
    assert_eq!(new, Ok(expected));
    let editor = Layer7RealServerForm::modify("Shop", "WebServer1");
    let new = editor
        .read(&config, &typed(&editor.form(&config).expect("a form"), &[("weight", "256"), ("send_proxy", "v2")]));
    let rs = &new.expect("accepted").layer7.virtual_servers[0].real_servers[0];
    assert_eq!((rs.state, rs.weight, rs.send_proxy.as_str()), (lb_model::RequestedState::Drain, 256, "v2"));
}

#[test]
fn garbage_is_refused_and_never_panics() {
    let mut random = Random(3);
    let pieces = [
        "",
        " ",
        "->",
        "path",
        "not",
        "\"",
        "\\",
        "/",
        "use",
        "redirect",
        "refuse",
        "source",
        "10.0.0.0/8",
        "::",
        "[",
        ":80",
        "\n",
        "\0",
        "é",
        "🦀",
        "set",
        "X:",
        "remove",
        "cookie",
        "http",
        "99999999999999999999",
        "0",
        "on",
        "global",
        "'",
    ];
    let config = lab();
    let mut accepted = 0;
    let editors: Vec<Box<dyn Edit>> = vec![
        Box::new(Layer7VirtualServerForm::add()),
        Box::new(Layer7VirtualServerForm::modify("Shop")),
        Box::new(Layer7RealServerForm::add("Shop")),
        Box::new(Layer7RealServerForm::modify("Shop", "WebServer1")),
    ];
    let shown: Vec<Form> = editors.iter().map(|e| e.form(&config).expect("a form")).collect();
    for _ in 0..3000 {
        for (editor, form) in editors.iter().zip(&shown) {
            let mut posted: Posted = sent(form);
            let names: Vec<&str> =
                form.fields().filter(|f| !matches!(f.kind, Kind::Readonly)).map(|f| f.name).collect();
            for _ in 0..=random.below(3) {
                let value: String = (0..random.below(7)).map(|_| random.pick(&pieces)).collect();
                posted.set(random.pick(&names), &value);
            }
            accepted += usize::from(editor.read(&config, &posted).is_ok());
        }
    }
    assert!(accepted > 100, "only {accepted} were accepted: the garbage does not get far");
}

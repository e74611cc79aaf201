use super::*;
use lb_model::{Config, ForwardingMethod, Service, factory, sample};
use std::fmt::Write;

/// What a browser would send for a form as it is shown.
pub(super) fn sent(form: &Form) -> Posted {
    let mut posted = Posted::default();
    posted.set("seen", &form.seen);
    posted.set("csrf", "TOKEN");
    for field in form.fields() {
        match field.kind {
            Kind::Readonly => {}
            Kind::Checkbox if field.value.is_empty() => {}
            _ => posted.set(field.name, &field.value),
        }
    }
    posted
}

/// The form with some fields typed over; a check box is switched on by `on`, and off by nothing.
pub(super) fn typed(form: &Form, fields: &[(&str, &str)]) -> Posted {
    let mut posted = sent(form);
    for (name, value) in fields {
        let checkbox = form.field(name).is_some_and(|f| f.kind == Kind::Checkbox);
        match checkbox && value.is_empty() {
            true => posted.remove(name),
            false => posted.set(name, value),
        }
    }
    posted
}

/// The guide's two-arm example: eth0 10.0.0.21, eth1 192.168.2.21, HTTP_Cluster with WebServer1.
fn guide() -> Config {
    serde_json::from_str(
        r#"{"version": 1, "node": {"hostname": "lbmaster", "nameservers": ["10.0.0.31"], "gateway": "10.0.0.31",
        "interfaces": [{"name": "eth0", "addresses": ["10.0.0.21/24"]}, {"name": "eth1", "addresses": ["192.168.2.21/24"]}]},
        "globals": {"default_forwarding": "nat", "masquerade": true},
        "virtual_servers": [{"label": "HTTP_Cluster", "service": {"kind": "address", "address": "10.0.0.21", "ports": 80},
        "real_servers": [{"label": "WebServer1", "address": "192.168.2.50", "forwarding": "nat"}]}]}"#,
    )
    .expect("the guide's configuration")
}

pub(super) fn shown(form: &Form) -> String {
    let mut text = format!("{}\n", form.title);
    for error in &form.errors {
        let _ = writeln!(text, "! {error}");
    }
    for section in &form.sections {
        if !section.heading.is_empty() {
            let _ = writeln!(text, "\n{}", section.heading);
        }
        for field in &section.fields {
            let kind = match &field.kind {
                Kind::Text => "text".to_owned(),
                Kind::Number { min, max } => format!("{min}..{max}"),
                Kind::Select { options } => options.iter().map(|(v, _)| v.as_str()).collect::<Vec<_>>().join("|"),
                Kind::Checkbox => "check box".into(),
                Kind::TextArea { rows } => format!("{rows} rows"),
                Kind::Password => "password".into(),
                Kind::Readonly => "fixed".into(),
            };
            let _ = writeln!(text, "{} [{}] {} ({kind}) ?{}", field.label, field.value, field.unit, field.help);
            if !field.placeholder.is_empty() {
                let _ = writeln!(text, "    for example: {}", field.placeholder);
            }
            if let Some(error) = &field.error {
                let _ = writeln!(text, "    ! {error}");
            }
            if let Some(hint) = &field.hint {
                let _ = writeln!(text, "    {hint}");
            }
        }
    }
    text
}

pub(super) fn refused(result: Result<Config, Refused>) -> Form {
    match result {
        Err(Refused::Wrong(form) | Refused::Conflict(form)) => form,
        other => panic!("not refused with a form: {other:?}"),
    }
}

pub(super) fn changes(old: &Config, new: &Config) -> Vec<String> {
    lb_model::changes(old, new).iter().map(ToString::to_string).collect()
}

const AT_THE_UNIT: LockdownForm = LockdownForm { client: std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST) };

#[test]
fn the_forms_of_the_guide() {
    let config = guide();
    for (name, form) in [
        ("virtual-server-add", VirtualServerForm::add().form(&config)),
        ("virtual-server-modify", VirtualServerForm::modify("HTTP_Cluster").form(&config)),
        ("real-server-add", RealServerForm::add("HTTP_Cluster").form(&config)),
        ("real-server-modify", RealServerForm::modify("HTTP_Cluster", "WebServer1").form(&config)),
        ("interface", InterfaceForm::modify("eth0").form(&config)),
        ("interface-add", InterfaceForm::add().form(&config)),
        ("dns", DnsForm.form(&config)),
        ("routing", RoutingForm.form(&config)),
        ("globals", GlobalsForm.form(&config)),
        ("fallback-page", FallbackPageForm.form(&config)),
        ("lockdown", AT_THE_UNIT.form(&config)),
    ] {
        golden(&format!("{name}.txt"), &shown(&form.expect(name)));
    }
}

/// The guide's own example: the second web server, with all defaults.
#[test]
fn a_real_server_is_added_with_the_guides_form() {
    let config = guide();
    let editor = RealServerForm::add("HTTP_Cluster");
    let form = editor.form(&config).expect("a form");
    let posted = typed(&form, &[("label", "WebServer2"), ("address", "192.168.2.51:80")]);
    let new = editor.read(&config, &posted).expect("a configuration");
    assert_eq!(
        changes(&config, &new),
        ["Add real server WebServer2 at 192.168.2.51 port 80 (nat, weight 1) to HTTP_Cluster"]
    );
}

#[test]
fn with_dr_the_virtual_servers_own_port_is_not_pinned() {
    let mut config = guide();
    config.globals.default_forwarding = ForwardingMethod::Dr;
    let editor = RealServerForm::add("HTTP_Cluster");
    let form = editor.form(&config).expect("a form");
    let new = editor.read(&config, &typed(&form, &[("label", "R"), ("address", "10.0.0.50:80")])).expect("accepted");
    assert_eq!(new.virtual_servers[0].real_servers[1].port, None);
    let form = refused(editor.read(&config, &typed(&form, &[("label", "R"), ("address", "10.0.0.50:8080")])));
    golden("real-server-port-translation.txt", &shown(&form));
}

#[test]
fn all_errors_come_at_once_each_at_its_field() {
    let config = guide();
    let editor = VirtualServerForm::add();
    let form = editor.form(&config).expect("a form");
    let posted = typed(
        &form,
        &[
            ("label", "HTTP Cluster"),
            ("service", "fd00::1:80:90000:x"),
            ("scheduler", "best"),
            ("persistent", "on"),
            ("persistence_timeout", "soon"),
            ("granularity", "255.0.255.0"),
            ("check_type", "negotiate"),
            ("check_response", "(OK"),
            ("check_status", "200-700"),
            ("check_interval", "0"),
            ("check_port", "70000"),
            ("fallback", "somewhere:9081"),
        ],
    );
    golden("virtual-server-all-wrong.txt", &shown(&refused(editor.read(&config, &posted))));
}

#[test]
fn problems_of_the_whole_come_at_the_field_or_in_words() {
    let config = guide();
    let editor = VirtualServerForm::modify("HTTP_Cluster");
    let form = editor.form(&config).expect("a form");
    let posted = typed(&form, &[("service", "192.168.2.50:80"), ("protocol", "ops"), ("persistent", "on")]);
    golden("virtual-server-problems.txt", &shown(&refused(editor.read(&config, &posted))));
}

/// A card's address can be moved to another network, although the rest has to follow.
#[test]
fn what_breaks_other_settings_is_staged_when_asked_for() {
    let config = guide();
    let editor = InterfaceForm::modify("eth0");
    let form = editor.form(&config).expect("a form");
    let mut posted = typed(&form, &[("addresses", "10.9.0.21 255.255.255.0\r\n\r\nfd00:9::21/64")]);
    let form = refused(editor.read(&config, &posted));
    golden("interface-elsewhere.txt", &shown(&form));
    posted.set("anyway", "on");
    let new = editor.read(&config, &posted).expect("staged");
    assert_eq!(new.node.interfaces[0].addresses.len(), 2);
}

#[test]
fn a_form_as_it_is_shown_changes_nothing() {
    let mut forms = 0;
    for seed in 0..300 {
        let config = sample::config(seed, seed % 3 == 0);
        let mut editors: Vec<Box<dyn Edit>> =
            vec![Box::new(DnsForm), Box::new(RoutingForm), Box::new(GlobalsForm), Box::new(FallbackPageForm)];
        editors.push(Box::new(AT_THE_UNIT));
        for interface in &config.node.interfaces {
            editors.push(Box::new(InterfaceForm::modify(interface.name.as_str())));
        }
        for vs in &config.virtual_servers {
            editors.push(Box::new(VirtualServerForm::modify(vs.label.as_str())));
            for rs in &vs.real_servers {
                editors.push(Box::new(RealServerForm::modify(vs.label.as_str(), rs.label.as_str())));
            }
        }
        for vs in &config.layer7.virtual_servers {
            editors.push(Box::new(Layer7VirtualServerForm::modify(vs.label.as_str())));
            for rs in &vs.real_servers {
                editors.push(Box::new(Layer7RealServerForm::modify(vs.label.as_str(), rs.label.as_str())));
            }
        }
        for editor in editors {
            let form = editor.form(&config).expect("a form");
            forms += 1;
            match editor.read(&config, &sent(&form)) {
                Ok(new) => assert_eq!(new, config, "seed {seed}, {}", form.title),
                // A stored value that is out of its field's range is a problem already, and is told.
                Err(refused) => panic!("seed {seed}, {}: {refused:?}", form.title),
            }
        }
    }
    assert!(forms > 2500, "only {forms} forms were tried");
}

/// What the form of one object says, typed into the form of a new one, makes the same object.
#[test]
fn a_form_says_everything_about_its_object() {
    let mut tried = 0;
    for seed in 0..300 {
        let config = sample::config(seed, false);
        for (i, vs) in config.virtual_servers.iter().enumerate() {
            let shown = VirtualServerForm::modify(vs.label.as_str()).form(&config).expect("a form");
            let mut without = config.clone();
            without.virtual_servers.remove(i);
            let editor = VirtualServerForm::add();
            let mut posted = sent(&shown);
            posted.set("seen", &editor.form(&without).expect("a form").seen);
            let new = match editor.read(&without, &posted) {
                Ok(new) => new,
                Err(_) if !lb_model::problems(&config).is_empty() => continue,
                Err(refused) => panic!("seed {seed}: {refused:?}"),
            };
            let mut expected = vs.clone();
            expected.real_servers.clear();
            let mut got = new.virtual_servers.last().expect("the new one").clone();
            for vs in [&mut expected, &mut got] {
                if let Service::Address { mark, .. } = &mut vs.service {
                    *mark = None;
                }
            }
            assert_eq!(got, expected, "seed {seed}");
            tried += 1;
        }
    }
    assert!(tried > 250, "only {tried} were tried");
}

#[test]
fn garbage_is_refused_and_never_panics() {
    let mut random = sample::Random(7);
    let pieces = [
        "",
        " ",
        ":",
        "::",
        "[",
        "]",
        "/",
        "-",
        "any",
        "0",
        "1",
        "80",
        "65536",
        "99999999999999999999",
        "10.0.0.21",
        "fd00::1",
        "via",
        "default",
        "\n",
        "\0",
        "é",
        "🦀",
        "%s",
        "../..",
        "on",
        "nat",
        "tcp",
        "(",
        "\\",
        "'\"><",
        "255",
    ];
    let mut accepted = 0;
    for round in 0..1000 {
        let config = sample::config(round % 50, round % 2 == 0);
        let editors: Vec<Box<dyn Edit>> = vec![
            Box::new(VirtualServerForm::add()),
            Box::new(VirtualServerForm::modify("VIP0")),
            Box::new(RealServerForm::add("VIP0")),
            Box::new(RealServerForm::modify("VIP0", "RIP0")),
            Box::new(InterfaceForm::add()),
            Box::new(InterfaceForm::modify("eth0")),
            Box::new(DnsForm),
            Box::new(RoutingForm),
            Box::new(GlobalsForm),
            Box::new(FallbackPageForm),
            Box::new(AT_THE_UNIT),
        ];
        for editor in editors {
            let Some(form) = editor.form(&config) else { continue };
            let mut posted = sent(&form);
            let names: Vec<&str> = form.fields().map(|f| f.name).collect();
            for _ in 0..=random.below(3) {
                let value: String = (0..random.below(6)).map(|_| random.pick(&pieces)).collect();
                let name = if random.one_in(10) { "seen" } else { random.pick(&names) };
                posted.set(name, &value);
            }
            accepted += usize::from(editor.read(&config, &posted).is_ok());
        }
    }
    assert!(accepted > 300, "only {accepted} were accepted: the garbage does not get far");
    let long = typed(&DnsForm.form(&factory()).expect("a form"), &[("hostname", &"x".repeat(1_000_000))]);
    assert!(refused(DnsForm.read(&factory(), &long)).field("hostname").expect("hostname").error.is_some());
}

#[test]
fn unknown_and_repeated_fields_are_refused() {
    let config = guide();
    let form = DnsForm.form(&config).expect("a form");
    let mut posted = sent(&form);
    posted.set("weight", "1");
    assert_eq!(refused(DnsForm.read(&config, &posted)).errors, ["This form has no field \"weight\"."]);
    let twice: Posted = [("hostname", "a"), ("hostname", "b")].map(|(n, v)| (n.into(), v.into())).into_iter().collect();
    assert_eq!(refused(DnsForm.read(&config, &twice)).errors, ["The field \"hostname\" was sent twice."]);
}

/// Two administrators: nobody's change is lost without a word, and the second try goes through.
#[test]
fn a_conflict_is_told_field_by_field() {
    let config = guide();
    let editor = RealServerForm::modify("HTTP_Cluster", "WebServer1");
    let form = editor.form(&config).expect("a form");
    let mut meanwhile = config.clone();
    let rs = &mut meanwhile.virtual_servers[0].real_servers[0];
    (rs.weight, rs.max_connections) = (5, 1000);
    let mine = typed(&form, &[("weight", "7"), ("min_connections", "0")]);
    let Err(Refused::Conflict(form)) = editor.read(&meanwhile, &mine) else { panic!("a conflict") };
    golden("conflict.txt", &shown(&form));
    let new = editor.read(&meanwhile, &sent(&form)).expect("the second time it is meant");
    assert_eq!(changes(&meanwhile, &new), ["Change weight of WebServer1 in HTTP_Cluster from 5 to 7"]);
}

#[test]
fn what_both_changed_alike_is_no_conflict() {
    let config = guide();
    let editor = RealServerForm::modify("HTTP_Cluster", "WebServer1");
    let mine = typed(&editor.form(&config).expect("a form"), &[("weight", "5")]);
    let mut meanwhile = config.clone();
    meanwhile.virtual_servers[0].real_servers[0].weight = 5;
    assert_eq!(editor.read(&meanwhile, &mine).expect("no conflict"), meanwhile);
}

/// What a form does not show is nobody's conflict: a real server is added while its virtual server is edited.
#[test]
fn another_objects_change_is_kept_and_no_conflict() {
    let config = guide();
    let editor = VirtualServerForm::modify("HTTP_Cluster");
    let mine = typed(&editor.form(&config).expect("a form"), &[("scheduler", "rr")]);
    let mut meanwhile = config.clone();
    let mut second = meanwhile.virtual_servers[0].real_servers[0].clone();
    (second.label, second.address) =
        ("WebServer2".parse().expect("a label"), "192.168.2.51".parse().expect("an address"));
    meanwhile.virtual_servers[0].real_servers.push(second);
    let new = editor.read(&meanwhile, &mine).expect("no conflict");
    assert_eq!(changes(&meanwhile, &new), ["Change scheduler of HTTP_Cluster from wrr to rr"]);
}

#[test]
fn a_form_without_its_fingerprint_overwrites_nothing() {
    let config = guide();
    let mut posted = typed(&GlobalsForm.form(&config).expect("a form"), &[("fall", "3")]);
    posted.remove("seen");
    assert!(matches!(GlobalsForm.read(&config, &posted), Err(Refused::Conflict(_))));
}

#[test]
fn what_was_removed_meanwhile_is_added_again_only_when_told() {
    let config = guide();
    let editor = VirtualServerForm::modify("HTTP_Cluster");
    let mine = typed(&editor.form(&config).expect("a form"), &[("scheduler", "rr")]);
    let removal = editor.remove(&config).expect("it is there");
    assert!(removal.consequences.is_empty());
    let Err(Refused::Conflict(form)) = editor.read(&removal.config, &mine) else { panic!("a conflict") };
    assert_eq!(
        form.errors,
        ["Virtual Server HTTP_Cluster was removed or renamed by somebody else meanwhile. Update adds it again."]
    );
    let new = editor.read(&removal.config, &sent(&form)).expect("added again");
    assert_eq!(new.virtual_servers[0].scheduler.as_str(), "rr");
    let gone = RealServerForm::modify("HTTP_Cluster", "WebServer1").read(&removal.config, &mine);
    assert!(matches!(gone, Err(Refused::Gone(_))));
}

#[test]
fn a_removal_tells_what_it_breaks() {
    let config = guide();
    let removal = InterfaceForm::modify("eth0").remove(&config).expect("eth0");
    golden("interface-removed.txt", &(removal.consequences.join("\n") + "\n"));
    assert!(RealServerForm::modify("HTTP_Cluster", "nobody").remove(&config).is_none());
    let seen = VirtualServerForm::modify("HTTP_Cluster").fingerprint(&config);
    let mut meanwhile = config;
    meanwhile.virtual_servers[0].real_servers[0].weight = 2;
    assert_ne!(VirtualServerForm::modify("HTTP_Cluster").fingerprint(&meanwhile), seen);
}

/// Problems that were there before do not stand in the way of other changes, and are told at once.
#[test]
fn old_problems_do_not_block() {
    let mut config = guide();
    config.virtual_servers[0].real_servers[0].address = "192.168.2.21".parse().expect("an address");
    let editor = RealServerForm::modify("HTTP_Cluster", "WebServer1");
    let form = editor.form(&config).expect("a form");
    let error = form.field("address").and_then(|f| f.error.clone());
    assert_eq!(error.as_deref(), Some("192.168.2.21 is this unit's own address"));
    assert!(editor.read(&config, &typed(&form, &[("weight", "2")])).is_ok());
}

#[test]
fn places_are_in_words() {
    let mut config = guide();
    let (shop, address) = ("Shop".parse().expect("a label"), "10.0.0.21".parse().expect("an address"));
    config.layer7.virtual_servers.push(lb_model::Layer7VirtualServer::new(shop, address, 8080.into()));
    for (pointer, words) in [
        ("/virtual_servers/0/real_servers/0/port", "Virtual Server HTTP_Cluster > Real Server WebServer1 > port"),
        ("/virtual_servers/0/check/interval", "Virtual Server HTTP_Cluster > check > interval"),
        ("/layer7/virtual_servers/0/rules/2/then/to", "Layer 7 Virtual Server Shop > rules > then > to"),
        ("/layer7/virtual_servers/0/real_servers/7/port", "/layer7/virtual_servers/0/real_servers/7/port"),
        ("/layer7/timeouts/client", "Global Settings > layer 7 > timeouts > client"),
        ("/node/interfaces/1/addresses/0", "Network Interface eth1 > addresses"),
        ("/node/gateway", "Routing > default gateway"),
        ("/node/nameservers/0", "DNS & hostname > nameservers"),
        ("/globals/health/fall", "Global Settings > health > fall"),
        ("/virtual_servers/9", "/virtual_servers/9"),
        ("", ""),
    ] {
        assert_eq!(place(&config, pointer), words);
    }
}

#[test]
fn every_field_has_an_anchor_of_letters_and_dashes() {
    let anchors = help_anchors();
    assert!(anchors.contains(&"real-server-weight"));
    assert!(anchors.iter().all(|a| a.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
}

#[test]
fn the_fallback_page_is_kept_to_the_letter() {
    let config = factory();
    let form = FallbackPageForm.form(&config).expect("a form");
    let html = "\n  <!doctype html>\r\n<p>Back soon.  \r\n";
    let new = FallbackPageForm.read(&config, &typed(&form, &[("page", html)])).expect("accepted");
    assert_eq!(new.fallback_page.as_ref().map(|p| p.as_str()), Some("\n  <!doctype html>\r\n<p>Back soon.  \r\n"));
    let form = FallbackPageForm.form(&new).expect("a form");
    assert_eq!(FallbackPageForm.read(&new, &sent(&form)).expect("the same"), new);
    let shipped = FallbackPageForm.read(&new, &typed(&form, &[("page", " \n")])).expect("accepted");
    assert_eq!(shipped.fallback_page, None);
    let large = "x".repeat(lb_model::FallbackPage::LONGEST + 1);
    let refused = refused(FallbackPageForm.read(&new, &typed(&form, &[("page", &large)])));
    assert!(refused.field("page").is_some_and(|f| f.error.is_some()));
}

/// Who would not get in any more is told so at the field, and so is nobody else.
#[test]
fn a_lock_down_does_not_lock_out_its_author() {
    let config = guide();
    let editor = LockdownForm { client: [192, 168, 2, 77].into() };
    let mut form = editor.form(&config).expect("a form");
    assert_eq!(form.field("networks").expect("networks").value, "");
    editor.suggest(&config, &mut form);
    assert_eq!(form.field("networks").expect("networks").value, "192.168.2.0/24");
    let locked = editor.read(&config, &typed(&form, &[("enabled", "on")])).expect("as it is suggested");
    assert_eq!(
        changes(&config, &locked),
        [
            "Turn the firewall lock-down on (SSH and the web interface take new connections from the management networks \
             only)",
            "Add management network 192.168.2.0/24"
        ]
    );
    let refused = refused(editor.read(&config, &typed(&form, &[("enabled", "on"), ("networks", "10.1.0.0/16")])));
    let error = refused.field("networks").and_then(|f| f.error.clone());
    assert_eq!(error.as_deref(), Some("You come from 192.168.2.77, and would be locked out; add 192.168.2.0/24"));
    // Whom it leaves out already is not in the way of others.
    let elsewhere = LockdownForm { client: [203, 0, 113, 9].into() };
    let form = elsewhere.form(&locked).expect("a form");
    elsewhere.read(&locked, &typed(&form, &[("networks", "192.168.2.0/24\n10.1.0.0/16")])).expect("one more");
    let form = AT_THE_UNIT.form(&config).expect("a form");
    AT_THE_UNIT
        .read(&config, &typed(&form, &[("enabled", "on"), ("networks", "10.1.0.0/16")]))
        .expect("at the console");
}

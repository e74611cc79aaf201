//! The Setup Wizard as pages: the guide's answers, refusals, the way back, and the one commit.

use crate::{
    form::filled,
    rig::{Browser, Page, Rig, guide},
};

const PAGE: &str = "/lbadmin/edit/wizard";
const FORM: &str = "action=\"/lbadmin/edit/wizard\"";

fn press(browser: &mut Browser, page: &Page, answer: &str, button: &str) -> Page {
    let (action, mut fields) = filled(&page.text, FORM);
    fields.retain(|(name, _)| name != "csrf" && name != "answer");
    fields.push(("answer".into(), answer.into()));
    fields.push(("do".into(), button.into()));
    let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    browser.post(&action, &fields)
}

/// Question, the default that is offered, the guide's answer.
const GUIDE: [(&str, &str, &str); 10] = [
    ("Is this unit part of an HA-Pair?", "", "n"),
    ("Is this a one-armed set-up (i.e. same subnet as servers)?", "", "n"),
    ("IP address for interface eth0", "192.168.2.21", "10.0.0.21"),
    ("Netmask for interface eth0", "255.255.255.0", "255.255.255.0"),
    ("IP address for interface eth1", "192.168.2.21", "192.168.2.21"),
    ("Netmask for interface eth1", "255.255.255.0", "255.255.255.0"),
    ("IP address of the default gateway", "10.0.0.1", "10.0.0.31"),
    ("IP address of the nameserver", "192.168.2.1", "10.0.0.31"),
    ("Port for first virtual server", "80", "80"),
    ("IP address of the first real server (backend)", "192.168.2.100", "192.168.2.50"),
];

fn walk(browser: &mut Browser) -> Page {
    let mut page = browser.get(PAGE);
    for (question, default, answer) in GUIDE {
        page.has(question);
        if !default.is_empty() {
            let (_, fields) = filled(&page.text, FORM);
            let shown = fields.iter().find(|(n, _)| n == "answer").map(|(_, v)| v.as_str());
            assert_eq!(shown, Some(default), "{question}");
        }
        page = press(browser, &page, answer, "next");
        assert_eq!(page.status, 200, "{question}: {}", page.text);
    }
    page
}

#[test]
fn the_guides_answers_set_the_unit_up() {
    let rig = Rig::start();
    let mut browser = rig.logged_in();
    let summary = walk(&mut browser);
    summary.has("This unit moves to 10.0.0.21").has("Add virtual server HTTP_Cluster").has("two arms, layer 4 NAT");
    assert_eq!(rig.lbd().running().expect("what runs").revision.number, 0, "nothing is changed before");
    let done = press(&mut browser, &summary, "", "apply");
    assert_eq!(done.status, 200, "{}", done.text);
    done.has("The real server 192.168.2.50 still needs").lacks("lbctl");
    let running = rig.lbd().running().expect("what runs");
    assert_eq!(running.config.virtual_servers[0].real_servers[0].address.to_string(), "192.168.2.50");
    assert!(running.revision.comment.contains("setup wizard: two-arm NAT, 10.0.0.21:80"));
    assert!(rig.lbd().summary().expect("a summary").confirm.is_some(), "a move of the unit is on trial");
    browser.get("/lbadmin/").has("is on trial");
}

#[test]
fn nonsense_is_refused_at_the_question_and_back_keeps_the_answer() {
    let rig = Rig::start();
    let mut browser = rig.logged_in();
    let page = browser.get(PAGE);
    let refused = press(&mut browser, &page, "y", "next");
    assert_eq!(refused.status, 422);
    refused.has("A pair is set up on the consoles of both units").has("HA-Pair").lacks("Ctrl-C");
    let arms = press(&mut browser, &refused, "n", "next");
    let eth0 = press(&mut browser, &arms, "y", "next");
    let refused = press(&mut browser, &eth0, "<b>10.0.0.256", "next");
    assert_eq!(refused.status, 422);
    refused.has("IP address for interface eth0").has("&#60;b&#62;10.0.0.256").lacks("<b>10");
    let mask = press(&mut browser, &refused, "10.0.0.21", "next");
    let refused = press(&mut browser, &mask, "255.0.255.0", "next");
    refused.has("255.0.255.0 is not a netmask");
    let back = press(&mut browser, &refused, "", "back");
    back.has("IP address for interface eth0").has("value=\"10.0.0.21\"");
    let back = press(&mut browser, &back, "", "back");
    back.has("one-armed");
    // A forged hidden answer is judged like a typed one.
    let forged = browser.post(PAGE, &[("ha_pair", "n"), ("one_arm", "maybe"), ("do", "next"), ("answer", "10.0.0.21")]);
    assert_eq!(forged.status, 422);
    forged.has("is neither yes nor no");
    let early = browser.post(PAGE, &[("ha_pair", "n"), ("do", "apply"), ("revision", "0")]);
    assert_eq!(early.status, 422, "what is not answered is asked, whatever button is sent");
    assert_eq!(rig.lbd().running().expect("what runs").revision.number, 0);
}

#[test]
fn an_apply_in_between_is_a_conflict() {
    let rig = Rig::start();
    let mut browser = rig.logged_in();
    let summary = walk(&mut browser);
    let other = lb_api::ApplyRequest { config: Some(guide()), author: "ben".into(), ..Default::default() };
    rig.lbd().apply(&other).expect("applied");
    let refused = press(&mut browser, &summary, "", "apply");
    browser.follow(&refused).has("ben");
    assert_eq!(rig.lbd().running().expect("what runs").revision.number, 1);
}

#[test]
fn pending_changes_come_first() {
    let (rig, mut browser) = Rig::with(&guide());
    let mut changed = guide();
    changed.globals.health.fall = 3;
    let put = lb_api::PutCandidate { config: changed, base: None, etag: None, author: "ben".into() };
    rig.lbd().put_candidate(&put).expect("a candidate");
    browser.get(PAGE).has("Apply or discard the").lacks("HA-Pair");
    assert_eq!(browser.post(PAGE, &[("do", "next"), ("answer", "n")]).status, 422);
}

//! Pending changes: the bar, apply, discard, keep or undo, two administrators, history.

use crate::rig::{Rig, guide};
use lb_api::PutCandidate;
use lb_model::Config;
use std::{sync::Barrier, thread};

/// Somebody puts `config` as the candidate.
fn put(rig: &Rig, author: &str, config: &Config) {
    let put = PutCandidate { config: config.clone(), base: None, etag: None, author: author.into() };
    rig.lbd().put_candidate(&put).expect("a candidate");
}

fn with_weight(weight: u32) -> Config {
    let mut config = guide();
    config.virtual_servers[0].real_servers[0].weight = weight;
    config
}

#[test]
fn the_bar_says_what_is_pending_and_applies_it() {
    let (rig, mut browser) = Rig::with(&guide());
    browser.get("/lbadmin/").lacks("Apply configuration");
    put(&rig, "carol (10.0.0.7)", &with_weight(5));
    let page = browser.get("/lbadmin/");
    page.has("Change weight of WebServer1 in HTTP_Cluster from 1 to 5").has("last edited by carol (10.0.0.7)");
    browser.get("/lbadmin/changes").has("weight 5");
    let etag = page.field("etag").expect("the state that was seen");
    let done = browser.post("/lbadmin/apply", &[("etag", &etag), ("back", "/lbadmin/"), ("comment", "heavier")]);
    browser.follow(&done).has("Applied as revision 2.").lacks("Apply configuration");
    assert_eq!(rig.lbd().running().expect("what runs").config.virtual_servers[0].real_servers[0].weight, 5);
    browser.get("/lbadmin/history").has("heavier").has("loadbalancer (127.0.0.1)");
    browser.get("/lbadmin/history/2").has("Change weight of WebServer1");
}

#[test]
fn what_was_not_seen_is_neither_applied_nor_discarded() {
    let (rig, mut browser) = Rig::with(&guide());
    put(&rig, "carol", &with_weight(5));
    let etag = browser.get("/lbadmin/").field("etag").expect("the state that was seen");
    put(&rig, "dave", &with_weight(7));
    let page = browser.post("/lbadmin/apply", &[("etag", &etag)]);
    browser.follow(&page).has("no longer the one you looked at: dave changed it");
    let page = browser.post("/lbadmin/discard", &[("etag", &etag)]);
    browser
        .follow(&page)
        .has("no longer the one you looked at: dave changed it")
        .has("look at it again before you discard it");
    assert_eq!(rig.lbd().candidate().expect("a candidate").config, with_weight(7));
    let etag = browser.get("/lbadmin/").field("etag").expect("the state that was seen");
    let page = browser.post("/lbadmin/discard", &[("etag", &etag)]);
    browser.follow(&page).has("The pending changes are discarded.");
    assert_eq!(rig.lbd().candidate().expect("none").etag, 0);
}

/// Two people press at the same moment, one Discard and one Update: what the first has not seen is never thrown away.
#[test]
fn a_discard_and_an_edit_at_the_same_moment_never_both_succeed() {
    const ROUNDS: u32 = 40;
    let (rig, mut browser) = Rig::with(&guide());
    let mut discarded = 0;
    for round in 0..ROUNDS {
        put(&rig, "carol", &with_weight(100));
        let etag = browser.get("/lbadmin/").field("etag").expect("the state that was seen");
        let newer = PutCandidate {
            config: with_weight(200 + round),
            base: None,
            etag: Some(etag.parse().expect("a number")),
            author: "dave".into(),
        };
        let together = Barrier::new(2);
        let (page, edit) = thread::scope(|scope| {
            let edit = scope.spawn(|| {
                together.wait();
                rig.lbd().put_candidate(&newer)
            });
            together.wait();
            (browser.post("/lbadmin/discard", &[("etag", &etag)]), edit.join().expect("an answer"))
        });
        let page = browser.follow(&page);
        let there = rig.lbd().candidate().expect("a candidate");
        match edit {
            Ok(_) => {
                page.has("no longer the one you looked at: dave changed it");
                assert_eq!(there.config, newer.config, "round {round}: dave's edit is lost");
            }
            Err(_) => {
                page.has("The pending changes are discarded.");
                assert_eq!(there.etag, 0, "round {round}");
                discarded += 1;
            }
        }
    }
    println!("{discarded} of {ROUNDS} were discarded");
}

#[test]
fn a_change_that_can_cut_off_is_kept_or_undone() {
    let (rig, mut browser) = Rig::with(&guide());
    let mut moved = guide();
    moved.node.interfaces[0].addresses = vec!["10.0.0.22/24".parse().expect("an address")];
    moved.virtual_servers[0].service =
        serde_json::from_value(serde_json::json!({"kind": "address", "address": "10.0.0.22", "ports": "80"}))
            .expect("a service");
    for (button, runs) in [("/lbadmin/undo", "10.0.0.21/24"), ("/lbadmin/confirm", "10.0.0.22/24")] {
        put(&rig, "carol", &moved);
        let page = browser.get("/lbadmin/");
        page.has("It changes how this unit is reached.");
        let etag = page.field("etag").expect("the state that was seen");
        let done = browser.post("/lbadmin/apply", &[("etag", &etag)]);
        let page = browser.follow(&done);
        page.has("is on trial").has("Keep it");
        let revision = page.field("revision").expect("which one");
        let done = browser.post(button, &[("revision", &revision)]);
        browser.follow(&done).lacks("is on trial");
        let address = rig.lbd().running().expect("what runs").config.node.interfaces[0].addresses[0];
        assert_eq!(address.to_string(), runs);
    }
}

/// The way back to the beginning, from the list, over the page, to a unit that runs as it was made.
#[test]
fn the_factory_settings_are_revision_0() {
    let rig = Rig::start();
    let mut browser = rig.logged_in();
    browser
        .get("/lbadmin/history")
        .has("Nothing has been applied yet")
        .has("href=\"/lbadmin/history/0\"")
        .has("running");
    browser.get("/lbadmin/history/0").has("This revision runs.").lacks("Roll back to");
    rig.apply(&guide());
    browser.get("/lbadmin/history").has("href=\"/lbadmin/history/0\"").has("Factory settings");
    let page = browser.get("/lbadmin/history/0");
    page.has("The manufacturer's settings").lacks("1970").lacks("is not kept").has("Roll back to revision 0");
    page.has("Remove virtual server HTTP_Cluster");
    let done = browser.post("/lbadmin/history/0", &[]);
    browser.follow(&done).has("it is undone unless you keep it");
    let (running, factory) = (rig.lbd().running().expect("what runs"), rig.lbd().factory().expect("its settings"));
    assert_eq!(running.config, factory);
    for n in 0..50 {
        browser.post("/lbadmin/confirm", &[]);
        rig.apply(&with_weight(n + 2));
    }
    browser.get("/lbadmin/history").lacks("/lbadmin/history/0\"").has("Older");
    browser.get("/lbadmin/history?page=1").has("/lbadmin/history/0\"").lacks("Older");
}

#[test]
fn rolling_back_makes_a_new_revision() {
    let (rig, mut browser) = Rig::with(&guide());
    let request = lb_api::ApplyRequest { config: Some(with_weight(9)), ..Default::default() };
    rig.lbd().apply(&request).expect("applied");
    let page = browser.get("/lbadmin/history/1");
    page.has("Change weight of WebServer1 in HTTP_Cluster from 9 to 1");
    let done = browser.post("/lbadmin/history/1", &[("comment", "too heavy")]);
    browser.follow(&done).has("Applied as revision 3.").has("too heavy");
    assert_eq!(rig.lbd().running().expect("what runs").config, guide());
}

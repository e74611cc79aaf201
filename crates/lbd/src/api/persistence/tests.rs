use super::*;
use lb_haproxy::fake::Fake;

/// Two virtual servers of layer 7: by source and by the application's cookie.
fn config() -> Config {
    let document = r#"{"version":1,
      "node":{"hostname":"lbmaster","interfaces":[{"name":"eth0","addresses":["10.0.0.21/24"]}]},
      "layer7":{"virtual_servers":[
        {"label":"Shop","address":"10.0.0.21","ports":"80,8080","persistence":{"type":"source","granularity":24},
         "real_servers":[{"label":"Shop1","address":"10.0.0.50","port":80},{"label":"Shop2","address":"10.0.0.51","port":80}]},
        {"label":"App","address":"10.0.0.21","ports":"81",
         "persistence":{"type":"application-cookie","name":"SID"},
         "real_servers":[{"label":"App1","address":"10.0.0.50"}]},
        {"label":"Cookies","address":"10.0.0.22","ports":"80","persistence":{"type":"cookie"},
         "real_servers":[{"label":"Shop1","address":"10.0.0.60","port":80}]}]}}"#;
    lb_model::migrate(document).expect("a configuration")
}

const DIGEST: &str = "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD";

fn memory() -> Fake {
    let fake = Fake::default();
    let shop = (0..250_u8).map(|n| (format!("10.1.{n}.0"), if n % 5 == 0 { "Shop2" } else { "Shop1" }.to_owned()));
    let mut state = fake.0.lock().expect("a fake");
    state.tables.insert("Shop".into(), shop.collect());
    state.tables.insert("App".into(), [(DIGEST.to_owned(), "App1".to_owned())].into());
    drop(state);
    fake
}

fn query(text: &str) -> PersistenceQuery {
    let uri = format!("http://lbd/?{text}").parse().expect("an address");
    Query::try_from_uri(&uri).map(|Query(query)| query).expect("a query")
}

fn ask(text: &str) -> PersistenceView {
    let page = Page::new(&config(), query(text)).expect("a page");
    page.read(&memory(), &|| false).expect("read")
}

fn keys(view: &PersistenceView) -> Vec<&str> {
    view.entries.iter().map(|entry| entry.key.as_str()).collect()
}

#[test]
fn all_entries_come_in_pages() {
    let all = ask("");
    assert_eq!((all.matching, all.total, all.entries.len(), all.truncated), (251, 251, LIMIT, false));
    let tables: Vec<_> = all.tables.iter().map(|t| (t.virtual_server.as_str(), t.kind, t.entries)).collect();
    let expected = [("Shop", PersistenceKind::Source, 250), ("App", PersistenceKind::ApplicationCookie, 1)];
    assert_eq!(tables, expected, "what sends cookies remembers nothing itself");
    let last = ask("offset=200&limit=1000");
    assert_eq!((last.matching, last.entries.len()), (251, 51));
    assert_eq!(last.entries[50].real_server.as_deref(), Some("App1"));
}

#[test]
fn a_client_is_found_by_what_it_is_known_by() {
    assert_eq!(keys(&ask("client=10.1.7.99")), ["10.1.7.0"]);
    assert_eq!(keys(&ask("client=abc")), [DIGEST]);
    assert_eq!(keys(&ask(&format!("client={}", DIGEST.to_lowercase()))), [DIGEST]);
    let nobody = ask("client=10.2.0.1");
    assert_eq!((nobody.matching, nobody.total), (0, 251));
}

#[test]
fn servers_are_named_by_label_or_address() {
    assert_eq!(ask("real_server=Shop2").matching, 50);
    assert_eq!(ask("real_server=10.0.0.51").matching, 50);
    assert_eq!(ask("real_server=10.0.0.50").matching, 201);
    assert_eq!(ask("real_server=10.0.0.50:81").matching, 1, "the virtual server's port is the server's");
    assert_eq!(ask("virtual_server=App").matching, 1);
    assert_eq!(ask("virtual_server=10.0.0.21:8080").matching, 250);
    assert_eq!(ask("virtual_server=10.0.0.21").matching, 251);
    assert_eq!(ask("virtual_server=Cookies").matching, 0);
    for (text, field) in
        [("virtual_server=Nobody", "virtual_server"), ("real_server=Nobody", "real_server"), ("limit=1001", "limit")]
    {
        let Err(error) = Page::new(&config(), query(text)) else { panic!("{text} was taken") };
        assert!(error.message.contains(field), "{}", error.message);
    }
}

#[test]
fn a_table_that_takes_too_long_is_shown_in_part() {
    let fake = memory();
    let many = (0..5000).map(|n| (format!("10.{}.{}.0", 2 + n / 250, n % 250), "Shop1".to_owned())).collect();
    fake.0.lock().expect("a fake").tables.insert("Shop".into(), many);
    let page = Page::new(&config(), PersistenceQuery::default()).expect("a page");
    let view = page.read(&fake, &|| true).expect("read");
    assert!(view.truncated && view.matching == STEP, "{}", view.matching);
    assert_eq!(view.total, 5001, "counts are known all the same");
}

#[test]
fn without_haproxy_nothing_is_remembered_and_nothing_fails() {
    let fake = Fake::default();
    let page = Page::new(&config(), PersistenceQuery::default()).expect("a page");
    assert_eq!(page.read(&fake, &|| false).expect("read").total, 0);
}

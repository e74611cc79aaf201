use super::*;

fn status(connections: u32) -> State {
    let status = Status {
        version: String::new(),
        hostname: connections.to_string(),
        revision: 1,
        alarms: Vec::new(),
        converged: true,
        pending: Vec::new(),
        drift: Vec::new(),
        confirm: None,
        pending_changes: 0,
        old_connections: 0,
        virtual_servers: Vec::new(),
    };
    State { status: status.into(), ha: Arc::default() }
}

fn cells(state: &State, query: &str) -> Vec<Cell> {
    vec![Cell::new("a", &state.status.hostname), Cell::new("b", query).class("good")]
}

#[test]
fn only_what_changed_is_sent() {
    let hub = Hub::default();
    let (all, mut changes) = hub.join("view", cells, "q=1", &status(1), "1.0").expect("room");
    assert_eq!(
        &*all,
        "<span id=\"a\" class=\"\" hx-swap-oob=\"true\">1</span><span id=\"b\" class=\"good\" hx-swap-oob=\"true\">q=1</span>\
         <span id=\"news\" class=\"\" hx-swap-oob=\"true\"></span>"
    );
    hub.update(&status(1), "1.0");
    assert!(changes.try_recv().is_err(), "nothing changed");
    hub.update(&status(2), "1.0");
    assert_eq!(&*changes.try_recv().expect("a change"), "<span id=\"a\" class=\"\" hx-swap-oob=\"true\">2</span>");
}

#[test]
fn a_view_that_nobody_watches_goes() {
    let hub = Hub::default();
    let joined = hub.join("view", cells, "", &status(1), "1.0");
    assert!(hub.is_watched());
    drop(joined);
    hub.update(&status(1), "1.0");
    assert!(!hub.is_watched());
}

#[test]
fn views_are_bounded() {
    let hub = Hub::default();
    let kept: Vec<_> = (0..VIEWS_AT_ONCE).map(|n| hub.join("view", cells, &n.to_string(), &status(1), "1.0")).collect();
    assert!(kept.iter().all(Option::is_some));
    assert!(hub.join("view", cells, "one more", &status(1), "1.0").is_none());
}

#[test]
fn what_users_wrote_is_escaped() {
    let cell = Cell::new("a\"b", "<script>&'");
    assert_eq!(cell.html(), "<span id=\"a&quot;b\" class=\"\">&lt;script&gt;&amp;&#39;</span>");
}

#[test]
fn a_page_is_told_when_the_configuration_is_no_longer_what_it_shows() {
    let hub = Hub::default();
    let (_, mut changes) = hub.join("view", cells, "page=0&seen=1.0", &status(1), "1.0").expect("room");
    hub.update(&status(1), "1.1");
    assert!(changes.try_recv().expect("a change").contains(STALE));
}

#[test]
fn cells_are_of_servers_not_of_places() {
    assert_eq!(mark(&["HTTP_Cluster", "WebServer1"]), mark(&["HTTP_Cluster", "WebServer1"]));
    let marks = [mark(&["a", "bc"]), mark(&["ab", "c"]), mark(&["a"]), mark(&["abc"])];
    assert!(marks.iter().enumerate().all(|(n, one)| !marks[..n].contains(one)), "{marks:?}");
}

#[test]
fn a_cells_link_is_escaped_and_inside_it() {
    let cell =
        Cell::new("m0r0s", "✕ non-active").class("state").link("/lbadmin/logs/ldirectord?filter=\"><a&b", "why?");
    assert_eq!(
        cell.html(),
        "<span id=\"m0r0s\" class=\"state\">✕ non-active \
         <a href=\"/lbadmin/logs/ldirectord?filter=&quot;&gt;&lt;a&amp;b\">why?</a></span>"
    );
}

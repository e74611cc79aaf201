use super::*;

#[test]
fn a_path_is_told_in_words() {
    assert_eq!(
        [latency(0), latency(418), latency(9_999), latency(12_345)],
        ["0.00 ms", "0.42 ms", "10.00 ms", "12 ms"]
    );
}

/// The floating IPs are with the peer only if the peer says so now.
#[test]
fn an_address_that_nobody_has_is_not_said_to_be_elsewhere() {
    let address = |here| FloatingView {
        address: [10, 0, 0, 100].into(),
        interface: "eth0".parse().expect("a name"),
        vip: true,
        here,
    };
    let with =
        |role, heard| HaView { peer: Some(PeerView { role, heard, ..PeerView::default() }), ..HaView::default() };
    let place = |ha: &HaView, here| floating(ha, &address(here)).place.text;
    assert_eq!(place(&with(HaRole::Active, true), false), "○ on the other unit");
    assert_eq!(place(&with(HaRole::Active, false), false), "✕ not on this unit");
    assert_eq!(place(&with(HaRole::Standby, true), false), "✕ not on this unit");
    assert_eq!(place(&with(HaRole::Active, true), true), "● on this unit");
}

#[test]
fn a_peer_that_is_silent_is_not_believed() {
    let said = PeerView { role: HaRole::Active, fit: true, hot: true, ..PeerView::default() };
    let silent = peer(&said);
    assert_eq!([silent.role.text, silent.fit.text, silent.hot.text], ["▲ unknown"; 3]);
    assert_eq!(peer(&PeerView { heard: true, ..said }).role.text, "● active");
}

#[test]
fn only_a_web_address_becomes_a_link() {
    let at = |web: &str| peer(&PeerView { web: Some(web.to_owned()), ..PeerView::default() }).web;
    assert_eq!(at("https://10.0.0.22:9443").as_deref(), Some("https://10.0.0.22:9443"));
    for other in ["javascript:alert(1)", "data:text/html,x", "//evil.example", ""] {
        assert_eq!(at(other), None, "{other}");
    }
}

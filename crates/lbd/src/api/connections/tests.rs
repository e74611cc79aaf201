use super::*;

const TABLE: [(&str, &str, &str, &str); 5] = [
    ("10.0.0.100:50000", "10.0.0.21:80", "192.168.2.50:80", "ESTABLISHED"),
    ("10.0.0.101:50000", "10.0.0.21:443", "192.168.2.50:443", "SYN_RECV"),
    ("10.0.0.100:50001", "10.0.0.21:80", "192.168.2.51:8080", "ESTABLISHED"),
    ("10.0.0.100:0", "10.0.0.21:80", "192.168.2.51:8080", "ASSURED"),
    ("[2001:db8::64]:40000", "[2001:db8::15]:80", "[fd00::2]:80", "FIN_WAIT"),
];

fn page(query: &str) -> ConnectionsView {
    let query: ConnectionQuery = read(query);
    let mut page = Page::new(query).expect("a query");
    for (client, virtual_server, real_server, state) in TABLE {
        let socket = |text: &str| text.parse().expect("a socket");
        page.see(&lb_kernel::Connection {
            protocol: "TCP",
            client: socket(client),
            virtual_server: socket(virtual_server),
            real_server: socket(real_server),
            state,
            expires: 7,
        });
    }
    page.done(false)
}

fn read(query: &str) -> ConnectionQuery {
    let uri = format!("http://lbd/?{query}").parse().expect("a URI");
    Query::try_from_uri(&uri).expect("a query").0
}

/// The clients that match, in order.
fn clients(query: &str) -> Vec<String> {
    page(query).entries.iter().map(|c| c.client.to_string()).collect()
}

#[test]
fn each_part_of_a_query_narrows_it() {
    let all = ["10.0.0.100:50000", "10.0.0.101:50000", "10.0.0.100:50001", "[2001:db8::64]:40000"];
    assert_eq!(clients(""), all);
    assert_eq!(clients("kind=persistent"), ["10.0.0.100:0"]);
    assert_eq!(clients("client=10.0.0.100"), [all[0], all[2]]);
    assert_eq!(clients("virtual_server=10.0.0.21"), all[..3]);
    assert_eq!(clients("virtual_server=10.0.0.21:443"), [all[1]]);
    assert_eq!(clients("virtual_server=2001:db8::15"), [all[3]]);
    assert_eq!(clients("virtual_server=[2001:db8::15]"), [all[3]]);
    assert_eq!(clients("real_server=[fd00::2]:80"), [all[3]]);
    assert_eq!(clients("real_server=192.168.2.50&state=syn_recv"), [all[1]]);
    assert_eq!(clients("client=10.0.0.100&state=SYN_RECV"), [] as [&str; 0]);
}

#[test]
fn a_page_says_how_many_there_are_in_all() {
    let view = page("offset=1&limit=2");
    assert_eq!((view.entries.len(), view.matching, view.total), (2, 4, 5));
    assert_eq!(view.entries[0].client.to_string(), "10.0.0.101:50000");
    let states: Vec<String> = view.states.iter().map(|s| format!("{} {}", s.state, s.count)).collect();
    assert_eq!(states, ["ESTABLISHED 2", "FIN_WAIT 1", "SYN_RECV 1"]);
    assert!(page("offset=9").entries.is_empty());
}

#[test]
fn nonsense_is_refused_and_named() {
    let refused = |query: &str| Page::new(read(query)).err().expect("refused").message;
    assert_eq!(refused("limit=1001"), "the query cannot be read: limit: 1001 is more than 1000");
    assert!(refused("virtual_server=10.0.0").contains("virtual_server: \"10.0.0\" is no address"));
    assert!(refused("real_server=web:80").contains("real_server"));
    assert!(refused("state=%3Cb%3E").contains("state"));
}

//! A pair's two HAProxys remember the same clients.

use crate::harness::{Live, Server, eventually, free_port, get_from, installed, servers, shop};
use lb_haproxy::Memory as _;
use serde_json::{Value, json};
use std::{net::Ipv4Addr, ops::ControlFlow};

const CLIENTS: std::ops::RangeInclusive<u8> = 1..=12;

fn by_source(port: u16, servers: &[Server]) -> Value {
    json!({"virtual_servers": [shop(port, servers, json!({"persistence": {"type": "source"}}))]})
}

/// Where each client is served, by the HAProxy at `port`.
fn homes(port: u16) -> Vec<String> {
    CLIENTS.map(|client| get_from(Ipv4Addr::new(127, 0, 9, client), port, "/", "").by().to_owned()).collect()
}

/// Waits until it remembers a client on each server.
fn remembers(live: &Live, clients: usize) {
    let table = &lb_haproxy::tables(&live.config())[0];
    eventually("the other unit's clients", || {
        let mut bound = 0;
        let count = &mut |entry: lb_haproxy::Entry<'_>| {
            bound += usize::from(entry.server.is_some());
            ControlFlow::Continue(())
        };
        // One that has just been killed may still have been asked.
        let end = live.haproxy.entries(table, None, count).ok()?;
        (end.is_continue() && bound == clients).then_some(())
    });
}

#[test]
fn a_client_stays_on_its_server_when_the_other_unit_takes_over() {
    if !installed() {
        return;
    }
    let (peers, one, two, servers) = (free_port(), free_port(), free_port(), servers(3));
    let mut first = Live::unit("one", peers, by_source(one, &servers));
    let at_first = homes(one);
    // The other one comes later, and is told all at once; then each client by itself.
    let mut second = Live::unit("two", peers, by_source(two, &servers));
    remembers(&second, CLIENTS.count());
    assert_eq!(homes(two), at_first);
    let late = Ipv4Addr::new(127, 0, 9, 99);
    let home = get_from(late, one, "/", "").by().to_owned();
    remembers(&second, CLIENTS.count() + 1);
    assert_eq!(get_from(late, two, "/", "").by(), home);

    // A reload of either loses nothing, ...
    for live in [&mut first, &mut second] {
        live.edit("/virtual_servers/0/max_connections", json!(1000));
        assert_eq!(live.apply(), ["layer 7: reload HAProxy: open connections stay with the old process"]);
        remembers(live, CLIENTS.count() + 1);
    }
    assert_eq!((homes(one), homes(two)), (at_first.clone(), at_first.clone()));
    // ... and one that comes back from nothing is told by the other.
    first.kill();
    first.spawn();
    eventually("it is back", || first.haproxy.used().ok()?.contains_key("Shop").then_some(()));
    remembers(&first, CLIENTS.count() + 1);
    assert_eq!(homes(one), at_first);
}

/// The time that a process waits for the other unit must not cost a reload what it remembers.
#[test]
fn a_reload_keeps_clients_while_the_other_unit_is_away() {
    if !installed() {
        return;
    }
    let (port, servers) = (free_port(), servers(3));
    let mut alone = Live::unit("two", free_port(), by_source(port, &servers));
    let before = homes(port);
    alone.edit("/virtual_servers/0/max_connections", json!(1000));
    assert_eq!(alone.apply().len(), 1);
    remembers(&alone, CLIENTS.count());
    assert_eq!(homes(port), before);
}

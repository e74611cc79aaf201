//! Server-sent events.

use super::Program;
use crate::rig::LIMIT;
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::Instant,
};

/// The data of the next event that is `wanted`.
fn next(reader: &mut impl BufRead, wanted: impl Fn(&Value) -> bool) -> Value {
    let (end, mut heard) = (Instant::now() + LIMIT, String::new());
    loop {
        let mut line = String::new();
        assert_ne!(reader.read_line(&mut line).expect("an event in time"), 0, "the stream ended");
        if let Some(data) = line.strip_prefix("data:") {
            let data = serde_json::from_str(data).expect("a summary");
            if wanted(&data) {
                return data;
            }
        }
        heard.push_str(&line);
        // What keeps the stream open comes for ever.
        assert!(Instant::now() < end, "not within {LIMIT:?} in:\n{heard}");
    }
}

#[test]
fn a_change_is_an_event() {
    let p = Program::start();
    let mut stream = TcpStream::connect(p.rig.address).expect("lbadmin listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a socket");
    let head = format!(
        "GET /api/v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\naccept: text/event-stream\r\n\r\n",
        p.token
    );
    stream.write_all(head.as_bytes()).expect("asked");
    let mut reader = BufReader::new(stream);
    let first = next(&mut reader, |_| true);
    assert_eq!((&first["revision"], &first["candidate_etag"]), (&1.into(), &0.into()));
    p.post(
        "/api/v1/virtual-servers/HTTP_Cluster/real-servers",
        &json!({"label": "New", "address": "192.168.2.77", "forwarding": "nat"}),
    )
    .is(201);
    next(&mut reader, |seen| seen["candidate_etag"] != 0);
    p.post("/api/v1/apply", &json!({})).is(200);
    next(&mut reader, |seen| seen["revision"] == 2);
}

#[test]
fn a_page_is_not_a_stream() {
    let p = Program::start();
    p.send("GET", "/api/v1/events", &[("accept", "application/json")], None).problem(406, "not-acceptable");
}

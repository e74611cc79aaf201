//! Probes against listeners on loopback: what each outcome is, and that nothing stays open.

use super::*;
use lb_check::CheckSpec;
use std::{net::IpAddr, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpSocket},
    task::JoinHandle,
};

/// What a probe that should end early may take; one that waits for nothing takes far less.
const PLENTY: Duration = Duration::from_secs(20);
/// What a probe that must run into its limit is given.
const SHORT: Duration = Duration::from_secs(1);

fn probe(address: SocketAddr, kind: Kind, timeout: Duration) -> Probe {
    Probe::once(CheckSpec {
        target: Target { address: address.ip(), port: address.port() },
        kind,
        interval: Duration::from_secs(10),
        timeout,
        retry: Duration::from_secs(1),
        fall: 1,
        rise: 1,
    })
}

fn negotiate(json: &str) -> Kind {
    Kind::Negotiate(serde_json::from_str(json).unwrap())
}

async fn ask(address: SocketAddr, kind: Kind, timeout: Duration) -> String {
    match run(&probe(address, kind, timeout)).await {
        Outcome::Fit => "fit".into(),
        Outcome::Unfit(why) => why,
    }
}

async fn listener(host: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((host, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Reads the head of a request.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        seen.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(seen).unwrap()
}

/// Answers one request with these pieces, each flushed for itself, then closes. Gives the request's head.
async fn serve(pieces: &'static [&'static str]) -> (SocketAddr, JoinHandle<String>) {
    let (listener, address) = listener("127.0.0.1").await;
    let served = tokio::spawn(async move { answer(listener.accept().await.unwrap().0, pieces).await });
    (address, served)
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, pieces: &[&str]) -> String {
    let head = head(&mut stream).await;
    for piece in pieces {
        // A probe that has seen enough hangs up.
        if stream.write_all(piece.as_bytes()).await.is_err() || stream.flush().await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let _ = stream.shutdown().await;
    head
}

#[track_caller]
fn check(found: String, wanted: &str) {
    assert_eq!(found, wanted);
}

/// One GET answered with `pieces`.
async fn http(spec: &str, pieces: &'static [&'static str]) -> String {
    let (address, _served) = serve(pieces).await;
    ask(address, negotiate(spec), PLENTY).await
}

const OK: &str = r#"{"service":"http"}"#;
const MATCH: &str = r#"{"service":"http","response":"all (is )?well"}"#;

/// A port that nobody listens on: bound, so that no other test gets it.
fn dead() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

#[tokio::test]
async fn connect_is_answered_and_closed_in_the_ordinary_way() {
    for host in ["127.0.0.1", "::1"] {
        let (listener, address) = listener(host).await;
        check(ask(address, Kind::Connect, PLENTY).await, "fit");
        let (mut stream, _) = listener.accept().await.unwrap();
        // A reset would be an error here.
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn refused() {
    let (_held, address) = dead();
    check(ask(address, Kind::Connect, PLENTY).await, "connection refused");
    check(ask(address, negotiate(OK), PLENTY).await, "connection refused");
    check(ask(address, negotiate(r#"{"service":"https"}"#), PLENTY).await, "connection refused");
}

#[tokio::test]
async fn silent_at_connect() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let _listener = socket.listen(0).unwrap();
    // The backlog of 0 takes one connection; what comes then is dropped by the kernel, as by a dead host.
    let _first = TcpStream::connect(address).await.unwrap();
    let started = Instant::now();
    check(ask(address, Kind::Connect, SHORT).await, "no answer within 1 s");
    assert!(started.elapsed() >= SHORT);
}

/// Each way of being slow ends at the limit, and the connection with it.
#[tokio::test]
async fn silent_later() {
    let cases: [(&str, &str, &str); 4] = [
        (OK, "", "connected, but no answer within 1 s"),
        (OK, "HTTP/1.1 200 OK\r\nContent-Le", "connected, but no answer within 1 s"),
        (OK, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nall", "answer not complete within 1 s"),
        (MATCH, "HTTP/1.1 200 OK\r\n\r\nall well", "answer not complete within 1 s"),
    ];
    for (spec, sent, wanted) in cases {
        let (listener, address) = listener("127.0.0.1").await;
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            head(&mut stream).await;
            stream.write_all(sent.as_bytes()).await.unwrap();
            // Holds still until the probe hangs up.
            let _ = stream.read(&mut [0; 8]).await;
        };
        let (found, ()) = tokio::join!(ask(address, negotiate(spec), SHORT), server);
        check(found, wanted);
    }
}

#[tokio::test]
async fn no_tls_handshake() {
    let (_listener, address) = listener("127.0.0.1").await;
    let found = ask(address, negotiate(r#"{"service":"https"}"#), SHORT).await;
    check(found, "connected, but no TLS handshake within 1 s");
}

/// A server that sends a byte now and then never makes the probe's time begin anew.
#[tokio::test]
async fn dripping() {
    let (listener, address) = listener("127.0.0.1").await;
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let mut pace = tokio::time::interval(SHORT / 10);
        while stream.write_all(b"x").await.is_ok() {
            pace.tick().await;
        }
    };
    let started = Instant::now();
    let (found, ()) = tokio::join!(ask(address, negotiate(MATCH), SHORT), server);
    check(found, "answer not complete within 1 s");
    assert!(started.elapsed() < PLENTY);
}

#[tokio::test]
async fn request() {
    let (address, served) = serve(&["HTTP/1.1 204 No Content\r\n\r\n"]).await;
    check(ask(address, negotiate(r#"{"service":"http","request":"/check.html?a=b"}"#), PLENTY).await, "fit");
    let wanted = "GET /check.html?a=b HTTP/1.1\r\nhost: ADDRESS\r\nuser-agent: Steelyard\r\nconnection: close\r\n\r\n";
    assert_eq!(served.await.unwrap(), wanted.replace("ADDRESS", &address.to_string()));

    let (address, served) = serve(&["HTTP/1.0 200 OK\r\n\r\n"]).await;
    check(ask(address, negotiate(r#"{"service":"http","virtual_host":"www.example.com"}"#), PLENTY).await, "fit");
    let head = served.await.unwrap();
    assert!(head.contains("\r\nhost: www.example.com\r\n"), "{head}");
}

#[tokio::test]
async fn usual_ports_are_left_out_of_host() {
    for (address, port, host) in
        [("192.0.2.1", 80, "192.0.2.1"), ("192.0.2.1", 81, "192.0.2.1:81"), ("2001:db8::1", 80, "[2001:db8::1]")]
    {
        let target = Target { address: address.parse().unwrap(), port };
        assert_eq!(http::host(target, None, 80), host);
    }
}

#[tokio::test]
async fn status() {
    let error = &["HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"];
    check(http(OK, error).await, "status 500, expected 200-299");
    check(http(r#"{"service":"http","status":"404,500"}"#, error).await, "fit");
    let moved = &["HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"];
    check(http(OK, moved).await, "status 302, expected 200-299");
}

#[tokio::test]
async fn body() {
    check(http(MATCH, &["HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nall is well"]).await, "fit");
    check(http(MATCH, &["HTTP/1.1 200 OK\r\n\r\nall i", "s well"]).await, "fit");
    let chunked = &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nall w\r\n", "3\r\nell\r\n", "0\r\n\r\n"];
    check(http(MATCH, chunked).await, "fit");
    let ill = &["HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nill"];
    check(http(MATCH, ill).await, "answer does not match /all (is )?well/");
}

#[tokio::test]
async fn broken_answers() {
    check(http(OK, &["SSH-2.0-OpenSSH_9.2\r\n"]).await, "the answer is not HTTP");
    check(http(OK, &[""]).await, "connection closed before the answer was complete");
    let cut = &["HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nall is well"];
    check(http(MATCH, cut).await, "connection closed before the answer was complete");
}

/// The server never ends its body; 64 KiB are enough, and then it is hung up on.
#[tokio::test]
async fn huge_body() {
    let page = format!("{}all well", "x".repeat(40_000));
    for (page, wanted) in [(page, "fit"), ("x".repeat(40_000), "answer does not match /all (is )?well/")] {
        let (listener, address) = listener("127.0.0.1").await;
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            while stream.write_all(page.as_bytes()).await.is_ok() {}
        };
        let (found, ()) = tokio::join!(ask(address, negotiate(MATCH), PLENTY), server);
        check(found, wanted);
    }
}

#[tokio::test]
async fn https_with_a_certificate_that_nobody_signed() {
    use rustls::crypto::ring;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let made = rcgen::generate_simple_self_signed(vec!["other.example".into()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        for (host, sent) in [("www.example.com:8443", Some("www.example.com")), ("192.0.2.1", None)] {
            let (listener, address) = listener("127.0.0.1").await;
            let server = async {
                let stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
                assert_eq!(stream.get_ref().1.server_name(), sent);
                answer(stream, &["HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n", "all well"]).await
            };
            let kind = negotiate(&format!(r#"{{"service":"https","response":"all well","virtual_host":"{host}"}}"#));
            let (found, head) = tokio::join!(ask(address, kind, PLENTY), server);
            check(found, "fit");
            assert!(head.contains(&format!("\r\nhost: {host}\r\n")), "{head}");
        }
    }
}

#[tokio::test]
async fn https_asked_of_http() {
    let (listener, address) = listener("127.0.0.1").await;
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    };
    let (found, ()) = tokio::join!(ask(address, negotiate(r#"{"service":"https"}"#), PLENTY), server);
    check(found, "does not speak TLS on this port");
}

/// Needs root, or a `net.ipv4.ping_group_range` with the user's group; says so where it has neither.
#[tokio::test]
async fn ping() {
    for address in ["127.0.0.1", "::1"] {
        let address: IpAddr = address.parse().unwrap();
        let found = ask(SocketAddr::new(address, 0), Kind::Ping, PLENTY).await;
        if found.starts_with("not permitted") {
            eprintln!("ping {address} left out: {found}");
            continue;
        }
        check(found, "fit");
    }
}

/// Many at once: each gets its own answer out of what all raw sockets see.
#[tokio::test]
async fn pings_do_not_mistake_each_other() {
    let target = SocketAddr::new("127.0.0.1".parse().unwrap(), 0);
    let all: Vec<_> = (0..200).map(|_| tokio::spawn(ask(target, Kind::Ping, PLENTY))).collect();
    for one in all {
        let found = one.await.unwrap();
        assert!(found == "fit" || found.starts_with("not permitted"), "{found}");
    }
}

async fn ask_an_agent(answer: &'static [u8], send: &str, timeout: Duration) -> String {
    let (listener, address) = listener("127.0.0.1").await;
    let said = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        // A question, if there is one, ends with its line.
        let read = async {
            while !heard.ends_with(b"\n") {
                heard.push(stream.read_u8().await?);
            }
            std::io::Result::Ok(())
        };
        let _ = tokio::time::timeout(SHORT, read).await;
        if answer == b"nothing" {
            tokio::time::sleep(PLENTY).await;
        }
        let answer = if answer == b"echo" { &heard[..] } else { answer };
        stream.write_all(answer).await.unwrap();
        // Open: a line is an answer.
        tokio::time::sleep(if answer.ends_with(b"\n") { PLENTY } else { Duration::ZERO }).await;
    });
    let spec = lb_check::AgentSpec {
        target: Target { address: address.ip(), port: address.port() },
        send: send.to_owned(),
        interval: Duration::from_secs(10),
        timeout,
    };
    let answer = ask_agent(&spec).await.map(|answer| String::from_utf8(answer).unwrap());
    said.abort();
    answer.unwrap_or_else(|why| format!("failed: {why}"))
}

#[tokio::test]
async fn agents_answer_with_a_line_or_until_they_close() {
    let asked = async |answer, send| ask_an_agent(answer, send, PLENTY).await;
    assert_eq!(asked(b"75%\nmore", "").await, "75%\nmore", "what came with the line; only the line is read");
    assert_eq!(asked(b"up 20%\n", "idle\n").await, "up 20%\n");
    assert_eq!(asked(b"echo", "idle?\n").await, "idle?\n", "it is sent the text");
    assert_eq!(asked(b"drain", "idle\n").await, "drain");
    assert_eq!(asked(b"", "idle\n").await, "failed: closed without an answer");
    let silent = ask_an_agent(b"nothing", "", SHORT).await;
    assert_eq!(silent, "failed: no answer within 1 s");
    let long = ask_an_agent(&[b'x'; 5000], "", PLENTY).await;
    assert_eq!(long.len(), lb_check::ANSWER_LIMIT, "no agent fills the memory");
}

#[tokio::test]
async fn an_agent_that_does_not_listen_is_unreachable() {
    let (_bound, address) = dead();
    let target = Target { address: address.ip(), port: address.port() };
    let second = Duration::from_secs(1);
    let spec = lb_check::AgentSpec { target, send: String::new(), interval: second, timeout: second };
    assert_eq!(ask_agent(&spec).await, Err("connection refused".to_owned()));
}

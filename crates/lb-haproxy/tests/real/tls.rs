//! TLS: who is shown which certificate, who is refused, and a renewal that nobody notices.

use crate::harness::{LIMIT, Live, Server, free_port, installed, servers, shop};
use lb_haproxy::Material;
use lb_model::layer7::CertificateFingerprint;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName},
    version,
};
use serde_json::{Value, json};
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::Arc,
};

type Versions = &'static [&'static rustls::SupportedProtocolVersion];
const BOTH: Versions = &[&version::TLS13, &version::TLS12];
const OLD: Versions = &[&version::TLS12];

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
}

#[derive(Clone)]
struct Leaf {
    der: CertificateDer<'static>,
    key: Vec<u8>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let made = params.self_signed(&key).unwrap();
        Authority { pem: made.pem().replace('\r', ""), der: made.der().clone(), issuer: Issuer::new(params, key) }
    }

    fn sign(&self, name: &str) -> Leaf {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let made = params.signed_by(&key, &self.issuer).unwrap();
        let pem = format!("{}{}", key.serialize_pem(), made.pem()).replace('\r', "");
        Leaf { der: made.der().clone(), key: key.serialize_der(), pem }
    }
}

fn sha1(der: &[u8]) -> String {
    use sha1::Digest as _;
    sha1::Sha1::digest(der).iter().map(|byte| format!("{byte:02X}")).collect()
}

fn fingerprint(n: u8) -> CertificateFingerprint {
    format!("{n:064x}").parse().unwrap()
}

fn material(pem: &str, der: &[u8]) -> Material {
    Material { pem: Arc::new(pem.to_owned().into()), sha1: sha1(der), ocsp: None }
}

/// `shop` (1) and `blog` (2) of an authority, and the authority of clients, `office` (3).
struct Lab {
    root: Authority,
    office: Authority,
    shop: Leaf,
    blog: Leaf,
}

impl Lab {
    fn new() -> Lab {
        let root = Authority::new("Root");
        let (shop, blog) = (root.sign("shop.example.com"), root.sign("blog.example.com"));
        Lab { office: Authority::new("Office"), root, shop, blog }
    }

    fn start(&self, virtual_servers: Vec<Value>) -> Live {
        let named = |n: u8, label: &str, authority: bool| json!({"label": label, "fingerprint": fingerprint(n), "authority": authority, "not_after": 1_900_000_000});
        let layer7 = json!({
            "certificates": [named(1, "shop", false), named(2, "blog", false), named(3, "office", true)],
            "virtual_servers": virtual_servers,
        });
        let at_hand = [
            (fingerprint(1), material(&self.shop.pem, &self.shop.der)),
            (fingerprint(2), material(&self.blog.pem, &self.blog.der)),
            (fingerprint(3), material(&self.office.pem, &self.office.der)),
        ];
        Live::start_with(layer7, at_hand.into())
    }

    fn client(&self) -> Client<'_> {
        Client { lab: self, name: "shop.example.com", certificate: None, versions: BOTH, alpn: &[] }
    }
}

#[derive(Clone)]
struct Client<'a> {
    lab: &'a Lab,
    name: &'static str,
    certificate: Option<Leaf>,
    versions: Versions,
    alpn: &'static [&'static str],
}

struct Met {
    certificate: CertificateDer<'static>,
    version: rustls::ProtocolVersion,
    alpn: Option<Vec<u8>>,
    answer: String,
}

impl Client<'_> {
    fn connect(&self, port: u16) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.lab.root.der.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match &self.certificate {
            None => builder.with_no_client_auth(),
            Some(leaf) => {
                let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf.key.clone()));
                builder.with_client_auth_cert(vec![leaf.der.clone()], key).unwrap()
            }
        };
        config.alpn_protocols = self.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = ServerName::try_from(self.name).unwrap();
        let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(LIMIT))?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(StreamOwned::new(connection, stream))
    }

    /// One request on a connection of its own.
    fn get(&self, port: u16) -> std::io::Result<Met> {
        self.ask(port, "X-SSL-Client-Subject: forged\r\n")
    }

    fn ask(&self, port: u16, headers: &str) -> std::io::Result<Met> {
        let mut stream = self.connect(port)?;
        let certificate = stream.conn.peer_certificates().unwrap()[0].clone().into_owned();
        let version = stream.conn.protocol_version().unwrap();
        let alpn = stream.conn.alpn_protocol().map(<[u8]>::to_vec);
        if alpn.as_deref() == Some(b"h2") {
            return Ok(Met { certificate, version, alpn, answer: String::new() });
        }
        let head = format!("GET / HTTP/1.1\r\nHost: shop.example.com\r\n{headers}Connection: close\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        let mut answer = String::new();
        match stream.read_to_string(&mut answer) {
            // Without a last word of TLS.
            Err(e) if e.kind() != std::io::ErrorKind::UnexpectedEof || answer.is_empty() => return Err(e),
            _ => {}
        }
        Ok(Met { certificate, version, alpn, answer })
    }
}

fn asked(server: &Server, header: &str) -> Option<String> {
    let head = server.asked();
    head.lines().find_map(|line| {
        line.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case(header)).map(|(_, value)| value.to_owned())
    })
}

#[test]
fn a_client_gets_the_certificate_of_the_host_it_names() {
    if !installed() {
        return;
    }
    let (lab, port, servers) = (Lab::new(), free_port(), servers(1));
    let tls = json!({"tls": {"certificates": ["shop", "blog"], "hsts": 31_536_000}, "persistence": {"type": "cookie"}});
    let _live = lab.start(vec![shop(port, &servers, tls)]);
    let met = lab.client().get(port).unwrap();
    assert_eq!(met.certificate, lab.shop.der);
    assert_eq!(met.version, rustls::ProtocolVersion::TLSv1_3);
    assert!(met.answer.contains("strict-transport-security: max-age=31536000"), "{}", met.answer);
    assert!(met.answer.lines().any(|line| line.contains("SERVERID=Web1") && line.contains("Secure")), "{}", met.answer);
    assert_eq!(asked(&servers[0], "X-Forwarded-Proto").as_deref(), Some("https"));
    let blog = Client { name: "blog.example.com", versions: OLD, ..lab.client() }.get(port).unwrap();
    assert_eq!((blog.certificate, blog.version), (lab.blog.der.clone(), rustls::ProtocolVersion::TLSv1_2));
    let h2 = Client { alpn: &["h2", "http/1.1"], ..lab.client() }.get(port).unwrap();
    assert_eq!(h2.alpn.as_deref(), Some(&b"h2"[..]));
    assert!(
        Client { name: "other.example.com", ..lab.client() }.get(port).is_err(),
        "the first certificate is not for it"
    );
}

/// The issue's own number: 1,000 requests of 50 clients, each on a connection of its own.
#[test]
fn clients_with_cookies_stay_on_their_servers_through_tls() {
    if !installed() {
        return;
    }
    let (lab, port, servers) = (Lab::new(), free_port(), servers(3));
    let tls = json!({"tls": {"certificates": ["shop"]}, "persistence": {"type": "cookie"}});
    let _live = lab.start(vec![shop(port, &servers, tls)]);
    let served: Vec<String> = std::thread::scope(|scope| {
        let client = || {
            let mut cookie = String::new();
            let mut first = None;
            for _ in 0..20 {
                let met = lab.client().ask(port, &cookie).expect("an answer");
                let by = met.answer.split("\r\n\r\n").nth(1).and_then(|body| body.lines().next()).expect("a name");
                if let Some(line) = met.answer.lines().find(|line| line.to_lowercase().starts_with("set-cookie: ")) {
                    let value = line[12..].split(';').next().expect("a cookie");
                    cookie = format!("Cookie: {value}\r\n");
                }
                assert_eq!(first.get_or_insert_with(|| by.to_owned()), by, "it moved");
            }
            first.expect("a server")
        };
        let clients: Vec<_> = (0..50).map(|_| scope.spawn(client)).collect();
        clients.into_iter().map(|client| client.join().expect("a client")).collect()
    });
    let used: std::collections::BTreeSet<_> = served.iter().collect();
    assert_eq!(used.len(), 3, "all servers serve: {served:?}");
}

#[test]
fn modern_is_tls_1_3_alone() {
    if !installed() {
        return;
    }
    let (lab, port, servers) = (Lab::new(), free_port(), servers(1));
    let tls = json!({"tls": {"certificates": ["shop"], "profile": "modern"}});
    let _live = lab.start(vec![shop(port, &servers, tls)]);
    assert_eq!(lab.client().get(port).unwrap().version, rustls::ProtocolVersion::TLSv1_3);
    assert!(Client { versions: OLD, ..lab.client() }.get(port).is_err());
}

#[test]
fn clients_are_known_by_their_certificates() {
    if !installed() {
        return;
    }
    let (lab, servers) = (Lab::new(), servers(1));
    let (required, optional) = (free_port(), free_port());
    let tls = |verify: &str, label: &str| json!({"label": label, "tls": {"certificates": ["shop"], "client": {"authority": "office", "verify": verify}}});
    let _live = lab.start(vec![
        shop(required, &servers, tls("required", "Inner")),
        shop(optional, &servers, tls("optional", "Outer")),
    ]);
    let (mine, wrong) = (Some(lab.office.sign("anna")), Some(lab.root.sign("mallory")));
    for port in [required, optional] {
        assert!(lab.client().get(port).is_ok() == (port == optional), "without one");
        assert!(Client { certificate: wrong.clone(), ..lab.client() }.get(port).is_err(), "a wrong one is refused");
        let met = Client { certificate: mine.clone(), ..lab.client() }.get(port).unwrap();
        assert!(met.answer.starts_with("HTTP/1.1 200"), "{}", met.answer);
        assert!(asked(&servers[0], "X-SSL-Client-Subject").is_some_and(|subject| subject.contains("CN=anna")));
    }
    lab.client().get(optional).unwrap();
    assert_eq!(asked(&servers[0], "X-SSL-Client-Subject"), None, "what a client says of itself is no proof");
}

#[test]
fn a_renewal_is_seen_by_new_connections_only() {
    if !installed() {
        return;
    }
    let (lab, port, servers) = (Lab::new(), free_port(), servers(1));
    let mut live = lab.start(vec![shop(port, &servers, json!({"tls": {"certificates": ["shop", "blog"]}}))]);
    let worker = live.worker();
    let mut open = lab.client().connect(port).unwrap();
    for round in 0..5 {
        let renewed = lab.root.sign("shop.example.com");
        live.at_hand.insert(fingerprint(1), material(&renewed.pem, &renewed.der));
        assert_eq!(live.apply(), ["layer 7: write shop.pem", "layer 7: renew certificate shop: no connection notices"]);
        assert_eq!(lab.client().get(port).unwrap().certificate, renewed.der, "round {round}");
    }
    open.write_all(b"GET / HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    let _ = open.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 200"), "a connection of before goes on: {answer}");
    assert_eq!(live.worker(), worker, "no reload");

    // It survives a reload and a crash, as the file was renewed too.
    let before = lab.client().get(port).unwrap().certificate;
    live.edit("/virtual_servers/0/max_connections", json!(1000));
    live.apply();
    assert_ne!(live.worker(), worker);
    assert_eq!(lab.client().get(port).unwrap().certificate, before);

    // One that HAProxy does not take leaves the good one in place.
    live.at_hand.insert(fingerprint(1), material(&lab.blog.pem.replace("BEGIN CERT", "BEGIN BERT"), &lab.blog.der));
    let wanted = live.wanted();
    let actions = lb_haproxy::plan(Some(&wanted), &lb_haproxy::Proxy::observe(&mut live.haproxy).unwrap());
    let done: Vec<_> = actions.iter().map(|action| lb_haproxy::Proxy::execute(&mut live.haproxy, action)).collect();
    assert!(done.iter().any(Result::is_err), "{done:?}");
    assert_eq!(lab.client().get(port).unwrap().certificate, before);
    assert!(!format!("{done:?}").contains("PRIVATE KEY"));
}

#[test]
fn servers_are_verified_where_an_authority_is_named() {
    if !installed() {
        return;
    }
    let (lab, inner, servers) = (Lab::new(), free_port(), servers(1));
    let (good, wrong_name, wrong_authority) = (free_port(), free_port(), free_port());
    // HAProxy itself is the server that speaks TLS.
    let behind = |port: u16, label: &str, authority: &str, name: &str| {
        json!({
            "label": label, "address": "127.0.0.1", "ports": port.to_string(), "fallback": null, "check": {"method": "on"},
            "server_verification": {"authority": authority, "name": name},
            "real_servers": [{"label": "Tls", "address": "127.0.0.1", "port": inner, "tls": true}],
        })
    };
    let mut lab = lab;
    // The authority that the document calls office is the one that signed shop.
    std::mem::swap(&mut lab.root, &mut lab.office);
    let fresh = Authority::new("Another");
    let live = {
        let named = |n: u8, label: &str, authority: bool| json!({"label": label, "fingerprint": fingerprint(n), "authority": authority, "not_after": 1_900_000_000});
        let layer7 = json!({
            "certificates": [named(1, "shop", false), named(3, "office", true), named(4, "another", true)],
            "virtual_servers": [
                shop(inner, &servers, json!({"tls": {"certificates": ["shop"]}})),
                behind(good, "Good", "office", "shop.example.com"),
                behind(wrong_name, "WrongName", "office", "blog.example.com"),
                behind(wrong_authority, "WrongAuthority", "another", "shop.example.com"),
            ],
        });
        let at_hand = [
            (fingerprint(1), material(&lab.shop.pem, &lab.shop.der)),
            (fingerprint(3), material(&lab.office.pem, &lab.office.der)),
            (fingerprint(4), material(&fresh.pem, &fresh.der)),
        ];
        Live::start_with(layer7, at_hand.into())
    };
    assert_eq!(crate::harness::get(good, "/", "").by(), "Web1");
    assert_eq!(crate::harness::get(wrong_name, "/", "").status, 503);
    assert_eq!(crate::harness::get(wrong_authority, "/", "").status, 503);
    drop(live);
}

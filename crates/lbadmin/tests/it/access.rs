//! Users, tokens, sessions, passwords, one-time codes, the audit log, the web interface's own settings.

use crate::rig::{Browser, LIMIT, PASSWORD, Page, Rig, guide};
use lb_access::{Role, Via, Who, code_at};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::ring,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::{Digest, Sha256};
use std::{
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

const FIRST: &str = "a first password";

fn administrator() -> Who {
    let address = "127.0.0.1".parse().expect("an address");
    Who { user: "loadbalancer".into(), role: Role::Configuration, address, via: Via::Session }
}

/// A browser of somebody who has this role and has changed the first password.
fn somebody(rig: &Rig, name: &str, role: Role) -> Browser {
    let now = lbadmin::app::now();
    rig.app.access.add_user(name, role, FIRST, &administrator(), now).expect("a user");
    let mut browser = rig.browser();
    browser.post("/lbadmin/login", &[("user", name), ("password", FIRST)]);
    browser.get("/lbadmin/password");
    let done = browser.post("/lbadmin/password", &[("old", FIRST), ("new", PASSWORD), ("repeat", PASSWORD)]);
    assert_eq!(done.status, 303, "{}", done.text);
    browser
}

/// As a form with files sends it.
fn upload(browser: &mut Browser, parts: &[(&str, &str)]) -> Page {
    let mut body = String::new();
    let csrf = browser.csrf.clone();
    for (name, text) in std::iter::once(&("csrf", csrf.as_str())).chain(parts) {
        let file = if name.ends_with("_text") || *name == "csrf" { "" } else { "; filename=\"x.pem\"" };
        body.push_str(&format!("--edge\r\ncontent-disposition: form-data; name=\"{name}\"{file}\r\n\r\n{text}\r\n"));
    }
    body.push_str("--edge--\r\n");
    let origin = format!("http://{}", browser.address);
    let headers = [("content-type", "multipart/form-data; boundary=edge"), ("origin", origin.as_str())];
    browser.send("POST", "/lbadmin/edit/web-interface/certificate", &headers, Some(body.as_bytes()))
}

/// Posting forms of these pages: where, and what.
const FORMS: &[(&str, &[(&str, &str)])] = &[
    ("/lbadmin/edit/users/new", &[("name", "eve"), ("role", "report"), ("password", FIRST), ("repeat", FIRST)]),
    ("/lbadmin/edit/users/role?user=reporter", &[("role", "configuration")]),
    ("/lbadmin/edit/users/password?user=loadbalancer", &[("password", FIRST), ("repeat", FIRST)]),
    ("/lbadmin/edit/users/unlock", &[("user", "loadbalancer")]),
    ("/lbadmin/edit/users/totp-off", &[("user", "loadbalancer")]),
    ("/lbadmin/edit/users/remove", &[("user", "loadbalancer")]),
    ("/lbadmin/edit/tokens/new", &[("name", "mine"), ("role", "report"), ("days", "7")]),
    ("/lbadmin/edit/tokens/revoke", &[("id", "x")]),
    ("/lbadmin/edit/web-interface", &[("http", "off"), ("session_idle", "900"), ("session_absolute", "28800")]),
    ("/lbadmin/edit/web-interface/self-signed", &[("names", "evil.example")]),
];

/// Those that everybody may post for themselves.
const OWN: &[(&str, &[(&str, &str)])] = &[
    ("/lbadmin/maintenance/passwords", &[("old", PASSWORD), ("new", FIRST), ("repeat", FIRST)]),
    ("/lbadmin/maintenance/totp/begin", &[]),
    ("/lbadmin/maintenance/totp", &[("code", "123456")]),
    ("/lbadmin/maintenance/totp/off", &[("code", "123456")]),
    ("/lbadmin/maintenance/sessions/end", &[("id", "x")]),
];

#[test]
fn without_a_session_with_the_wrong_role_or_a_stale_token_nothing_is_done_and_it_is_logged() {
    let (rig, mut admin) = Rig::with(&guide());
    let mut reporter = somebody(&rig, "reporter", Role::Report);
    let certificate = rig.app.tls.certificate();
    reporter.get("/lbadmin/");
    admin.get("/lbadmin/");
    let refused = |filter: &str| rig.app.access.audit(Some(filter), None, 1000).entries.len();
    let mut maintainer = somebody(&rig, "maintainer", Role::Maintenance);
    maintainer.get("/lbadmin/");
    for (path, fields) in FORMS {
        assert_eq!(rig.browser().post(path, fields).header("location"), "/lbadmin/login", "{path}");
        for (name, browser) in [("reporter", &mut reporter), ("maintainer", &mut maintainer)] {
            let before = refused(&format!("{name} refused"));
            assert_eq!(browser.post(path, fields).status, 403, "{name} {path}");
            assert_eq!(refused(&format!("{name} refused")), before + 1, "{name} {path}");
        }
    }
    for (path, fields) in FORMS.iter().chain(OWN) {
        let mut stale = admin.clone();
        stale.csrf = "0".repeat(admin.csrf.len());
        assert_eq!(stale.post(path, fields).status, 403, "{path}");
        let path = path.split('?').next().expect("a path");
        let log = rig.app.access.audit(Some("token refused"), None, 1000);
        let action = format!("POST {path}");
        assert_eq!(
            log.entries
                .iter()
                .filter(|line| line.entry.action == action && line.entry.detail.contains("form's token"))
                .count(),
            1,
            "{path}"
        );
    }
    assert_eq!(upload(&mut reporter, &[("chain_text", "x"), ("key_text", "x")]).status, 403);
    let mut stale = admin.clone();
    stale.csrf = String::new();
    assert_eq!(upload(&mut stale, &[("chain_text", "x"), ("key_text", "x")]).status, 403);
    assert_eq!(upload(&mut rig.browser(), &[]).header("location"), "/lbadmin/login");
    for path in ["edit/users", "edit/users/new", "edit/tokens", "edit/tokens/new", "edit/web-interface"] {
        assert_eq!(reporter.get(&format!("/lbadmin/{path}")).status, 403, "{path}");
    }
    for path in ["edit/users/modify?user=loadbalancer", "edit/users/remove?user=loadbalancer"] {
        assert_eq!(reporter.get(&format!("/lbadmin/{path}")).status, 403, "{path}");
    }
    assert_eq!(rig.app.access.users().len(), 3);
    assert_eq!(rig.app.access.role("reporter"), Some(Role::Report));
    assert!(rig.app.access.tokens().is_empty());
    assert_eq!(rig.app.access.settings(), lb_access::WebSettings::default());
    assert_eq!(rig.app.tls.certificate(), certificate);
}

#[test]
fn users_are_added_changed_and_removed() {
    let (rig, mut admin) = Rig::with(&guide());
    admin.get("/lbadmin/edit/users").has("loadbalancer").has("(you)").lacks("user=loadbalancer\" aria-label=\"Remove");
    admin.get("/lbadmin/edit/users/new").has("Add a user").has("/lbadmin/help/field/user-name");
    let new = "/lbadmin/edit/users/new";
    let page = admin.post(new, &[("name", "No Name"), ("role", "maintenance"), ("password", FIRST), ("repeat", FIRST)]);
    assert_eq!(page.status, 422);
    page.has("This is not a user name").has("value=\"No Name\"").has("value=\"maintenance\" selected").lacks(FIRST);
    let page = admin.post(new, &[("name", "ops"), ("role", "maintenance"), ("password", FIRST), ("repeat", "other")]);
    page.has("The two passwords differ.");
    let page = admin.post(new, &[("name", "ops"), ("role", "root"), ("password", FIRST), ("repeat", FIRST)]);
    page.has("a role is report, maintenance or configuration");
    let done = admin.post(new, &[("name", "ops"), ("role", "maintenance"), ("password", FIRST), ("repeat", FIRST)]);
    admin.follow(&done).has("User ops is added").has("must change the password");

    let mut ops = rig.browser();
    ops.post("/lbadmin/login", &[("user", "ops"), ("password", FIRST)]);
    assert_eq!(ops.get("/lbadmin/").header("location"), "/lbadmin/password");

    admin.get("/lbadmin/edit/users/modify?user=ops").has("User ops").has("A new password");
    let done = admin.post("/lbadmin/edit/users/role?user=ops", &[("role", "configuration")]);
    admin.follow(&done).has("User ops has the role configuration");
    let page = admin.post("/lbadmin/edit/users/password?user=ops", &[("password", "short"), ("repeat", "short")]);
    page.has("shorter than 10 characters").lacks("value=\"short\"");
    let again = "another password";
    let done = admin.post("/lbadmin/edit/users/password?user=ops", &[("password", again), ("repeat", again)]);
    admin.follow(&done).has("User ops has a new password");
    assert_eq!(ops.get("/lbadmin/").header("location"), "/lbadmin/login", "the session has ended");

    admin.get("/lbadmin/edit/users/remove?user=ops").has("logged out everywhere");
    let done = admin.post("/lbadmin/edit/users/remove", &[("user", "ops")]);
    admin.follow(&done).has("User ops is removed.");
    let done = admin.post("/lbadmin/edit/users/remove", &[("user", "loadbalancer")]);
    admin.follow(&done).has("loadbalancer is the last user with the role configuration");
    assert_eq!(admin.get("/lbadmin/edit/users/modify?user=ops").status, 404);
    admin.get("/lbadmin/logs/audit").has("user-remove").has("User ops gets the role configuration.");
}

#[test]
fn who_guesses_is_held_back_and_unlocked() {
    let (rig, mut admin) = Rig::with(&guide());
    somebody(&rig, "ops", Role::Report);
    let mut guesser = rig.browser();
    let mut statuses = Vec::new();
    for _ in 0..7 {
        // From the administrator's address too: this is what locks it.
        let page = guesser.post("/lbadmin/login", &[("user", "ops"), ("password", "a guess")]);
        statuses.push(page.status);
        if page.status == 429 {
            assert!(page.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0));
            page.has("Too many wrong log-ins").lacks("a guess");
            break;
        }
    }
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
    admin.get("/lbadmin/edit/users/modify?user=ops");
    let done = admin.post("/lbadmin/edit/users/unlock", &[("user", "ops")]);
    admin.follow(&done).has("User ops can try to log in again at once.");
}

#[test]
fn a_token_is_shown_once_and_revoked() {
    let (rig, mut admin) = Rig::with(&guide());
    admin.get("/lbadmin/edit/tokens").has("There is no API token.");
    let page = admin.post("/lbadmin/edit/tokens/new", &[("name", "a/b"), ("role", "report"), ("days", "7")]);
    assert_eq!(page.status, 422);
    page.has("This is not a name for a token").has("value=\"a/b\"").has("value=\"7\" selected");
    let page = admin.post("/lbadmin/edit/tokens/new", &[("name", "ci"), ("role", "maintenance"), ("days", "")]);
    let at = page.text.find("lbt_").expect("the token");
    let token: String =
        page.text[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || "_-".contains(*c)).collect();
    let bearer = || rig.app.access.bearer(&token, "10.0.0.9".parse().expect("an address"), lbadmin::app::now());
    assert_eq!(bearer().map(|who| who.author()), Some("loadbalancer/token ci (10.0.0.9)".into()));
    let list = admin.get("/lbadmin/edit/tokens");
    list.has("ci").has("never").has("from 10.0.0.9").lacks("lbt_");
    let at = list.text.find("revoke?id=").expect("a link") + "revoke?id=".len();
    let id: String = list.text[at..].chars().take_while(|c| *c != '"').collect();
    admin.get(&format!("/lbadmin/edit/tokens/revoke?id={id}")).has("Revoke token ci");
    let done = admin.post("/lbadmin/edit/tokens/revoke", &[("id", &id)]);
    admin.follow(&done).has("The token is revoked.");
    assert_eq!(bearer(), None);
}

#[test]
fn sessions_are_seen_and_ended() {
    let (rig, mut admin) = Rig::with(&guide());
    let mut ops = somebody(&rig, "ops", Role::Report);
    ops.get("/lbadmin/maintenance/sessions").has("These are your own sessions.").lacks("loadbalancer</th>");
    let list = admin.get("/lbadmin/maintenance/sessions");
    list.has("(this session)").has("End the session of ops from 127.0.0.1");
    let sessions = rig.app.access.sessions(lbadmin::app::now());
    let id = |user: &str| sessions.iter().find(|s| s.user == user).expect("a session").id.clone();
    ops.get("/lbadmin/");
    let foreign = ops.post("/lbadmin/maintenance/sessions/end", &[("id", &id("loadbalancer"))]);
    assert_eq!(foreign.status, 403);
    let done = admin.post("/lbadmin/maintenance/sessions/end", &[("id", &id("ops"))]);
    admin.follow(&done).has("The session is ended.");
    assert_eq!(ops.get("/lbadmin/").status, 303);
    let done = admin.post("/lbadmin/maintenance/sessions/end", &[("id", &id("loadbalancer"))]);
    assert_eq!(done.header("location"), "/lbadmin/login");
    assert_eq!(admin.get("/lbadmin/").status, 303);
}

#[test]
fn ones_own_password_and_one_time_codes() {
    let (rig, mut admin) = Rig::with(&guide());
    let path = "/lbadmin/maintenance/passwords";
    admin.get(path).has("Old password").has("Set up one-time codes");
    let page = admin.post(path, &[("old", "wrong"), ("new", FIRST), ("repeat", FIRST)]);
    assert_eq!(page.status, 422);
    page.has("The old password is wrong").lacks(FIRST);
    let page = admin.post(path, &[("old", PASSWORD), ("new", FIRST), ("repeat", "other")]);
    page.has("The two new passwords differ");
    let done = admin.post(path, &[("old", PASSWORD), ("new", FIRST), ("repeat", FIRST)]);
    admin.follow(&done).has("Your password is changed.");

    assert_eq!(admin.get("/lbadmin/maintenance/totp").status, 303, "nothing was begun");
    admin.get(path);
    let done = admin.post("/lbadmin/maintenance/totp/begin", &[]);
    let page = admin.follow(&done);
    page.has("<svg ").has("authenticator app");
    let at = page.text.find("<code>").expect("the secret") + "<code>".len();
    let secret: String = page.text[at..].chars().take_while(|c| *c != '<').filter(|c| *c != ' ').collect();
    let page = admin.post("/lbadmin/maintenance/totp", &[("code", "12345")]);
    assert_eq!(page.status, 422);
    page.has("The code is wrong").has("<svg ");
    let code = |ahead: u64| code_at(&secret, lbadmin::app::now() + ahead).expect("a code");
    let done = admin.post("/lbadmin/maintenance/totp", &[("code", &code(0))]);
    admin.follow(&done).has("From now on a code is asked for").has("● on");

    let mut other = rig.browser();
    let page = other.post("/lbadmin/login", &[("user", "loadbalancer"), ("password", FIRST)]);
    assert_eq!(page.status, 401);
    page.has("This account needs a code");
    // The code of the next half minute: the last one was used.
    let login = [("user", "loadbalancer"), ("password", FIRST), ("code", &code(30))];
    assert_eq!(other.post("/lbadmin/login", &login).status, 303);
    admin.get(path);
    let page = admin.post("/lbadmin/maintenance/totp/off", &[("code", "000")]);
    assert_eq!(page.status, 422);
    page.has("The code is wrong");
}

#[test]
fn the_audit_log_is_filtered_and_paged() {
    let (rig, mut admin) = Rig::with(&guide());
    for i in 0..150 {
        let detail = format!("<b>entry {i}</b>");
        rig.app.access.record(lb_access::AuditEntry::new(i, &administrator(), "test", detail));
    }
    let page = admin.get("/lbadmin/logs/audit?q=test");
    page.has("&#60;b&#62;entry 149").lacks("<b>entry").lacks("entry 49&").has("Older").lacks("Newest");
    let at = page.text.find("before=").expect("a link");
    let before: String = page.text[at..].chars().take_while(|c| *c != '"').collect();
    let page = admin.get(&format!("/lbadmin/logs/audit?q=test&{before}"));
    page.has("entry 49&").has("entry 0&").lacks("entry 50&").lacks("Older").has("Newest");
    admin.get("/lbadmin/logs/audit?q=entry+77").has("entry 77&").lacks("entry 78&");
    admin.get("/lbadmin/logs/audit?q=nothing+like+it").has("No entry matches.");
    assert_eq!(admin.get("/lbadmin/logs/audit?before=x").status, 400);
}

#[test]
fn time_outs_and_http_are_set_with_a_word_about_ones_own_connection() {
    let (rig, mut admin) = Rig::with(&guide());
    let path = "/lbadmin/edit/web-interface";
    admin.get(path).has("You are connected with plain http").has(&rig.app.tls.certificate().fingerprint);
    let page = admin.post(path, &[("http", "on"), ("session_idle", "5"), ("session_absolute", "28801")]);
    assert_eq!(page.status, 422);
    page.has("The idle time-out is out of range").has("value=\"5\"").has("value=\"28801\"");
    let page = admin.post(path, &[("http", "on"), ("session_idle", "many"), ("session_absolute", "28800")]);
    page.has("This is not a whole number of seconds.").has("value=\"many\"");
    let page = admin.post(path, &[("http", "maybe"), ("session_idle", "900"), ("session_absolute", "28800")]);
    page.has("This is none of the choices");
    let done = admin.post(path, &[("http", "on"), ("session_idle", "600"), ("session_absolute", "28800")]);
    admin.follow(&done).has("The web interface is changed.");
    assert_eq!(rig.app.access.settings().session_idle, 600);
    let page = admin.post(path, &[("http", "off"), ("session_idle", "600"), ("session_absolute", "28800")]);
    page.has("Plain http is off from now on.").has("https://127.0.0.1:9443/lbadmin/edit/web-interface");
}

/// Chain and key of another unit, valid from 2020 until this year.
fn pair(name: &str, until: i32) -> (String, String) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a name");
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    (params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
}

/// Takes any certificate: the test looks at it afterwards.
#[derive(Debug)]
struct Anything;

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// A connection to https that trusts whatever is there, its handshake done.
pub fn secured(address: SocketAddr) -> StreamOwned<ClientConnection, TcpStream> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything))
        .with_no_client_auth();
    let name = ServerName::try_from("lbmaster").expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name).expect("a client");
    let stream = TcpStream::connect(address).expect("https listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a socket");
    let mut stream = StreamOwned::new(connection, stream);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).expect("a handshake");
    }
    stream
}

/// The fingerprint that a client on https sees.
fn served(address: SocketAddr) -> String {
    let stream = secured(address);
    let certificate = &stream.conn.peer_certificates().expect("a certificate")[0];
    let digest = Sha256::digest(certificate.as_ref());
    digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

#[test]
fn a_certificate_is_checked_and_swapped_while_https_goes_on() {
    let (rig, mut admin) = Rig::with(&guide());
    let https = rig.https();
    let path = "/lbadmin/edit/web-interface";
    assert_eq!(served(https), rig.app.tls.certificate().fingerprint);
    admin.get(path);
    let (chain, key) = pair("lb.example.com", 2099);
    let (_, other) = pair("other.example.com", 2099);
    let (old, old_key) = pair("old.example.com", 2021);
    let before = rig.app.tls.certificate();
    let large = "x".repeat(70 << 10);
    for (chain, key, said) in [
        ("", "", "Choose a file, or paste the certificate."),
        (chain.as_str(), "", "Choose a file, or paste the private key."),
        ("nonsense", key.as_str(), "The certificate cannot be read"),
        (&chain, "nonsense", "The private key cannot be read"),
        (&chain, &other, "do not belong together"),
        (&old, &old_key, "not now"),
        (&large, &key, "larger than 65536 bytes"),
    ] {
        let page = upload(&mut admin, &[("chain", chain), ("key", key)]);
        assert_eq!(page.status, 422, "{said}");
        page.has(said).lacks("PRIVATE KEY-----\nM");
        assert_eq!(rig.app.tls.certificate(), before);
    }
    let page = upload(&mut admin, &[("chain", &"x".repeat(400 << 10)), ("key", "")]);
    assert!(page.status == 400 || page.status == 413, "{}", page.status);

    let done = upload(&mut admin, &[("chain", &chain), ("chain_text", ""), ("key", ""), ("key_text", &key)]);
    let page = admin.follow(&done);
    page.has("in use from the next connection on").has("lb.example.com").has("● valid").lacks("PRIVATE KEY");
    assert_ne!(rig.app.tls.certificate(), before);
    assert_eq!(served(https), rig.app.tls.certificate().fingerprint, "swapped without a restart");
    admin.get("/lbadmin/logs/audit?q=certificate").has(&rig.app.tls.certificate().fingerprint);

    let page = admin.post("/lbadmin/edit/web-interface/self-signed", &[("names", "a_b")]);
    assert_eq!(page.status, 422);
    page.has("neither a host name nor an IP address").has("a_b");
    let done = admin.post("/lbadmin/edit/web-interface/self-signed", &[("names", "lbmaster\r\n10.0.0.21")]);
    admin.follow(&done).has("itself (self-signed)").has("lbmaster, 10.0.0.21");
    assert_eq!(served(https), rig.app.tls.certificate().fingerprint);
}

//! The cloud dialects at the door: off, on, who calls, and what becomes of an administrator's candidate. What they
//! answer is lb-dialects' business; their own clients are asked by `cargo xtask test dialects`.

use crate::rig::{Page, Rig, guide, user};
use lb_access::{Permission, Role, Via, Who};
use lb_api::PutCandidate;
use lb_model::Config;
use lbadmin::app::now;

fn on() -> Config {
    let mut config = guide();
    config.dialects.rackspace.enabled = true;
    config.dialects.ovh.enabled = true;
    config
}

/// A token of the rig's user with this role.
fn key(rig: &Rig, role: Role) -> String {
    let by = Who {
        user: "loadbalancer".into(),
        role: Role::Configuration,
        address: [127, 0, 0, 1].into(),
        via: Via::Session,
    };
    assert!(by.may(Permission::Administer));
    rig.app.access.create_token(&format!("cloud {role}"), role, None, &by, now()).expect("a token")
}

fn send(rig: &Rig, method: &str, path: &str, token: &str, body: &str) -> Page {
    let headers = [("content-type", "application/json"), ("x-auth-token", token)];
    rig.browser().send(method, path, &headers, Some(body.as_bytes()))
}

fn login(rig: &Rig, credentials: &str) -> Page {
    send(rig, "POST", "/v2.0/tokens", "", &format!("{{\"auth\":{{{credentials}}}}}"))
}

fn token(page: &Page) -> String {
    assert_eq!(page.status, 200, "{}", page.text);
    let body: serde_json::Value = serde_json::from_str(&page.text).expect("JSON");
    body["access"]["token"]["id"].as_str().expect("a token").to_owned()
}

fn by_key(key: &str) -> String {
    format!("\"RAX-KSKEY:apiKeyCredentials\":{{\"username\":\"loadbalancer\",\"apiKey\":\"{key}\"}}")
}

const LB: &str = r#"{"name":"web","protocol":"HTTP","port":8000,"virtualIps":[{"type":"PUBLIC"}]}"#;

#[test]
fn a_dialect_is_off_until_it_is_switched_on() {
    let (rig, mut browser) = Rig::with(&guide());
    for path in
        ["/v1.0/1000/loadbalancers", "/v2.0/tokens", "/1.0/auth/time", "/v1/auth/time", "/auth/?credentialToken=x"]
    {
        assert_eq!(rig.browser().get(path).status, 404, "{path}");
    }
    let page = browser.get("/lbadmin/edit/dialects");
    page.has("Nobody has changed").has("There is no application");
    let fields = [("account", "7"), ("service_name", "loadbalancer-1"), ("zone", "rbx"), ("ovh", "on"), ("public", "")];
    let page = browser.post("/lbadmin/edit/dialects", &fields);
    browser.follow(&page).has("The cloud dialects are changed.");
    assert_eq!(rig.browser().get("/1.0/auth/time").status, 200);
    assert_eq!(rig.browser().get("/v1.0/7/loadbalancers").status, 404, "each is switched for itself");
    let wrong = [("account", "7"), ("service_name", "load balancer"), ("zone", "rbx"), ("public", "nowhere")];
    assert_eq!(browser.post("/lbadmin/edit/dialects", &wrong).status, 422);
    let running = rig.lbd().running().expect("what runs").config;
    assert_eq!((running.dialects.rackspace.account, running.dialects.ovh.enabled), (7, true));
}

#[test]
fn a_rackspace_client_logs_in_with_an_api_token_or_a_password() {
    let (rig, _) = Rig::with(&on());
    let configuration = key(&rig, Role::Configuration);
    let may = token(&login(&rig, &by_key(&configuration)));
    let password =
        format!("\"passwordCredentials\":{{\"username\":\"loadbalancer\",\"password\":\"{}\"}}", crate::rig::PASSWORD);
    let typed = token(&login(&rig, &password));
    for wrong in [
        by_key("lbt_nothing"),
        by_key(&configuration).replace("loadbalancer", "somebody"),
        password.replace("correct", "wrong"),
    ] {
        assert_eq!(login(&rig, &wrong).status, 401, "{wrong}");
    }
    for (token, expected) in [("", 401), ("unknown", 401), (may.as_str(), 200), (typed.as_str(), 200)] {
        assert_eq!(send(&rig, "GET", "/v1.0/1000/loadbalancers", token, "").status, expected, "{token}");
    }
    let looks = token(&login(&rig, &by_key(&key(&rig, Role::Report))));
    assert_eq!(send(&rig, "GET", "/v1.0/1000/loadbalancers", &looks, "").status, 200);
    assert_eq!(send(&rig, "POST", "/v1.0/1000/loadbalancers", &looks, LB).status, 403);
    assert_eq!(send(&rig, "POST", "/v1.0/1000/loadbalancers", &may, LB).status, 202);
    let config = rig.lbd().running().expect("what runs");
    assert!(config.revision.author.contains("loadbalancer/token cloud configuration"), "{}", config.revision.author);
    assert!(config.config.layer7_virtual_server("rackspace-1").is_some());
    let large = vec![b'x'; (1 << 20) + 1];
    let headers = [("x-auth-token", may.as_str())];
    let page = rig.browser().send("POST", "/v1.0/1000/loadbalancers", &headers, Some(&large));
    assert_eq!(page.status, 413, "{}", page.text);
    let id = rig.app.access.tokens().into_iter().find(|t| t.name == "cloud configuration").expect("the token").id;
    let by = Who {
        user: "loadbalancer".into(),
        role: Role::Configuration,
        address: [127, 0, 0, 1].into(),
        via: Via::Session,
    };
    rig.app.access.revoke_token(&id, &by, now()).expect("revoked");
    assert_eq!(
        send(&rig, "GET", "/v1.0/1000/loadbalancers", &may, "").status,
        401,
        "what was logged in with it ends too"
    );
}

#[test]
fn a_certificate_comes_with_its_key_and_the_key_stays() {
    let (rig, _) = Rig::with(&on());
    let may = token(&login(&rig, &by_key(&key(&rig, Role::Configuration))));
    assert_eq!(send(&rig, "POST", "/v1.0/1000/loadbalancers", &may, LB).status, 202);
    let place = "/v1.0/1000/loadbalancers/1/ssltermination";
    let made = rcgen::generate_simple_self_signed(["shop.example.com".to_owned()]).expect("made");
    let other = rcgen::generate_simple_self_signed(["blog.example.com".to_owned()]).expect("made");
    let body = |key: &str| {
        serde_json::json!({"sslTermination": {"certificate": made.cert.pem(), "privatekey": key, "securePort": 8443}})
            .to_string()
    };
    let wrong = send(&rig, "PUT", place, &may, &body(&other.signing_key.serialize_pem()));
    assert_eq!(wrong.status, 400, "{}", wrong.text);
    wrong.has("key");
    assert_eq!(send(&rig, "GET", place, &may, "").status, 404);
    let put = send(&rig, "PUT", place, &may, &body(&made.signing_key.serialize_pem()));
    assert_eq!(put.status, 200, "{}", put.text);
    let shown = send(&rig, "GET", place, &may, "");
    assert!(shown.text.contains("BEGIN CERTIFICATE") && !shown.text.contains("PRIVATE KEY"), "{}", shown.text);
    let running = rig.lbd().running().expect("what runs").config;
    let certificate = running.layer7.certificate("rackspace-1").expect("a certificate");
    assert_eq!(certificate.names.iter().map(ToString::to_string).collect::<Vec<_>>(), ["shop.example.com"]);
    assert!(running.layer7_virtual_server("rackspace-1-ssl").is_some_and(|vs| vs.tls.is_some()));
    assert_eq!(send(&rig, "DELETE", place, &may, "").status, 202);
    assert_eq!(rig.lbd().running().expect("what runs").config.layer7.certificates, []);
}

#[test]
fn an_ovh_certificate_is_kept_at_once_and_its_key_stays() {
    let (rig, mut browser) = Rig::with(&on());
    browser.get("/lbadmin/edit/dialects/applications/new");
    browser.post("/lbadmin/edit/dialects/applications/new", &[("name", "terraform")]);
    let application = rig.app.keys.applications().remove(0).key;
    let secret = rig.app.keys.secret(&application).expect("a secret");
    let headers = [("content-type", "application/json"), ("x-ovh-application", application.as_str())];
    let rules = br#"{"accessRules":[{"method":"*","path":"/*"}]}"#;
    let asked = rig.browser().send("POST", "/1.0/auth/credential", &headers, Some(rules));
    let asked: serde_json::Value = serde_json::from_str(&asked.text).expect("JSON");
    let word = |name: &str| asked[name].as_str().expect("a text").to_owned();
    let consumer = word("consumerKey");
    let page = browser
        .get(word("validationUrl").split_once("/auth/").map(|(_, rest)| format!("/auth/{rest}")).expect("it").as_str());
    let approval = page.header("location").to_owned();
    browser.follow(&page);
    browser.post(&approval, &[("answer", "approve")]);
    let call = |method: &str, place: &str, body: &str| {
        let path = format!("/1.0/ipLoadbalancing/loadbalancer-1{place}");
        let time = now().to_string();
        let url = format!("http://127.0.0.1{path}");
        let signature = lb_dialects::ovh::signature(&secret, &consumer, method, &url, body.as_bytes(), &time);
        let headers = [
            ("content-type", "application/json"),
            ("x-ovh-application", application.as_str()),
            ("x-ovh-consumer", consumer.as_str()),
            ("x-ovh-timestamp", time.as_str()),
            ("x-ovh-signature", signature.as_str()),
        ];
        rig.browser().send(method, &path, &headers, Some(body.as_bytes()))
    };
    let made = rcgen::generate_simple_self_signed(["shop.example.com".to_owned()]).expect("made");
    let other = rcgen::generate_simple_self_signed(["blog.example.com".to_owned()]).expect("made");
    let body = |key: &str| serde_json::json!({"certificate": made.cert.pem(), "key": key}).to_string();
    let wrong = call("POST", "/ssl", &body(&other.signing_key.serialize_pem()));
    assert_eq!(wrong.status, 400, "{}", wrong.text);
    wrong.has("Client::BadRequest").has("key");
    let put = call("POST", "/ssl", &body(&made.signing_key.serialize_pem()));
    assert_eq!(put.status, 200, "{}", put.text);
    put.has("shop.example.com").lacks("PRIVATE KEY");
    let running = rig.lbd().running().expect("what runs").config;
    let certificate = running.layer7.certificate("ovh-ssl-1").expect("a certificate");
    assert_eq!(certificate.names.iter().map(ToString::to_string).collect::<Vec<_>>(), ["shop.example.com"]);
    let view = rig.lbd().certificates().expect("the shelf").into_iter().find(|view| view.labels == ["ovh-ssl-1"]);
    let serial = view.expect("it lies there").serial;
    assert!(!serial.is_empty() && call("GET", "/ssl/1", "").text.contains(&serial));
    let frontend = r#"{"zone":"all","port":"8443","ssl":true,"defaultSslId":1}"#;
    assert_eq!(call("POST", "/http/frontend", frontend).status, 200);
    call("POST", "/refresh", "").has("done");
    let running = rig.lbd().running().expect("what runs").config;
    assert!(running.layer7_virtual_server("ovh-http-2").is_some_and(|vs| vs.tls.is_some()));
}

#[test]
fn an_administrators_candidate_gets_the_same_change() {
    let (rig, _) = Rig::with(&on());
    let may = token(&login(&rig, &by_key(&key(&rig, Role::Configuration))));
    let view = rig.lbd().candidate().expect("a candidate");
    let mut config = view.config.clone();
    config.virtual_servers[0].real_servers[0].weight = 9;
    config.dialects.rackspace.account = 1000;
    let put = PutCandidate { config, base: Some(view.base), etag: Some(view.etag), author: "anna".into() };
    rig.lbd().put_candidate(&put).expect("an edit");
    assert_eq!(send(&rig, "POST", "/v1.0/1000/loadbalancers", &may, LB).status, 202);
    let view = rig.lbd().candidate().expect("a candidate");
    assert_eq!(view.author, "anna");
    assert_eq!(view.changes.len(), 1, "{:?}", view.changes);
    assert!(view.config.layer7_virtual_server("rackspace-1").is_some());
    let running = rig.lbd().running().expect("what runs");
    assert_eq!(running.config.virtual_servers[0].real_servers[0].weight, 1, "the candidate waits");
    let apply = lb_api::ApplyRequest { etag: Some(view.etag), author: "anna".into(), ..Default::default() };
    rig.lbd().apply(&apply).expect("no conflict");
}

#[test]
fn a_grant_is_approved_by_somebody_who_may_make_tokens() {
    let (rig, mut browser) = Rig::with(&on());
    browser.get("/lbadmin/edit/dialects/applications/new");
    let page = browser.post("/lbadmin/edit/dialects/applications/new", &[("name", "terraform")]);
    page.has("only time").has("Application secret");
    let application = rig.app.keys.applications().remove(0);
    page.has(&application.key);
    browser
        .get("/lbadmin/edit/dialects")
        .has("terraform")
        .lacks(&rig.app.keys.secret(&application.key).expect("a secret"));
    let body = r#"{"accessRules":[{"method":"GET","path":"/ipLoadbalancing/*"}]}"#;
    let ask = || {
        let headers = [("content-type", "application/json"), ("x-ovh-application", application.key.as_str())];
        let page = rig.browser().send("POST", "/1.0/auth/credential", &headers, Some(body.as_bytes()));
        assert_eq!(page.status, 200, "{}", page.text);
        let body: serde_json::Value = serde_json::from_str(&page.text).expect("JSON");
        let url = body["validationUrl"].as_str().expect("a place").to_owned();
        (
            body["consumerKey"].as_str().expect("a key").to_owned(),
            url.split_once("/auth/").expect("its path").1.to_owned(),
        )
    };
    let (consumer, place) = ask();
    let page = browser.get(&format!("/auth/{place}"));
    let approval = page.header("location").to_owned();
    browser.follow(&page).has("terraform").has("GET /ipLoadbalancing/*");
    let mut reader = user(&rig, "reader", Role::Report);
    assert_eq!(reader.get(&approval).status, 403);
    assert!(rig.app.keys.grants().is_empty());
    let page = browser.post(&approval, &[("answer", "approve")]);
    browser.follow(&page).has("The grant is approved.").has("GET /ipLoadbalancing/*");
    assert_eq!(browser.get(&approval).status, 404, "once");
    assert!(rig.app.keys.consumer(&consumer, now()).is_some_and(|found| found.user.as_deref() == Some("loadbalancer")));
    let (refused, place) = ask();
    let page = browser.get(&format!("/auth/{place}"));
    let approval = page.header("location").to_owned();
    browser.follow(&page);
    browser.post(&approval, &[("answer", "refuse")]);
    assert!(rig.app.keys.consumer(&refused, now()).is_some_and(|found| found.user.is_none()));
    let grant = rig.app.keys.grants()[0].id.to_string();
    browser.get(&format!("/lbadmin/edit/dialects/grants/remove?id={grant}")).has("may no longer act");
    browser.post("/lbadmin/edit/dialects/grants/remove", &[("id", &grant)]);
    assert!(rig.app.keys.consumer(&consumer, now()).is_none());
    let id = application.id.to_string();
    browser.post("/lbadmin/edit/dialects/applications/remove", &[("id", &id)]);
    assert!(rig.app.keys.applications().is_empty());
}

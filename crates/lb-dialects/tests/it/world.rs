//! A unit without daemons: what a dialect changes runs at once.

use lb_api::CertificateView;
use lb_dialects::{
    AccessRule, Accounts, Application, Consumer, ConsumerState, Facts, Login, NewCredential, Outcome, Person, Request,
    Response, Secret, ovh, rackspace,
};
use lb_model::{Config, problems};
use serde_json::{Value, json};
use std::cell::RefCell;

pub const NOW: u64 = 1_700_000_000;
pub const FINGERPRINT: &str = "abababababababababababababababababababababababababababababababab";
pub const SECOND: &str = "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd";
pub const SECRET: &str = "EXEgWIz07P0HYwtQDs7cNIqCiQaWSuHF";

pub struct World {
    pub config: RefCell<Config>,
    pub facts: Facts,
    pub changes: bool,
    pub comments: RefCell<Vec<String>>,
}

pub struct Answer {
    pub status: u16,
    pub body: Value,
    pub text: String,
}

impl World {
    pub fn new() -> World {
        let document = r#"{"version":1,
          "node":{"hostname":"lbmaster","interfaces":[
            {"name":"eth0","addresses":["10.0.0.21/24","fd00:a::21/64"]},
            {"name":"eth1","addresses":["192.168.2.21/24"]}],"gateway":"10.0.0.1"},
          "dialects":{"rackspace":{"enabled":true},"ovh":{"enabled":true}}}"#;
        let config = lb_model::migrate(document).expect("a configuration");
        assert_eq!(problems(&config), []);
        World { config: RefCell::new(config), facts: Facts::default(), changes: true, comments: RefCell::default() }
    }

    fn person(&self) -> Person {
        Person { name: "anna".into(), author: "anna (10.0.0.5)".into(), changes: self.changes }
    }

    pub fn request(method: &str, path: &str, body: &str) -> Request {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        Request {
            method: method.into(),
            path: path.into(),
            query: query.into(),
            headers: vec![("content-type".into(), "application/json".into())],
            scheme: "https",
            host: "10.0.0.21:9443".into(),
            body: body.into(),
        }
    }

    fn settle(&self, outcome: Outcome) -> Answer {
        if let Some(change) = outcome.change {
            assert_eq!(problems(&change.config), [], "what a dialect wants can run");
            assert!(!change.comment.is_empty() && !change.author.is_empty());
            self.comments.borrow_mut().push(change.comment);
            *self.config.borrow_mut() = change.config;
        }
        let Response { status, body, .. } = outcome.response;
        let text = body.as_ref().map_or_else(String::new, Value::to_string);
        assert!(status < 500, "{status} {text}");
        Answer { status, text, body: body.unwrap_or_default() }
    }

    /// Below the account.
    pub fn rackspace(&self, method: &str, path: &str, body: &str) -> Answer {
        self.rackspace_request(&World::request(method, &format!("/v1.0/1000{path}"), body))
    }

    pub fn rackspace_request(&self, request: &Request) -> Answer {
        let config = self.config.borrow().clone();
        self.settle(self.decided(|facts| rackspace::handle(&config, facts, &self.person(), request, NOW)))
    }

    /// A certificate that it brings is put on the shelf.
    fn decided(&self, decide: impl Fn(&Facts) -> Outcome) -> Outcome {
        let mut outcome = decide(&self.facts);
        if let Some(upload) = outcome.certificate.take() {
            assert!(outcome.change.is_none() && !format!("{upload:?}").contains(upload.key.expose()));
            assert_eq!(upload.author, self.person().author);
            outcome = decide(&self.facts.clone().with_certificate(on_the_shelf(&upload.chain)));
            assert_eq!(outcome.certificate, None);
        }
        outcome
    }

    /// Signed, below the service.
    pub fn ovh(&self, method: &str, path: &str, body: &str) -> Answer {
        self.ovh_request(&signed(World::request(method, &format!("/1.0/ipLoadbalancing/loadbalancer-1{path}"), body)))
    }

    pub fn ovh_request(&self, request: &Request) -> Answer {
        let config = self.config.borrow().clone();
        let books = Books { person: self.person() };
        self.settle(self.decided(|facts| ovh::handle(&config, facts, &books, request, NOW)))
    }
}

/// Whatever a test leaves is something that the real HAProxy takes.
impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            crate::haproxy::accepts(&self.config.borrow());
        }
    }
}

/// A certificate as lbd shows it, whatever was sent: `a certificate`, the `second`, or one of an `authority`.
fn on_the_shelf(sent: &str) -> CertificateView {
    let kind = if sent.contains("authority") { "authority" } else { "server" };
    let (fingerprint, name) = match sent.contains("second") {
        true => (SECOND, "blog.example.com"),
        false => (FINGERPRINT, "shop.example.com"),
    };
    serde_json::from_value(json!({
        "fingerprint": fingerprint, "kind": kind, "subject": format!("CN={name}"), "serial": "0a01",
        "names": [name], "not_after": 1_900_000_000,
    }))
    .expect("a certificate")
}

/// With the headers of the application AK and the grant CK.
pub fn signed(mut request: Request) -> Request {
    let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
    let url = format!("https://{}{}{query}", request.host, request.path);
    let time = NOW.to_string();
    let signature = ovh::signature(SECRET, "CK", &request.method, &url, &request.body, &time);
    for (name, value) in [
        ("x-ovh-application", "AK".to_owned()),
        ("x-ovh-consumer", "CK".to_owned()),
        ("x-ovh-timestamp", time),
        ("x-ovh-signature", signature),
    ] {
        request.headers.retain(|(n, _)| n != name);
        request.headers.push((name.into(), value));
    }
    request
}

/// One application, and a grant in each state.
pub struct Books {
    pub person: Person,
}

impl Accounts for Books {
    fn login(&self, user: &str, secret: Secret<'_>) -> Option<Login> {
        let right = match secret {
            Secret::ApiKey(key) => key == "key",
            Secret::Password(password) => password == "password",
        };
        let login = Login { token: "token".into(), expires: NOW + 86_400, user: user.into() };
        (right && user == "anna").then_some(login)
    }

    fn token(&self, token: &str) -> Option<Person> {
        (token == "token").then(|| self.person.clone())
    }

    fn application(&self, key: &str) -> Option<Application> {
        (key == "AK").then(|| Application { secret: SECRET.into() })
    }

    fn consumer(&self, key: &str) -> Option<Consumer> {
        let rule = |method: &str, path: &str| AccessRule { method: method.into(), path: path.into() };
        let (state, rules) = match key {
            "CK" => (ConsumerState::Validated, vec![rule("*", "/*")]),
            "LOOK" => (ConsumerState::Validated, vec![rule("GET", "/ipLoadbalancing/*")]),
            "WAITING" => (ConsumerState::Pending, vec![rule("*", "/*")]),
            _ => return None,
        };
        let person = (state == ConsumerState::Validated).then(|| self.person.clone());
        Some(Consumer { id: 7, application: "AK".into(), state, rules, person, created: NOW, here: true })
    }

    fn request(&self, _: &str, _: Vec<AccessRule>, _: Option<String>, _: Vec<ipnet::IpNet>) -> Option<NewCredential> {
        Some(NewCredential { consumer_key: "NEW".into(), approval: "approval".into() })
    }

    fn revoke(&self, _: &str) {}
}

impl Answer {
    #[track_caller]
    pub fn is(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    #[track_caller]
    pub fn says(self, words: &str) -> Answer {
        assert!(self.text.contains(words), "no {words:?} in {}", self.text);
        self
    }
}

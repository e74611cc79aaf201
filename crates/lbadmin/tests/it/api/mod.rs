//! The native API as a program meets it.

mod access;
mod backup;
mod certificates;
mod document;
mod events;
mod metrics;
mod objects;
mod pages;
mod people;

use crate::rig::{Page, Rig, guide};
use lb_access::{Role, Via, Who};
use serde_json::Value;

/// A program with a token.
pub struct Program {
    pub rig: Rig,
    token: String,
}

/// Somebody who is logged in with every right.
pub fn administrator() -> Who {
    Who { user: "loadbalancer".into(), role: Role::Configuration, address: [127, 0, 0, 1].into(), via: Via::Session }
}

impl Program {
    /// On a unit that runs the guide's configuration, with a token of this role.
    pub fn with(role: Role) -> Program {
        let (rig, _) = Rig::with(&guide());
        Program { token: token(&rig, "first", role), rig }
    }

    pub fn start() -> Program {
        Program::with(Role::Configuration)
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Page {
        let authorization = format!("Bearer {}", self.token);
        let mut all = vec![("authorization", authorization.as_str())];
        if body.is_some() && !headers.iter().any(|(n, _)| *n == "content-type") {
            all.push(("content-type", "application/json"));
        }
        all.extend(headers.iter().filter(|(_, v)| !v.is_empty()));
        self.rig.browser().send(method, path, &all, body.map(str::as_bytes))
    }

    /// The body as it came, which may be no text.
    pub fn send_raw(&self, method: &str, path: &str) -> Vec<u8> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            use http_body_util::{BodyExt, Empty};
            let stream = tokio::net::TcpStream::connect(self.rig.address).await.expect("lbadmin listens");
            let stream = hyper_util::rt::TokioIo::new(stream);
            let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.expect("a connection");
            tokio::spawn(connection);
            let request = hyper::Request::builder()
                .method(method)
                .uri(path)
                .header("host", "lbadmin")
                .header("authorization", format!("Bearer {}", self.token))
                .body(Empty::<hyper::body::Bytes>::new())
                .expect("a request");
            let answer = sender.send_request(request).await.expect("an answer");
            assert_eq!(answer.status(), 200);
            answer.into_body().collect().await.expect("a body").to_bytes().to_vec()
        })
    }

    pub fn get(&self, path: &str) -> Page {
        self.send("GET", path, &[], None)
    }

    pub fn post(&self, path: &str, body: &Value) -> Page {
        self.send("POST", path, &[], Some(&body.to_string()))
    }

    pub fn put(&self, path: &str, tag: &str, body: &Value) -> Page {
        self.send("PUT", path, &[("if-match", tag)], Some(&body.to_string()))
    }

    pub fn delete(&self, path: &str, tag: &str) -> Page {
        self.send("DELETE", path, &[("if-match", tag)], None)
    }
}

pub fn token(rig: &Rig, name: &str, role: Role) -> String {
    rig.app.access.create_token(name, role, None, &administrator(), lbadmin::app::now()).expect("a token")
}

impl Page {
    #[track_caller]
    pub fn is(self, status: u16) -> Page {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    /// It is problem details with this code.
    #[track_caller]
    pub fn problem(self, status: u16, code: &str) -> Page {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text);
        let page = self.is(status);
        let body = page.json();
        assert_eq!((body["code"].as_str(), body["status"].as_u64()), (Some(code), Some(status.into())), "{body}");
        page
    }
}

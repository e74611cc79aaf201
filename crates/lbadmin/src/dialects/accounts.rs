//! Who calls a dialect: users and tokens of this unit, and the grants of [`super::Keys`].
//!
//! A Rackspace API key is an API token of the native API; what is logged in with it ends when the token is revoked. An
//! OVH grant acts with the role that whoever approved it has now.

use super::{store::Held, stranger};
use crate::App;
use lb_access::{Permission, Via, Who};
use lb_dialects::{AccessRule, Accounts, Application, Consumer, Login, NewCredential, Person, Secret};
use std::net::IpAddr;

/// Seconds that a Rackspace token lives; clients log in again when it has ended.
const TOKEN: u64 = 86_400;
/// The same where its session ends earlier when it is idle.
const SESSION: u64 = 3600;

/// The accounts as somebody at this address meets them now.
pub struct Caller<'a> {
    pub app: &'a App,
    pub from: IpAddr,
    pub now: u64,
}

fn person(who: &Who) -> Person {
    Person { name: who.name(), author: who.author(), changes: who.may(Permission::Configure) }
}

impl Caller<'_> {
    fn held(&self, held: &Held) -> Option<Who> {
        match held {
            Held::Key(key) => self.app.access.bearer(key, self.from, self.now),
            Held::Session(cookie) => {
                let session = self.app.access.session(cookie, self.from, self.now)?;
                (!session.must_change_password).then_some(session.who)
            }
        }
    }
}

impl Accounts for Caller<'_> {
    fn login(&self, user: &str, secret: Secret<'_>) -> Option<Login> {
        let same = |who: &Who| who.user.eq_ignore_ascii_case(user.trim());
        let (held, who, lives) = match secret {
            Secret::ApiKey(key) => {
                let Some(who) = self.app.access.bearer(key, self.from, self.now).filter(same) else {
                    stranger(self.app, self.from, "log-in", "As a Rackspace client: the API key is not right.");
                    return None;
                };
                (Held::Key(key.to_owned().into()), who, TOKEN)
            }
            Secret::Password(password) => {
                let new = self.app.access.login(user, password, None, self.from, self.now).ok()?;
                let good = !new.session.must_change_password;
                let who = new.session.who.clone();
                good.then_some((Held::Session(new.cookie.into()), who, SESSION))?
            }
        };
        let expires = self.now + lives;
        let token = self.app.keys.hold(held, expires, self.now)?;
        Some(Login { token, expires, user: who.user })
    }

    fn token(&self, token: &str) -> Option<Person> {
        let held = self.app.keys.held(token, self.now)?;
        self.held(&held).as_ref().map(person)
    }

    fn application(&self, key: &str) -> Option<Application> {
        self.app.keys.secret(key).map(|secret| Application { secret })
    }

    fn consumer(&self, key: &str) -> Option<Consumer> {
        let found = self.app.keys.consumer(key, self.now)?;
        let person = found.user.as_ref().and_then(|user| {
            let role = self.app.access.role(user)?;
            let via = Via::Token(format!("ovh {}", found.application_name));
            Some(person(&Who { user: user.clone(), role, address: self.from, via }))
        });
        Some(Consumer {
            id: found.id,
            application: found.application,
            state: found.state,
            rules: found.rules,
            person,
            created: found.created,
            here: lb_dialects::ovh::allowed(&found.addresses, self.from),
        })
    }

    fn request(
        &self,
        application: &str,
        rules: Vec<AccessRule>,
        redirection: Option<String>,
        addresses: Vec<ipnet::IpNet>,
    ) -> Option<NewCredential> {
        self.app.keys.request(application, rules, redirection, addresses, self.now)
    }

    fn revoke(&self, consumer: &str) {
        if let Err(error) = self.app.keys.revoke(consumer) {
            tracing::error!("a grant could not be removed: {error}");
        }
    }
}

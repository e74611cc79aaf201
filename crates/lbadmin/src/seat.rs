//! Who is asking: the session of a request, and the forms that it may post.
//!
//! A request without a session goes to the log-in page, one whose password must be changed to that page. A posted
//! form must carry its session's token; one that does not is refused and written into the audit log.

use crate::{App, Shared, app::now, refusal::Refusal};
use axum::{
    extract::{ConnectInfo, FromRequest, FromRequestParts, Request},
    http::{HeaderMap, header, request::Parts},
};
use lb_access::{AuditEntry, Permission, Session};
use std::net::{IpAddr, SocketAddr};
use subtle::ConstantTimeEq;

/// How the request came in; each listener says which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// A cookie of its own for each, so that one set over https never travels in clear.
    pub fn cookie(self) -> &'static str {
        match self {
            Scheme::Http => "lbadmin",
            Scheme::Https => "__Host-lbadmin",
        }
    }

    /// `Set-Cookie` (RFC 6265bis) with this value; an empty one removes it.
    pub fn set_cookie(self, value: &str) -> String {
        let secure = if self == Scheme::Https { "; Secure" } else { "" };
        let gone = if value.is_empty() { "; Max-Age=0" } else { "" };
        format!("{}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{gone}", self.cookie())
    }
}

/// Somebody who is logged in and may use the pages.
#[derive(Debug, Clone)]
pub struct Seat {
    pub session: Session,
    pub cookie: String,
    pub scheme: Scheme,
}

impl Seat {
    pub fn may(&self, permission: Permission) -> bool {
        self.session.who.role.may(permission)
    }

    /// A refusal, written into the audit log, unless the role allows it.
    pub fn must(&self, app: &App, permission: Permission, what: &str) -> Result<(), Refusal> {
        if self.may(permission) {
            return Ok(());
        }
        self.refused(app, what, "the role does not allow it");
        Err(Refusal::Forbidden { role: self.session.who.role })
    }

    /// As lbd's history names the author.
    pub fn author(&self) -> String {
        self.session.who.author()
    }

    /// A line in the audit log.
    pub fn audit(&self, app: &App, action: &str, detail: &str) {
        self.write(app, action, detail, false);
    }

    pub fn refused(&self, app: &App, action: &str, detail: &str) {
        self.write(app, action, detail, true);
    }

    fn write(&self, app: &App, action: &str, detail: &str, refused: bool) {
        let who = &self.session.who;
        app.access.record(AuditEntry {
            time: now(),
            user: who.user.clone(),
            address: who.address,
            action: action.to_owned(),
            detail: detail.to_owned(),
            refused,
        });
    }
}

/// The session alone, also of somebody who must change the password first.
pub struct Anyone(pub Seat);

impl FromRequestParts<Shared> for Anyone {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Refusal> {
        let scheme = scheme(parts);
        let looks = parts.method == "GET" || parts.method == "HEAD";
        let wanted = parts.uri.path_and_query().map_or("", |p| p.as_str());
        let login = || Refusal::LogIn { wanted: if looks { wanted.to_owned() } else { String::new() } };
        let from = address(parts);
        let cookie = cookie(&parts.headers, scheme.cookie()).unwrap_or_default();
        let Some(session) = app.access.session(&cookie, from, now()) else {
            if !looks {
                let action = format!("{} {}", parts.method, parts.uri.path());
                let entry = AuditEntry::stranger(now(), from, action, "there is no session, or it has ended");
                app.access.record(entry.refused());
            }
            return Err(login());
        };
        Ok(Anyone(Seat { session, cookie, scheme }))
    }
}

impl FromRequestParts<Shared> for Seat {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Refusal> {
        let Anyone(seat) = Anyone::from_request_parts(parts, app).await?;
        if seat.session.must_change_password { Err(Refusal::ChangePassword) } else { Ok(seat) }
    }
}

/// A form that came with its session's token.
pub struct Sent {
    pub seat: Seat,
    /// Names and values in the order of the form, without the token.
    pub fields: Vec<(String, String)>,
}

impl Sent {
    /// The first value of that name; empty when there is none.
    pub fn get(&self, name: &str) -> &str {
        self.fields.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }
}

/// The same from somebody who must change the password first.
pub struct SentByAnyone(pub Sent);

impl FromRequest<Shared> for SentByAnyone {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &Shared) -> Result<Self, Refusal> {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let Anyone(seat) = Anyone::from_request_parts(&mut parts, app).await?;
        let form = axum::extract::RawForm::from_request(Request::from_parts(parts, body), app).await;
        let body = form.map_err(|e| Refusal::Unreadable(e.to_string()))?.0;
        let mut fields: Vec<(String, String)> =
            serde_urlencoded::from_bytes(&body).map_err(|e| Refusal::Unreadable(e.to_string()))?;
        let token = fields.iter().position(|(name, _)| name == "csrf").map(|at| fields.remove(at).1);
        if !token.is_some_and(|t| bool::from(t.as_bytes().ct_eq(seat.session.csrf.as_bytes()))) {
            seat.refused(app, &format!("POST {path}"), "the form's token is not this session's");
            return Err(Refusal::Stale);
        }
        Ok(SentByAnyone(Sent { seat, fields }))
    }
}

impl FromRequest<Shared> for Sent {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &Shared) -> Result<Self, Refusal> {
        let SentByAnyone(sent) = SentByAnyone::from_request(request, app).await?;
        if sent.seat.session.must_change_password { Err(Refusal::ChangePassword) } else { Ok(sent) }
    }
}

pub fn scheme(parts: &Parts) -> Scheme {
    parts.extensions.get::<Scheme>().copied().unwrap_or(Scheme::Http)
}

/// The client's address; one that came as IPv4 inside IPv6 is IPv4.
pub fn address(parts: &Parts) -> IpAddr {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    peer.map_or(IpAddr::from([0, 0, 0, 0]), |ConnectInfo(peer)| peer.ip().to_canonical())
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|v| v.to_str().ok());
    let mut pairs = all.flat_map(|v| v.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(n, _)| *n == name).map(|(_, v)| v.to_owned())
}

//! Who calls: the bearer token of a request, and whether its role allows what the route does.
//!
//! A handler says what it needs by the type of its first argument, `Caller<Configure>`; so nothing of a request is
//! read before its token was. Cookies count for nothing here, which leaves nothing for another site to forge.
//! What is refused stands in the audit log.

use super::problem::Problem;
use crate::{App, Shared, app::now, seat::address};
use axum::{
    extract::{FromRequestParts, OriginalUri},
    http::{HeaderMap, header, request::Parts},
};
use lb_access::{AuditEntry, Permission, Who};
use lb_api::ErrorCode;
use std::{marker::PhantomData, net::IpAddr};

/// RFC 6750, section 3.
const CHALLENGE: &str = "Bearer realm=\"Steelyard\"";
const CHALLENGE_INVALID: &str = "Bearer realm=\"Steelyard\", error=\"invalid_token\"";

/// Somebody whose role has the permission `P`.
pub struct Caller<P> {
    pub who: Who,
    needs: PhantomData<P>,
}

pub trait Needs {
    const PERMISSION: Permission;
}

macro_rules! permissions {
    ($($name:ident),+) => {
        $(pub enum $name {}

        impl Needs for $name {
            const PERMISSION: Permission = Permission::$name;
        })+
    };
}

permissions!(Look, SetState, Backup, Configure, Administer);

impl<P> Caller<P> {
    /// As lbd's history names the author.
    pub fn author(&self) -> String {
        self.who.author()
    }

    /// A line in the audit log.
    pub fn audit(&self, app: &App, action: &str, detail: &str) {
        app.access.record(AuditEntry::new(now(), &self.who, action, detail));
    }
}

impl<P: Needs> FromRequestParts<Shared> for Caller<P> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Problem> {
        let from = address(parts);
        let who = match bearer(&parts.headers, app, from) {
            Ok(who) => who,
            Err(problem) => {
                let entry = AuditEntry::stranger(now(), from, action(parts), problem.error.message.clone());
                app.access.record(entry.refused());
                return Err(problem);
            }
        };
        if !who.may(P::PERMISSION) {
            let why = format!("the role {} does not allow this", who.role);
            app.access.record(AuditEntry::new(now(), &who, action(parts), &why).refused());
            return Err(Problem::new(ErrorCode::Forbidden, why).hint("use a token with another role"));
        }
        Ok(Caller { who, needs: PhantomData })
    }
}

/// What was asked for, as the audit log names it.
fn action(parts: &Parts) -> String {
    let path = parts.extensions.get::<OriginalUri>().map_or(parts.uri.path(), |OriginalUri(uri)| uri.path());
    format!("{} {path}", parts.method)
}

/// The owner of the token in `Authorization`.
pub fn bearer(headers: &HeaderMap, app: &App, from: IpAddr) -> Result<Who, Problem> {
    let refused = |message, challenge| {
        Problem::new(ErrorCode::Unauthorized, message)
            .hint("send Authorization: Bearer TOKEN; tokens are made under Edit Configuration > API Tokens")
            .header(header::WWW_AUTHENTICATE, challenge)
    };
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Err(refused("this needs a token", CHALLENGE));
    };
    let token = value.to_str().ok().and_then(|v| v.split_once(' ')).filter(|(s, _)| s.eq_ignore_ascii_case("bearer"));
    let Some((_, token)) = token else {
        return Err(refused("Authorization holds no bearer token", CHALLENGE));
    };
    app.access
        .bearer(token.trim(), from, now())
        .ok_or_else(|| refused("this token is not known, has expired, or was revoked", CHALLENGE_INVALID))
}

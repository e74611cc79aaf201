//! Refusals as the vendor shapes them: those of the keys carry `errorCode`, those of the objects a `class`.

use crate::Response;
use serde_json::json;

#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    status: u16,
    kind: Kind,
    message: String,
    allow: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Code(&'static str),
    Class(&'static str),
}

impl Fault {
    fn class(status: u16, class: &'static str, message: impl Into<String>) -> Fault {
        Fault { status, kind: Kind::Class(class), message: message.into(), allow: None }
    }

    pub(super) fn code(status: u16, code: &'static str, message: &str) -> Fault {
        Fault { status, kind: Kind::Code(code), message: message.into(), allow: None }
    }

    pub fn bad_request(message: impl Into<String>) -> Fault {
        Fault::class(400, "Client::BadRequest", message)
    }

    pub fn unauthorized() -> Fault {
        Fault::class(401, "Client::Unauthorized", "You must login first")
    }

    pub fn forbidden(message: impl Into<String>) -> Fault {
        Fault::class(403, "Client::Forbidden", message)
    }

    pub fn not_found(message: impl Into<String>) -> Fault {
        Fault::class(404, "Client::NotFound", message)
    }

    pub fn conflict(message: impl Into<String>) -> Fault {
        Fault::class(409, "Client::Conflict", message)
    }

    pub fn unavailable(message: impl Into<String>) -> Fault {
        Fault::class(503, "Client::ServiceUnavailable", message)
    }

    pub fn no_such_place() -> Fault {
        Fault::not_found("Got an invalid (or empty) URL")
    }

    pub fn not_valid() -> Fault {
        Fault::code(403, "INVALID_CREDENTIAL", "This credential is not valid")
    }

    pub fn method_not_allowed(methods: &[&str]) -> Fault {
        let allow = Some(methods.join(", "));
        Fault { allow, ..Fault::class(405, "Client::MethodNotAllowed", "This call has no such method") }
    }

    pub fn response(self) -> Response {
        let Fault { status, kind, message, allow } = self;
        let body = match kind {
            Kind::Class(class) => json!({"class": class, "message": message}),
            Kind::Code(code) => {
                let words = if status == 403 { "Forbidden" } else { "Bad Request" };
                json!({"errorCode": code, "httpCode": format!("{status} {words}"), "message": message})
            }
        };
        let response = Response::json(status, body);
        match allow {
            Some(allow) => response.with("allow", allow),
            None => response,
        }
    }
}

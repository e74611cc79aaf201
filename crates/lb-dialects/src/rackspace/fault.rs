//! Refusals as the vendor shapes them: flat, with the status as the code.

use crate::Response;
use serde_json::{Map, Value, json};

#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    status: u16,
    message: String,
    /// A validation fault lists its messages.
    validation: bool,
    /// Faults of the log-in stand inside their name.
    wrapped: Option<&'static str>,
    allow: Option<String>,
}

impl Fault {
    pub fn new(status: u16, message: impl Into<String>) -> Fault {
        Fault { status, message: message.into(), validation: false, wrapped: None, allow: None }
    }

    pub fn bad_request(message: impl Into<String>) -> Fault {
        Fault::new(400, message)
    }

    pub fn not_found(message: impl Into<String>) -> Fault {
        Fault::new(404, message)
    }

    pub fn unprocessable(message: impl Into<String>) -> Fault {
        Fault::new(422, message)
    }

    pub fn over_limit(message: impl Into<String>) -> Fault {
        Fault::new(413, message)
    }

    pub fn invalid(message: impl Into<String>) -> Fault {
        Fault { validation: true, ..Fault::new(400, message) }
    }

    /// A body that is no JSON, or has another shape.
    pub fn schema() -> Fault {
        Fault::invalid("JSON does not match the expected schema")
    }

    pub fn method_not_allowed(methods: &[&str]) -> Fault {
        Fault { allow: Some(methods.join(", ")), ..Fault::new(405, "Method not allowed.") }
    }

    pub(super) fn wrapped(self, name: &'static str) -> Fault {
        Fault { wrapped: Some(name), ..self }
    }

    pub fn response(self) -> Response {
        let Fault { status, message, validation, wrapped, allow } = self;
        let body = match validation {
            true => json!({
                "validationErrors": {"messages": [message]},
                "message": "Validation Failure",
                "code": status,
                "details": "The object is not valid",
            }),
            false => json!({"code": status, "message": message}),
        };
        let body = match wrapped {
            Some(name) => Value::Object(Map::from_iter([(name.to_owned(), body)])),
            None => body,
        };
        let response = Response::json(status, body);
        match allow {
            Some(allow) => response.with("allow", allow),
            None => response,
        }
    }
}

//! What an HTTP answer means.
//!
//! The status decides first. Only where a pattern is expected does the body matter, and of it the first
//! [`BODY_LIMIT`] bytes, as bytes: a page need not be UTF-8.

use crate::Outcome;
use lb_model::{NameError, Negotiate, StatusCodes};
use regex::bytes::Regex;

/// Bytes of a body that are looked at: 64 KiB.
pub const BODY_LIMIT: usize = 64 * 1024;

/// What an answer must be, compiled.
#[derive(Debug, Clone)]
pub struct Expected {
    status: StatusCodes,
    body: Option<Result<Regex, NameError>>,
}

impl Expected {
    pub fn new(negotiate: &Negotiate) -> Expected {
        Expected { status: negotiate.status.clone(), body: negotiate.response.as_ref().map(|p| p.regex()) }
    }

    /// The outcome where the head of the answer settles it; `None`: it depends on the body.
    pub fn head(&self, status: u16) -> Option<Outcome> {
        if !self.status.contains(status) {
            return Some(Outcome::Unfit(format!("status {status}, expected {}", self.status)));
        }
        match self.body {
            Some(_) => None,
            None => Some(Outcome::Fit),
        }
    }

    /// The outcome by the first [`BODY_LIMIT`] bytes of the body, when the head has left it open.
    pub fn body(&self, body: &[u8]) -> Outcome {
        let seen = &body[..body.len().min(BODY_LIMIT)];
        match &self.body {
            None => Outcome::Fit,
            Some(Ok(regex)) if regex.is_match(seen) => Outcome::Fit,
            Some(Ok(regex)) => Outcome::Unfit(format!("answer does not match /{}/", shorten(regex.as_str()))),
            // A `Pattern` has compiled once; should it not do so again, the reason is the answer.
            Some(Err(e)) => Outcome::Unfit(e.to_string()),
        }
    }
}

/// A pattern may have 1,000 characters; a reason is one line on an 80 column screen.
fn shorten(pattern: &str) -> String {
    match pattern.char_indices().nth(40) {
        Some((end, _)) => format!("{}...", &pattern[..end]),
        None => pattern.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(status: &str, response: Option<&str>) -> Expected {
        let json = match response {
            Some(r) => format!(r#"{{"service":"http","status":"{status}","response":"{r}"}}"#),
            None => format!(r#"{{"service":"http","status":"{status}"}}"#),
        };
        Expected::new(&serde_json::from_str(&json).unwrap())
    }

    #[track_caller]
    fn check(expected: &Expected, status: u16, body: &[u8], outcome: &str) {
        let found = match expected.head(status).unwrap_or_else(|| expected.body(body)) {
            Outcome::Fit => "fit".to_owned(),
            Outcome::Unfit(why) => why,
        };
        assert_eq!(found, outcome);
    }

    #[test]
    fn status_decides_first() {
        check(&expected("200-299", None), 204, b"", "fit");
        check(&expected("200-299", None), 500, b"", "status 500, expected 200-299");
        check(&expected("200,301-302", Some("OK")), 303, b"OK", "status 303, expected 200,301-302");
    }

    #[test]
    fn body_is_searched_as_bytes() {
        let ok = expected("200-299", Some("OK"));
        check(&ok, 200, b"\xff\xfe all OK here \x80", "fit");
        check(&ok, 200, b"all ok here", "answer does not match /OK/");
        check(&ok, 200, b"", "answer does not match /OK/");
    }

    #[test]
    fn body_counts_up_to_its_limit() {
        let mut body = vec![b'x'; BODY_LIMIT - 2];
        body.extend_from_slice(b"OK");
        check(&expected("200", Some("OK")), 200, &body, "fit");
        body.insert(0, b'x');
        check(&expected("200", Some("OK")), 200, &body, "answer does not match /OK/");
    }

    #[test]
    fn long_patterns_are_shortened() {
        let long = expected("200", Some(&"é".repeat(60)));
        check(&long, 200, b"", &format!("answer does not match /{}.../", "é".repeat(40)));
    }
}

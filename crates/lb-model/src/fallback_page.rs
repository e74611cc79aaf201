//! The page for clients of a virtual server that has no real server left.

use serde::{Deserialize, Serialize};
use std::fmt;

/// HTML, 1..=[`FallbackPage::LONGEST`] bytes. It is served as it stands, for whatever path a client asks.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FallbackPage(String);

impl FallbackPage {
    /// Bytes. What is on every client's way when all is down must be quick to send.
    pub const LONGEST: usize = 262_144;

    pub fn new(html: impl Into<String>) -> Self {
        FallbackPage(html.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Its size alone: a page in an error message would hide the rest.
impl fmt::Debug for FallbackPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FallbackPage({} bytes)", self.0.len())
    }
}

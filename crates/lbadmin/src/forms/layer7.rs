//! The forms of layer 7: a virtual server that HAProxy proxies, and its real servers.
//!
//! Content rules and header rules are text, one a line ([`rules`] has the notation), so that they can be typed, pasted
//! and read without a script. Tested by golden texts and by reading back what was shown.

mod check;
mod persistence;
mod real_server;
mod rules;
pub(super) mod timeouts;
mod tls;
mod virtual_server;

pub use real_server::Layer7RealServerForm;
pub use rules::{header_text, rule_text};
pub use timeouts::TIMEOUTS;
pub use virtual_server::{Layer7VirtualServerForm, balance_phrase};

#[cfg(test)]
mod tests;

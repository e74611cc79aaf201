//! Who may do what on the unit: users and roles, log-ins and sessions, API tokens, TOTP, the audit log, and the
//! settings of the web interface.
//!
//! Owns one folder (`/data/web` on the appliance): `access.json` and its copy, `audit.log`, `refused.log`. Sessions
//! are in memory only and end with the process. Knows nothing of HTTP and reads no clock: `now` is Unix seconds.
//!
//! What callers may rely on:
//! - No password, cookie, token or code is stored, logged or printed; they are compared in constant time.
//! - A change that was answered with `Ok` is on the disk; one that was refused changed nothing.
//! - Guessing costs one core at most, and memory is bounded, whoever asks and from how many addresses (`guess.rs`).
//! - Damage never logs anybody in and never locks out silently (`disk.rs`).
//!
//! Methods marked "Blocks: hashes" take a fifth of a second or more: not for an async task. Tested by properties of
//! the pure parts, and by stories with virtual time, crashes and damage in `tests.rs`.
#![forbid(unsafe_code)]

mod access;
mod admin;
mod audit;
mod disk;
mod document;
mod guess;
mod password;
mod random;
mod refusal;
mod role;
mod sessions;
mod settings;
mod totp;

pub use access::Access;
pub use admin::{Export, TOKEN_PREFIX, TokenView, TotpSecret, UserView};
pub use audit::{AuditEntry, AuditLine, AuditPage, LARGEST_PAGE};
pub use password::{LONGEST as PASSWORD_LONGEST, SHORTEST as PASSWORD_SHORTEST};
pub use refusal::{AccessError, Failure, LoginRefusal, PasswordRefusal, Refusal};
pub use role::{Permission, Role, UnknownRole, Via, Who};
pub use sessions::{NewSession, Session, SessionView};
pub use settings::{HttpMode, WebSettings};
pub use totp::code_at;

#[cfg(test)]
mod tests;

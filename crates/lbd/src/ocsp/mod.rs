//! OCSP stapling (RFC 6960, RFC 6066 section 8; decision 32): clients are shown with a certificate that its authority
//! has not revoked it, and need not ask the authority themselves.
//!
//! [`when`] decides when a responder is asked, as a function of what is known; [`ask`] asks it, beside the engine. What
//! may be believed lb-certs says; the engine alone keeps answers and gives them to HAProxy: `engine/ocsp.rs`. Tested
//! beside the code, and in `tests/it/ocsp.rs` with OpenSSL's responder and a real HAProxy.

mod ask;
pub mod when;

pub use ask::{Answered, Job, run};

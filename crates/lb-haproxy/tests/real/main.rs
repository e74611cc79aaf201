//! Against the real HAProxy, with its worker as the user `haproxy` where the tests run as root.
//!
//! Each test starts its own, on loopback and on ports that were free. Where HAProxy is not installed, they are skipped
//! with a word.

mod agents;
mod figures;
mod harness;
mod many;
mod memory;
mod ocsp;
mod peers;
mod persistence;
mod runtime;
mod servers;
mod tls;
mod traffic;
mod values;

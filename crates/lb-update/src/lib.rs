//! Updates: a signed bundle is checked, written to the idle slot, and stays if it works.
//!
//! ```text
//!  bundle (one file)        head, 8 KB at most                          payload
//!                           steelyard-update 1                          the slot's squashfs,
//!                           {"product":…,"version":…,"sha256":…}        packed by Zstandard
//!                           KEY SIGNATURE
//! ```
//!
//! Pure: what a bundle may be ([`manifest`], [`bundle`]), which keys are believed ([`keys`]), the order in which a slot
//! is filled so that a power cut leaves the running one good ([`install`]), what a start means for an update
//! ([`record`]), what must work before it may stay ([`gate`]). The hands are in `unit` (feature `unit`), for the root
//! program `lbupdate`. Refused with words before anything is written: whatever is not signed, whole, for this product
//! and machine, and no older than what runs.

#![forbid(unsafe_code)]

pub mod bundle;
pub mod gate;
pub mod install;
pub mod keys;
pub mod manifest;
pub mod record;
#[cfg(feature = "unit")]
pub mod unit;

pub use bundle::{Head, read_head, write_bundle};
pub use install::{Failure, Machine, Place, install};
pub use keys::{PublicKey, SigningKey};
pub use manifest::{Formats, Here, Manifest, Refusal, Version};
pub use record::{Record, SlotName, Stage};

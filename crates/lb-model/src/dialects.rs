//! What the two cloud dialects keep: the objects that programs written for a cloud have made here.
//!
//! They stand in the configuration, so that they are stored, replicated, in the history and in a rollback like all
//! else. What they mean in virtual servers is lb-dialects' business, which alone edits them; who may call is not in
//! here ([`crate::problems`] says what is wrong with a set of them). Both are off until they are switched on.

pub mod ovh;
pub mod rackspace;

pub use ovh::Ovh;
pub use rackspace::Rackspace;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Dialects {
    pub rackspace: Rackspace,
    pub ovh: Ovh,
}

impl Dialects {
    /// Neither was ever switched on, and nothing is kept.
    pub fn is_unused(&self) -> bool {
        *self == Dialects::default()
    }
}

/// What virtual servers that a dialect made are called: `rackspace-7`, `ovh-http-7`. Others may be called so too, but
/// a dialect never takes a label that somebody else has.
pub const PREFIXES: [&str; 2] = ["rackspace-", "ovh-"];

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde's skip_serializing_if asks for")]
fn is_false(value: &bool) -> bool {
    !*value
}

fn one() -> u16 {
    1
}

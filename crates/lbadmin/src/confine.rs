//! After start the process needs its state directory, sockets, and nothing else of the file system.
//!
//! Landlock (kernel 5.13, `Documentation/userspace-api/landlock.rst`) takes the rest away, for good and for every
//! thread started later. Call it before the runtime starts. What the running kernel cannot enforce is left out and said.

use anyhow::Context;
use landlock::{
    ABI, Access, AccessFs, PathBeneath, PathFd, RestrictionStatus, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus,
};
use std::path::Path;

/// The newest interface whose rights we know.
const KNOWN: ABI = ABI::V3;

pub fn to(state: &Path) -> anyhow::Result<()> {
    let beneath = PathFd::new(state).with_context(|| format!("opening {}", state.display()))?;
    let RestrictionStatus { ruleset, .. } = Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))?
        .create()?
        .add_rule(PathBeneath::new(beneath, AccessFs::from_all(KNOWN)))?
        .restrict_self()
        .context("confining the process")?;
    match ruleset {
        RulesetStatus::NotEnforced => tracing::warn!("the kernel has no Landlock: the file system is not confined"),
        _ => tracing::info!("confined to {}", state.display()),
    }
    Ok(())
}

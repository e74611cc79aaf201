//! Our nftables table, through `nft`.
//!
//! What was loaded last is remembered with how the kernel listed it then, in memory and in a file that
//! survives us. As long as the listing is the same, the table is what we loaded; a change by hand shows.
//! Nothing runs `nft` while we have no rules: a start would cost more than all other reading together.

use super::files;
use crate::Cause;
use lb_plan::Ruleset;
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// A fixed search path: the environment of whoever starts us must not choose what we run as root.
const NFT: [&str; 3] = ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"];

/// Between the script and the listing in the file; neither can contain it, since `#` begins a comment in both.
const LISTED: &str = "# and so the kernel lists it:\n";

pub(super) struct Firewall {
    file: PathBuf,
    loaded: Option<Loaded>,
}

#[derive(Debug, PartialEq, Eq)]
struct Loaded {
    script: String,
    listing: String,
}

impl Loaded {
    fn to_file(&self) -> String {
        format!("{}{LISTED}{}", self.script, self.listing)
    }

    fn from_file(text: &str) -> Option<Loaded> {
        let (script, listing) = text.split_once(LISTED)?;
        Some(Loaded { script: script.to_owned(), listing: listing.to_owned() })
    }
}

impl Firewall {
    pub(super) fn open(run: &Path) -> Self {
        let file = run.join("nft");
        // A file that cannot be read makes the table unknown, so it is loaded again: one transaction, no gap.
        let loaded = fs::read_to_string(&file).ok().and_then(|text| Loaded::from_file(&text));
        Firewall { file, loaded }
    }

    /// `desired` where the table is that one, unchanged; `None` for everything else, a missing `nft` too, so that
    /// a plan loads it and the error is that action's.
    pub(super) fn observe(&self, desired: &Ruleset) -> Option<Ruleset> {
        match &self.loaded {
            None if desired.is_empty() => Some(Ruleset::default()),
            None => None,
            Some(loaded) => {
                let same = loaded.script == desired.script() && list().is_ok_and(|listing| listing == loaded.listing);
                same.then(|| desired.clone())
            }
        }
    }

    pub(super) fn set(&mut self, ruleset: &Ruleset) -> Result<(), Cause> {
        let script = ruleset.script();
        // Forgotten before it is changed: killed in between, we must not take the new table for the old one.
        self.forget()?;
        load(&script)?;
        if ruleset.is_empty() {
            return Ok(());
        }
        let loaded = Loaded { script, listing: list()? };
        files::replace(&self.file, &loaded.to_file()).map_err(|source| self.failed(source))?;
        self.loaded = Some(loaded);
        Ok(())
    }

    fn forget(&mut self) -> Result<(), Cause> {
        self.loaded = None;
        match fs::remove_file(&self.file) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(self.failed(source)),
            _ => Ok(()),
        }
    }

    fn failed(&self, source: std::io::Error) -> Cause {
        Cause::File { path: self.file.display().to_string(), source }
    }
}

/// Without counters and such (`-s`): only what rules say.
fn list() -> Result<String, Cause> {
    let output = nft(&["-s", "list", "table", "inet", Ruleset::TABLE], "")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Everything, whoever made it, with counters.
pub(super) fn list_all() -> Result<String, Cause> {
    let output = nft(&["list", "ruleset"], "")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn load(script: &str) -> Result<(), Cause> {
    nft(&["-f", "-"], script).map(|_| ())
}

fn nft(arguments: &[&str], input: &str) -> Result<Output, Cause> {
    let Some(program) = NFT.iter().find(|p| Path::new(p).exists()) else {
        return Err(Cause::Nft(format!("not found (looked for {})", NFT.join(", "))));
    };
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // nft reads all of its input before it writes anything, so this cannot block for ever. Where it ends early
        // its own words below say why.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(output);
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(Cause::Nft(words.lines().next().unwrap_or("failed without a word").to_owned()))
}

#[cfg(test)]
mod tests;

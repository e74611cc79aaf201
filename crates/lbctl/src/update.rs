//! `lbctl update`: the door to `lbupdate`, the program that writes a slot. It speaks to no lbd, as an update may be what
//! mends one, and it asks for no rights: whoever may write a slot is root already. Tested by `tests/stories/update.txt`.

use crate::{
    cli::Remote,
    error::{REFUSED, USAGE},
    session,
};
use clap::{Args, Subcommand};
use std::{ffi::OsString, path::PathBuf, process::Command};

pub const HELP: &str = "\
The unit goes on serving while an update is installed; the next start is from
the other slot. There the update has three tries: it stays when lbd, the web
interface and, in a pair, heartbeat work as before; else the unit goes back by
itself and says why. The same goes for the way back to the former system.

Examples:
  lbctl update
  lbctl update install steelyard-0.2.0.lbu
  lbctl update back --reboot";

/// What does the work.
const PROGRAM: &str = "/usr/sbin/lbupdate";

#[derive(Debug, Subcommand)]
pub enum UpdateCommand {
    /// Show what is in both slots, and what became of the last update (as `lbctl update` does)
    Status,
    /// Check a bundle and write it to the idle slot; the next start is from there
    Install(Install),
    /// Make the system in the other slot the next start's
    Back(Back),
    /// Take away the alarm that an update did not stay
    Acknowledge,
}

#[derive(Debug, Args)]
pub struct Install {
    /// The bundle, a file whose name ends in .lbu
    pub file: PathBuf,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Install a version older than the one that runs
    #[arg(long)]
    pub downgrade: bool,
    /// Restart the unit when it is installed
    #[arg(long)]
    pub reboot: bool,
}

#[derive(Debug, Args)]
pub struct Back {
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Restart the unit then
    #[arg(long)]
    pub reboot: bool,
}

/// The exit status is lbupdate's; so is what is printed.
pub fn run(command: Option<&UpdateCommand>, remote: &Remote, json: bool) -> u8 {
    if remote.url.is_some() {
        return failed(json, "an update is installed on the unit itself", "log in on its console or over SSH", USAGE);
    }
    match Command::new(PROGRAM).args(words(command, json)).status() {
        Ok(status) => status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(REFUSED),
        Err(error) => failed(
            json,
            &format!("cannot start {PROGRAM}: {error}"),
            "only the appliance has slots; installing takes root",
            REFUSED,
        ),
    }
}

fn words(command: Option<&UpdateCommand>, json: bool) -> Vec<OsString> {
    let mut words: Vec<OsString> = Vec::new();
    if json {
        words.push("--json".into());
    }
    match command {
        None | Some(UpdateCommand::Status) => words.push("status".into()),
        Some(UpdateCommand::Acknowledge) => words.push("acknowledge".into()),
        Some(UpdateCommand::Back(back)) => {
            words.push("back".into());
            let flags = [("--yes", back.yes), ("--reboot", back.reboot)];
            words.extend(flags.iter().filter(|(_, set)| *set).map(|(flag, _)| OsString::from(flag)));
            words.push(format!("--by={}", session::author()).into());
        }
        Some(UpdateCommand::Install(install)) => {
            words.push("install".into());
            let flags = [("--yes", install.yes), ("--downgrade", install.downgrade), ("--reboot", install.reboot)];
            words.extend(flags.iter().filter(|(_, set)| *set).map(|(flag, _)| OsString::from(flag)));
            // Joined, and behind a double dash, so that nobody's name and no file's is taken for an option.
            words.push(format!("--by={}", session::author()).into());
            words.push("--".into());
            words.push(install.file.clone().into());
        }
    }
    words
}

fn failed(json: bool, message: &str, hint: &str, status: u8) -> u8 {
    if json {
        println!("{:#}", serde_json::json!({"error": {"code": "request", "message": message, "hint": hint}}));
    } else {
        eprintln!("error: {message}\nhint: {hint}");
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_taken_for_an_option() {
        let install = Install { file: "--yes".into(), yes: false, downgrade: true, reboot: false };
        let words = words(Some(&UpdateCommand::Install(install)), true);
        let by = format!("--by={}", session::author());
        assert_eq!(words, ["--json", "install", "--downgrade", by.as_str(), "--", "--yes"].map(OsString::from));
    }
}

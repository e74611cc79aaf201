//! The command line. People type `lbctl update`, which says the same.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Installs updates into the idle slot, and decides whether they may stay.
#[derive(Debug, Parser)]
#[command(name = "lbupdate", version)]
pub struct Lbupdate {
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what is in both slots, and what became of the last update
    Status,
    /// Check a bundle and write it to the idle slot; the next start is from there
    Install(Install),
    /// Make the system in the other slot the next start's
    Back(Back),
    /// Take away the line that an update did not stay
    Acknowledge,
    /// Do for the web interface what it may ask for, until told to stop
    #[command(hide = true)]
    Serve(Serve),
    /// At a start, before any service: what the start means for an update
    #[command(hide = true)]
    Boot,
    /// After a start: tell the boot loader that this system works, or go back
    #[command(hide = true)]
    Gate {
        /// How long an update may take, seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 180, value_parser = clap::value_parser!(u64).range(1..=3600))]
        within: u64,
    },
}

#[derive(Debug, Args)]
pub struct Back {
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Restart the unit then
    #[arg(long)]
    pub reboot: bool,
    /// Who wants it, for the record: one word
    #[arg(long, value_name = "WHO", default_value = "console")]
    pub by: String,
}

#[derive(Debug, Args)]
pub struct Serve {
    /// Where to listen
    #[arg(long, value_name = "PATH", default_value = lb_api::UPDATE_SOCKET)]
    pub socket: PathBuf,
    /// Who may ask, and whose the bundle is
    #[arg(long, value_name = "USER", default_value = "lbadmin")]
    pub user: String,
    /// The uploaded bundle; nobody but root may put another folder in place of the one that it is in
    #[arg(long, value_name = "PATH", default_value = "/data/web/update.lbu")]
    pub bundle: PathBuf,
}

#[derive(Debug, Args)]
pub struct Install {
    /// The bundle
    pub file: PathBuf,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// An older version is meant
    #[arg(long)]
    pub downgrade: bool,
    /// Restart the unit when it is installed
    #[arg(long)]
    pub reboot: bool,
    /// Who wants it, for the record: one word
    #[arg(long, value_name = "WHO", default_value = "console")]
    pub by: String,
}

//! The command line.

use clap::Parser;
use std::path::PathBuf;

/// Makes two appliances act as one: decides with the peer who holds the floating addresses.
///
/// Started by the supervisor on a paired unit. SIGHUP reads ha.json and the keys anew, as does any change of them;
/// SIGTERM and SIGINT hand the floating addresses over to the peer and then end the daemon.
#[derive(Parser)]
#[command(version)]
pub struct Args {
    /// What lbd has rendered: settings, floating addresses, paths
    #[arg(long, value_name = "FILE", default_value = "/run/lb/ha.json")]
    pub config: PathBuf,
    /// The keys of the pair, mode 0600
    #[arg(long, value_name = "FILE", default_value = "/data/pair/heartbeat.keys")]
    pub keys: PathBuf,
    /// Directory in which each start is counted
    #[arg(long, value_name = "DIR", default_value = "/data/heartbeat")]
    pub state: PathBuf,
    /// Status socket
    #[arg(long, value_name = "FILE", default_value = lb_ha::control::SOCKET)]
    pub socket: PathBuf,
    /// lbd's socket: while nobody answers there, this node is unfit
    #[arg(long, value_name = "FILE", default_value = "/run/lbd.sock")]
    pub lbd: PathBuf,
    /// Ask no lbd, and count this node as having the peer's connections (for tests)
    #[arg(long)]
    pub no_lbd: bool,
    /// Feed this watchdog device, which restarts the machine when nobody does
    #[arg(long, value_name = "DEVICE")]
    pub watchdog: Option<PathBuf>,
    /// Write down everything that happens to the node, to be played again; two files of 16 MiB at most
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Say what is wrong with this document, and change nothing
    #[arg(long, value_name = "FILE", conflicts_with = "release")]
    pub check: Option<PathBuf>,
    /// Remove the floating addresses that a daemon has left, and end (the supervisor's exit hook)
    #[arg(long)]
    pub release: bool,
}

//! The command line: every subcommand and option, and the texts that explain them.
//!
//! Owns words, defaults and the shape of arguments; refuses what cannot be meant. What a value may
//! be beyond its shape is the model's to say. Tested by the help stories in `tests/stories`.

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use lb_api::Fingerprint;
use lb_model::{ForwardingMethod, Label, Protocol, Scheduler, Tunnel};
use std::path::PathBuf;

const AFTER: &str = "\
Changes are made in the candidate and run after `lbctl apply`. The commands that
edit take --apply to do both in one step.

Exit status:
  0  done
  1  refused: nothing was changed, and the reason was printed
     (`status --check`, `ha status --check`: something is not as it should be)
  2  the command line or a file could not be read
  3  the load balancer cannot be reached or trusted, or gave no answer

With --json standard output holds one JSON document: lbd's answer, or
{\"error\": {\"code\", \"message\", \"hint\", \"problems\", \"between\"}}.

Examples:
  lbctl status
  lbctl vip add HTTP_Cluster 10.0.0.21:80 --scheduler wlc --persistent 300
  lbctl rip add HTTP_Cluster WebServer1 192.168.2.50:80 --apply
  lbctl config set virtual_servers.HTTP_Cluster.real_servers.WebServer1.weight 5
  lbctl diff
  lbctl apply -m \"more for WebServer1\" --confirm 60
  lbctl ha
  lbctl --url https://192.168.2.21:9443 --token-file ~/.lb-token status";

/// The command line of the load balancer
#[derive(Debug, Parser)]
#[command(name = "lbctl", version, max_term_width = 80, after_long_help = AFTER, after_help = "`lbctl --help` says more.")]
#[command(subcommand_required = true)]
pub struct Cli {
    /// Where lbd listens
    #[arg(long, global = true, env = "LBD_SOCKET", hide_env_values = true, default_value = lb_api::SOCKET, value_name = "PATH", help_heading = "Global options")]
    pub socket: PathBuf,
    #[command(flatten)]
    pub remote: Remote,
    /// Print JSON: lbd's answer, or {"error": …}
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

/// Another unit's native API instead of this unit's socket.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Over the network")]
pub struct Remote {
    /// Speak to the unit at this address instead: https://HOST:9443
    #[arg(long, global = true, env = "LBCTL_URL", hide_env_values = true, value_name = "URL")]
    pub url: Option<String>,
    /// The file that holds the API token, readable by you alone
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The API token itself; others may see it in the list of processes
    #[arg(long, global = true, env = "LBCTL_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub token: Option<String>,
    /// Trust certificates that an authority in this file (PEM) signed
    #[arg(long, global = true, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Trust the certificate with this SHA-256 fingerprint only
    #[arg(
        long,
        global = true,
        env = "LBCTL_FINGERPRINT",
        hide_env_values = true,
        value_name = "SHA256",
        conflicts_with = "ca_file"
    )]
    pub fingerprint: Option<Fingerprint>,
    /// Trust any certificate: whoever is in between can read and change all
    #[arg(long, global = true, conflicts_with_all = ["ca_file", "fingerprint"])]
    pub insecure: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show how it goes: virtual servers, real servers, connections
    Status(StatusArgs),
    /// Show and edit the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Add and remove virtual servers
    #[command(subcommand)]
    Vip(VipCommand),
    /// Add and remove real servers
    #[command(subcommand)]
    Rip(RipCommand),
    /// Show and set who reaches SSH and the web interface
    #[command(subcommand)]
    Lockdown(crate::lockdown::LockdownCommand),
    /// Upload, make, show and remove certificates for TLS on layer 7
    #[command(subcommand)]
    Certificate(crate::certificate::CertificateCommand),
    /// Show what layer 7 remembers of clients, and make it forget them
    #[command(subcommand)]
    Persistence(crate::persistence::PersistenceCommand),
    /// Take a real server online, at once
    Online(Server),
    /// Take a real server offline, at once: its clients go to the others
    Offline(Server),
    /// Give a real server no new clients, at once: those connected stay
    Drain(Server),
    /// Say in sentences what is pending, and whom it hurts
    Diff {
        /// running, candidate, factory or a revision [default: running]
        from: Option<Source>,
        /// The same [default: candidate]
        to: Option<Source>,
    },
    /// Show what an apply would do, line by line, and change nothing
    Plan {
        /// Plan this document instead of the candidate; - is standard input
        #[arg(short, long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Make the candidate run
    Apply {
        #[command(flatten)]
        options: ApplyOptions,
        /// Apply this document, past the candidate; - is standard input
        #[arg(short, long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// With --file: refuse when another revision than this one runs
        #[arg(long, value_name = "REV", requires = "file")]
        base: Option<u64>,
    },
    /// Keep a revision that was applied with --confirm
    Confirm {
        /// The revision [default: whichever waits]
        revision: Option<u64>,
    },
    /// Give up all pending changes
    Discard,
    /// List the revisions, newest first
    History {
        /// How many
        #[arg(short = 'n', long, default_value_t = 20, value_name = "NUMBER")]
        limit: usize,
    },
    /// Make an earlier revision run again, as a new one; 0 is the factory's
    Rollback {
        revision: u64,
        #[command(flatten)]
        options: ApplyOptions,
    },
    /// Compare the kernel with the configuration now, and repair it
    Reconcile,
    /// Show the pair; take over, stand by, pair and unpair
    #[command(after_help = crate::ha::HELP)]
    Ha {
        #[command(subcommand)]
        command: Option<HaCommand>,
    },
    /// Show a log, newest line last
    Log {
        /// load-balancer, ldirectord, layer-7, heartbeat or system
        #[arg(value_parser = crate::parse::log_name())]
        name: lb_api::LogName,
        /// How many lines, at most 1000
        #[arg(short = 'n', long, default_value_t = 50, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1000))]
        lines: u16,
        /// Only lines that contain this
        #[arg(short, long, value_name = "TEXT")]
        filter: Option<String>,
    },
    /// Install a signed update, and show what is in both slots
    #[command(after_help = crate::update::HELP)]
    Update {
        #[command(subcommand)]
        command: Option<crate::update::UpdateCommand>,
    },
    /// Print a completion script
    Completions { shell: Shell },
    /// Print the manual page (roff); read it with: lbctl man | man -l -
    Man,
}

#[derive(Debug, Clone, Default, Args)]
pub struct ApplyOptions {
    /// Why; kept in the history
    #[arg(short = 'm', long, value_name = "TEXT")]
    pub comment: Option<String>,
    /// Undo it after so many seconds (5 to 3600) unless confirmed
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(5..=3600))]
    pub confirm: Option<u64>,
}

/// On every command that edits the candidate.
#[derive(Debug, Clone, Default, Args)]
pub struct EditOptions {
    /// Apply at once, with whatever else is pending
    #[arg(long)]
    pub apply: bool,
    /// With --apply: why; kept in the history
    #[arg(short = 'm', long, value_name = "TEXT", requires = "apply")]
    pub comment: Option<String>,
    /// With --apply: undo it after so many seconds (5 to 3600) unless confirmed
    #[arg(long, value_name = "SECONDS", requires = "apply", value_parser = clap::value_parser!(u64).range(5..=3600))]
    pub confirm: Option<u64>,
}

#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Show it again every so many seconds, until Ctrl-C
    #[arg(short, long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub watch: Option<u64>,
    /// Say only what is not as it should be; exit status 1 if anything is
    #[arg(short, long, conflicts_with = "watch")]
    pub check: bool,
    /// Show what the last health check said, for every real server
    #[arg(short, long, conflicts_with = "check")]
    pub long: bool,
}

const PATHS: &str = "\
A PATH names a part of the document. Labels, interface names and addresses
select from a list, and so do indexes (0 is the first); + is a new entry:
  virtual_servers.HTTP_Cluster.real_servers.WebServer1.weight
  node.interfaces.eth0.addresses
  globals.health.interval
  virtual_servers.\"www.example.com\".scheduler
  /virtual_servers/0/scheduler   (a JSON pointer, as in lbd's messages)";

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show a configuration, or the part of it at PATH
    #[command(after_help = PATHS)]
    Show {
        /// running, candidate, factory or a revision [default: running]
        #[arg(value_name = "WHICH")]
        which: Option<String>,
        path: Option<String>,
    },
    /// Set one value in the candidate
    #[command(after_help = PATHS)]
    Set {
        path: String,
        /// JSON, or else text; a list of texts may be written a,b,c
        #[arg(allow_hyphen_values = true)]
        value: String,
        #[command(flatten)]
        options: EditOptions,
    },
    /// Take a value or an entry out of the candidate
    #[command(after_help = PATHS)]
    Unset {
        path: String,
        #[command(flatten)]
        options: EditOptions,
    },
    /// Edit the candidate as a text, in $VISUAL, $EDITOR or vi
    Edit,
    /// Replace the candidate by a document; - is standard input
    Put {
        file: PathBuf,
        #[command(flatten)]
        options: EditOptions,
    },
    /// Give up all pending changes
    Discard,
}

#[derive(Debug, Subcommand)]
pub enum VipCommand {
    /// Add a virtual server to the candidate
    Add(Box<VipAdd>),
    /// Add a layer 7 virtual server (HAProxy) to the candidate: cookies, content, SNAT
    #[command(name = "add-layer7")]
    AddLayer7(Box<crate::layer7::VipAdd>),
    /// Remove a virtual server, with its real servers, from the candidate
    Remove {
        /// Label, or address:port
        #[arg(value_name = "VIP")]
        vip: String,
        #[command(flatten)]
        options: EditOptions,
    },
}

#[derive(Debug, Args)]
pub struct VipAdd {
    pub label: Label,
    /// 10.0.0.21:80, [2001:db8::21]:80,443, 10.0.0.21:8000-8100, 10.0.0.21:any
    #[arg(value_name = "ADDRESS:PORTS", required_unless_present = "firewall_mark", conflicts_with = "firewall_mark")]
    pub service: Option<crate::parse::AddressPorts>,
    /// Balance what this mark was put on by your firewall rules, 1 to 1073741823
    #[arg(long, value_name = "MARK")]
    pub firewall_mark: Option<u32>,
    /// With --firewall-mark: IPv6 packets
    #[arg(long, requires = "firewall_mark")]
    pub ipv6: bool,
    /// tcp, udp or sctp
    #[arg(long, default_value_t, conflicts_with = "firewall_mark")]
    pub protocol: Protocol,
    /// rr, wrr, lc, wlc, sh, dh, mh, sed, nq, lblc, lblcr, fo or ovf
    #[arg(long, default_value_t)]
    pub scheduler: Scheduler,
    /// With scheduler sh or mh: hash the client's port as well
    #[arg(long)]
    pub hash_port: bool,
    /// UDP: schedule every datagram for itself
    #[arg(long)]
    pub one_packet: bool,
    /// Keep a client on its real server for so long after its last connection
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "300")]
    pub persistent: Option<u32>,
    /// With --persistent: netmask or prefix length that makes clients one client
    #[arg(long, value_name = "MASK", requires = "persistent", value_parser = crate::parse::granularity)]
    pub granularity: Option<u8>,
    /// connect, ping, on, off, http or https [default: connect]
    #[arg(long, value_name = "TYPE")]
    pub check: Option<crate::parse::CheckType>,
    /// The port to ask [default: the real server's]
    #[arg(long, value_name = "PORT")]
    pub check_port: Option<u16>,
    /// http, https: the path to ask for [default: /]
    #[arg(long, value_name = "PATH")]
    pub check_request: Option<String>,
    /// http, https: regular expression that the answer must match
    #[arg(long, value_name = "REGEX")]
    pub check_response: Option<lb_model::Pattern>,
    /// http, https: the Host header
    #[arg(long, value_name = "NAME")]
    pub check_host: Option<String>,
    /// http, https: status codes that are well [default: 200-299]
    #[arg(long, value_name = "CODES")]
    pub check_status: Option<lb_model::StatusCodes>,
    #[command(flatten)]
    pub agent: AgentArgs,
    /// Serves when no real server is left, or none [default: 127.0.0.1:9081]
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    pub fallback: Option<crate::parse::Fallback>,
    #[command(flatten)]
    pub options: EditOptions,
}

/// Of a virtual server of either layer.
#[derive(Debug, Args)]
pub struct AgentArgs {
    /// Ask an agent on each real server, at this port, how much of the load it wants
    #[arg(long = "agent", value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Seconds between two questions to the agents [default: the global check interval]
    #[arg(long = "agent-interval", value_name = "SECONDS", requires = "port")]
    interval: Option<u32>,
    /// Send the agents this text
    #[arg(long = "agent-send", value_name = "TEXT", requires = "port")]
    send: Option<lb_model::layer7::HttpText>,
}

impl AgentArgs {
    pub fn agent(&self) -> Option<lb_model::Agent> {
        let port = self.port?;
        Some(lb_model::Agent { port, interval: self.interval, send: self.send.clone() })
    }
}

#[derive(Debug, Subcommand)]
pub enum RipCommand {
    /// Add a real server to a virtual server of the candidate
    Add(RipAdd),
    /// Remove a real server from the candidate
    Remove {
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        options: EditOptions,
    },
}

#[derive(Debug, Args)]
pub struct RipAdd {
    /// Virtual server: label, or address:port
    pub vip: String,
    pub label: Label,
    /// Without a port: the port that the client asked for
    #[arg(value_name = "ADDRESS[:PORT]")]
    pub address: crate::parse::AddressPort,
    /// Share of the load, 0 to 65535; of a layer 7 virtual server 0 to 256
    #[arg(long, default_value_t = 1)]
    pub weight: u32,
    /// dr, nat or tun [default: the global setting]
    #[arg(long, value_name = "METHOD")]
    pub forwarding: Option<ForwardingMethod>,
    /// How tun wraps packets: ipip, gue or gre
    #[arg(long, default_value_t)]
    pub tunnel: Tunnel,
    /// A full server is given new clients again below this; 0: below the maximum
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub min_connections: u32,
    /// At this many a server is given no new ones; 0: unrestricted
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub max_connections: u32,
    #[command(flatten)]
    pub options: EditOptions,
}

#[derive(Debug, Args)]
pub struct Server {
    /// Virtual server: label, or address:port
    pub vip: String,
    /// Real server: label, or address[:port]
    pub rip: String,
}

#[derive(Debug, Subcommand)]
pub enum HaCommand {
    /// Show both units, the paths between them and whether they agree (as `lbctl ha` does)
    Status {
        /// Say only what is not as it should be; exit status 1 if anything is
        #[arg(short, long)]
        check: bool,
    },
    /// Move the floating IPs to this unit; says when it serves
    Takeover {
        /// Even if this unit is unfit or does not have the connections
        #[arg(long)]
        force: bool,
    },
    /// Hand the floating IPs to the other unit; says when it serves
    Standby,
    /// Stand by and do not take over, whatever happens, until it is off again
    Maintenance {
        #[arg(value_name = "on|off", action = clap::ArgAction::Set, value_parser = crate::parse::on_or_off())]
        on: bool,
        /// Even if nobody serves then
        #[arg(long)]
        force: bool,
    },
    /// Make a pair of this unit and another one
    #[command(subcommand)]
    Pair(PairCommand),
    /// Forget the other unit; this one goes on alone
    Unpair,
    /// Choose between two configurations that were changed without each other
    #[command(after_help = "Nothing is overwritten before. Ask it of the unit that serves.")]
    Resolve {
        /// mine: this unit's goes to the other; theirs: the other's comes here
        #[arg(value_parser = crate::parse::keep())]
        keep: lb_api::Keep,
    },
}

#[derive(Debug, Subcommand)]
pub enum PairCommand {
    /// On the slave: wait for the master, on the null-modem cable and the network
    Wait(PairOptions),
    /// On the master: over the null-modem cable; nothing is typed
    Serial(PairOptions),
    /// On the master: over the network, with the code that the slave shows
    Network {
        /// Of the slave
        address: std::net::IpAddr,
        /// Eight digits; left out: read from standard input, where nobody sees it in the list of processes
        #[arg(long, value_name = "CODE")]
        code: Option<String>,
        #[command(flatten)]
        options: PairOptions,
    },
    /// Stop waiting or calling
    Cancel,
}

#[derive(Debug, Args)]
pub struct PairOptions {
    /// Begin, and do not wait for the end; `lbctl ha` tells it later
    #[arg(long)]
    pub no_wait: bool,
}

/// One of the configurations that lbd keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Running,
    Candidate,
    Factory,
    Revision(u64),
}

impl std::str::FromStr for Source {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "running" => Ok(Source::Running),
            "candidate" => Ok(Source::Candidate),
            "factory" => Ok(Source::Factory),
            _ => s
                .parse()
                .map(Source::Revision)
                .map_err(|_| "use running, candidate, factory or a revision's number".to_owned()),
        }
    }
}

impl From<&EditOptions> for ApplyOptions {
    fn from(options: &EditOptions) -> Self {
        ApplyOptions { comment: options.comment.clone(), confirm: options.confirm }
    }
}

//! The options of `ipvsadm`, and which of them may go with which command or tunnel type. Pure.

use super::Rejection;

/// Whether an option takes an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arg {
    None,
    Required,
    Optional,
}

/// Every option, commands included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opt {
    AddService,
    EditService,
    DeleteService,
    Clear,
    List,
    Zero,
    AddServer,
    EditServer,
    DeleteServer,
    Set,
    Help,
    Version,
    Restore,
    Save,
    StartDaemon,
    StopDaemon,
    TcpService,
    UdpService,
    SctpService,
    FwmarkService,
    Scheduler,
    Persistent,
    Netmask,
    RealServer,
    Masquerading,
    Ipip,
    Gatewaying,
    Weight,
    UThreshold,
    LThreshold,
    Numeric,
    Connection,
    McastInterface,
    Syncid,
    Timeout,
    Daemon,
    Stats,
    Rate,
    Thresholds,
    PersistentConn,
    Nosort,
    Sort,
    Exact,
    Ipv6,
    Ops,
    Pe,
    SchedFlags,
    McastGroup,
    McastPort,
    McastTtl,
    SyncMaxlen,
    TunInfo,
    TunType,
    TunPort,
    TunNocsum,
    TunCsum,
    TunRemcsum,
}

/// Long name, letter (NUL = none), argument. `--list` has two letters: `l` is added in [`Opt::from_short`].
const TABLE: &[(Opt, &str, char, Arg)] = &[
    (Opt::AddService, "add-service", 'A', Arg::None),
    (Opt::EditService, "edit-service", 'E', Arg::None),
    (Opt::DeleteService, "delete-service", 'D', Arg::None),
    (Opt::Clear, "clear", 'C', Arg::None),
    (Opt::List, "list", 'L', Arg::None),
    (Opt::Zero, "zero", 'Z', Arg::None),
    (Opt::AddServer, "add-server", 'a', Arg::None),
    (Opt::EditServer, "edit-server", 'e', Arg::None),
    (Opt::DeleteServer, "delete-server", 'd', Arg::None),
    (Opt::Set, "set", '\0', Arg::None),
    (Opt::Help, "help", 'h', Arg::None),
    (Opt::Version, "version", 'v', Arg::None),
    (Opt::Restore, "restore", 'R', Arg::None),
    (Opt::Save, "save", 'S', Arg::None),
    (Opt::StartDaemon, "start-daemon", '\0', Arg::Required),
    (Opt::StopDaemon, "stop-daemon", '\0', Arg::Required),
    (Opt::TcpService, "tcp-service", 't', Arg::Required),
    (Opt::UdpService, "udp-service", 'u', Arg::Required),
    (Opt::SctpService, "sctp-service", '\0', Arg::Required),
    (Opt::FwmarkService, "fwmark-service", 'f', Arg::Required),
    (Opt::Scheduler, "scheduler", 's', Arg::Required),
    (Opt::Persistent, "persistent", 'p', Arg::Optional),
    (Opt::Netmask, "netmask", 'M', Arg::Required),
    (Opt::RealServer, "real-server", 'r', Arg::Required),
    (Opt::Masquerading, "masquerading", 'm', Arg::None),
    (Opt::Ipip, "ipip", 'i', Arg::None),
    (Opt::Gatewaying, "gatewaying", 'g', Arg::None),
    (Opt::Weight, "weight", 'w', Arg::Required),
    (Opt::UThreshold, "u-threshold", 'x', Arg::Required),
    (Opt::LThreshold, "l-threshold", 'y', Arg::Required),
    (Opt::Numeric, "numeric", 'n', Arg::None),
    (Opt::Connection, "connection", 'c', Arg::None),
    (Opt::McastInterface, "mcast-interface", '\0', Arg::Required),
    (Opt::Syncid, "syncid", '\0', Arg::Required),
    (Opt::Timeout, "timeout", '\0', Arg::None),
    (Opt::Daemon, "daemon", '\0', Arg::None),
    (Opt::Stats, "stats", '\0', Arg::None),
    (Opt::Rate, "rate", '\0', Arg::None),
    (Opt::Thresholds, "thresholds", '\0', Arg::None),
    (Opt::PersistentConn, "persistent-conn", '\0', Arg::None),
    (Opt::Nosort, "nosort", '\0', Arg::None),
    (Opt::Sort, "sort", '\0', Arg::None),
    (Opt::Exact, "exact", 'X', Arg::None),
    (Opt::Ipv6, "ipv6", '6', Arg::None),
    (Opt::Ops, "ops", 'o', Arg::None),
    (Opt::Pe, "pe", '\0', Arg::Required),
    (Opt::SchedFlags, "sched-flags", 'b', Arg::Required),
    (Opt::McastGroup, "mcast-group", '\0', Arg::Required),
    (Opt::McastPort, "mcast-port", '\0', Arg::Required),
    (Opt::McastTtl, "mcast-ttl", '\0', Arg::Required),
    (Opt::SyncMaxlen, "sync-maxlen", '\0', Arg::Required),
    (Opt::TunInfo, "tun-info", '\0', Arg::None),
    (Opt::TunType, "tun-type", '\0', Arg::Required),
    (Opt::TunPort, "tun-port", '\0', Arg::Required),
    (Opt::TunNocsum, "tun-nocsum", '\0', Arg::None),
    (Opt::TunCsum, "tun-csum", '\0', Arg::None),
    (Opt::TunRemcsum, "tun-remcsum", '\0', Arg::None),
];

impl Opt {
    /// By long name; names are not abbreviated.
    pub fn from_long(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    /// By letter.
    pub fn from_short(letter: char) -> Option<Self> {
        match letter {
            'l' => Some(Self::List),
            '\0' => None,
            _ => TABLE.iter().find(|row| row.2 == letter).map(|row| row.0),
        }
    }

    /// Whether it takes an argument.
    pub fn arg(self) -> Arg {
        // The table is in the order of the enum (a test holds it to that).
        TABLE.get(self as usize).map_or(Arg::None, |row| row.3)
    }
}

/// A property that options give to a command line; each may be given once. `-m`, `-g`, `-i` are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Trait {
    Numeric,
    Connection,
    Service,
    Scheduler,
    Persistent,
    Netmask,
    Server,
    Forward,
    Weight,
    UThreshold,
    LThreshold,
    Mcast,
    Timeout,
    Daemon,
    Stats,
    Rate,
    Thresholds,
    PersistentConn,
    Nosort,
    Syncid,
    Exact,
    Ops,
    Pe,
    SchedFlags,
    McastGroup,
    McastPort,
    McastTtl,
    SyncMaxlen,
    TunInfo,
    TunType,
    TunPort,
    TunNocsum,
    TunCsum,
    TunRemcsum,
}

/// Names in messages, in the order of [`Trait`].
const TRAIT_NAMES: [&str; 34] = [
    "numeric",
    "connection",
    "service-address",
    "scheduler",
    "persistent",
    "netmask",
    "real-server",
    "forwarding-method",
    "weight",
    "u-threshold",
    "l-threshold",
    "mcast-interface",
    "timeout",
    "daemon",
    "stats",
    "rate",
    "thresholds",
    "persistent-conn",
    "nosort",
    "syncid",
    "exact",
    "ops",
    "pe",
    "sched-flags",
    "mcast-group",
    "mcast-port",
    "mcast-ttl",
    "sync-maxlen",
    "tun-info",
    "tun-type",
    "tun-port",
    "tun-nocsum",
    "tun-csum",
    "tun-remcsum",
];

/// A set of [`Trait`]s.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traits(u64);

impl Traits {
    /// The set of these.
    pub const fn of(traits: &[Trait]) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < traits.len() {
            bits |= 1 << traits[at] as u8;
            at += 1;
        }
        Self(bits)
    }

    /// Adds one, which must be new.
    pub fn insert(&mut self, new: Trait) -> Result<(), Rejection> {
        if self.has(new) {
            let name = TRAIT_NAMES[new as usize];
            return Err(Rejection::local(format!("multiple '{name}' options specified")));
        }
        self.0 |= 1 << new as u8;
        Ok(())
    }

    /// Whether it is in the set.
    pub fn has(self, one: Trait) -> bool {
        self.0 & (1 << one as u8) != 0
    }

    /// Whether any of `others` is in the set.
    pub fn any(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }
}

/// What may go with a command or a tunnel type: some things must, some may, one of some may.
pub struct Rule {
    name: &'static str,
    what: &'static str,
    required: Traits,
    optional: Traits,
    exclusive: Traits,
}

impl Rule {
    const fn command(name: &'static str, required: &[Trait], optional: &[Trait]) -> Self {
        Self {
            name,
            what: "command",
            required: Traits::of(required),
            optional: Traits::of(optional),
            exclusive: Traits(0),
        }
    }

    /// The first thing wrong, in the order of [`Trait`].
    pub fn check(&self, given: Traits) -> Result<(), Rejection> {
        self.check_among(given, Traits(u64::MAX))
    }

    /// The same, looking at `among` alone.
    pub fn check_among(&self, given: Traits, among: Traits) -> Result<(), Rejection> {
        let Self { name, what, .. } = self;
        let mut first = None;
        for (bit, option) in TRAIT_NAMES.iter().enumerate() {
            let bit = Traits(1 << bit);
            if !among.any(bit) {
                continue;
            }
            if !given.any(bit) {
                if self.required.any(bit) {
                    let text = format!("You need to supply the '{option}' option for the '{name}' {what}");
                    return Err(Rejection::local(text));
                }
            } else if self.exclusive.any(bit) {
                if let Some(first) = first {
                    let text =
                        format!("The option '{option}' conflicts with the '{first}' option in the '{name}' {what}");
                    return Err(Rejection::local(text));
                }
                first = Some(option);
            } else if !self.required.any(bit) && !self.optional.any(bit) {
                return Err(Rejection::local(format!("Illegal '{option}' option with the '{name}' {what}")));
            }
        }
        Ok(())
    }
}

const SERVICE_OPTIONS: &[Trait] =
    &[Trait::Scheduler, Trait::Persistent, Trait::Netmask, Trait::Ops, Trait::Pe, Trait::SchedFlags];
const SERVER_OPTIONS: &[Trait] = &[
    Trait::Forward,
    Trait::Weight,
    Trait::UThreshold,
    Trait::LThreshold,
    Trait::TunType,
    Trait::TunPort,
    Trait::TunNocsum,
    Trait::TunCsum,
    Trait::TunRemcsum,
];

pub const ADD_SERVICE: Rule = Rule::command("add-service", &[Trait::Service], SERVICE_OPTIONS);
pub const EDIT_SERVICE: Rule = Rule::command("edit-service", &[Trait::Service], SERVICE_OPTIONS);
pub const DELETE_SERVICE: Rule = Rule::command("delete-service", &[Trait::Service], &[]);
pub const CLEAR: Rule = Rule::command("flush", &[], &[]);
pub const LIST: Rule = Rule {
    name: "list",
    what: "command",
    required: Traits(0),
    optional: Traits::of(&[
        Trait::Numeric,
        Trait::Stats,
        Trait::Rate,
        Trait::Thresholds,
        Trait::PersistentConn,
        Trait::Nosort,
        Trait::Syncid,
        Trait::Exact,
        Trait::TunInfo,
    ]),
    exclusive: Traits::of(&[Trait::Connection, Trait::Service, Trait::Timeout, Trait::Daemon]),
};
pub const ADD_SERVER: Rule = Rule::command("add-server", &[Trait::Service, Trait::Server], SERVER_OPTIONS);
pub const EDIT_SERVER: Rule = Rule::command("edit-server", &[Trait::Service, Trait::Server], SERVER_OPTIONS);
pub const DELETE_SERVER: Rule = Rule::command("delete-server", &[Trait::Service, Trait::Server], &[]);
pub const SET: Rule = Rule::command("set", &[], &[]);
pub const START_DAEMON: Rule = Rule::command(
    "start-daemon",
    &[],
    &[Trait::Mcast, Trait::Syncid, Trait::McastGroup, Trait::McastPort, Trait::McastTtl, Trait::SyncMaxlen],
);
pub const STOP_DAEMON: Rule = Rule::command("stop-daemon", &[], &[Trait::Syncid]);
pub const RESTORE: Rule = Rule::command("restore", &[], &[]);
pub const SAVE: Rule = Rule::command("save", &[], &[Trait::Numeric]);
pub const ZERO: Rule = Rule::command("zero", &[], &[Trait::Service]);

/// The options whose place a tunnel type decides.
pub const TUNNEL_DETAILS: Traits = Traits::of(&[Trait::TunPort, Trait::TunNocsum, Trait::TunCsum, Trait::TunRemcsum]);
/// All options that ask for a tunnel.
pub const TUNNEL: Traits =
    Traits::of(&[Trait::TunType, Trait::TunPort, Trait::TunNocsum, Trait::TunCsum, Trait::TunRemcsum]);

const fn tunnel(name: &'static str, required: &[Trait], exclusive: &[Trait]) -> Rule {
    Rule {
        name,
        what: "tunnel type",
        required: Traits::of(required),
        optional: Traits(0),
        exclusive: Traits::of(exclusive),
    }
}

pub const IPIP: Rule = tunnel("ipip", &[], &[]);
pub const GUE: Rule = tunnel("gue", &[Trait::TunPort], &[Trait::TunNocsum, Trait::TunCsum, Trait::TunRemcsum]);
pub const GRE: Rule = tunnel("gre", &[], &[Trait::TunNocsum, Trait::TunCsum]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        for (at, row) in TABLE.iter().enumerate() {
            assert_eq!(row.0 as usize, at, "{}", row.1);
        }
    }
}

//! Data to text: the listings and the saved form. Pure but for [`Names`].

use std::fmt::Write as _;
use std::net::IpAddr;

use super::Format;
use super::names::Names;
use crate::config::{Info, Timeouts};
use crate::daemon::Daemon;
use crate::dest::{Checksum, DestEntry, Forward, Tunnel};
use crate::service::{Family, Flags, Netmask, Protocol, Service, ServiceEntry, ServiceId};
use crate::stats::Stats;

// Writing to a String cannot fail; this keeps the lines short.
macro_rules! put {
    ($out:expr, $($arg:tt)*) => {{ let _infallible = write!($out, $($arg)*); }};
}

/// Longest `address:port` in a line; the original's buffer.
const NAME: usize = 59;

/// The first line of a listing of everything.
pub fn banner(out: &mut String, info: &Info) {
    let (major, minor, patch) = info.version_parts();
    put!(out, "IP Virtual Server version {major}.{minor}.{patch} (size={})\n", info.conn_table_size as i32);
}

/// The column heads.
pub fn title(out: &mut String, format: &Format) {
    const LEFT: &str = "Prot LocalAddress:Port";
    const RIGHT: &str = "  -> RemoteAddress:Port";
    if format.stats {
        let heads = ["Conns", "InPkts", "OutPkts", "InBytes", "OutBytes"];
        put!(out, "{LEFT:<33}{}\n{RIGHT}\n", right_heads(heads));
    } else if format.rate {
        put!(out, "{LEFT:<33}{}\n{RIGHT}\n", right_heads(["CPS", "InPPS", "OutPPS", "InBPS", "OutBPS"]));
    } else if format.thresholds {
        let (a, b, c, d) = ("Uthreshold", "Lthreshold", "ActiveConn", "InActConn");
        put!(out, "{LEFT:<33} {a:<10} {b:<10} {c:<10} {d:<10}\n{RIGHT}\n");
    } else if format.persistent_conn {
        let (a, b, c, d) = ("Weight", "PersistConn", "ActiveConn", "InActConn");
        put!(out, "{LEFT:<33} {a:<9} {b:<11} {c:<10} {d:<10}\n{RIGHT}\n");
    } else {
        let tunnel = if format.tun_info { "TunnelInfo    " } else { "" };
        put!(out, "{LEFT} Scheduler Flags\n");
        put!(out, "{RIGHT:<33} Forward {tunnel}Weight ActiveConn InActConn\n");
    }
}

fn right_heads(heads: [&str; 5]) -> String {
    heads.iter().map(|head| format!(" {head:>8}")).collect()
}

/// A service and its destinations in a listing; `dests` in the order wanted.
pub fn entry(out: &mut String, service: &ServiceEntry, dests: &[DestEntry], format: &Format, names: &dyn Names) {
    let mut name = String::new();
    let protocol = listed_name(&mut name, &service.service.id, format, names);
    if format.stats || format.rate {
        put!(out, "{name:<33}");
        for value in columns(&service.stats, format) {
            large(out, value, format);
        }
    } else {
        put!(out, "{name} {}", service.service.scheduler);
        listed_options(out, &service.service);
    }
    out.push('\n');
    for dest in dests {
        listed_dest(out, dest, protocol, format, names);
    }
}

/// `TCP  10.1.0.1:80`; returns the protocol that names the destinations' ports.
fn listed_name(out: &mut String, id: &ServiceId, format: &Format, names: &dyn Names) -> Protocol {
    match *id {
        // A mark is printed as the signed number the original takes it for.
        ServiceId::Mark { mark, family } => {
            put!(out, "FWM  {}{}", mark.get() as i32, if family == Family::V6 { " IPv6" } else { "" });
            Protocol::Tcp
        }
        ServiceId::Address { protocol, address, port } => {
            let short = match protocol {
                Protocol::Tcp => "TCP",
                Protocol::Udp => "UDP",
                Protocol::Sctp => "SCTP",
                Protocol::Other(_) => "?",
            };
            put!(out, "{short:<4} ");
            endpoint(out, address, port, protocol, format, names);
            if address.is_ipv4() {
                truncate(out, 33);
            }
            protocol
        }
    }
}

/// Scheduler flags, persistence and the rest behind the scheduler's name.
fn listed_options(out: &mut String, service: &Service) {
    let flags = flag_names(service);
    if !flags.is_empty() {
        put!(out, " ({flags})");
    }
    if service.flags.contains(Flags::PERSISTENT) {
        put!(out, " persistent {}", service.timeout);
        mask(out, service, "mask");
        if let Some(pe) = &service.pe_name {
            put!(out, " pe {pe}");
        }
    }
    if service.flags.contains(Flags::ONE_PACKET) {
        out.push_str(" ops");
    }
}

fn listed_dest(out: &mut String, entry: &DestEntry, protocol: Protocol, format: &Format, names: &dyn Names) {
    let dest = &entry.dest;
    out.push_str("  -> ");
    let start = out.len();
    endpoint(out, dest.address, dest.port, protocol, format, names);
    if dest.address.is_ipv4() {
        truncate_from(out, start, 28);
    }
    pad(out, start, 28);
    let (active, inactive) = (entry.active, entry.inactive);
    if format.stats {
        for value in columns(&entry.stats, format) {
            large(out, value, format);
        }
    } else if format.rate {
        let stats = &entry.stats;
        put!(out, " {:>8} {:>8} {:>8}", stats.cps, stats.in_pps, stats.out_pps);
        large(out, stats.in_bps, format);
        large(out, stats.out_bps, format);
    } else if format.thresholds {
        put!(out, " {:<10} {:<10} {active:<10} {inactive:<10}", dest.upper, dest.lower);
    } else if format.persistent_conn {
        put!(out, " {:<9} {:<11} {active:<10} {inactive:<10}", dest.weight, entry.persistent);
    } else {
        put!(out, " {:<7} ", forward_name(dest.forward));
        if format.tun_info {
            put!(out, "{:<13} ", tunnel_info(dest.forward));
        }
        put!(out, "{:<6} {active:<10} {inactive:<10}", dest.weight);
    }
    out.push('\n');
}

/// A service and its destinations as commands. Thresholds are left out, as the original does.
pub fn commands(out: &mut String, service: &ServiceEntry, dests: &[DestEntry], format: &Format, names: &dyn Names) {
    let service = &service.service;
    let mut name = String::new();
    let protocol = match service.id {
        ServiceId::Mark { mark, family } => {
            put!(name, "-f {}{}", mark.get() as i32, if family == Family::V6 { " -6" } else { "" });
            Protocol::Tcp
        }
        ServiceId::Address { protocol, address, port } => {
            name.push_str(match protocol {
                Protocol::Tcp => "-t ",
                Protocol::Udp => "-u ",
                Protocol::Sctp => "--sctp-service ",
                Protocol::Other(_) => "--xxx-service ",
            });
            endpoint(&mut name, address, port, protocol, format, names);
            protocol
        }
    };
    put!(out, "-A {name} -s {}", service.scheduler);
    if service.flags.contains(Flags::PERSISTENT) {
        put!(out, " -p {}", service.timeout);
        mask(out, service, "-M");
    }
    if let Some(pe) = &service.pe_name {
        put!(out, " --pe {pe}");
    }
    if service.flags.contains(Flags::ONE_PACKET) {
        out.push_str(" -o");
    }
    let flags = flag_names(service);
    if !flags.is_empty() {
        put!(out, " -b {flags}");
    }
    out.push('\n');
    for DestEntry { dest, .. } in dests {
        put!(out, "-a {name} -r ");
        endpoint(out, dest.address, dest.port, protocol, format, names);
        let switch = match dest.forward {
            Forward::Masq => "-m",
            Forward::Tunnel(_) => "-i",
            Forward::Direct | Forward::Local => "-g",
            Forward::Bypass => "(null)",
        };
        put!(out, " {switch} -w {}", dest.weight);
        match dest.forward {
            Forward::Tunnel(Tunnel::Ipip) => out.push_str(" --tun-type ipip"),
            Forward::Tunnel(Tunnel::Gue { port, checksum }) => {
                put!(out, " --tun-type gue --tun-port {port} {}", checksum_option(checksum));
            }
            Forward::Tunnel(Tunnel::Gre { checksum }) => {
                put!(out, " --tun-type gre {}", checksum_option(checksum));
            }
            Forward::Masq | Forward::Local | Forward::Direct | Forward::Bypass => {}
        }
        out.push('\n');
    }
}

/// `-L --timeout`.
pub fn timeouts(out: &mut String, timeouts: &Timeouts) {
    let Timeouts { tcp, tcp_fin, udp } = timeouts;
    put!(out, "Timeout (tcp tcpfin udp): {tcp} {tcp_fin} {udp}\n");
}

/// `-L --daemon`.
pub fn daemons(out: &mut String, daemons: &[Daemon]) {
    for daemon in daemons {
        put!(out, "{} sync daemon (mcast={}, syncid={}", daemon.role, daemon.interface, daemon.sync_id);
        if daemon.max_len != 0 {
            put!(out, ", maxlen={}", daemon.max_len);
        }
        if let Some(group) = daemon.group {
            put!(out, ", group={group}");
        }
        if daemon.port != 0 {
            put!(out, ", port={}", daemon.port);
        }
        if daemon.ttl != 0 {
            put!(out, ", ttl={}", daemon.ttl);
        }
        out.push_str(")\n");
    }
}

/// Puts services in the original's order: marks last, then by family, protocol, address, port.
pub fn sort_services<T>(services: &mut Vec<T>, entry: impl Fn(&T) -> &ServiceEntry) {
    merge_sort(services, &|a, b| {
        let key = |item: &T| match entry(item).service.id {
            ServiceId::Mark { mark, family } => (mark.get(), family.number(), 6, None, 0),
            ServiceId::Address { protocol, address, port } => {
                (0, Family::of(address).number(), protocol.number(), Some(address), port)
            }
        };
        let ((mark_a, family_a, protocol_a, address_a, port_a), (mark_b, family_b, protocol_b, address_b, port_b)) =
            (key(a), key(b));
        first_difference(&[
            mark_a.wrapping_sub(mark_b) as i32,
            i32::from(family_a) - i32::from(family_b),
            i32::from(protocol_a) - i32::from(protocol_b),
            address_difference(address_a, address_b),
            i32::from(port_a) - i32::from(port_b),
        ])
    });
}

/// Puts destinations in the original's order: by address, then port.
pub fn sort_dests(dests: &mut Vec<DestEntry>) {
    merge_sort(dests, &|a, b| {
        let (a, b) = (&a.dest, &b.dest);
        first_difference(&[address_difference(Some(a.address), Some(b.address)), i32::from(a.port) - i32::from(b.port)])
    });
}

fn first_difference(differences: &[i32]) -> i32 {
    differences.iter().copied().find(|difference| *difference != 0).unwrap_or(0)
}

/// The original subtracts unsigned words and takes the result for signed, so that addresses further apart
/// than 2^31 change places (192.168.0.1 comes before 10.0.0.1). How many words it looks at is up to the
/// first address.
fn address_difference(a: Option<IpAddr>, b: Option<IpAddr>) -> i32 {
    let words = |address: Option<IpAddr>| -> [u32; 4] {
        match address {
            Some(IpAddr::V4(v4)) => [v4.to_bits(), 0, 0, 0],
            Some(IpAddr::V6(v6)) => {
                let bits = v6.to_bits();
                [(bits >> 96) as u32, (bits >> 64) as u32, (bits >> 32) as u32, bits as u32]
            }
            None => [0; 4],
        }
    };
    let count = if matches!(a, Some(IpAddr::V6(_))) { 4 } else { 1 };
    let (a, b) = (words(a), words(b));
    let differences = [0, 1, 2, 3].map(|at| a[at].wrapping_sub(b[at]) as i32);
    first_difference(&differences[..count])
}

/// A stable merge sort that halves as glibc's `qsort` does. The comparison above is not transitive: std's
/// sorts may panic on such, and the order that comes out depends on the algorithm.
fn merge_sort<T>(items: &mut Vec<T>, difference: &dyn Fn(&T, &T) -> i32) {
    if items.len() < 2 {
        return;
    }
    let mut right = items.split_off(items.len() / 2);
    let mut left = std::mem::take(items);
    merge_sort(&mut left, difference);
    merge_sort(&mut right, difference);
    items.reserve(left.len() + right.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        items.extend(if difference(a, b) <= 0 { left.next() } else { right.next() });
    }
    items.extend(left);
    items.extend(right);
}

fn columns(stats: &Stats, format: &Format) -> [u64; 5] {
    if format.stats {
        [stats.conns, stats.in_packets, stats.out_packets, stats.in_bytes, stats.out_bytes]
    } else {
        [stats.cps, stats.in_pps, stats.out_pps, stats.in_bps, stats.out_bps]
    }
}

/// Nine columns, shortened to thousands and so on from a hundred million up unless `exact`.
fn large(out: &mut String, value: u64, format: &Format) {
    if format.exact {
        put!(out, " {value:>8}");
        return;
    }
    match value {
        0..100_000_000 => put!(out, "{value:>9}"),
        100_000_000..1_000_000_000 => put!(out, "{:>8}K", value / 1_000),
        1_000_000_000..100_000_000_000 => put!(out, "{:>8}M", value / 1_000_000),
        100_000_000_000..100_000_000_000_000 => put!(out, "{:>8}G", value / 1_000_000_000),
        _ => put!(out, "{:>8}T", value / 1_000_000_000_000),
    }
}

fn flag_names(service: &Service) -> String {
    let list: [(Flags, &str); 3] = match service.scheduler.as_str() {
        "sh" => [(Flags::SH_FALLBACK, "sh-fallback"), (Flags::SH_PORT, "sh-port"), (Flags::NONE, "")],
        "mh" => [(Flags::MH_FALLBACK, "mh-fallback"), (Flags::MH_PORT, "mh-port"), (Flags::NONE, "")],
        _ => [(Flags::SCHED1, "flag-1"), (Flags::SCHED2, "flag-2"), (Flags::SCHED3, "flag-3")],
    };
    let set: Vec<&str> =
        list.iter().filter(|(flag, _)| service.flags.intersects(*flag)).map(|(_, name)| *name).collect();
    set.join(",")
}

fn mask(out: &mut String, service: &Service, word: &str) {
    if service.netmask == Netmask::full(service.id.family()) {
        return;
    }
    match service.netmask {
        Netmask::V4(mask) => put!(out, " {word} {mask}"),
        Netmask::V6(length) => put!(out, " {word} {length}"),
    }
}

fn forward_name(forward: Forward) -> &'static str {
    match forward {
        Forward::Masq => "Masq",
        Forward::Local => "Local",
        Forward::Tunnel(_) => "Tunnel",
        Forward::Direct => "Route",
        Forward::Bypass => "(null)",
    }
}

fn tunnel_info(forward: Forward) -> String {
    let short = |checksum| match checksum {
        Checksum::None => "-c",
        Checksum::Full => "+c",
        Checksum::Remote => "r+c",
    };
    match forward {
        Forward::Tunnel(Tunnel::Ipip) => "ipip".to_owned(),
        Forward::Tunnel(Tunnel::Gue { port, checksum }) => format!("gue:{port}:{}", short(checksum)),
        Forward::Tunnel(Tunnel::Gre { checksum }) => format!("gre:{}", short(checksum)),
        Forward::Masq | Forward::Local | Forward::Direct | Forward::Bypass => "n/a".to_owned(),
    }
}

fn checksum_option(checksum: Checksum) -> &'static str {
    match checksum {
        Checksum::None => "--tun-nocsum",
        Checksum::Full => "--tun-csum",
        Checksum::Remote => "--tun-remcsum",
    }
}

/// `10.1.0.1:80`, `[fd00::1]:80`, or names where they are known and wanted.
pub fn endpoint(out: &mut String, address: IpAddr, port: u16, protocol: Protocol, format: &Format, names: &dyn Names) {
    let start = out.len();
    let (open, close) = if address.is_ipv4() { ("", "") } else { ("[", "]") };
    if format.numeric {
        put!(out, "{open}{address}{close}:{port}");
    } else {
        match names.address_to_host(address) {
            Some(host) => put!(out, "{open}{host}{close}:"),
            None => put!(out, "{open}{address}{close}:"),
        }
        match names.port_to_service(port, protocol) {
            Some(service) => out.push_str(&service),
            None => put!(out, "{port}"),
        }
    }
    truncate_from(out, start, NAME);
}

fn truncate(out: &mut String, max: usize) {
    truncate_from(out, 0, max);
}

/// Cuts what begins at `start` to `max` bytes.
fn truncate_from(out: &mut String, start: usize, max: usize) {
    let mut end = out.len().min(start + max);
    while !out.is_char_boundary(end) {
        end -= 1;
    }
    out.truncate(end);
}

/// Fills what begins at `start` to `width` with blanks.
fn pad(out: &mut String, start: usize, width: usize) {
    for _ in (out.len() - start)..width {
        out.push(' ');
    }
}

#[cfg(test)]
mod tests;

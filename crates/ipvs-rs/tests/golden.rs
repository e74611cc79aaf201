//! Against what Debian's `ipvsadm` 1.31 and a 6.1 kernel said to each other, recorded byte by byte
//! (`../shared/fixtures/ipvs-golden`, made by the bench's golden scenario).

mod support;

use std::collections::BTreeMap;

use ipvs::cli::names::Numbers;
use ipvs::cli::{Command, Format, Listing, message, parse, render};
use ipvs::error::ErrorKind;
use ipvs::wire::{Attrs, Cmd, Encoder, Messages, NLMSG_ERROR};
use ipvs::{Daemon, DestEntry, Error, Family, Info, Request, ServiceEntry, Timeouts};
use support::{Exchange, IPVS_FAMILY, Record, recorded};

fn parsed(record: &Record) -> Result<Command, ipvs::cli::Rejection> {
    let words: Vec<&str> = record.cmd.split_ascii_whitespace().collect();
    parse::parse("ipvsadm", &words, &Numbers)
}

/// The attributes as (path of numbers, bytes), and only those the kernel reads for the command.
fn essence(request: &Request, message: &[u8]) -> BTreeMap<Vec<u16>, Vec<u8>> {
    let message = Messages(message).next().expect("one message").expect("well-formed");
    let mut found = BTreeMap::new();
    for attr in message.attrs().expect("generic header") {
        let attr = attr.expect("well-formed");
        if attr.kind > 3 {
            found.insert(vec![attr.kind], attr.data.to_vec());
            continue;
        }
        for inner in attr.nested() {
            let inner = inner.expect("well-formed");
            let whole = matches!(
                (attr.kind, request),
                (1, Request::AddService(_) | Request::SetService(_))
                    | (2, Request::AddDest(..) | Request::SetDest(..))
                    | (3, Request::StartDaemon(_))
            );
            let identity: &[u16] = match attr.kind {
                1 => &[1, 2, 3, 4, 5],
                2 => &[1, 2, 11],
                _ => &[1],
            };
            let zero_tunnel = attr.kind == 2 && inner.kind >= 13 && inner.data.iter().all(|b| *b == 0);
            if (whole || identity.contains(&inner.kind)) && !zero_tunnel {
                found.insert(vec![attr.kind, inner.kind], inner.data.to_vec());
            }
        }
    }
    found
}

#[test]
fn the_same_command_lines_make_the_same_requests_and_messages() {
    let mut compared = 0;
    for record in recorded() {
        let request = match parsed(&record) {
            Ok(Command::Change(request)) => request,
            Ok(_) => continue,
            Err(rejection) => {
                assert_eq!(i32::from(rejection.status), record.rc, "{}", record.cmd);
                assert_eq!(rejection.text, record.out.trim_end(), "{}", record.cmd);
                continue;
            }
        };
        let exchanges = record.exchanges();
        let theirs = exchanges
            .iter()
            .find(|exchange| exchange.cmd == request.command() as u8)
            .unwrap_or_else(|| panic!("{}: nothing recorded for {:?}", record.cmd, request.command()));
        let mut out = Encoder::new();
        request.encode(&mut out, IPVS_FAMILY, 1);
        assert_eq!(essence(&request, out.bytes()), essence(&request, &theirs.request), "{}", record.cmd);

        let errno = theirs.errno();
        assert_eq!(if errno == 0 { 0 } else { 255 }, record.rc, "{}", record.cmd);
        let said = match errno {
            0 => String::new(),
            errno => {
                let command = request.command();
                let kind = ErrorKind::of(command, errno);
                message::text(&Error::Refused { command, object: request.to_string(), kind, errno })
            }
        };
        assert_eq!(said, record.out.trim_end(), "{}", record.cmd);
        compared += 1;
    }
    assert!(compared > 60, "only {compared} commands compared");
}

fn replies<T>(exchange: &Exchange, decode: impl Fn(Attrs<'_>) -> T) -> Vec<T> {
    exchange
        .messages()
        .filter(|message| message.kind == IPVS_FAMILY)
        .map(|message| decode(message.attrs().expect("generic header")))
        .collect()
}

fn services(exchange: &Exchange) -> Vec<ServiceEntry> {
    replies(exchange, |attrs| ServiceEntry::decode(attrs).expect("a service"))
}

fn dests(exchange: &Exchange) -> Vec<DestEntry> {
    replies(exchange, |attrs| DestEntry::decode(attrs, Family::V4).expect("a destination"))
}

#[test]
fn listings_from_the_kernels_replies_are_those_of_the_original() {
    let mut compared = 0;
    for record in recorded() {
        let (what, format, saving) = match parsed(&record) {
            Ok(Command::List(Listing::Connections, _)) => continue,
            Ok(Command::List(what, format)) => (what, format, false),
            Ok(Command::Save(format)) => (Listing::All, format, true),
            _ => continue,
        };
        let exchanges = record.exchanges();
        let of = |cmd: Cmd| exchanges.iter().filter(move |exchange| exchange.cmd == cmd as u8);
        let mut out = String::new();
        match what {
            Listing::Timeouts => {
                let found =
                    replies(of(Cmd::GetConfig).next().expect("asked"), |a| Timeouts::decode(a).expect("timeouts"));
                render::timeouts(&mut out, &found[0]);
            }
            Listing::Daemons => {
                let found = replies(of(Cmd::GetDaemon).next().expect("asked"), |a| Daemon::decode(a).expect("daemon"));
                render::daemons(&mut out, &found);
            }
            _ => table(&mut out, what, &format, saving, &exchanges),
        }
        assert_eq!(out, record.out, "{}", record.cmd);
        compared += 1;
    }
    assert!(compared >= 14, "only {compared} listings compared");
}

fn table(out: &mut String, what: Listing, format: &Format, saving: bool, exchanges: &[Exchange]) {
    let of = |cmd: Cmd| exchanges.iter().filter(move |exchange| exchange.cmd == cmd as u8);
    if what == Listing::All && !saving {
        let info = replies(of(Cmd::GetInfo).next().expect("asked"), |a| Info::decode(a).expect("info"));
        render::banner(out, &info[0]);
    }
    let mut services = services(of(Cmd::GetService).next().expect("asked"));
    render::sort_services(&mut services, |service| service);
    if !saving {
        render::title(out, format);
    }
    // The original reads the destinations of the services in the sorted order.
    let mut lists = of(Cmd::GetDest).map(dests);
    for service in &services {
        let mut dests = lists.next().expect("a dump for every service");
        render::sort_dests(&mut dests);
        let write = if saving { render::commands } else { render::entry };
        write(out, service, &dests, format, &Numbers);
    }
}

#[test]
fn what_the_kernel_reports_can_be_sent_back_and_read_again() {
    let (mut services_seen, mut dests_seen) = (0, 0);
    for record in recorded() {
        for exchange in record.exchanges() {
            if exchange.cmd == Cmd::GetService as u8 {
                for mut entry in services(&exchange) {
                    let mut out = Encoder::new();
                    Request::AddService(entry.service.clone()).encode(&mut out, IPVS_FAMILY, 1);
                    entry.stats = ipvs::Stats::default();
                    let message = Messages(out.bytes()).next().expect("one").expect("well-formed");
                    assert_eq!(ServiceEntry::decode(message.attrs().expect("attrs")), Ok(entry));
                    services_seen += 1;
                }
            }
            if exchange.cmd == Cmd::GetDest as u8 {
                dests_seen += dests(&exchange).len();
            }
        }
    }
    assert!(services_seen > 100 && dests_seen > 80, "{services_seen} services, {dests_seen} destinations");
}

#[test]
fn a_refusal_is_read_whether_or_not_it_echoes_the_request() {
    let mut refusals = 0;
    for record in recorded() {
        for exchange in record.exchanges() {
            for message in exchange.messages().filter(|message| message.kind == NLMSG_ERROR) {
                refusals += usize::from(message.errno().expect("an errno") != 0);
            }
        }
    }
    assert!(refusals > 15, "only {refusals}");
}

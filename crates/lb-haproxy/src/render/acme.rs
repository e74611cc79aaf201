//! Who proves to an ACME server that a host's name leads here (HTTP-01: RFC 8555, section 8.3).
//!
//! The answer is the token that was asked for and the thumbprint of the account's key, so that nothing must be told to
//! HAProxy for an order, and both units of a pair can answer. A token is no secret, and a thumbprint none either: only
//! who has the account's key can order by them. Hosts that nothing is obtained for are not answered for: their own
//! servers may have an ACME client.

use super::{Lines, Places};
use crate::files;
use lb_model::{
    Config, Layer7VirtualServer, Ports, Protocol, Service,
    layer7::{Acme, ProxyMode},
};
use std::{collections::BTreeSet, net::IpAddr};

const HERE: &str = "/layer7/acme";
/// RFC 8555, section 8.3: base64url.
const TOKEN: &str = "^/\\.well-known/acme-challenge/[A-Za-z0-9_-]{1,128}$";

fn is_at(ports: &Ports) -> bool {
    ports.ranges().iter().any(|range| (range.first..=range.last).contains(&Acme::PORT))
}

/// Clients speak plain HTTP with it on the port to which the server comes.
fn answers(vs: &Layer7VirtualServer) -> bool {
    vs.mode == ProxyMode::Http && vs.tls.is_none() && is_at(&vs.ports)
}

/// Addresses on which certificates that are obtained are shown, and nobody else has the port.
fn own(config: &Config) -> BTreeSet<IpAddr> {
    let layer7 = &config.layer7;
    let obtained: BTreeSet<_> = layer7.obtained().map(|certificate| &certificate.label).collect();
    let shows = |vs: &&Layer7VirtualServer| {
        vs.tls.as_ref().is_some_and(|tls| tls.certificates.iter().any(|label| obtained.contains(label)))
    };
    let taken = |address: &IpAddr| {
        layer7.virtual_servers.iter().any(|vs| vs.address == *address && is_at(&vs.ports))
            || config.virtual_servers.iter().any(|vs| match &vs.service {
                Service::Address { address: other, protocol, ports, .. } => {
                    other == address && *protocol != Protocol::Udp && is_at(ports)
                }
                Service::FirewallMark { .. } => false,
            })
    };
    layer7.virtual_servers.iter().filter(shows).map(|vs| vs.address).filter(|address| !taken(address)).collect()
}

/// Whether an ACME server finds anybody who answers.
pub fn answered(config: &Config) -> bool {
    config.layer7.virtual_servers.iter().any(answers) || !own(config).is_empty()
}

/// In front of whatever else a frontend decides.
pub(super) fn rule(config: &Config, vs: &Layer7VirtualServer, places: &Places, lines: &mut Lines) {
    if answers(vs) {
        answer(config, places, lines);
    }
}

fn answer(config: &Config, places: &Places, lines: &mut Lines) {
    let Some(thumbprint) = places.acme.as_ref().filter(|_| config.layer7.obtained().next().is_some()) else { return };
    let hosts = files::path(&places.certificates, files::HOSTS);
    lines.put(HERE, format_args!("acl acme:token path -m reg {TOKEN}"));
    lines.put(HERE, format_args!("acl acme:host req.hdr(host),host_only,lower -m str -f {hosts}"));
    let text = format!("lf-string %[path,field(-1,/)].{thumbprint}");
    lines.put(
        HERE,
        format_args!("http-request return status 200 content-type text/plain {text} if acme:token acme:host"),
    );
}

/// Listens where certificates are shown and nobody does.
pub(super) fn write(config: &Config, places: &Places, lines: &mut Lines) {
    if places.acme.is_none() {
        return;
    }
    for address in own(config) {
        let place = std::net::SocketAddr::new(address, Acme::PORT);
        // A section's name has no brackets.
        lines.section(HERE, format_args!("frontend acme:{address} from http"));
        lines.put(HERE, format_args!("bind {place}"));
        lines.put(HERE, "log global");
        answer(config, places, lines);
        lines.put(HERE, "http-request return status 404");
    }
}

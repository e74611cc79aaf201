//! The way of answers to connections that layer 7 made under clients' addresses (`Documentation/networking/tproxy.rst`): a
//! rule sends packets with our mark to a table of our own, whose one route says that every address is this machine's.

use super::{Net, ROUTE_OWNER};
use crate::Cause;
use lb_model::Family;
use lb_plan::Ruleset;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    route::{RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType},
    rule::{RuleAction, RuleAttribute, RuleMessage},
};
use nix::errno::Errno;
use std::collections::{BTreeMap, BTreeSet};

/// Ours alone, as the protocol of our routes is.
const TABLE: u8 = ROUTE_OWNER;
/// Before the main table's rule, which is 32766.
const PRIORITY: u32 = 76;
/// The loopback's number, in every network namespace.
const LOOPBACK: u32 = 1;

impl Net {
    pub(in super::super) fn add_detour(&mut self, family: Family) -> Result<(), Cause> {
        self.change(RouteNetlinkMessage::NewRoute(route(family)), NLM_F_CREATE | NLM_F_REPLACE)?;
        match self.change(RouteNetlinkMessage::NewRule(rule(family)), NLM_F_CREATE | NLM_F_EXCL) {
            Err(Cause::Errno(Errno::EEXIST)) => Ok(()),
            other => other,
        }
    }

    pub(in super::super) fn del_detour(&mut self, family: Family) -> Result<(), Cause> {
        for gone in [RouteNetlinkMessage::DelRule(rule(family)), RouteNetlinkMessage::DelRoute(route(family))] {
            match self.change(gone, 0) {
                Err(Cause::Errno(Errno::ENOENT | Errno::ESRCH)) => {}
                other => other?,
            }
        }
        Ok(())
    }

    pub(super) fn detour_rules(&mut self) -> Result<BTreeSet<Family>, Cause> {
        let mut families = BTreeSet::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut all = RuleMessage::default();
            all.header.family = family;
            for message in self.dump(RouteNetlinkMessage::GetRule(all))? {
                if let RouteNetlinkMessage::NewRule(message) = message {
                    families.extend(rule_family(&message));
                }
            }
        }
        Ok(families)
    }
}

/// Those of which there is something; `true`: all of it.
pub(super) fn of(routes: &BTreeSet<Family>, rules: &BTreeSet<Family>) -> BTreeMap<Family, bool> {
    let whole = |family: &Family| routes.contains(family) && rules.contains(family);
    routes.union(rules).map(|family| (*family, whole(family))).collect()
}

fn address_family(family: Family) -> AddressFamily {
    match family {
        Family::Ipv4 => AddressFamily::Inet,
        Family::Ipv6 => AddressFamily::Inet6,
    }
}

fn family(of: AddressFamily) -> Option<Family> {
    match of {
        AddressFamily::Inet => Some(Family::Ipv4),
        AddressFamily::Inet6 => Some(Family::Ipv6),
        _ => None,
    }
}

fn route(family: Family) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header = RouteHeader {
        address_family: address_family(family),
        table: TABLE,
        protocol: RouteProtocol::Other(ROUTE_OWNER),
        scope: RouteScope::Host,
        kind: RouteType::Local,
        ..RouteHeader::default()
    };
    message.attributes.push(RouteAttribute::Oif(LOOPBACK));
    message
}

fn rule(family: Family) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = address_family(family);
    message.header.table = TABLE;
    message.header.action = RuleAction::ToTable;
    message.attributes = vec![
        RuleAttribute::Priority(PRIORITY),
        RuleAttribute::FwMark(Ruleset::DETOUR),
        RuleAttribute::FwMask(u32::MAX),
        RuleAttribute::Protocol(RouteProtocol::Other(ROUTE_OWNER)),
    ];
    message
}

/// Of our route.
pub(super) fn route_family(message: &RouteMessage) -> Option<Family> {
    let header = &message.header;
    let ours = header.protocol == RouteProtocol::Other(ROUTE_OWNER) && header.table == TABLE;
    let everything = header.kind == RouteType::Local && header.destination_prefix_length == 0;
    family(header.address_family).filter(|_| ours && everything)
}

/// Of our rule.
fn rule_family(message: &RuleMessage) -> Option<Family> {
    let has = |attribute: &RuleAttribute| message.attributes.contains(attribute);
    let ours = message.header.table == TABLE
        && has(&RuleAttribute::FwMark(Ruleset::DETOUR))
        && has(&RuleAttribute::Protocol(RouteProtocol::Other(ROUTE_OWNER)));
    family(message.header.family).filter(|_| ours)
}

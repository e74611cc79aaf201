//! One rtnetlink socket without a runtime: a request, then its answers.
//!
//! heartbeat's hands use it: they run on a thread of their own and want one system call each way.

use crate::Cause;
use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage},
};
use nix::{
    errno::Errno,
    sys::{
        socket::{
            AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt,
            socket, sockopt,
        },
        time::{TimeVal, TimeValLike},
    },
};
use std::{
    os::fd::{AsRawFd, OwnedFd},
    time::Duration,
};

/// The kernel answers inside the request, unless somebody holds its lock.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The kernel fills datagrams up to 32 KiB.
const DATAGRAM: usize = 32 * 1024;
/// Netlink messages begin at multiples of four.
const ALIGN: usize = 4;

pub(super) struct RouteSocket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

/// A card, its name, and whether frames can travel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CardState {
    pub(super) name: String,
    pub(super) index: u32,
    /// Ethernet only.
    pub(super) mac: Option<[u8; 6]>,
    /// Up, and with a carrier.
    pub(super) runs: bool,
}

impl RouteSocket {
    pub(super) fn open() -> Result<Self, Cause> {
        let fd = RouteSocket::subscribe(0)?;
        setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::seconds(TIMEOUT.as_secs() as i64))?;
        Ok(RouteSocket { fd, sequence: 0, buffer: vec![0; DATAGRAM] })
    }

    /// A bare socket in these multicast groups (`RTMGRP_*`).
    pub(super) fn subscribe(groups: u32) -> Result<OwnedFd, Cause> {
        let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        Ok(fd)
    }

    pub(super) fn ask(&mut self, message: RouteNetlinkMessage, flags: u16) -> Result<Vec<RouteNetlinkMessage>, Cause> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | flags;
        request.header.sequence_number = self.sequence;
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        send(self.fd.as_raw_fd(), &bytes, MsgFlags::empty())?;
        let mut found = Vec::new();
        loop {
            let length = match recv(self.fd.as_raw_fd(), &mut self.buffer, MsgFlags::empty()) {
                Ok(length) => length,
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => return Err(Cause::NoAnswer(TIMEOUT)),
                Err(error) => return Err(error.into()),
            };
            for answer in messages(&self.buffer[..length])? {
                // An answer to a request that was given up.
                if answer.header.sequence_number != self.sequence {
                    continue;
                }
                match answer.payload {
                    NetlinkPayload::InnerMessage(message) => found.push(message),
                    NetlinkPayload::Error(error) if error.code.is_some() => {
                        return Err(Cause::Errno(Errno::from_raw(error.raw_code().wrapping_neg())));
                    }
                    // An error of code 0 is the acknowledgement.
                    NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => return Ok(found),
                    _ => {}
                }
            }
        }
    }

    pub(super) fn cards(&mut self) -> Result<Vec<CardState>, Cause> {
        let all = self.ask(RouteNetlinkMessage::GetLink(LinkMessage::default()), NLM_F_DUMP)?;
        Ok(all.iter().filter_map(card).collect())
    }
}

/// The messages of one datagram.
pub(super) fn messages(mut bytes: &[u8]) -> Result<Vec<NetlinkMessage<RouteNetlinkMessage>>, Cause> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes)
            .map_err(|error| Cause::Netlink(error.to_string()))?;
        let length = (message.header.length as usize).next_multiple_of(ALIGN).max(ALIGN);
        found.push(message);
        bytes = bytes.get(length..).unwrap_or_default();
    }
    Ok(found)
}

pub(super) fn card(message: &RouteNetlinkMessage) -> Option<CardState> {
    let RouteNetlinkMessage::NewLink(LinkMessage { header, attributes, .. }) = message else { return None };
    let (mut name, mut mac) = (None, None);
    for attribute in attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = Some(text.clone()),
            LinkAttribute::Address(bytes) => mac = bytes.as_slice().try_into().ok(),
            _ => {}
        }
    }
    let ethernet = header.link_layer_type == LinkLayerType::Ether;
    let runs = header.flags.contains(LinkFlags::Up) && header.flags.contains(LinkFlags::LowerUp);
    Some(CardState { name: name?, index: header.index, mac: mac.filter(|_| ethernet), runs })
}

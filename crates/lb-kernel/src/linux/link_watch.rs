//! Which interfaces have a link, told as it changes.

use super::route_socket::{CardState, RouteSocket, card, messages};
use crate::{Cause, KernelError};
use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::{RouteNetlinkMessage, link::LinkAttribute};
use nix::{
    errno::Errno,
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{MsgFlags, recv},
};
use std::{
    collections::HashMap,
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

/// The interfaces at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links(pub(super) HashMap<String, CardState>);

impl Links {
    /// Up, and with a carrier.
    pub fn up(&self, interface: &str) -> bool {
        self.0.get(interface).is_some_and(|card| card.runs)
    }
}

/// The links of the namespace in which it was opened. Where many change at once it asks for all of them again, which
/// may wait for the kernel's network lock: watch from a thread that may.
pub struct LinkWatch {
    route: RouteSocket,
    news: OwnedFd,
    links: Links,
}

impl LinkWatch {
    pub fn open() -> Result<LinkWatch, KernelError> {
        let open = || -> Result<LinkWatch, Cause> {
            // First the news, then the state: so no change is missed.
            let news = RouteSocket::subscribe(libc::RTMGRP_LINK as u32)?;
            let mut watch = LinkWatch { route: RouteSocket::open()?, news, links: Links::default() };
            watch.look()?;
            Ok(watch)
        };
        open().map_err(|cause| KernelError::new("watch the links", cause))
    }

    fn look(&mut self) -> Result<(), Cause> {
        self.links = Links(self.route.cards()?.into_iter().map(|card| (card.name.clone(), card)).collect());
        Ok(())
    }

    pub fn links(&self) -> &Links {
        &self.links
    }

    /// Waits until something has changed; what has.
    pub fn wait(&mut self) -> Result<&Links, Cause> {
        loop {
            let mut wait = [PollFd::new(self.news.as_fd(), PollFlags::POLLIN)];
            match poll(&mut wait, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
            if self.take_news()? {
                return Ok(&self.links);
            }
        }
    }

    /// Takes what has changed, without waiting; whether anything has.
    pub fn take_news(&mut self) -> Result<bool, Cause> {
        let (mut buffer, mut changed) = (vec![0; 32 * 1024], false);
        loop {
            let length = match recv(self.news.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(length) => length,
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => return Ok(changed),
                // More has happened than there was room for.
                Err(Errno::ENOBUFS) => {
                    self.look()?;
                    changed = true;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            for message in messages(&buffer[..length])? {
                let NetlinkPayload::InnerMessage(message) = message.payload else { continue };
                changed |= self.learn(&message);
            }
        }
    }

    fn learn(&mut self, message: &RouteNetlinkMessage) -> bool {
        if let RouteNetlinkMessage::DelLink(link) = message {
            let name = link.attributes.iter().find_map(|attribute| match attribute {
                LinkAttribute::IfName(name) => Some(name),
                _ => None,
            });
            return name.is_some_and(|name| self.links.0.remove(name).is_some());
        }
        let Some(card) = card(message) else { return false };
        // A card may have got another name.
        self.links.0.retain(|name, known| known.index != card.index || *name == card.name);
        self.links.0.insert(card.name.clone(), card.clone()) != Some(card)
    }
}

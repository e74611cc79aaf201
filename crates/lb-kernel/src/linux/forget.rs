//! Making the kernel forget one persistence template.
//!
//! IPVS has no call for it (`ip_vs_ctl.c`: services, destinations, daemons, time-outs). What it has is the backup half
//! of its synchronisation, which sets the time-out of a template that it is told of. So: a backup daemon on the
//! loopback for a moment, one message, and a look whether the template went.
//!
//! ```text
//!  start backup on lo (own port and id) -> message: 1 second -> in the table: gone | still there -> stop backup
//! ```
//! A template whose client has connections stays until they are gone (`ip_vs_conn_expire`: asked again every minute),
//! and the next connection gives it its full time again.
//!
//! In a pair the backup daemon is there already and stays; it is told by a message that does not leave this machine, and
//! the other unit as if our master had said it, so that the template does not come back with a take-over.

use super::inspector::{TABLE, read_table};
use crate::{Cause, Forgotten, Template, transfer};
use ipvs::{Daemon, DaemonRole, Ipvs, sync};
use socket2::{Domain, Socket, Type};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    ops::ControlFlow,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// One at a time: there is one backup daemon.
static TURN: Mutex<()> = Mutex::new(());

/// One entry is far shorter.
const LONGEST_MESSAGE: u16 = 1024;
/// The kernel's timer has a second to run, and expires within another.
const LONGEST: Duration = Duration::from_secs(5);
/// What is there after so long has its second behind it, and was kept.
const KEPT: Duration = Duration::from_millis(2500);
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Stops the daemon whatever comes.
struct Backup(Ipvs);

impl Drop for Backup {
    fn drop(&mut self) {
        if let Err(error) = self.0.stop_daemon(DaemonRole::Backup) {
            tracing::warn!("stopping the backup daemon: {error}");
        }
    }
}

pub(super) fn forget(template: &Template) -> Result<Forgotten, Cause> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(before) = look(template)? else { return Ok(Forgotten::Gone) };
    let refused = |why: &str| Err(Cause::Refused(why.to_owned()));
    let Some(protocol) = transfer::number(&template.protocol) else {
        return refused("the template's protocol is not known");
    };
    let Template { client, virtual_server, real_server, .. } = *template;
    // Seconds, from now on: 0 would mean three minutes.
    let named = sync::Connection::template(protocol, client, virtual_server, real_server, 1);
    let mut kernel = Ipvs::open()?;
    let running = kernel.daemons()?;
    let of = |role| running.iter().find(|daemon| daemon.role == role);
    let _stopped = match of(DaemonRole::Backup) {
        Some(backup) => {
            tell(&named, backup, Reach::Here)?;
            if let Some(master) = of(DaemonRole::Master) {
                tell(&named, master, Reach::Network)?;
            }
            None
        }
        None => {
            // A port and an id that nobody else on this machine can know beforehand.
            let port = free_port()?;
            let mut daemon = Daemon::new(DaemonRole::Backup, "lo", 1 + u32::from(port % 255));
            daemon.port = port;
            // Link-local multicast; on the loopback it reaches nobody else.
            daemon.group = Some(IpAddr::V4(sync::GROUP));
            kernel.start_daemon(daemon.clone())?;
            let stopped = Backup(kernel);
            tell(&named, &daemon, Reach::Here)?;
            Some(stopped)
        }
    };
    // Its second runs from when the daemon reads the message.
    let sent = Instant::now();
    let mut heard = None;
    while sent.elapsed() < LONGEST {
        std::thread::sleep(LOOK_EVERY);
        match look(template)? {
            None => return Ok(Forgotten::Gone),
            Some(left) if heard.is_none() && (left + 5 < before || left <= 1) => heard = Some(Instant::now()),
            Some(_) if heard.is_some_and(|at| at.elapsed() > KEPT) => return Ok(Forgotten::InUse),
            Some(_) => {}
        }
    }
    Err(Cause::NoAnswer(LONGEST))
}

/// How far a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Here,
    Network,
}

/// Says it under that daemon's id on its card.
fn tell(named: &sync::Connection, daemon: &Daemon, reach: Reach) -> Result<(), Cause> {
    let IpAddr::V4(group) = daemon.group.unwrap_or(IpAddr::V4(sync::GROUP)) else {
        return Err(Cause::Refused("connections are synchronised over IPv6, which others do on this unit".into()));
    };
    let mut message = sync::Message::new(u8::try_from(daemon.sync_id).unwrap_or(0), LONGEST_MESSAGE);
    if message.push(named).is_err() {
        let why = "the template's server is of another address family than its clients";
        return Err(Cause::Refused(why.to_owned()));
    }
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.bind_device(Some(daemon.interface.as_bytes()))?;
    socket.set_multicast_loop_v4(reach == Reach::Here)?;
    // With 0 no card sends it.
    socket.set_multicast_ttl_v4(if reach == Reach::Here { 0 } else { 1 })?;
    socket.send_to(message.bytes(), &SocketAddr::from((group, daemon.port)).into())?;
    Ok(())
}

/// Seconds that the template has left.
fn look(template: &Template) -> Result<Option<u32>, Cause> {
    let mut left = None;
    let whole = read_table(&mut |c| {
        let same = c.is_template()
            && c.protocol == template.protocol
            && c.client == template.client
            && c.virtual_server == template.virtual_server
            && c.real_server == template.real_server;
        if same {
            left = Some(c.expires);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    match whole {
        Ok(ControlFlow::Break(()) | ControlFlow::Continue(())) => Ok(left),
        Err(source) => Err(Cause::File { path: TABLE.into(), source }),
    }
}

/// One that nobody has at this moment.
fn free_port() -> std::io::Result<u16> {
    Ok(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

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
//! and the next connection gives it its full time again. Where a backup daemon runs already, its pair's templates are
//! the master's business: refused.

use super::inspector::{TABLE, read_table};
use crate::{Cause, Forgotten, Template, transfer};
use ipvs::{Daemon, DaemonRole, Ipvs, sync};
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
    let mut kernel = Ipvs::open()?;
    if kernel.daemons()?.iter().any(|d| d.role == DaemonRole::Backup) {
        return refused("connections are received from the other unit of the pair; remove the entry there");
    }
    // A port and an id that nobody else on this machine can know beforehand.
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = free_port()?;
    let sync_id = 1 + (port % 255) as u8;
    let Template { client, virtual_server, real_server, .. } = *template;
    // Seconds, from now on: 0 would mean three minutes.
    let named = sync::Connection::template(protocol, client, virtual_server, real_server, 1);
    let mut message = sync::Message::new(sync_id, LONGEST_MESSAGE);
    if message.push(&named).is_err() {
        return refused("the template's server is of another address family than its clients");
    }
    let mut daemon = Daemon::new(DaemonRole::Backup, "lo", sync_id.into());
    daemon.port = port;
    // Link-local multicast; on the loopback it reaches nobody else.
    daemon.group = Some(IpAddr::V4(sync::GROUP));
    kernel.start_daemon(daemon)?;
    let _stopped = Backup(kernel);
    let socket = socket2::Socket::from(socket);
    socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST)?;
    socket.set_multicast_loop_v4(true)?;
    socket.send_to(message.bytes(), &SocketAddr::from((sync::GROUP, port)).into())?;
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

//! One command, one answer, over one of HAProxy's sockets (Management Guide 9.3 and 9.4); both bounded. A table may be
//! longer than what one keeps: its lines are looked at as they come.

use socket2::{Domain, SockAddr, Socket, Type};
use std::{
    io::{self, Read as _, Write as _},
    net::Shutdown,
    ops::ControlFlow,
    path::Path,
    time::{Duration, Instant},
};

/// `show stat` of 10,000 virtual servers with ten servers each is about this long.
const LONGEST: usize = 64 << 20;

/// The longest line of a table: a key has 64 characters, each of which may take four.
const LONGEST_LINE: usize = 64 << 10;

pub(super) fn ask(socket: &Path, command: &str, limit: Duration) -> io::Result<String> {
    let mut answer = Vec::new();
    let whole = chunks(socket, command, limit, &mut |chunk| {
        answer.extend_from_slice(chunk);
        if answer.len() > LONGEST { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if whole.is_break() {
        return Err(io::Error::other(format!("its answer has more than {LONGEST} bytes")));
    }
    String::from_utf8(answer).map_err(io::Error::other)
}

/// The answer's lines as they come, of which none is kept, until `see` breaks.
pub(super) fn lines(
    socket: &Path,
    command: &str,
    limit: Duration,
    see: &mut dyn FnMut(&str) -> ControlFlow<()>,
) -> io::Result<ControlFlow<()>> {
    let mut rest = Vec::new();
    let mut too_long = false;
    let end = chunks(socket, command, limit, &mut |chunk| {
        rest.extend_from_slice(chunk);
        let mut done = 0;
        while let Some(length) = rest[done..].iter().position(|byte| *byte == b'\n') {
            see(&String::from_utf8_lossy(&rest[done..done + length]))?;
            done += length + 1;
        }
        rest.drain(..done);
        too_long = rest.len() > LONGEST_LINE;
        if too_long { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    match too_long {
        true => Err(io::Error::other(format!("a line of its answer has more than {LONGEST_LINE} bytes"))),
        false => Ok(end),
    }
}

fn chunks(
    socket: &Path,
    command: &str,
    limit: Duration,
    take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) -> io::Result<ControlFlow<()>> {
    let deadline = Instant::now() + limit;
    let mut stream = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Before the connection: a full queue makes that wait as well.
    stream.set_write_timeout(Some(limit))?;
    stream.connect(&SockAddr::unix(socket)?)?;
    stream.write_all(format!("{command}\n").as_bytes())?;
    // The master closes only after its client.
    stream.shutdown(Shutdown::Write)?;
    let mut chunk = [0; 1 << 16];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(ControlFlow::Continue(())),
            Ok(n) => {
                if take(&chunk[..n]).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Err(io::ErrorKind::TimedOut.into()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

//! One command, one answer, over one of HAProxy's sockets (Management Guide 9.3 and 9.4); both bounded.

use socket2::{Domain, SockAddr, Socket, Type};
use std::{
    io::{self, Read as _, Write as _},
    net::Shutdown,
    path::Path,
    time::{Duration, Instant},
};

/// `show stat` of 10,000 virtual servers with ten servers each is about this long.
const LONGEST: usize = 64 << 20;

pub(super) fn ask(socket: &Path, command: &str, limit: Duration) -> io::Result<String> {
    let deadline = Instant::now() + limit;
    let mut stream = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Before the connection: a full queue makes that wait as well.
    stream.set_write_timeout(Some(limit))?;
    stream.connect(&SockAddr::unix(socket)?)?;
    stream.write_all(format!("{command}\n").as_bytes())?;
    // The master closes only after its client.
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    let mut chunk = [0; 1 << 16];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => answer.extend_from_slice(&chunk[..n]),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Err(io::ErrorKind::TimedOut.into()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
        if answer.len() > LONGEST {
            return Err(io::Error::other(format!("its answer has more than {LONGEST} bytes")));
        }
    }
    String::from_utf8(answer).map_err(io::Error::other)
}

//! Log lines on stderr, where the supervisor's logger takes them; one event, one line. Nobody waits for that logger: it
//! stands still while the disk is full, and what it cannot take is lost.
//!
//! A line feed in somebody's comment must not look like a line of ours: control characters become blanks. Where there
//! is no supervisor, with a fake kernel, the lines are also kept as its logger would, to be shown like those.

use lbd::logs::Keeper;
use std::{
    io::{self, IsTerminal, Write},
    sync::{Mutex, PoisonError},
};
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

/// Lines that wait for the logger; some hundred bytes each.
const WAITING: usize = 2000;

/// Level `info`, unless `RUST_LOG` says otherwise. The supervisor's logger adds the time. Who drops the guard waits for
/// the last lines.
pub fn init(keeper: Option<Keeper>) -> WorkerGuard {
    let (out, guard) = NonBlockingBuilder::default().buffered_lines_limit(WAITING).finish(io::stderr());
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,sled=warn"));
    let format = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Lines { keeper: keeper.map(Mutex::new), out })
        .with_ansi(false)
        .with_target(false);
    if io::stderr().is_terminal() {
        format.init()
    } else {
        format.without_time().init()
    }
    guard
}

struct Lines {
    keeper: Option<Mutex<Keeper>>,
    out: NonBlocking,
}

struct Line<'a>(&'a Lines);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

/// Is given one whole event.
impl Write for Line<'_> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let line = one_line(event);
        if let Some(keeper) = &self.0.keeper {
            // A log that cannot be kept is no reason to stop.
            let _ = keeper.lock().unwrap_or_else(PoisonError::into_inner).keep(&line);
        }
        self.0.out.clone().write_all(&line)?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The event with its own line feed at the end as the only control character in it.
fn one_line(event: &[u8]) -> Vec<u8> {
    let event = event.strip_suffix(b"\n").unwrap_or(event);
    let mut line: Vec<u8> = event.iter().map(|b| if b.is_ascii_control() { b' ' } else { *b }).collect();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn nobodys_words_make_a_line_of_their_own() {
        assert_eq!(one_line(b" INFO a\n2026-11-21 check: b\r\x1b[2J\n"), b" INFO a 2026-11-21 check: b  [2J\n");
        assert_eq!(one_line("größe".as_bytes()), "größe\n".as_bytes());
    }
}

//! The paths: bytes in and out, without waiting.
//!
//! Each path is a device or socket that may be missing: it is opened anew every second until it is there, and after
//! it has gone. What stands in its way is told once. All of them are read empty before the node looks at its clock.

mod serial;
mod udp;

use crate::outlet::Log;
use lb_ha::document::Transport;
use serial::SerialLine;
use std::{
    io,
    task::{Context, Poll},
    time::{Duration, Instant},
};
use udp::UdpPath;

/// A device that is missing is looked for this often.
const AGAIN: Duration = Duration::from_secs(1);
/// At one go from one path, more than its socket's queue holds: after a freeze all that waits comes before the timer.
pub const AT_ONCE: usize = 1024;

enum Open {
    Serial(SerialLine),
    Udp(UdpPath),
}

struct PathWork {
    name: String,
    transport: Transport,
    open: Option<Open>,
    again: Instant,
    error: Option<String>,
}

/// All paths of a node, in the order of the settings.
pub struct Paths {
    paths: Vec<PathWork>,
    log: Log,
}

impl Paths {
    pub fn new(log: &Log) -> Paths {
        Paths { paths: Vec::new(), log: log.clone() }
    }

    /// Paths that stay as they are stay open.
    pub fn set(&mut self, wanted: impl Iterator<Item = (String, Transport)>) {
        let mut before = std::mem::take(&mut self.paths);
        for (name, transport) in wanted {
            let same = before.iter().position(|path| path.transport == transport);
            self.paths.push(match same {
                Some(at) => PathWork { name, ..before.swap_remove(at) },
                None => PathWork { name, transport, open: None, again: Instant::now(), error: None },
            });
        }
        // What is no longer wanted must be closed before its address or device is opened again.
        drop(before);
        self.open_missing();
    }

    /// Opens what is due; when the next one is.
    pub fn open_missing(&mut self) -> Option<Instant> {
        let now = Instant::now();
        for path in self.paths.iter_mut().filter(|path| path.open.is_none() && path.again <= now) {
            let opened = match &path.transport {
                Transport::Serial(serial) => SerialLine::open(serial).map(Open::Serial),
                Transport::Udp(udp) => UdpPath::open(udp).map(Open::Udp),
            };
            match opened {
                Ok(open) => {
                    if path.error.take().is_some() {
                        self.log.info(format!("path {} is open", path.name));
                    }
                    path.open = Some(open);
                }
                Err(error) => path.fail(&error, &self.log),
            }
        }
        self.paths.iter().filter(|path| path.open.is_none()).map(|path| path.again).min()
    }

    /// Sends without waiting. What does not fit is lost: the next frame says the same or something newer.
    pub fn send(&mut self, paths: &[u8], bytes: &[u8]) {
        for number in paths {
            let Some(path) = self.paths.get_mut(usize::from(*number)) else { continue };
            let sent = match &mut path.open {
                Some(Open::Serial(line)) => line.send(bytes),
                Some(Open::Udp(udp)) => udp.send(bytes),
                None => continue,
            };
            if let Err(error) = sent {
                path.lost(&error, &self.log);
            }
        }
    }

    /// Hands over what waits; whether more may wait.
    pub fn drain(&mut self, mut frame: impl FnMut(u8, &[u8])) -> bool {
        let mut more = false;
        for (number, path) in (0..).zip(&mut self.paths) {
            let drained = match &mut path.open {
                Some(Open::Serial(line)) => line.drain(|bytes| frame(number, bytes)),
                Some(Open::Udp(udp)) => udp.drain(|bytes| frame(number, bytes)),
                None => continue,
            };
            match drained {
                Ok(rest) => more |= rest,
                Err(error) => path.lost(&error, &self.log),
            }
        }
        more
    }

    /// Ready when one of them may have something to read, or has room for the rest of what is being sent.
    pub fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut ready = Poll::Pending;
        for path in &mut self.paths {
            let polled = match &mut path.open {
                Some(Open::Serial(line)) => line.poll_ready(context),
                Some(Open::Udp(udp)) => udp.poll_ready(context),
                None => continue,
            };
            match polled {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => ready = Poll::Ready(()),
                Poll::Ready(Err(error)) => {
                    path.lost(&error, &self.log);
                    ready = Poll::Ready(());
                }
            }
        }
        ready
    }

    pub fn errors(&self) -> Vec<Option<String>> {
        self.paths.iter().map(|path| path.error.clone()).collect()
    }

    pub fn name(&self, number: u8) -> String {
        self.paths.get(usize::from(number)).map_or_else(|| number.to_string(), |path| path.name.clone())
    }
}

impl PathWork {
    /// It cannot be opened: told once, tried again.
    fn fail(&mut self, error: &io::Error, log: &Log) {
        self.open = None;
        self.again = Instant::now() + AGAIN;
        let text = error.to_string();
        if self.error.as_ref() != Some(&text) {
            log.warn(format!("path {}: {text}", self.name));
            self.error = Some(text);
        }
    }

    /// It was open. A network that is down takes no frames and comes back; a device that is gone is another one then.
    fn lost(&mut self, error: &io::Error, log: &Log) {
        let passing = [io::ErrorKind::NetworkDown, io::ErrorKind::NetworkUnreachable, io::ErrorKind::HostUnreachable];
        if !passing.contains(&error.kind()) {
            self.fail(error, log);
        }
    }
}

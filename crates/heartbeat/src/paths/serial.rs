//! A serial line: 8N1, raw, no flow control. Unplugged and plugged in again it is opened anew.

use super::AT_ONCE;
use crate::ready;
use lb_ha::{document::Serial, serial};
use lb_kernel::open_serial;
use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
    task::{Context, Poll},
};
use tokio::io::{Interest, unix::AsyncFd};

pub(super) struct SerialLine {
    device: AsyncFd<File>,
    decoder: serial::Decoder,
    /// What the line had no room for yet: the rest of one frame at most.
    rest: Vec<u8>,
}

impl SerialLine {
    pub(super) fn open(wanted: &Serial) -> io::Result<SerialLine> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", wanted.device));
        let device = open_serial(Path::new(&wanted.device), wanted.baud).map_err(named)?;
        let device = ready::watch(device, Interest::READABLE | Interest::WRITABLE)?;
        Ok(SerialLine { device, decoder: serial::Decoder::default(), rest: Vec::new() })
    }

    /// A frame that finds the one before it still waiting is not sent: the line is slower than the beats.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_rest()?;
        if self.rest.is_empty() {
            self.rest = serial::encode(bytes);
            self.write_rest()?;
        }
        Ok(())
    }

    fn write_rest(&mut self) -> io::Result<()> {
        while !self.rest.is_empty() {
            match self.device.get_ref().write(&self.rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => drop(self.rest.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(super) fn drain(&mut self, mut frame: impl FnMut(&[u8])) -> io::Result<bool> {
        self.write_rest()?;
        let mut buffer = [0; 1024];
        for _ in 0..AT_ONCE {
            match self.device.get_ref().read(&mut buffer) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the line was hung up")),
                Ok(length) => self.decoder.push(&buffer[..length], &mut frame),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    pub(super) fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.rest.is_empty()
            && let Poll::Ready(room) = self.device.poll_write_ready(context)
        {
            room?.clear_ready();
            return Poll::Ready(Ok(()));
        }
        self.device.poll_read_ready(context).map_ok(|mut guard| guard.clear_ready())
    }
}

//! A serial line: 8N1, raw, no flow control. Unplugged and plugged in again it is opened anew.

use super::AT_ONCE;
use crate::ready;
use lb_ha::{document::Serial, serial};
use nix::sys::termios::{
    BaudRate, ControlFlags, FlushArg, SetArg, SpecialCharacterIndices, cfmakeraw, cfsetspeed, tcflush, tcgetattr,
    tcsetattr,
};
use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
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
        let flags = nix::libc::O_NOCTTY | nix::libc::O_NONBLOCK;
        let name = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", wanted.device));
        let device =
            OpenOptions::new().read(true).write(true).custom_flags(flags).open(&wanted.device).map_err(name)?;
        let mut line = tcgetattr(&device)?;
        cfmakeraw(&mut line);
        cfsetspeed(&mut line, baud(wanted.baud)?)?;
        line.control_flags.remove(ControlFlags::CSTOPB | ControlFlags::CRTSCTS | ControlFlags::PARENB);
        // The cable has no modem: its control lines say nothing.
        line.control_flags.insert(ControlFlags::CLOCAL | ControlFlags::CREAD | ControlFlags::CS8);
        // Reading nothing means hung up, and is told apart from "nothing yet".
        line.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
        line.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
        tcsetattr(&device, SetArg::TCSANOW, &line)?;
        // What waited there was said to a predecessor.
        tcflush(&device, FlushArg::TCIOFLUSH)?;
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

fn baud(speed: u32) -> io::Result<BaudRate> {
    Ok(match speed {
        4800 => BaudRate::B4800,
        9600 => BaudRate::B9600,
        19_200 => BaudRate::B19200,
        38_400 => BaudRate::B38400,
        57_600 => BaudRate::B57600,
        115_200 => BaudRate::B115200,
        230_400 => BaudRate::B230400,
        460_800 => BaudRate::B460800,
        921_600 => BaudRate::B921600,
        other => return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("no serial line has {other} baud"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_speed_of_the_document_is_one_of_the_line() {
        for speed in lb_ha::document::BAUDS {
            assert!(baud(speed).is_ok(), "{speed}");
        }
        assert!(baud(1).is_err());
    }
}

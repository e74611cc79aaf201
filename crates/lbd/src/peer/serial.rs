//! The null-modem cable as bytes: raw, 8N1, no flow control. Nobody else has it while this unit waits for a peer or
//! calls one: a unit that is no pair yet has no heartbeat.

use nix::sys::termios::{
    BaudRate, ControlFlags, FlushArg, SetArg, SpecialCharacterIndices, cfmakeraw, cfsetspeed, tcflush, tcgetattr,
    tcsetattr,
};
use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};
use tokio::io::{Interest, unix::AsyncFd};

pub struct Line(AsyncFd<File>);

impl Line {
    pub fn open(device: &Path, baud: u32) -> io::Result<Line> {
        let flags = nix::libc::O_NOCTTY | nix::libc::O_NONBLOCK;
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(device)?;
        let mut line = tcgetattr(&file)?;
        cfmakeraw(&mut line);
        cfsetspeed(&mut line, speed(baud)?)?;
        line.control_flags.remove(ControlFlags::CSTOPB | ControlFlags::CRTSCTS | ControlFlags::PARENB);
        // The cable has no modem: its control lines say nothing.
        line.control_flags.insert(ControlFlags::CLOCAL | ControlFlags::CREAD | ControlFlags::CS8);
        line.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
        line.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
        tcsetattr(&file, SetArg::TCSANOW, &line)?;
        tcflush(&file, FlushArg::TCIOFLUSH)?;
        watch(file).map(Line)
    }

    /// At least one byte; the end of the line is an error. Safe to drop half-way.
    pub async fn read(&self) -> io::Result<Vec<u8>> {
        let mut buffer = [0; 1024];
        let length = self.0.async_io(Interest::READABLE, |mut file| file.read(&mut buffer)).await?;
        match length {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the line was hung up")),
            length => Ok(buffer[..length].to_vec()),
        }
    }

    pub async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = self.0.async_io(Interest::WRITABLE, |mut file| file.write(bytes)).await?;
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }
}

#[expect(deprecated, reason = "its successor is unsafe, for owners that close or exchange their descriptor")]
fn watch(file: File) -> io::Result<AsyncFd<File>> {
    AsyncFd::with_interest(file, Interest::READABLE | Interest::WRITABLE)
}

fn speed(baud: u32) -> io::Result<BaudRate> {
    Ok(match baud {
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
    #[test]
    fn every_speed_of_the_model_is_one_of_the_line() {
        for baud in lb_model::heartbeat::BAUDS {
            assert!(super::speed(baud).is_ok(), "{baud}");
        }
        assert!(super::speed(1).is_err());
    }
}

//! The null-modem cable's end: a serial line as raw bytes, 8N1, no flow control, not blocking.

use nix::sys::termios::{
    BaudRate, ControlFlags, FlushArg, SetArg, SpecialCharacterIndices, cfmakeraw, cfsetspeed, tcflush, tcgetattr,
    tcsetattr,
};
use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Opens it at one of [`lb_model::heartbeat::BAUDS`]. What waited there was said to a predecessor, and is gone.
pub fn open_serial(device: &Path, speed: u32) -> io::Result<File> {
    let flags = nix::libc::O_NOCTTY | nix::libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(device)?;
    let mut line = tcgetattr(&file)?;
    cfmakeraw(&mut line);
    cfsetspeed(&mut line, baud(speed)?)?;
    line.control_flags.remove(ControlFlags::CSTOPB | ControlFlags::CRTSCTS | ControlFlags::PARENB);
    // The cable has no modem: its control lines say nothing.
    line.control_flags.insert(ControlFlags::CLOCAL | ControlFlags::CREAD | ControlFlags::CS8);
    // Reading nothing means hung up, and is told apart from "nothing yet".
    line.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
    line.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
    tcsetattr(&file, SetArg::TCSANOW, &line)?;
    tcflush(&file, FlushArg::TCIOFLUSH)?;
    Ok(file)
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
    #[test]
    fn every_speed_of_the_model_is_one_of_the_line() {
        for speed in lb_model::heartbeat::BAUDS {
            assert!(super::baud(speed).is_ok(), "{speed}");
        }
        assert!(super::baud(1).is_err());
    }
}

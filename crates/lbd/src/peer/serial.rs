//! The null-modem cable as bytes: raw, 8N1, no flow control. Nobody else has it while this unit waits for a peer or
//! calls one: a unit that is no pair yet has no heartbeat.

use lb_kernel::open_serial;
use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
};
use tokio::io::{Interest, unix::AsyncFd};

pub struct Line(AsyncFd<File>);

impl Line {
    pub fn open(device: &Path, baud: u32) -> io::Result<Line> {
        watch(open_serial(device, baud)?).map(Line)
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

//! The part of the NBD protocol that QEMU's client needs, over a Unix socket.
//!
//! <https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md>: fixed newstyle handshake
//! with NBD_OPT_GO / INFO / EXPORT_NAME / ABORT; simple replies; READ, WRITE, FLUSH, DISC, FUA.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::{Disk, Fuse, Mode};

const OPT_EXPORT_NAME: u32 = 1;
const OPT_ABORT: u32 = 2;
const OPT_INFO: u32 = 6;
const OPT_GO: u32 = 7;
const REP_ACK: u32 = 1;
const REP_INFO: u32 = 3;
const REP_ERR_UNSUP: u32 = 0x8000_0001;
/// HAS_FLAGS, SEND_FLUSH, SEND_FUA.
const TRANSMISSION_FLAGS: u16 = 1 | 4 | 8;
const REQUEST_MAGIC: u32 = 0x2560_9513;
const REPLY_MAGIC: u32 = 0x6744_6698;
const OPTION_REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;
/// More than QEMU ever sends at once (32 MiB): a length beyond is no request.
const LONGEST: u32 = 64 << 20;
const EINVAL: u32 = 22;

/// A disk on a socket, until dropped.
pub struct Server {
    disk: Arc<Mutex<Disk>>,
    socket: PathBuf,
}

impl Server {
    pub fn start(disk: Disk, socket: &Path) -> io::Result<Server> {
        let _ = std::fs::remove_file(socket);
        let listener = UnixListener::bind(socket)?;
        let disk = Arc::new(Mutex::new(disk));
        let shared = Arc::downgrade(&disk);
        std::thread::Builder::new().name("nbd".to_owned()).spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), Some(disk)) = (stream, shared.upgrade()) else {
                    return;
                };
                std::thread::spawn(move || {
                    // The guest is killed in the middle of anything: an end is no error here.
                    let _ = serve(stream, &disk);
                });
            }
        })?;
        Ok(Server { disk, socket: socket.to_owned() })
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// What `qemu -drive` takes for this disk.
    pub fn drive(&self) -> String {
        format!(
            "file.driver=nbd,file.server.type=unix,file.server.path={},format=raw,if=virtio,cache=writeback",
            self.socket.display()
        )
    }

    /// See [`Disk::cut`].
    pub fn cut(&self, mode: Mode) -> io::Result<usize> {
        lock(&self.disk).cut(mode)
    }

    /// See [`Disk::arm`].
    pub fn arm(&self, fuse: Fuse) {
        lock(&self.disk).arm(fuse);
    }

    /// See [`Disk::is_off`].
    pub fn is_off(&self) -> bool {
        lock(&self.disk).is_off()
    }

    pub fn flushes(&self) -> u64 {
        lock(&self.disk).flushes
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.socket);
    }
}

fn lock(disk: &Mutex<Disk>) -> MutexGuard<'_, Disk> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read_u16(from: &mut impl Read) -> io::Result<u16> {
    let mut bytes = [0; 2];
    from.read_exact(&mut bytes)?;
    Ok(u16::from_be_bytes(bytes))
}

fn read_u32(from: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}

fn read_u64(from: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    from.read_exact(&mut bytes)?;
    Ok(u64::from_be_bytes(bytes))
}

fn read_bytes(from: &mut impl Read, length: u32) -> io::Result<Vec<u8>> {
    if length > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; length as usize];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn serve(mut stream: UnixStream, disk: &Mutex<Disk>) -> io::Result<()> {
    let (size, epoch) = {
        let disk = lock(disk);
        if disk.is_off() {
            // QEMU tries again after a connection has ended; it must not find the disk of the next life.
            return Ok(());
        }
        (disk.size(), disk.epoch())
    };
    if handshake(&mut stream, size)? { transmission(&mut stream, disk, epoch) } else { Ok(()) }
}

/// `true`: go on with requests.
fn handshake(stream: &mut UnixStream, size: u64) -> io::Result<bool> {
    // Fixed newstyle, and no zeroes after EXPORT_NAME.
    stream.write_all(b"NBDMAGICIHAVEOPT\x00\x03")?;
    let _client_flags = read_u32(stream)?;
    loop {
        let _magic = read_u64(stream)?;
        let option = read_u32(stream)?;
        let length = read_u32(stream)?;
        let _data = read_bytes(stream, length)?;
        match option {
            OPT_GO | OPT_INFO => {
                // NBD_INFO_EXPORT = 0
                let mut info = vec![0, 0];
                info.extend_from_slice(&size.to_be_bytes());
                info.extend_from_slice(&TRANSMISSION_FLAGS.to_be_bytes());
                option_reply(stream, option, REP_INFO, &info)?;
                option_reply(stream, option, REP_ACK, &[])?;
                if option == OPT_GO {
                    return Ok(true);
                }
            }
            OPT_EXPORT_NAME => {
                let mut answer = size.to_be_bytes().to_vec();
                answer.extend_from_slice(&TRANSMISSION_FLAGS.to_be_bytes());
                stream.write_all(&answer)?;
                return Ok(true);
            }
            OPT_ABORT => {
                option_reply(stream, option, REP_ACK, &[])?;
                return Ok(false);
            }
            _ => option_reply(stream, option, REP_ERR_UNSUP, &[])?,
        }
    }
}

fn option_reply(stream: &mut UnixStream, option: u32, kind: u32, data: &[u8]) -> io::Result<()> {
    let mut reply = OPTION_REPLY_MAGIC.to_be_bytes().to_vec();
    reply.extend_from_slice(&option.to_be_bytes());
    reply.extend_from_slice(&kind.to_be_bytes());
    reply.extend_from_slice(&u32::try_from(data.len()).unwrap_or(0).to_be_bytes());
    reply.extend_from_slice(data);
    stream.write_all(&reply)
}

fn transmission(stream: &mut UnixStream, disk: &Mutex<Disk>, epoch: u64) -> io::Result<()> {
    loop {
        if read_u32(stream)? != REQUEST_MAGIC {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let flags = read_u16(stream)?;
        let command = read_u16(stream)?;
        let handle = read_u64(stream)?;
        let at = read_u64(stream)?;
        let length = read_u32(stream)?;
        let written = if command == 1 { read_bytes(stream, length)? } else { Vec::new() };
        let mut answer = Vec::new();
        let done = {
            let mut disk = lock(disk);
            if disk.epoch() != epoch {
                // The power went; what is left in the socket never reached the disk.
                return Ok(());
            }
            let done = match command {
                0 if length <= LONGEST => {
                    answer.resize(length as usize, 0);
                    disk.read(at, &mut answer)
                }
                1 => disk.write(at, &written, flags & 1 != 0),
                2 => return Ok(()),
                3 => disk.flush(),
                _ => Err(io::ErrorKind::InvalidInput.into()),
            };
            if disk.is_off() {
                return Ok(());
            }
            done
        };
        let error = match done {
            Ok(()) => 0,
            Err(_) => {
                answer.clear();
                EINVAL
            }
        };
        let mut reply = REPLY_MAGIC.to_be_bytes().to_vec();
        reply.extend_from_slice(&error.to_be_bytes());
        reply.extend_from_slice(&handle.to_be_bytes());
        reply.append(&mut answer);
        stream.write_all(&reply)?;
    }
}

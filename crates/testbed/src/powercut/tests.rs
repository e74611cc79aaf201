//! The disk and the protocol; and, ignored for its minutes, the cases under cuts.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use super::disk::{Fuse, PIECE};
use super::{Disk, Mode, Server, Summary};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("powercut-{name}.{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn image(&self) -> PathBuf {
        let image = self.0.join("image");
        std::fs::write(&image, vec![0; 64 * PIECE]).unwrap();
        image
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn byte(disk: &Disk, at: u64) -> u8 {
    let mut one = [0];
    disk.read(at, &mut one).unwrap();
    one[0]
}

#[test]
fn a_cut_drops_what_was_not_flushed_and_keeps_what_was() {
    let folder = Folder::new("drop");
    let mut disk = Disk::new(&folder.image()).unwrap();
    disk.write(100, &[1; 5000], false).unwrap();
    disk.flush().unwrap();
    disk.write(100, &[2; 5000], false).unwrap();
    disk.write(60 * PIECE as u64, &[3; PIECE], true).unwrap();
    assert_eq!((byte(&disk, 99), byte(&disk, 100), byte(&disk, 5099)), (0, 2, 2));
    assert_eq!(disk.cut(Mode::Drop).unwrap(), 1);
    assert_eq!((byte(&disk, 100), byte(&disk, 5099), byte(&disk, 5100)), (1, 1, 0));
    assert_eq!(byte(&disk, 60 * PIECE as u64), 3);
}

#[test]
fn keep_keeps_all_and_a_flush_does_not_bury_a_forced_write() {
    let folder = Folder::new("keep");
    let mut disk = Disk::new(&folder.image()).unwrap();
    disk.write(0, &[1; 10], false).unwrap();
    disk.write(0, &[2; 10], true).unwrap();
    disk.flush().unwrap();
    assert_eq!(byte(&disk, 0), 2);
    disk.write(0, &[3; 10], false).unwrap();
    disk.cut(Mode::Keep).unwrap();
    assert_eq!(byte(&disk, 0), 3);
    assert!(disk.write(64 * PIECE as u64, &[1], false).is_err());
}

#[test]
fn random_keeps_some_pieces_and_the_same_ones_for_a_seed() {
    let cut = |seed| {
        let folder = Folder::new(&format!("random{seed}"));
        let mut disk = Disk::new(&folder.image()).unwrap();
        disk.write(0, &[7; 64 * PIECE], false).unwrap();
        disk.cut(Mode::Random(seed)).unwrap();
        (0..64).map(|piece| byte(&disk, piece * PIECE as u64)).collect::<Vec<_>>()
    };
    let kept = cut(5).iter().filter(|b| **b == 7).count();
    assert!((16..48).contains(&kept), "{kept}");
    assert_eq!(cut(5), cut(5));
    assert_ne!(cut(5), cut(6));
}

#[test]
fn a_fuse_cuts_at_its_request_and_nothing_comes_after_it() {
    let folder = Folder::new("fuse");
    let mut disk = Disk::new(&folder.image()).unwrap();
    disk.arm(Fuse { requests: 4, mode: Mode::Drop });
    disk.write(0, &[1], false).unwrap();
    disk.flush().unwrap();
    disk.write(0, &[2], false).unwrap();
    assert!(!disk.is_off());
    let epoch = disk.epoch();
    assert!(disk.flush().is_err());
    assert!(disk.is_off() && disk.epoch() > epoch);
    assert_eq!(byte(&disk, 0), 1);
    assert_eq!(disk.cut(Mode::Keep).unwrap(), 1);
    assert!(!disk.is_off());
    disk.write(0, &[3], false).unwrap();
    assert_eq!(byte(&disk, 0), 3);
}

/// What QEMU says, in short: GO, then requests.
struct Client(UnixStream);

impl Client {
    fn connect(server: &Server) -> Client {
        let mut stream = UnixStream::connect(server.socket()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut hello = [0; 18];
        stream.read_exact(&mut hello).unwrap();
        assert_eq!(&hello[..16], b"NBDMAGICIHAVEOPT");
        // Client flags; then an option that is not known (8: structured replies), then GO.
        stream.write_all(&3u32.to_be_bytes()).unwrap();
        for (option, replies) in [(8u32, vec![0x8000_0001u32]), (7, vec![3, 1])] {
            stream.write_all(b"IHAVEOPT").unwrap();
            let data: &[u8] = if option == 7 { &[0; 6] } else { &[] };
            stream.write_all(&option.to_be_bytes()).unwrap();
            stream.write_all(&(data.len() as u32).to_be_bytes()).unwrap();
            stream.write_all(data).unwrap();
            for reply in replies {
                let mut head = [0; 20];
                stream.read_exact(&mut head).unwrap();
                assert_eq!(head[8..12], option.to_be_bytes());
                assert_eq!(head[12..16], reply.to_be_bytes());
                let length = u32::from_be_bytes(head[16..20].try_into().unwrap());
                let mut data = vec![0; length as usize];
                stream.read_exact(&mut data).unwrap();
                if reply == 3 {
                    assert_eq!(data[2..10], (64 * PIECE as u64).to_be_bytes());
                }
            }
        }
        Client(stream)
    }

    fn request(&mut self, flags: u16, command: u16, at: u64, length: u32, data: &[u8]) -> Option<Vec<u8>> {
        let mut request = 0x2560_9513u32.to_be_bytes().to_vec();
        request.extend_from_slice(&flags.to_be_bytes());
        request.extend_from_slice(&command.to_be_bytes());
        request.extend_from_slice(&77u64.to_be_bytes());
        request.extend_from_slice(&at.to_be_bytes());
        request.extend_from_slice(&length.to_be_bytes());
        request.extend_from_slice(data);
        self.0.write_all(&request).ok()?;
        let mut reply = [0; 16];
        self.0.read_exact(&mut reply).ok()?;
        assert_eq!(reply[8..], 77u64.to_be_bytes());
        let error = u32::from_be_bytes(reply[4..8].try_into().unwrap());
        let mut answer = vec![0; if command == 0 && error == 0 { length as usize } else { 0 }];
        self.0.read_exact(&mut answer).ok()?;
        (error == 0).then_some(answer)
    }
}

#[test]
fn the_protocol_reads_writes_flushes_and_ends_at_a_cut() {
    let folder = Folder::new("nbd");
    let disk = Disk::new(&folder.image()).unwrap();
    let server = Server::start(disk, &folder.0.join("socket")).unwrap();
    let mut client = Client::connect(&server);
    client.request(0, 1, 512, 3, b"abc").unwrap();
    client.request(0, 3, 0, 0, &[]).unwrap();
    client.request(0, 1, 512, 3, b"xyz").unwrap();
    client.request(1, 1, 8192, 3, b"fua").unwrap();
    assert_eq!(client.request(0, 0, 512, 3, &[]).unwrap(), b"xyz");
    assert_eq!(client.request(0, 0, 64 * PIECE as u64, 1, &[]), None);
    assert_eq!(server.flushes(), 1);
    server.cut(Mode::Drop).unwrap();
    assert_eq!(client.request(0, 1, 512, 3, b"old"), None);
    let mut client = Client::connect(&server);
    assert_eq!(client.request(0, 0, 512, 3, &[]).unwrap(), b"abc");
    assert_eq!(client.request(0, 0, 8192, 3, &[]).unwrap(), b"fua");
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

fn cut(run: impl FnOnce(u32, u64) -> anyhow::Result<Summary>) {
    let seed = number("SEED", std::time::UNIX_EPOCH.elapsed().map_or(1, |d| d.subsec_nanos().into()));
    println!("SEED={seed}");
    let started = std::time::Instant::now();
    let summary = run(u32::try_from(number("CUTS", 12)).unwrap(), seed).unwrap();
    println!("{summary} in {:?}", started.elapsed());
}

#[test]
#[ignore = "minutes: boots QEMU for every cut"]
fn a_power_cut_loses_nothing_that_the_store_acknowledged() {
    cut(super::store::run);
}

#[test]
#[ignore = "minutes: boots QEMU for every cut"]
fn a_power_cut_loses_nothing_that_lbd_acknowledged() {
    cut(super::product::run);
}

//! A null-modem cable: two pseudo terminals, and a thread that carries bytes between them and records the frames.
//!
//! The devices are links below `/dev`, so that they can be unplugged and come back under the same name.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::{errno::Errno, fcntl::OFlag};
use std::{
    collections::VecDeque,
    fs::{File, OpenOptions},
    os::fd::AsFd,
    os::unix::fs::OpenOptionsExt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

/// Frames kept for each direction.
const KEPT: usize = 64;

pub struct Cable {
    folder: tempfile::TempDir,
    cut: Arc<AtomicBool>,
    recorded: Arc<Mutex<[VecDeque<Vec<u8>>; 2]>>,
    plugged: Option<Plugged>,
}

struct Plugged {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// Without anybody at the other end a master gives errors.
    _open: [File; 2],
}

impl Cable {
    pub fn new() -> Cable {
        // A guest may have no shared memory; both are of memory, and below /dev, where devices must be.
        let places = ["/dev/shm", "/dev"].map(std::path::Path::new);
        let place = places.into_iter().find(|place| place.is_dir()).expect("there is /dev");
        let folder = tempfile::Builder::new().prefix("heartbeat").tempdir_in(place).expect("a directory");
        let recorded = Arc::new(Mutex::new([VecDeque::new(), VecDeque::new()]));
        let mut cable = Cable { folder, cut: Arc::new(AtomicBool::new(false)), recorded, plugged: None };
        cable.plug(true);
        cable
    }

    /// Pulls both converters out of their sockets, or puts others in.
    pub fn plug(&mut self, plugged: bool) {
        self.plugged = None;
        let links = [0, 1].map(|end| self.device(end));
        links.iter().for_each(|link| drop(std::fs::remove_file(link)));
        if !plugged {
            return;
        }
        let ends = [(); 2].map(|()| {
            let end = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)
                .expect("a terminal");
            grantpt(&end).expect("granted");
            unlockpt(&end).expect("unlocked");
            end
        });
        let open = [0, 1].map(|end: usize| {
            let device = ptsname_r(&ends[end]).expect("named");
            std::os::unix::fs::symlink(&device, &links[end]).expect("linked");
            let flags = OFlag::O_NOCTTY.bits();
            OpenOptions::new().read(true).write(true).custom_flags(flags).open(&device).expect("opened")
        });
        let stop = Arc::new(AtomicBool::new(false));
        let (is_cut, ends_now, keeps) = (self.cut.clone(), stop.clone(), self.recorded.clone());
        let thread = thread::spawn(move || carry(&ends, &is_cut, &ends_now, &keeps));
        self.plugged = Some(Plugged { stop, thread: Some(thread), _open: open });
    }

    pub fn device(&self, end: usize) -> String {
        self.folder.path().join(format!("tty{end}")).display().to_string()
    }

    pub fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::Relaxed);
    }

    /// The last frames that this end has sent.
    pub fn recorded(&self, end: usize) -> Vec<Vec<u8>> {
        self.recorded.lock().expect("not poisoned")[end].iter().cloned().collect()
    }
}

fn carry(ends: &[PtyMaster; 2], cut: &AtomicBool, stop: &AtomicBool, recorded: &Mutex<[VecDeque<Vec<u8>>; 2]>) {
    let mut decoders = [lb_ha::serial::Decoder::default(), lb_ha::serial::Decoder::default()];
    let mut buffer = [0; 4096];
    while !stop.load(Ordering::Relaxed) {
        let mut wait = [0, 1].map(|end: usize| PollFd::new(ends[end].as_fd(), PollFlags::POLLIN));
        let _ = poll(&mut wait, PollTimeout::from(50_u8));
        for end in 0..2 {
            let length = match nix::unistd::read(&ends[end], &mut buffer) {
                Ok(length) => length,
                Err(Errno::EAGAIN | Errno::EIO) => continue,
                Err(error) => panic!("{error}"),
            };
            if cut.load(Ordering::Relaxed) {
                continue;
            }
            // A full line loses bytes, as a real one without flow control.
            let _ = nix::unistd::write(&ends[1 - end], &buffer[..length]);
            let mut recorded = recorded.lock().expect("not poisoned");
            decoders[end].push(&buffer[..length], |frame| {
                recorded[end].push_back(frame.to_vec());
                if recorded[end].len() > KEPT {
                    recorded[end].pop_front();
                }
            });
        }
    }
}

impl Drop for Plugged {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

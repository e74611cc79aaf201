//! What heartbeat sees of lbd: a socket that answers, or does not.

use std::{
    io::{Read, Write},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

pub struct Lbd {
    socket: PathBuf,
    answers: Arc<AtomicBool>,
}

impl Lbd {
    pub fn start(dir: &Path) -> Lbd {
        let socket = dir.join("lbd");
        let listener = UnixListener::bind(&socket).expect("bound");
        let answers = Arc::new(AtomicBool::new(true));
        let may = answers.clone();
        // It ends with the test.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                if may.load(Ordering::Relaxed) {
                    let _ = stream.read(&mut [0; 256]);
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
                }
            }
        });
        Lbd { socket, answers }
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    pub fn answer(&self, answers: bool) {
        self.answers.store(answers, Ordering::Relaxed);
    }
}

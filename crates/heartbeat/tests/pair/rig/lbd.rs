//! What heartbeat sees of lbd: a socket that answers, well or with a complaint, or does not.

use std::{
    io::{Read, Write},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    Well,
    /// Why this node cannot serve.
    Unfit(&'static str),
    Nothing,
}

pub struct Lbd {
    socket: PathBuf,
    says: Arc<Mutex<Says>>,
}

impl Lbd {
    pub fn start(dir: &Path) -> Lbd {
        let socket = dir.join("lbd");
        let listener = UnixListener::bind(&socket).expect("bound");
        let says = Arc::new(Mutex::new(Says::Well));
        let now = says.clone();
        // It ends with the test.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let body = match *now.lock().expect("not poisoned") {
                    Says::Well => "{}".to_owned(),
                    Says::Unfit(why) => format!("{{\"unfit\":\"{why}\"}}"),
                    Says::Nothing => continue,
                };
                let _ = stream.read(&mut [0; 256]);
                let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            }
        });
        Lbd { socket, says }
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    pub fn says(&self, what: Says) {
        *self.says.lock().expect("not poisoned") = what;
    }
}

//! A null-modem cable between the serial ports of two machines, which can be pulled.
//!
//! Each port is a socket of its QEMU; a thread carries bytes from one to the other while the cable is plugged in, and
//! drops them while it is not. A machine that ends and starts again is found again.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Bytes are waited for so long before the other end has its turn.
const TURN: Duration = Duration::from_millis(1);
/// A port that is not there is looked for this often.
const AGAIN: Duration = Duration::from_millis(50);

/// The cable; dropping it takes it away.
pub struct NullModem {
    plugged: Arc<AtomicBool>,
    ends: Arc<AtomicBool>,
    carriers: Vec<JoinHandle<()>>,
}

impl NullModem {
    /// Between the ports whose sockets are `one` and `two`: those of [`crate::qemu::Builder::cable`].
    pub fn between(one: PathBuf, two: PathBuf) -> NullModem {
        let (plugged, ends) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        let carrier = thread::spawn({
            let (plugged, ends) = (plugged.clone(), ends.clone());
            move || carry(&[one, two], &plugged, &ends)
        });
        NullModem { plugged, ends, carriers: vec![carrier] }
    }

    pub fn pull(&self) {
        self.plugged.store(false, Ordering::SeqCst);
    }

    pub fn plug(&self) {
        self.plugged.store(true, Ordering::SeqCst);
    }
}

impl Drop for NullModem {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        for carrier in self.carriers.drain(..) {
            let _ = carrier.join();
        }
    }
}

fn carry(sockets: &[PathBuf; 2], plugged: &AtomicBool, ends: &AtomicBool) {
    let mut ports: [Option<UnixStream>; 2] = [None, None];
    let mut bytes = [0; 4096];
    while !ends.load(Ordering::SeqCst) {
        for end in 0..2 {
            if ports[end].is_none() {
                ports[end] = open(&sockets[end]);
            }
            let Some(port) = &mut ports[end] else { continue };
            match port.read(&mut bytes) {
                Ok(0) => ports[end] = None,
                Ok(count) if plugged.load(Ordering::SeqCst) => {
                    let lost = ports[1 - end].as_mut().is_some_and(|other| other.write_all(&bytes[..count]).is_err());
                    if lost {
                        ports[1 - end] = None;
                    }
                }
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => ports[end] = None,
            }
        }
        if ports.iter().all(Option::is_none) {
            thread::sleep(AGAIN);
        }
    }
}

fn open(socket: &PathBuf) -> Option<UnixStream> {
    let port = UnixStream::connect(socket).ok()?;
    port.set_read_timeout(Some(TURN)).ok()?;
    // A machine that stands still does not read: its bytes are lost, as on a real line.
    port.set_write_timeout(Some(Duration::from_millis(100))).ok()?;
    Some(port)
}

//! The status socket: `lb_ha::control`, one JSON document a line, mode 0660, group `lb`.
//!
//! It takes the lines apart and passes requests to the loop, with a place for the answer; it decides nothing.

use anyhow::{Context, Result};
use lb_ha::control::{Reply, Request};
use std::{io, os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc::UnboundedSender, oneshot},
    time::timeout,
};

/// Connections at once.
pub const AT_ONCE: u32 = 16;
/// The longest request.
const LINE: u64 = 1024;
/// A connection on which nothing is said is closed.
const IDLE: Duration = Duration::from_secs(60);

/// A request, and where its answer goes.
pub struct Asked {
    pub request: Request,
    pub answer: oneshot::Sender<Reply>,
}

/// The listening socket. One that a killed daemon has left is replaced.
pub fn listen(socket: &Path) -> Result<UnixListener> {
    let doing = || format!("listening on {}", socket.display());
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).with_context(doing),
        _ => {}
    }
    let listener = UnixListener::bind(socket).with_context(doing)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o660)).with_context(doing)?;
    if let Ok(Some(group)) = nix::unistd::Group::from_name("lb") {
        nix::unistd::chown(socket, None, Some(group.gid)).with_context(doing)?;
    }
    Ok(listener)
}

/// Serves until the daemon ends. `places` counts the connections: [`AT_ONCE`] of them.
pub async fn serve(listener: UnixListener, places: Arc<Semaphore>, asked: UnboundedSender<Asked>) {
    loop {
        // Others wait in the listener's queue meanwhile.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(converse(stream, place, asked.clone()))),
            // Out of descriptors: it passes.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn converse(stream: UnixStream, _place: OwnedSemaphorePermit, asked: UnboundedSender<Asked>) {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    loop {
        let mut line = String::new();
        match timeout(IDLE, (&mut read).take(LINE).read_line(&mut line)).await {
            Ok(Ok(1..)) => {}
            Ok(Ok(0) | Err(_)) | Err(_) => return,
        }
        let understood = serde_json::from_str::<Request>(&line);
        let fits = line.ends_with('\n');
        let reply = match understood {
            Ok(request) if fits => {
                let (answer, waits) = oneshot::channel();
                let ended = || Reply::Error { text: "the daemon ends".into() };
                if asked.send(Asked { request, answer }).is_err() {
                    ended()
                } else {
                    waits.await.unwrap_or_else(|_| ended())
                }
            }
            Ok(_) => Reply::Error { text: format!("a request is one line of at most {LINE} bytes") },
            Err(error) => Reply::Error { text: error.to_string() },
        };
        let Ok(mut text) = serde_json::to_vec(&reply) else { return };
        text.push(b'\n');
        if !matches!(timeout(IDLE, write.write_all(&text)).await, Ok(Ok(()))) || !fits {
            return;
        }
    }
}

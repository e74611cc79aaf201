//! Updates and factory settings, for the pages and for the API: the upload, and the orders that go to root's door.
//!
//! lbadmin has no rights: it takes a bundle into one file of its own and asks `lbupdate serve` for the rest, on a socket
//! ([`lb_api::UPDATE_SOCKET`], decision 38). What is uploaded is bounded before and while it comes: no larger than the
//! slot, never the last of the disk, and one at a time. A bundle that is not signed or does not fit is removed at once.
//! lbd is not asked. Tested by `tests/it/update.rs` with a door of its own.

use axum::body::Bytes;
use futures_util::{Stream, StreamExt};
use lb_access::Who;
use lb_api::{
    BUNDLE_NAME, BundleView, UPDATE_LINE, UpdateAct, UpdateAnswer, UpdateOrder, UpdateRefused, UpdateStage, UpdateView,
};
use std::{
    fmt::Display,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    fs::{File, OpenOptions},
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    sync::Mutex,
    time::timeout,
};

/// For an answer: the door mounts the boot partition and the other slot, on a slow disk.
const PATIENCE: Duration = Duration::from_secs(30);
/// An upload of which nothing comes for so long is given up.
const IDLE: Duration = Duration::from_secs(60);
/// And one that is not whole after so long.
pub const UPLOAD_TIME: Duration = Duration::from_secs(3600);
/// Bytes of the data partition that an upload leaves free: the store and the logs live there.
const RESERVE: u64 = 32 << 20;
/// The disk is looked at again after so many bytes.
const STRIDE: u64 = 8 << 20;
/// A bundle's head, bytes (`lb_update::bundle`).
const HEAD: u64 = 8 << 10;

#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    #[error("the service that installs updates does not answer: {0}")]
    Door(io::Error),
    #[error("{}", .0.message)]
    Refused(UpdateRefused),
    #[error("the bundle is larger than the slot: {limit} bytes at most")]
    TooLarge { limit: u64 },
    #[error("the data partition has {free} bytes free, and {wanted} are needed")]
    NoRoom { free: u64, wanted: u64 },
    #[error("another upload is under way")]
    Busy,
    #[error("no bundle is uploaded")]
    NoBundle,
    #[error("the upload broke off: {0}")]
    Broken(String),
    #[error("the bundle cannot be kept: {0}")]
    Disk(io::Error),
}

impl UpdateError {
    pub fn hint(&self) -> Option<String> {
        match self {
            UpdateError::Door(_) => Some("only the appliance has slots; on one, look at Logs > System".into()),
            UpdateError::Refused(refused) => refused.hint.clone(),
            UpdateError::TooLarge { .. } => Some("this needs a new disk image".into()),
            UpdateError::NoRoom { .. } => Some("make room on /data: logs, graphs, backups of yours".into()),
            UpdateError::Busy => Some("wait until it is done".into()),
            UpdateError::NoBundle => Some("upload one first".into()),
            UpdateError::Broken(_) => Some("upload it again".into()),
            UpdateError::Disk(_) => Some("is the data partition full, or read-only?".into()),
        }
    }

    /// A sentence or two, as a page says it.
    pub fn sentence(&self) -> String {
        match self.hint() {
            Some(hint) => format!("{}. {}.", capital(&self.to_string()), capital(&hint)),
            None => format!("{}.", capital(&self.to_string())),
        }
    }
}

/// The first letter is one.
pub fn capital(text: &str) -> String {
    let mut letters = text.trim_end_matches('.').chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + letters.as_str())
}

pub struct Updates {
    socket: PathBuf,
    folder: PathBuf,
    uploading: Mutex<()>,
}

impl Updates {
    /// What a former process left of an upload goes.
    pub fn open(socket: &Path, folder: &Path) -> Updates {
        let updates = Updates { socket: socket.to_owned(), folder: folder.to_owned(), uploading: Mutex::default() };
        let _ = fs::remove_file(updates.part());
        updates
    }

    fn bundle(&self) -> PathBuf {
        self.folder.join(BUNDLE_NAME)
    }

    fn part(&self) -> PathBuf {
        self.folder.join(format!("{BUNDLE_NAME}.part"))
    }

    async fn ask(&self, order: &UpdateOrder) -> Result<UpdateAnswer, UpdateError> {
        let talk = async {
            let mut stream = UnixStream::connect(&self.socket).await?;
            let mut line = serde_json::to_vec(order)?;
            line.push(b'\n');
            stream.write_all(&line).await?;
            let mut answer = String::new();
            BufReader::new(stream.take(UPDATE_LINE)).read_line(&mut answer).await?;
            Ok(serde_json::from_str(&answer)?)
        };
        let late = || io::Error::new(io::ErrorKind::TimedOut, format!("not within {} s", PATIENCE.as_secs()));
        let answer: io::Result<UpdateAnswer> = timeout(PATIENCE, talk).await.unwrap_or_else(|_| Err(late()));
        match answer.map_err(UpdateError::Door)? {
            UpdateAnswer::Refused(refused) => Err(UpdateError::Refused(refused)),
            answer => Ok(answer),
        }
    }

    /// Done, or under way.
    pub async fn act(&self, act: UpdateAct, who: &Who) -> Result<(), UpdateError> {
        self.ask(&UpdateOrder { act, by: by(who), downgrade: false }).await.map(drop)
    }

    pub async fn view(&self) -> Result<UpdateView, UpdateError> {
        let order = UpdateOrder { act: UpdateAct::Status, by: String::new(), downgrade: false };
        match self.ask(&order).await? {
            UpdateAnswer::Unit(view) => Ok(*view),
            other => Err(UpdateError::Door(io::Error::other(format!("it says {other:?}")))),
        }
    }

    /// The uploaded bundle; `None`: there is none. One that is refused now is still there.
    pub async fn uploaded(&self) -> Option<Result<BundleView, UpdateError>> {
        if !self.bundle().is_file() {
            return None;
        }
        let order = UpdateOrder { act: UpdateAct::Check, by: String::new(), downgrade: false };
        Some(match self.ask(&order).await {
            Ok(UpdateAnswer::Bundle(bundle)) => Ok(bundle),
            Ok(other) => Err(UpdateError::Door(io::Error::other(format!("it says {other:?}")))),
            Err(error) => Err(error),
        })
    }

    pub async fn install(&self, downgrade: bool, who: &Who) -> Result<(), UpdateError> {
        if !self.bundle().is_file() {
            return Err(UpdateError::NoBundle);
        }
        self.ask(&UpdateOrder { act: UpdateAct::Install, by: by(who), downgrade }).await.map(drop)
    }

    /// Whether there was one.
    pub async fn remove(&self) -> Result<bool, UpdateError> {
        match tokio::fs::remove_file(self.bundle()).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(UpdateError::Disk(error)),
        }
    }

    /// Takes a bundle of `length` bytes, where that is known; the one before gives way to it.
    pub async fn receive<E: Display>(
        &self,
        length: Option<u64>,
        mut bytes: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<BundleView, UpdateError> {
        let Ok(_one) = self.uploading.try_lock() else { return Err(UpdateError::Busy) };
        let view = self.view().await?;
        let busy = match (&view.work, view.probation) {
            (Some(_), _) => Some("an installation is under way"),
            (None, true) => Some("the running system is an update that has yet to show that it works"),
            (None, false) => None,
        };
        if let Some(message) = busy {
            let (message, hint) = (message.into(), Some("wait until it is done".into()));
            return Err(UpdateError::Refused(UpdateRefused { message, hint }));
        }
        let limit = view.room + HEAD;
        if length.is_some_and(|length| length > limit) {
            return Err(UpdateError::TooLarge { limit });
        }
        self.remove().await?;
        self.room_for(length.unwrap_or(STRIDE))?;
        let part = Part(self.part());
        let mut file = create(&part.0).await.map_err(UpdateError::Disk)?;
        let mut taken = 0;
        loop {
            let next = timeout(IDLE, bytes.next()).await;
            let next = next.map_err(|_| UpdateError::Broken(format!("nothing came for {} s", IDLE.as_secs())))?;
            let Some(chunk) = next else { break };
            let chunk = chunk.map_err(|error| UpdateError::Broken(error.to_string()))?;
            let before = taken;
            taken += chunk.len() as u64;
            if taken > limit {
                return Err(UpdateError::TooLarge { limit });
            }
            if before / STRIDE != taken / STRIDE {
                self.room_for(STRIDE)?;
            }
            file.write_all(&chunk).await.map_err(UpdateError::Disk)?;
        }
        file.sync_all().await.map_err(UpdateError::Disk)?;
        drop(file);
        if taken == 0 {
            return Err(UpdateError::NoBundle);
        }
        tokio::fs::rename(&part.0, self.bundle()).await.map_err(UpdateError::Disk)?;
        let checked = self.uploaded().await.unwrap_or(Err(UpdateError::NoBundle));
        if checked.is_err() {
            self.remove().await?;
        }
        checked
    }

    fn room_for(&self, bytes: u64) -> Result<(), UpdateError> {
        let disk = nix::sys::statvfs::statvfs(&self.folder).map_err(|errno| UpdateError::Disk(errno.into()))?;
        let free = disk.blocks_available() * disk.fragment_size();
        let wanted = bytes + RESERVE;
        if free < wanted { Err(UpdateError::NoRoom { free, wanted }) } else { Ok(()) }
    }
}

/// As the record has it: `anna:10.0.0.5`.
fn by(who: &Who) -> String {
    format!("{}:{}", who.name(), who.address.to_canonical())
}

/// For this user alone; a name that is taken is freed first, whatever it is.
async fn create(path: &Path) -> io::Result<File> {
    match tokio::fs::remove_file(path).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).await
}

/// Gone when nobody writes it any more: also when the client has left.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What becomes of the unit at the next start, for the page of a restart.
pub fn comes_next(view: &UpdateView) -> Option<&str> {
    let pending = view.last.as_ref().is_some_and(|last| last.stage == UpdateStage::Installed);
    (pending && view.other.next).then_some(view.other.version.as_deref()).flatten()
}

/// What factory settings take and leave: the words of `lbrestore`, which is where they are kept.
pub fn factory_words() -> Vec<(&'static str, String)> {
    const SCRIPT: &str = include_str!("../../../rootfs-overlay/usr/sbin/lbrestore");
    let mut parts: Vec<(&'static str, String)> = Vec::new();
    let lines = SCRIPT.lines().skip_while(|line| !line.starts_with("Lost:")).take_while(|line| !line.is_empty());
    for line in lines {
        match (line.split_once(':'), line.starts_with(' '), parts.last_mut()) {
            (_, true, Some((_, text))) => {
                text.push(' ');
                text.push_str(line.trim());
            }
            (Some((word, rest)), _, _) => parts.push((word, rest.trim().to_owned())),
            _ => {}
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_lbrestore_are_found() {
        let parts = factory_words();
        let names: Vec<&str> = parts.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["Lost", "Kept", "Then"]);
        assert!(parts[0].1.starts_with("the configuration with its history, all passwords"), "{}", parts[0].1);
        assert!(parts[0].1.ends_with("graphs and logs."), "{}", parts[0].1);
        assert!(parts[2].1.contains("192.168.2.21"), "{}", parts[2].1);
    }

    #[test]
    fn an_error_is_one_sentence_or_two() {
        let refused = UpdateRefused { message: "the bundle is for x".into(), hint: Some("fetch it again".into()) };
        assert_eq!(UpdateError::Refused(refused).sentence(), "The bundle is for x. Fetch it again.");
        assert_eq!(UpdateError::Busy.sentence(), "Another upload is under way. Wait until it is done.");
    }
}

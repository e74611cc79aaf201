//! The web interface's way in: `lbupdate serve`, a service of root's beside the web interface, which has no rights.
//!
//! It takes a closed list of orders ([`lb_api::UpdateAct`]), a line each, on a socket that the web interface's user
//! alone may open. No order names a file: the bundle is the one file that the service was started with, opened once,
//! through no link, and only if it is a plain file of that user's; what is in it counts by its signature. An order is
//! carried out when it is read and kept nowhere, so that no start finds one again. lbd is not asked for anything but
//! how it is.

use super::{DONE, Disk, Ground, Way, acknowledge, alone, cli, disk, locked, running, start, status, version, word};
use crate::{
    install::{self, Step},
    record::{Record, SlotName, Stage},
};
use anyhow::{Context, Result, bail, ensure};
use lb_api::{
    BundleView, LastUpdate, SlotView, UPDATE_LINE, UpdateAct, UpdateAnswer, UpdateOrder, UpdateRefused, UpdateStage,
    UpdateStep, UpdateView, UpdateWork,
};
use nix::{
    fcntl::FlockArg,
    libc::{O_NOFOLLOW, O_NONBLOCK},
    sys::socket::{getsockopt, sockopt::PeerCredentials},
    unistd::{Uid, User, chown},
};
use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::{
        fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// Who has asked has the rest of a line, and takes the answer, in so long.
const PATIENCE: Duration = Duration::from_secs(5);
/// What the boot loader and the slots say is asked again after so long.
const FRESH: Duration = Duration::from_secs(5);
/// Asks for factory settings, which are the initramfs's to restore.
const RESTORE: &str = "/usr/sbin/lbrestore";

pub fn serve(order: &cli::Serve) -> Result<u8> {
    let user = User::from_name(&order.user).context("looking for the user")?;
    let owner = user.with_context(|| format!("there is no user {}", order.user))?.uid;
    let listener = listen(&order.socket, owner).with_context(|| format!("listening on {}", order.socket.display()))?;
    let door = Arc::new(Door { bundle: order.bundle.clone(), owner, state: Mutex::default() });
    for stream in listener.incoming() {
        // One at a time: none takes long but a restart, and after that nobody asks.
        if let Err(error) = stream.and_then(|stream| door.talk(stream)) {
            println!("update: the web interface was not heard: {error}");
        }
    }
    Ok(DONE)
}

/// For root and `owner` alone, from its first moment on.
fn listen(socket: &Path, owner: Uid) -> Result<UnixListener> {
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let before = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(socket);
    nix::sys::stat::umask(before);
    let listener = listener?;
    fs::set_permissions(socket, Permissions::from_mode(0o600))?;
    chown(socket, Some(owner), None)?;
    Ok(listener)
}

struct Door {
    bundle: PathBuf,
    owner: Uid,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    work: Option<UpdateWork>,
    failed: Option<UpdateRefused>,
    /// What was seen last, and when.
    seen: Option<(Instant, Seen)>,
}

#[derive(Clone)]
struct Seen {
    running: SlotView,
    other: SlotView,
    room: u64,
}

impl Door {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn talk(self: &Arc<Self>, mut stream: UnixStream) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let uid = Uid::from_raw(getsockopt(&stream, PeerCredentials)?.uid());
        if uid != self.owner && !uid.is_root() {
            return Err(io::Error::other(format!("user {uid} may not ask")));
        }
        let mut line = String::new();
        BufReader::new((&stream).take(UPDATE_LINE)).read_line(&mut line)?;
        let answer = match serde_json::from_str::<UpdateOrder>(&line) {
            Ok(order) => self.answer(&order),
            Err(error) => Err(anyhow::anyhow!("the order cannot be read: {error}")),
        };
        let answer = answer.unwrap_or_else(|error| UpdateAnswer::Refused(refused(&error)));
        let mut text = serde_json::to_vec(&answer)?;
        text.push(b'\n');
        stream.write_all(&text)
    }

    fn answer(self: &Arc<Self>, order: &UpdateOrder) -> Result<UpdateAnswer> {
        let by = word(&order.by);
        if order.act == UpdateAct::Status {
            return Ok(UpdateAnswer::Unit(Box::new(self.view()?)));
        }
        if self.state().work.is_some() {
            bail!("an installation is under way. hint: wait until it is done");
        }
        match order.act {
            UpdateAct::Status => {}
            UpdateAct::Check => return Ok(UpdateAnswer::Bundle(self.check()?)),
            UpdateAct::Install => self.install(by, order.downgrade)?,
            UpdateAct::Back => {
                let record = Way::look(alone()?)?.take(&by)?;
                println!("update: {by} goes back to {} in slot {}", record.version, record.slot);
                self.state().seen = None;
            }
            UpdateAct::Acknowledge => {
                acknowledge()?;
            }
            UpdateAct::Restart => {
                println!("update: {by} restarts the unit");
                start::reboot()?;
            }
            UpdateAct::Restore => {
                println!("update: {by} restores factory settings");
                restore(&by)?;
            }
        }
        Ok(UpdateAnswer::Done)
    }

    fn view(&self) -> Result<UpdateView> {
        let mut state = self.state();
        let fresh = state.seen.as_ref().is_some_and(|(at, _)| state.work.is_some() || at.elapsed() < FRESH);
        // Who installs has the slot: then what was seen before has to do.
        if !fresh && let Ok(_looking) = locked(FlockArg::LockSharedNonblock) {
            state.seen = Some((Instant::now(), look()?));
        }
        let Some((_, Seen { running, other, room })) = state.seen.clone() else {
            bail!("an installation is under way. hint: look again in a minute");
        };
        let last = Disk.record()?;
        let probation = last.as_ref().is_some_and(|last| last.is_open() && last.slot.to_string() == running.slot);
        let (work, failed) = (state.work, state.failed.clone());
        Ok(UpdateView { running, other, room, probation, last: last.map(told), work, failed })
    }

    /// The one file, if it is what it has to be.
    fn open(&self) -> Result<(File, u64)> {
        open_bundle(&self.bundle, self.owner)
    }

    fn check(&self) -> Result<BundleView> {
        let (mut file, size) = self.open()?;
        let ground = Ground::look()?;
        let head = install::inspect(&mut file, size, &ground.keys, &ground.here, true)?;
        let version = head.manifest.version;
        Ok(BundleView { version: version.to_string(), key: head.key, size, older: version < ground.here.version })
    }

    /// Begins it: the rest is a thread's, and stands in the status.
    fn install(self: &Arc<Self>, by: String, downgrade: bool) -> Result<()> {
        let alone = alone()?;
        let ground = Ground::look()?;
        let (mut file, size) = self.open()?;
        install::inspect(&mut file, size, &ground.keys, &ground.here, downgrade)?;
        {
            let mut state = self.state();
            state.failed = None;
            state.seen = state.seen.take().or(look().ok().map(|seen| (Instant::now(), seen)));
            state.work = Some(UpdateWork { step: UpdateStep::Checking, done: 0, of: size });
        }
        let door = self.clone();
        thread::spawn(move || {
            let mut progress = |step, done, of| door.state().work = Some(UpdateWork { step: step_of(step), done, of });
            let Ground { keys, here, .. } = &ground;
            let head = install::examine(&mut file, size, keys, here, downgrade, &mut progress);
            let done = head.map_err(Into::into).and_then(|head| ground.fill(&mut file, &head, &by, &mut progress));
            drop(alone);
            let mut state = door.state();
            (state.work, state.seen) = (None, None);
            match done {
                Ok(record) => {
                    println!("update: {by} installed {} in slot {}", record.version, record.slot);
                    // It is in the slot. When it stays it can be deleted on the page.
                    let _ = fs::remove_file(&door.bundle);
                }
                Err(error) => {
                    println!("update: what {by} wanted is not installed: {error:#}");
                    state.failed = Some(refused(&error));
                }
            }
        });
        Ok(())
    }
}

fn refused(error: &anyhow::Error) -> UpdateRefused {
    let text = format!("{error:#}");
    match text.split_once(". hint: ") {
        Some((message, hint)) => UpdateRefused { message: message.to_owned(), hint: Some(hint.to_owned()) },
        None => UpdateRefused { message: text, hint: None },
    }
}

fn step_of(step: Step) -> UpdateStep {
    match step {
        Step::Checking => UpdateStep::Checking,
        Step::Writing => UpdateStep::Writing,
        Step::Reading => UpdateStep::Reading,
    }
}

fn told(record: Record) -> LastUpdate {
    LastUpdate {
        version: record.version.to_string(),
        from: record.from.to_string(),
        slot: record.slot.to_string(),
        by: record.by,
        time: record.time,
        stage: match record.stage {
            Stage::Writing => UpdateStage::Writing,
            Stage::Installed => UpdateStage::Installed,
            Stage::Works => UpdateStage::Works,
            Stage::Returned => UpdateStage::Returned,
            Stage::Interrupted => UpdateStage::Interrupted,
        },
        reason: record.reason,
        acknowledged: record.acknowledged,
    }
}

fn look() -> Result<Seen> {
    let slot = running()?;
    let idle = slot.other();
    let (own, others) = (Disk.given(slot)?, Disk.given(idle)?);
    let may = |given: crate::record::Given| given.ok && !given.spent;
    // The boot loader takes the first of its order that may be started.
    let next = if may(others) && (others.first || !may(own)) { idle } else { slot };
    let view = |slot: SlotName, version: Option<crate::Version>, given| SlotView {
        slot: slot.to_string(),
        version: version.map(|version| version.to_string()),
        startable: may(given),
        next: next == slot,
    };
    Ok(Seen {
        running: view(slot, Some(version()?), own),
        other: view(idle, status::version_of(idle)?, others),
        room: disk::part(idle)?.size,
    })
}

/// Opened through no link and waited for by nobody; a plain file of `owner`'s that has no other name.
fn open_bundle(path: &Path, owner: Uid) -> Result<(File, u64)> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(O_NOFOLLOW | O_NONBLOCK)
        .open(path)
        .context("the uploaded bundle cannot be opened. hint: upload it again")?;
    let about = file.metadata().context("cannot look at the bundle")?;
    ensure!(
        about.is_file() && about.uid() == owner.as_raw() && about.nlink() == 1,
        "the uploaded bundle is no file of the web interface's. hint: upload it again"
    );
    Ok((file, about.len()))
}

/// Tells the boot loader, and restarts.
fn restore(by: &str) -> Result<()> {
    let output = Command::new(RESTORE).args(["--yes", "--by", by]).output().context("starting lbrestore")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().next().unwrap_or_default();
    ensure!(output.status.success(), "{}", line.strip_prefix("lbrestore: ").unwrap_or(line));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_bundle_is_a_plain_file_of_the_web_interface() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        let me = Uid::current();
        fs::write(at("update.lbu"), "bundle")?;
        assert_eq!(open_bundle(&at("update.lbu"), me)?.1, 6);
        let another = Uid::from_raw(me.as_raw() + 1);
        assert!(open_bundle(&at("update.lbu"), another).is_err(), "of somebody else");
        symlink(at("update.lbu"), at("link"))?;
        assert!(open_bundle(&at("link"), me).is_err(), "a link");
        nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRUSR)?;
        assert!(open_bundle(&at("fifo"), me).is_err(), "a pipe, which nobody waits for");
        assert!(open_bundle(folder.path(), me).is_err(), "a folder");
        fs::hard_link(at("update.lbu"), at("second"))?;
        assert!(open_bundle(&at("update.lbu"), me).is_err(), "with a second name");
        Ok(())
    }

    fn talk(door: &Arc<Door>, line: &str) -> io::Result<UpdateAnswer> {
        let (ours, theirs) = UnixStream::pair()?;
        (&ours).write_all(line.as_bytes())?;
        door.talk(theirs)?;
        let mut answer = String::new();
        BufReader::new(ours).read_line(&mut answer)?;
        Ok(serde_json::from_str(&answer)?)
    }

    #[test]
    fn what_is_no_order_does_nothing_and_is_answered() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let door =
            Arc::new(Door { bundle: folder.path().join("update.lbu"), owner: Uid::current(), state: Mutex::default() });
        for line in ["\n", "reboot\n", "{\"act\":\"shell\",\"by\":\"anna\"}\n", "{\"act\":\"check\"}\n"] {
            let UpdateAnswer::Refused(why) = talk(&door, line)? else { bail!("{line:?} was taken") };
            assert!(why.message.starts_with("the order cannot be read"), "{why:?}");
        }
        let work = UpdateWork { step: UpdateStep::Writing, done: 1, of: 2 };
        door.state().work = Some(work);
        for act in ["check", "install", "back", "restart", "restore", "acknowledge"] {
            let UpdateAnswer::Refused(why) = talk(&door, &format!("{{\"act\":\"{act}\",\"by\":\"anna\"}}\n"))? else {
                bail!("{act} was done during an installation")
            };
            assert_eq!(why.message, "an installation is under way");
        }
        Ok(())
    }

    #[test]
    fn the_socket_is_the_web_interfaces_alone() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("socket");
        fs::write(&socket, "left over")?;
        let _listener = listen(&socket, Uid::current())?;
        assert_eq!(fs::metadata(&socket)?.mode() & 0o777, 0o600);
        Ok(())
    }
}

//! The real HAProxy, by its binary, its file and its sockets.
//!
//! It is started by its service as soon as the file is there: `haproxy -W -db -S RUN/master.sock,mode,600 -f FILE`. The
//! worker answers over `admin.sock`, the master over `master.sock`. Which shape a running HAProxy loaded cannot be asked
//! for: it is written down in `RUN/loaded`, with the master's number, its start and its count of reloads. Where these
//! are not the running one's, its supervisor started it again, and it read the file as it was then; where even that is
//! not known, the shape is the empty one, which no configuration has, and the plan reloads.
//!
//! Every operation on a socket has a time limit, every answer a longest length. Tested against a real HAProxy in
//! `tests/`.

mod certificates;
mod lists;
mod process;
mod servers;
mod socket;
mod states;
mod tables;
pub(crate) mod text;

use crate::{Action, Observed, Proxy, ProxyError, Rendered, ServerKey, Statistics, refusal};
use lb_model::{Problem, RequestedState};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use process::{Loaded, Processes};
use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant, SystemTime},
};

/// For an answer over a socket; a worker that reads a new file of 10,000 virtual servers takes a second and a half.
const ANSWER: Duration = Duration::from_secs(5);
/// For one try to get an answer of the master, where another one follows: while it executes itself, it gives none.
const MASTER: Duration = Duration::from_millis(500);
/// For `haproxy -c`, which takes a fraction of a second on an idle machine.
const CHECK: Duration = Duration::from_secs(20);
/// Until a reload has worked or failed; until the service has started HAProxy, or HAProxy has ended.
const RELOAD: Duration = Duration::from_secs(20);
/// Until a reload is ordered again: a master that has only just started may have forgotten the order.
const AGAIN: Duration = Duration::from_secs(5);
const START: Duration = Duration::from_secs(20);
const END: Duration = Duration::from_secs(5);
const TABLES: Duration = Duration::from_secs(7);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);
/// The file with which it last came up.
const GOOD: &str = "good.cfg";
/// The longest file that is read back.
const LONGEST: u64 = 256 << 20;

/// Where things are; all in directories that exist.
#[derive(Debug, Clone)]
pub struct Paths {
    /// `/usr/sbin/haproxy`
    pub binary: PathBuf,
    /// `/run/lb/haproxy.cfg`; the service starts HAProxy when it is there.
    pub file: PathBuf,
    /// `/run/haproxy`: the sockets `master.sock` (`-S`), `admin.sock` (stats socket, level admin), the file
    /// `servers` (state over a reload).
    pub run: PathBuf,
    /// `/run/lb/certs`: keys and chains, for root alone.
    pub certificates: PathBuf,
}

pub struct Haproxy {
    paths: Paths,
    seen: Option<lists::Seen>,
}

impl Haproxy {
    pub fn new(paths: Paths) -> Haproxy {
        Haproxy { paths, seen: None }
    }

    fn in_run(&self, name: &str) -> PathBuf {
        self.paths.run.join(name)
    }

    /// A command to the worker; what it answers, without the empty line at the end.
    fn worker(&self, command: &str) -> Result<String, ProxyError> {
        let answer = socket::ask(&self.in_run("admin.sock"), command, ANSWER);
        answer.map_err(|e| absent(e).unwrap_or_else(|e| io(format!("asking HAProxy to \"{command}\""))(e)))
    }

    /// A change by the worker, which answers with nothing when it has done so.
    fn order(&self, command: &str) -> Result<(), ProxyError> {
        match self.worker(command)?.trim() {
            "" => Ok(()),
            answer => Err(ProxyError::Refused { command: command.to_owned(), answer: answer.to_owned() }),
        }
    }

    fn master(&self, command: &str, limit: Duration) -> io::Result<String> {
        socket::ask(&self.in_run("master.sock"), command, limit)
    }

    /// `None`: none runs.
    ///
    /// At a start and at a reload the master executes itself, twice: for moments it does not listen, resets connections,
    /// or forgets one that it had accepted.
    fn processes(&self) -> Result<Option<Processes>, ProxyError> {
        let deadline = Instant::now() + RELOAD;
        let mut absences = 20;
        loop {
            let doing = match self.master("show proc", MASTER).map_err(absent) {
                Ok(answer) => match Processes::parse(&answer) {
                    Some(processes) => return Ok(Some(processes)),
                    None => io::Error::other("it does not know itself"),
                },
                Err(Ok(_)) if absences == 0 || !self.in_run("master.sock").exists() => return Ok(None),
                Err(Ok(_)) => {
                    absences -= 1;
                    io::ErrorKind::ConnectionRefused.into()
                }
                Err(Err(e)) => e,
            };
            if Instant::now() > deadline {
                return Err(io("asking HAProxy's master for its processes")(doing));
            }
            thread::sleep(PAUSE);
        }
    }

    fn text(&self) -> Result<Option<String>, ProxyError> {
        read(&self.paths.file).map_err(io(format!("reading {}", self.paths.file.display())))
    }

    fn write(&self, path: &Path, text: &str) -> Result<(), ProxyError> {
        replace(path, text).map_err(io(format!("writing {}", path.display())))
    }

    fn loaded(&self) -> Option<Loaded> {
        read(&self.in_run("loaded")).ok()??.parse().ok()
    }

    fn remember(&self, processes: &Processes, shape: &str) -> Result<(), ProxyError> {
        let Some(started) = process::started(processes.master) else { return Err(ProxyError::Down) };
        let shape = shape.to_owned();
        let loaded = Loaded { master: processes.master, started, reloads: processes.reloads, shape };
        if self.loaded().as_ref() == Some(&loaded) {
            return Ok(());
        }
        self.write(&self.in_run("loaded"), &loaded.to_string())
    }

    /// What the running one was started or last reloaded with; empty where that cannot be known.
    fn shape(&self, processes: &Processes, text: Option<&str>) -> String {
        let Some(started) = process::started(processes.master) else { return String::new() };
        match self.loaded() {
            Some(loaded) if (loaded.master, loaded.started) == (processes.master, started) => {
                if loaded.reloads == processes.reloads { loaded.shape } else { String::new() }
            }
            // It was started since we last wrote it down, and read the file if that was there before.
            _ if processes.reloads == 0 && self.file_is_older(started) => {
                text.and_then(Rendered::shape_of).unwrap_or_default().to_owned()
            }
            _ => String::new(),
        }
    }

    fn file_is_older(&self, started: u64) -> bool {
        let written = fs::metadata(&self.paths.file).and_then(|file| file.modified());
        let since = written.ok().and_then(|written| SystemTime::now().duration_since(written).ok());
        since.zip(process::age(started)).is_some_and(|(file, process)| file > process)
    }

    /// Asks a process, old and ending ones included: the master has a way to each of its own. Twice, as the master
    /// itself forgets who asks while it executes itself; the second time as long as a busy machine may take.
    fn ask_process(&self, pid: u32, command: &str) -> io::Result<String> {
        let command = format!("@!{pid} {command}");
        self.master(&command, MASTER).or_else(|_| self.master(&command, ANSWER))
    }

    /// A field of a process's `show info`.
    fn info(&self, pid: u32, field: &str) -> Option<u32> {
        let info = self.ask_process(pid, "show info").ok()?;
        info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(": "))?.parse().ok()
    }

    fn connections(&self, pid: u32) -> Option<u32> {
        self.info(pid, "CurrConns")
    }

    /// Whether it was told to end, and serves those who were connected then.
    fn is_ending(&self, processes: &Processes) -> bool {
        processes.worker.is_some_and(|pid| self.info(pid, "Stopping") == Some(1))
    }

    fn reload(&self) -> Result<(), ProxyError> {
        let text = self.text()?.ok_or(ProxyError::Down)?;
        let shape = Rendered::shape_of(&text).unwrap_or_default();
        let Some(before) = self.processes()?.filter(|processes| processes.worker.is_some()) else {
            let started = self.wait(START, |now| now.worker.is_some())?.ok_or(ProxyError::Down)?;
            self.wait_for_worker(&started)?;
            self.write(&self.in_run(GOOD), &text)?;
            return self.remember(&started, shape);
        };
        let was = if self.is_ending(&before) {
            // It has let go of its sockets, and says nothing of its servers any more.
            self.write(&self.in_run("servers"), states::nothing())?;
            String::new()
        } else {
            self.wait_for_tables();
            let states = self.worker("show servers state")?;
            self.write(&self.in_run("servers"), &states::over_a_reload(&states, &text))?;
            self.shape(&before, Some(&text))
        };
        // The master closes the connection and starts itself anew: no answer is a good one.
        let mut after = None;
        for _ in 0..RELOAD.as_secs() / AGAIN.as_secs() {
            let _ = self.master("reload", MASTER);
            after = self.wait(AGAIN, |now| (now.master, now.reloads) != (before.master, before.reloads))?;
            if after.is_some() {
                break;
            }
        }
        let after = after.ok_or_else(|| ProxyError::Reload("it did not answer in time".to_owned()))?;
        if after.failed > 0 {
            self.remember(&after, &was)?;
            let why = self.why_not();
            self.write(&self.in_run("servers"), states::nothing())?;
            // Should what runs die, its next start is with what it ran.
            if let Ok(Some(good)) = read(&self.in_run(GOOD)) {
                self.write(&self.paths.file, &good)?;
            }
            return Err(ProxyError::Reload(why));
        }
        self.wait_for_worker(&after)?;
        // Its next start without a reload, after a crash, shall not believe what is old by then.
        self.write(&self.in_run("servers"), states::nothing())?;
        self.write(&self.in_run(GOOD), &text)?;
        self.remember(&after, shape)
    }

    fn wait(&self, limit: Duration, until: impl Fn(&Processes) -> bool) -> Result<Option<Processes>, ProxyError> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(now) = self.processes()?.filter(|now| until(now)) {
                return Ok(Some(now));
            }
            if Instant::now() > deadline {
                return Ok(None);
            }
            thread::sleep(PAUSE);
        }
    }

    /// Until the worker could teach the next one what its tables remember: it does not within the five seconds in which
    /// it waits to be taught itself, after a start from nothing.
    fn wait_for_tables(&self) {
        let deadline = Instant::now() + TABLES;
        let ready = || {
            let empty = self.worker("show table").is_ok_and(|tables| !process::remembers(&tables));
            empty || self.worker("show peers").is_ok_and(|peers| process::taught(&peers))
        };
        while !ready() && Instant::now() < deadline {
            thread::sleep(PAUSE);
        }
    }

    /// Until the worker answers on the socket that the one before it had.
    fn wait_for_worker(&self, processes: &Processes) -> Result<(), ProxyError> {
        let deadline = Instant::now() + START;
        let pid = format!("Pid: {}", processes.worker.unwrap_or(0));
        loop {
            match self.worker("show info") {
                Ok(info) if info.lines().any(|line| line == pid) => return Ok(()),
                _ if Instant::now() > deadline => {
                    return Err(ProxyError::Reload("the new process does not answer".to_owned()));
                }
                _ => thread::sleep(PAUSE),
            }
        }
    }

    /// The master says only that a reload failed.
    fn why_not(&self) -> String {
        let nothing = "it says why in its log; another program may listen on an address".to_owned();
        match self.complaints(&self.paths.file) {
            Ok(Some(said)) => said.lines().find(|line| line.starts_with("[ALERT]")).map_or(nothing, str::to_owned),
            _ => nothing,
        }
    }

    /// Standard error of `haproxy -c`, where it refuses the file.
    fn complaints(&self, file: &Path) -> Result<Option<String>, ProxyError> {
        let doing = || format!("checking with {}", self.paths.binary.display());
        // Of its own: one thread checks while another one asks why a reload failed.
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let path = self.in_run(&format!("{name}.stderr"));
        let stderr = create(&path).map_err(io(format!("writing {}", path.display())))?;
        let mut command = Command::new(&self.paths.binary);
        command.arg("-c").arg("-f").arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let status = run(&mut command, CHECK).map_err(io(doing()));
        let said = read(&path);
        let _ = fs::remove_file(&path);
        if status?.success() {
            return Ok(None);
        }
        Ok(Some(said.map_err(io(doing()))?.unwrap_or_default()))
    }

    fn set_state(&self, server: &ServerKey, state: RequestedState) -> Result<(), ProxyError> {
        let name = format!("{}/{}", server.virtual_server, server.real_server);
        match state {
            RequestedState::Online => {
                self.order(&format!("set server {name} state ready"))?;
                self.ask_agent(server)
            }
            RequestedState::Drain => {
                self.ignore_agent(server)?;
                self.order(&format!("set server {name} state drain"))
            }
            RequestedState::Offline => {
                self.ignore_agent(server)?;
                // First those that may fail: what is found in maintenance is taken for done.
                self.order(&format!("shutdown sessions server {name}"))?;
                self.order(&format!("set server {name} state maint"))?;
                self.order(&format!("shutdown sessions server {name}"))?;
                for old in self.processes()?.unwrap_or_default().old {
                    self.shut_down_old(old.pid, server);
                }
                Ok(())
            }
        }
    }

    /// Ends what a process of before a reload still serves by a server. It takes no orders for servers any more, only
    /// for sessions; and it may end at any moment, so that no answer is no failure.
    fn shut_down_old(&self, pid: u32, server: &ServerKey) {
        let sessions = self.ask_process(pid, "show sess").unwrap_or_default();
        for session in process::sessions_of(&sessions, server) {
            let _ = self.ask_process(pid, &format!("shutdown session {session}"));
        }
    }

    /// It takes no new clients, serves those who are connected to their end, and then ends.
    fn stop(&self) -> Result<(), ProxyError> {
        // First the file: the service does not start HAProxy again without it.
        for path in [&self.paths.file, &self.in_run("loaded"), &self.in_run(GOOD)] {
            match fs::remove_file(path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(io(format!("removing {}", path.display()))(e));
                }
                _ => {}
            }
        }
        let Some(processes) = self.processes()? else { return Ok(()) };
        let Some(started) = process::started(processes.master) else { return Ok(()) };
        let pid = i32::try_from(processes.master).map_err(|_| ProxyError::Down)?;
        if self.is_ending(&processes) {
            return Ok(());
        }
        kill(Pid::from_raw(pid), Signal::SIGUSR1).map_err(|e| io("ending HAProxy".to_owned())(e.into()))?;
        let deadline = Instant::now() + END;
        while process::started(processes.master) == Some(started) {
            match self.processes()? {
                Some(now) if !self.is_ending(&now) => {}
                _ => break,
            }
            if Instant::now() > deadline {
                return Err(io("ending HAProxy".to_owned())(io::ErrorKind::TimedOut.into()));
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }
}

impl Proxy for Haproxy {
    fn check(&mut self, wanted: &Rendered) -> Result<Vec<Problem>, ProxyError> {
        let file = self.in_run("check.cfg");
        // The files of what runs stay as they are.
        let own = self.in_run("check.certs");
        let elsewhere = |text: &str| certificates::moved(text, &self.paths.certificates, &own);
        self.write(&file, &elsewhere(&wanted.text))?;
        let written = certificates::write_all(&own, &wanted.files, elsewhere);
        let said = match written.map_err(io(format!("writing to {}", own.display()))) {
            Ok(()) => self.complaints(&file),
            Err(error) => Err(error),
        };
        let _ = fs::remove_file(&file);
        let _ = fs::remove_dir_all(&own);
        Ok(said?.map_or_else(Vec::new, |said| refusal::problems(&said, &file, wanted)))
    }

    fn observe(&mut self) -> Result<Observed, ProxyError> {
        let text = self.text()?;
        let dir = &self.paths.certificates;
        let files = certificates::digests(dir).map_err(io(format!("reading {}", dir.display())))?;
        let Some(processes) = self.processes()?.filter(|processes| processes.worker.is_some()) else {
            return Ok(Observed { text, files, ..Observed::default() });
        };
        let (mut old_connections, mut last_connections) = (0, 0);
        for old in &processes.old {
            let connections = self.connections(old.pid).unwrap_or(0);
            old_connections += connections;
            last_connections += if old.is_last() { connections } else { 0 };
        }
        let servers = match self.worker("show servers state") {
            Ok(answer) => states::observed(&answer),
            Err(ProxyError::Down) if self.is_ending(&processes) => {
                let last = processes.worker.and_then(|pid| self.connections(pid)).unwrap_or(0);
                let old_connections = old_connections + last;
                return Ok(Observed { text, files, old_connections, last_connections, ..Observed::default() });
            }
            Err(e) => return Err(e),
        };
        let shape = self.shape(&processes, text.as_deref());
        self.remember(&processes, &shape)?;
        let lists = self.running_lists(processes.worker)?;
        let certificates = self.running_certificates(&files)?;
        Ok(Observed {
            shape: Some(shape),
            text,
            servers,
            busy: BTreeSet::new(),
            lists,
            files,
            certificates,
            old_connections,
            last_connections,
        })
    }

    fn execute(&mut self, action: &Action) -> Result<(), ProxyError> {
        match action {
            Action::Write { text } => {
                let empty = self.in_run("empty");
                fs::create_dir_all(&empty).map_err(io(format!("creating {}", empty.display())))?;
                let states = self.in_run("servers");
                if !states.exists() {
                    self.write(&states, states::nothing())?;
                }
                self.write(&self.paths.file, text)
            }
            Action::WriteFile { name, file } => {
                let dir = &self.paths.certificates;
                certificates::write(dir, name, &file.text).map_err(io(format!("writing {name} to {}", dir.display())))
            }
            Action::Renew { name, file, response } | Action::Staple { name, file, response } => {
                self.renew(name, file, response.as_ref())
            }
            Action::RemoveFiles { names } => {
                let dir = &self.paths.certificates;
                certificates::remove(dir, names).map_err(io(format!("removing files in {}", dir.display())))
            }
            Action::Reload => self.reload(),
            Action::SetWeight { server, weight } => {
                self.order(&format!("set server {}/{} weight {weight}", server.virtual_server, server.real_server))
            }
            Action::SetState { server, state } => self.set_state(server, *state),
            Action::SetList { number, list } => self.set_list(*number, list),
            Action::AddServer { server, definition, weight, state } => {
                self.add_server(server, definition, *weight, *state)
            }
            Action::RemoveServer { server } => self.remove_server(server),
            Action::Stop => self.stop(),
        }
    }

    fn statistics(&mut self) -> Result<Statistics, ProxyError> {
        match self.worker("show stat") {
            Ok(answer) => Ok(Statistics::parse(&answer)),
            Err(ProxyError::Down) => Ok(Statistics::default()),
            Err(e) => Err(e),
        }
    }
}

fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> ProxyError {
    let doing = doing.into();
    move |source| ProxyError::Io { doing, source }
}

/// Whether nobody listens.
fn absent(e: io::Error) -> Result<ProxyError, io::Error> {
    match e.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(ProxyError::Down),
        _ => Err(e),
    }
}

/// `None`: no such file.
fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::metadata(path) {
        Ok(file) if file.len() > LONGEST => Err(io::Error::other(format!("has more than {LONGEST} bytes"))),
        Ok(_) => fs::read_to_string(path).map(Some),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

fn create(path: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Whole or not at all. Without `fsync`: what is written here does not outlive the machine's start.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    create(&new)?.write_all(text.as_bytes())?;
    fs::rename(&new, path)
}

fn run(command: &mut Command, limit: Duration) -> io::Result<ExitStatus> {
    let mut child = command.spawn()?;
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            return Err(io::ErrorKind::TimedOut.into());
        }
        thread::sleep(PAUSE / 5);
    }
}

//! Network namespaces and wires, by `ip`.

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, setns};
use std::{
    fs::File,
    process::{Command, Output},
    sync::Mutex,
    thread::JoinHandle,
};

/// What [`clean_up`] removes.
static MADE: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A network namespace with `lo` up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Netns(pub String);

impl Netns {
    pub fn new(name: &str) -> Result<Netns> {
        ip(&format!("netns add {name}"))?;
        if let Ok(mut made) = MADE.lock() {
            made.push(name.to_owned());
        }
        let ns = Netns(name.to_owned());
        ns.ip("link set lo up")?;
        Ok(ns)
    }

    /// `ip` inside, words separated by spaces.
    pub fn ip(&self, words: &str) -> Result<String> {
        ip(&format!("-n {} {words}", self.0))
    }

    /// A program inside.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("/sbin/ip");
        command.args(["netns", "exec", &self.0, program]);
        command
    }

    /// Runs a program to its end: standard output; an exit status other than 0 is an error with what it printed.
    pub fn run(&self, program: &str, args: &[&str]) -> Result<String> {
        let output = self.command(program).args(args).output().with_context(|| format!("starting {program}"))?;
        finished(&format!("{program} {}", args.join(" ")), &output)
    }

    pub fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        let value = value.to_owned();
        self.thread(move || std::fs::write(&path, value).with_context(|| format!("writing {path}")))?
            .join()
            .unwrap_or_else(|_| bail!("panicked"))
    }

    /// A thread that lives inside.
    pub fn thread<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>> {
        let handle = File::open(format!("/run/netns/{}", self.0)).context("opening the namespace")?;
        Ok(std::thread::spawn(move || {
            if let Err(e) = setns(&handle, CloneFlags::CLONE_NEWNET) {
                panic!("entering the namespace: {e}");
            }
            work()
        }))
    }

    /// Does something inside and waits for it.
    pub fn inside<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        self.thread(work)?.join().unwrap_or_else(|_| bail!("panicked in {}", self.0))
    }
}

/// `ip` in the guest's own namespace, words separated by spaces.
pub fn ip(words: &str) -> Result<String> {
    let output = Command::new("/sbin/ip").args(words.split_whitespace()).output().context("starting ip")?;
    finished(&format!("ip {words}"), &output)
}

fn finished(what: &str, output: &Output) -> Result<String> {
    if !output.status.success() {
        bail!("{what}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A switch in the guest's own namespace.
pub fn switch(name: &str) -> Result<()> {
    ip(&format!("link add {name} type bridge forward_delay 0"))?;
    if let Ok(mut made) = MADE.lock() {
        made.push(format!("link {name}"));
    }
    ip(&format!("link set {name} up"))?;
    Ok(())
}

/// A cable from `interface` in `ns` to a switch.
pub fn plug(ns: &Netns, interface: &str, switch: &str) -> Result<()> {
    // IFNAMSIZ: the outer end is named after both, shortened.
    let outer: String = format!("{}.{}", ns.0, interface.trim_start_matches("eth"));
    ip(&format!("link add {outer} type veth peer name {interface} netns {}", ns.0))?;
    // Removed by itself: a thread that still serves keeps its namespace, and with it the other end.
    if let Ok(mut made) = MADE.lock() {
        made.push(format!("link {outer}"));
    }
    ip(&format!("link set {outer} master {switch} up"))?;
    Ok(())
}

/// Takes down whatever the case built, whatever became of it.
pub fn clean_up() {
    let made = MADE.lock().map(|mut m| std::mem::take(&mut *m)).unwrap_or_default();
    for name in made.iter().rev() {
        // Gone already is as good.
        let _ = match name.strip_prefix("link ") {
            Some(link) => ip(&format!("link del {link}")),
            None => kill_all(name).and_then(|()| ip(&format!("netns del {name}"))),
        };
    }
}

fn kill_all(ns: &str) -> Result<()> {
    for pid in ip(&format!("netns pids {ns}"))?.split_whitespace() {
        let pid = nix::unistd::Pid::from_raw(pid.parse()?);
        // It may have ended by itself.
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
    }
    Ok(())
}

//! Runs one job in one guest: Debian's tools, every IPVS scheduler, network namespaces, our release programs.
//!
//! The job is a folder. It appears read-only as `/job`; `/job/run.sh` (written from [`Job::command`]) runs in it with
//! bash; what it leaves in `/out` comes back. Output is streamed line by line. The exit code comes out through the
//! second serial port: Debian's cloud kernel has no `/dev/port`, so isa-debug-exit cannot be reached from a script.

use std::fs;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::host::{self, run, say};
use crate::image::{self, GuestBase};
use crate::limits::{self, scaled, wait_until};
use crate::qemu::{Builder, Clock, Disk, Machine, Nic};

/// Room for what a job leaves in `/out`, in bytes.
const RESULTS: u64 = 256 << 20;

/// What a guest is to do.
#[derive(Debug, Clone)]
pub struct Job {
    /// Names the machine and its log folder `target/vm/NAME`.
    pub name: String,
    /// Files and folders that appear in `/job` under their own names.
    pub files: Vec<PathBuf>,
    /// Shell command, run in `/job` with `/job/bin` (our programs) first in PATH.
    pub command: String,
    /// How time passes.
    pub clock: Clock,
    /// Memory in MB.
    pub memory: u32,
    /// When to give up; scaled by [`limits::scaled`].
    pub limit: Duration,
    /// Whether our release programs come along in `/job/bin`.
    pub with_programs: bool,
    /// Whether output is shown while it comes.
    pub show: bool,
}

/// What it came to.
#[derive(Debug)]
pub struct Outcome {
    /// Exit code of the job's command.
    pub code: i32,
    /// Everything on the console, kernel messages included.
    pub output: String,
    /// What the job left in `/out`.
    pub results: PathBuf,
}

impl Job {
    /// A job of 1 GB, one CPU on real time, with our programs, given up after 5 minutes.
    pub fn new(name: &str, command: &str) -> Job {
        Job {
            name: name.to_string(),
            files: Vec::new(),
            command: command.to_string(),
            clock: Clock::Wall(1),
            memory: 1024,
            limit: Duration::from_secs(300),
            with_programs: true,
            show: true,
        }
    }

    /// Builds what is missing, boots a guest, runs the job. A job that ends with a code other than 0 is an
    /// [`Outcome`], not an error; an error is a guest that did not end by itself.
    pub fn run(&self) -> Result<Outcome> {
        let programs = if self.with_programs { Some(image::programs()?) } else { None };
        let base = image::guest_base()?;
        let folder = host::target().join("vm").join(&self.name);
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let job = folder.join("job.squashfs");
        let mut files = self.files.clone();
        let script = folder.join("run.sh");
        fs::write(&script, format!("export PATH=/job/bin:$PATH\n{}\n", self.command))?;
        files.push(script);
        job_disk(&files, programs.as_deref(), &job)?;
        let out = folder.join("results.tar");
        let disk = fs::File::create(&out).context("making the results disk")?;
        disk.set_len(RESULTS).context("sizing the results disk")?;

        let begun = Instant::now();
        let mut machine = builder(&self.name, &base, "job")
            .memory(self.memory)
            .clock(self.clock)
            .disk(Disk::readonly(&job))
            .disk(Disk::raw(&out))
            .limit(self.limit)
            .logs(&folder)
            .start()?;
        let output = self.watch(&mut machine)?;
        machine.wait(limits::POWER_OFF).with_context(|| format!("the guest of {} did not power off", self.name))?;
        let verdict = fs::read_to_string(machine.log("ttyS1")).unwrap_or_default();
        let Some(code) = verdict.trim().strip_prefix("exit ").and_then(|code| code.trim().parse().ok()) else {
            let qemu = fs::read_to_string(folder.join(format!("{}-qemu.log", self.name))).unwrap_or_default();
            bail!("{}", no_verdict(&self.name, begun.elapsed(), scaled(self.limit), &output, &qemu));
        };
        let results = folder.join("results");
        if results.exists() {
            fs::remove_dir_all(&results)?;
        }
        fs::create_dir_all(&results)?;
        run(Command::new("tar").arg("-xf").arg(&out).arg("-C").arg(&results)).context("unpacking the job's results")?;
        fs::remove_file(&out)?;
        Ok(Outcome { code, output, results })
    }

    /// Reads the console until the guest ends.
    fn watch(&self, machine: &mut Machine) -> Result<String> {
        let socket = machine.socket("ttyS0");
        let mut line = wait_until("the guest's console", limits::APPEAR, || {
            machine.check_alive()?;
            Ok(UnixStream::connect(&socket).ok())
        })?;
        let end = Instant::now() + scaled(self.limit);
        let (mut text, mut shown) = (String::new(), 0);
        let mut buffer = [0_u8; 8192];
        loop {
            let count = line.read(&mut buffer).unwrap_or(0);
            text.push_str(&String::from_utf8_lossy(&buffer[..count]).replace('\r', ""));
            while let Some(length) = text[shown..].find('\n') {
                if self.show {
                    say(&format!("    | {}", &text[shown..shown + length]));
                }
                shown += length + 1;
            }
            if count == 0 || Instant::now() > end {
                return Ok(text);
            }
        }
    }
}

/// What is said of a guest that left no exit code.
fn no_verdict(name: &str, took: Duration, limit: Duration, output: &str, qemu: &str) -> String {
    let why = match took < limit {
        true => format!("ended without a verdict after {} s", took.as_secs()),
        false => format!("was not done within {} s", limit.as_secs()),
    };
    let mut said = format!("the guest of {name} {why}; its last lines:\n{}", last(output, 25));
    if !qemu.trim().is_empty() {
        said += &format!("\nQEMU's last lines:\n{}", last(qemu, 10));
    }
    said
}

/// So many lines at the end.
fn last(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// A machine that boots the test guest in `mode` (`job` or `shell`); /dev/vdb must be a job disk.
pub(crate) fn builder(name: &str, base: &GuestBase, mode: &str) -> Builder {
    let line = format!("console=ttyS0 panic=-1 quiet loglevel=3 net.ifnames=0 mitigations=off testbed.mode={mode}");
    Builder::new(name)
        .kernel(&base.vmlinux, &base.initrd, &line)
        .disk(Disk::snapshot(&base.root))
        .serial("ttyS0")
        .serial("ttyS1")
}

/// Packs `files` and, as `bin/`, our programs into the squashfs `disk`.
pub(crate) fn job_disk(files: &[PathBuf], programs: Option<&Path>, disk: &Path) -> Result<()> {
    let tree = tempfile::tempdir().context("making the job's folder")?;
    let bin = tree.path().join("bin");
    fs::create_dir(&bin)?;
    if let Some(programs) = programs {
        let ours = image::PROGRAMS.iter().map(|(_, program, _)| *program).chain(["lab"]);
        for program in ours {
            // Debian's ipvsadm is in PATH as well: ours gets a name of its own here.
            let name = if program == "ipvsadm" { "ipvsadm-rs" } else { program };
            fs::copy(programs.join(program), bin.join(name)).with_context(|| format!("copying {program}"))?;
        }
    }
    for file in files {
        run(Command::new("cp").arg("-a").arg(file).arg(tree.path()))?;
    }
    // Another machine may be reading the old one: it keeps it.
    let fresh = disk.with_extension("new");
    image::squash(tree.path(), &fresh, &["-comp", "lz4"])?;
    fs::rename(&fresh, disk).with_context(|| format!("keeping {}", disk.display()))
}

/// A card for a guest that is wired to something.
pub(crate) fn add_nics(builder: Builder, nics: Vec<Nic>) -> Builder {
    nics.into_iter().fold(builder, Builder::nic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_ended_early_is_not_said_to_be_late() {
        let limit = Duration::from_secs(300);
        let early = no_verdict("case", Duration::from_secs(1), limit, "one\n", "no such disk\n");
        assert_eq!(
            early,
            "the guest of case ended without a verdict after 1 s; its last lines:\none\nQEMU's last lines:\nno such disk"
        );
        let late = no_verdict("case", limit, limit, &"line\n".repeat(40), "");
        assert!(late.contains("was not done within 300 s") && late.matches("line\n").count() == 24, "{late}");
    }
}

//! The processes that run, as the master tells (`show proc`, Management Guide 9.4.1), and what the running one loaded.

use crate::{ServerKey, render::MOST_RELOADS};
use std::{fmt, fs, str::FromStr, time::Duration};

/// The answer to `show proc`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Processes {
    pub master: u32,
    /// Since the master's start, failed ones included.
    pub reloads: u32,
    /// Since the last one that worked.
    pub failed: u32,
    pub worker: Option<u32>,
    /// They serve connections of before a reload.
    pub old: Vec<Old>,
}

/// A process that a reload left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Old {
    pub pid: u32,
    /// That it has outlived.
    pub reloads: u32,
}

impl Old {
    /// Whether the master ends it at the next reload, whatever it serves.
    pub fn is_last(&self) -> bool {
        self.reloads >= MOST_RELOADS
    }
}

impl Processes {
    pub fn parse(answer: &str) -> Option<Processes> {
        let mut processes = Processes::default();
        let mut old = false;
        for line in answer.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["#", "old", "workers"] => old = true,
                ["#", ..] => old = false,
                [pid, "master", reloads, "[failed:", failed, ..] => {
                    processes.master = pid.parse().ok()?;
                    processes.reloads = reloads.parse().ok()?;
                    processes.failed = failed.trim_end_matches(']').parse().ok()?;
                }
                [pid, "worker", reloads, ..] if old => {
                    processes.old.push(Old { pid: pid.parse().ok()?, reloads: reloads.parse().ok()? });
                }
                [pid, "worker", ..] => processes.worker = Some(pid.parse().ok()?),
                _ => {}
            }
        }
        (processes.master > 0).then_some(processes)
    }
}

/// What is written beside the sockets: which HAProxy, after how many reloads, runs which shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Loaded {
    pub master: u32,
    /// Ticks since the machine's start: a later process of the same number is another one.
    pub started: u64,
    pub reloads: u32,
    /// Empty: not known.
    pub shape: String,
}

impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {} {} {}", self.master, self.started, self.reloads, self.shape)
    }
}

impl FromStr for Loaded {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.trim_end_matches('\n').split(' ');
        let mut next = || words.next().ok_or(());
        Ok(Loaded {
            master: next()?.parse().map_err(drop)?,
            started: next()?.parse().map_err(drop)?,
            reloads: next()?.parse().map_err(drop)?,
            shape: next()?.to_owned(),
        })
    }
}

/// When a process was started, in ticks since the machine's start: field 22 of `/proc/PID/stat` (proc(5)).
pub(super) fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, field 2, stands in brackets and may contain anything.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// How long ago that was. `USER_HZ` is 100 on every architecture that Linux shows to programs (`asm-generic/param.h`).
pub(super) fn age(started: u64) -> Option<Duration> {
    let uptime: f64 = fs::read_to_string("/proc/uptime").ok()?.split(' ').next()?.parse().ok()?;
    let uptime = Duration::try_from_secs_f64(uptime).ok()?;
    uptime.checked_sub(Duration::from_millis(started * 10))
}

/// The names of a server's sessions in the answer to `show sess`.
pub(super) fn sessions_of<'a>(answer: &'a str, server: &ServerKey) -> impl Iterator<Item = &'a str> {
    let (backend, server) = (format!("be={}", server.virtual_server), format!("srv={}", server.real_server));
    answer.lines().filter_map(move |line| {
        let (session, words) = line.split_once(": ")?;
        let is = |word: &str| words.split(' ').any(|w| w == word);
        (is(&backend) && is(&server)).then_some(session)
    })
}

/// Whether a table has an entry, by the answer to `show table`: `# table: Shop, type: ip, size:1000, used:1`.
pub(super) fn remembers(answer: &str) -> bool {
    answer.lines().filter_map(|line| line.rsplit_once("used:")).any(|(_, used)| used.trim() != "0")
}

/// Whether the process has learnt what it could from others, by the answer to `show peers`: `PEERS_F_RESYNC_LOCAL` and
/// `PEERS_F_RESYNC_REMOTE` in HAProxy's `peers-t.h`.
pub(super) fn taught(answer: &str) -> bool {
    let flags = |line: &str| {
        let word = line.split(' ').find_map(|word| word.strip_prefix("flags=0x"))?;
        u32::from_str_radix(word, 16).ok()
    };
    answer.lines().filter(|line| line.contains("resync_timeout=")).filter_map(flags).all(|flags| flags & 3 == 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As 2.6.12 answers, with an old worker as in the Management Guide.
    #[test]
    fn show_proc() {
        let answer = "#<PID>          <type>          <reloads>       <uptime>        <version>      \n\
            5927            master          2 [failed: 1]   0d00h00m05s     2.6.12-1+deb12u4\n\
            # workers\n5972            worker          1               0d00h00m01s     2.6.12-1+deb12u4\n\
            # old workers\n1233            worker          3               0d00h00m43s     2.0-dev3-6019f6-289\n\
            # programs\n\n";
        let processes = Processes {
            master: 5927,
            reloads: 2,
            failed: 1,
            worker: Some(5972),
            old: vec![Old { pid: 1233, reloads: 3 }],
        };
        assert_eq!(Processes::parse(answer), Some(processes));
        assert_eq!(Processes::parse("Unknown command"), None);
    }

    #[test]
    fn loaded_is_read_as_written() {
        let loaded = Loaded { master: 1, started: 2, reloads: 3, shape: "ab".into() };
        assert_eq!(loaded.to_string().parse(), Ok(loaded));
        assert!("1 2".parse::<Loaded>().is_err());
        let unknown = Loaded { master: 1, started: 2, reloads: 3, shape: String::new() };
        assert_eq!(unknown.to_string().parse(), Ok(unknown));
    }

    /// As 2.6.12 answers.
    #[test]
    fn what_a_process_remembers() {
        assert!(remembers("# table: A, type: ip, size:1000, used:1\n# table: B, type: ip, size:1000, used:0\n\n"));
        assert!(!remembers("# table: B, type: ip, size:1000, used:0\n\n"));
        let peers = |flags: &str| {
            format!(
                "0x55bc796ac840: [21/Nov/2026:19:07:23] id=pair disabled=0 flags={flags} \
            resync_timeout=4s task_calls=2\n  0x55bc796ac9b0: id=this(local,inactive) addr=127.0.0.1:28099\n        flags=0x0\n"
            )
        };
        assert!(taught(&peers("0x1103")) && taught("\n") && !taught(&peers("0x11")));
    }

    #[test]
    fn sessions_of_a_server() {
        let key =
            |vs: &str, rs: &str| ServerKey { virtual_server: vs.parse().unwrap(), real_server: rs.parse().unwrap() };
        let answer = "0x55bc7977bf80: proto=tcpv4 src=127.0.0.1:5 fe=vs:A be=A srv=W1 ts=00\n\
            0x55bc7977bf81: proto=tcpv4 src=127.0.0.1:5 fe=vs:A be=A srv=W11 ts=00\n";
        assert_eq!(sessions_of(answer, &key("A", "W1")).collect::<Vec<_>>(), ["0x55bc7977bf80"]);
        assert_eq!(sessions_of(answer, &key("B", "W1")).count(), 0);
    }
}

//! What tests compare with, while it runs: read, and filled anew (`show acl`, `prepare acl`, `add acl`, `commit acl`:
//! Management Guide 9.3).
//!
//! A new version of a list grows beside the one that is in use, which it replaces in one step. Should HAProxy refuse, a
//! reload does the same: the file has been written before.

use super::{ANSWER, Haproxy, io, socket};
use crate::{List, ProxyError, render::lists};
use std::{collections::BTreeMap, io::Error};

/// Bytes of commands in one go. HAProxy reads 16,384, and takes what stands behind them for a command of its own; a value
/// has up to 1,000 characters, each of which may take two.
const AT_ONCE: usize = 12_000;

/// Lists whose values are asked for in one go: 20 bytes each.
const ASKED_AT_ONCE: usize = 400;

/// Looks until the values are read again though nothing seems to have changed: reading a few thousand lists keeps HAProxy
/// busy for a tenth of a second. Only who exchanges one value for another by hand changes nothing that would be seen.
const LOOKS: u32 = 60;

/// What was read last, and of what.
pub(super) struct Seen {
    worker: Option<u32>,
    /// The answer to `show acl`: versions and counts.
    about: String,
    lists: BTreeMap<u32, Vec<String>>,
    looks: u32,
}

impl Haproxy {
    /// Of `worker`, by their numbers.
    pub(super) fn running_lists(&mut self, worker: Option<u32>) -> Result<BTreeMap<u32, Vec<String>>, ProxyError> {
        let about = self.worker("show acl")?;
        if let Some(seen) = &mut self.seen
            && (seen.worker, &seen.about) == (worker, &about)
            && seen.looks < LOOKS
        {
            seen.looks += 1;
            return Ok(seen.lists.clone());
        }
        let numbers: Vec<u32> = about.lines().filter_map(number).collect();
        let mut lists = BTreeMap::new();
        for numbers in numbers.chunks(ASKED_AT_ONCE) {
            let all: Vec<String> = numbers.iter().map(|number| format!("show acl #{number}")).collect();
            let answer = self.worker(&all.join(";"))?;
            let values = values(&answer).filter(|values| values.len() == numbers.len());
            let values =
                values.ok_or_else(|| io("reading the values of rules")(Error::other("it says something else")))?;
            lists.extend(numbers.iter().copied().zip(values));
        }
        self.seen = Some(Seen { worker, about, lists: lists.clone(), looks: 0 });
        Ok(lists)
    }

    /// All values in the first list, then none in the second: at no moment does one not count that counts before and
    /// after.
    pub(super) fn set_list(&self, number: u32, list: &List) -> Result<(), ProxyError> {
        let second = lists::second(number);
        let filled = match self.fill(number, &list.values) {
            Ok(()) if self.has_list(second)? => self.fill(second, &[]),
            filled => filled,
        };
        match filled {
            Err(ProxyError::Refused { command, answer }) => self.instead(&command, &answer),
            filled => filled,
        }
    }

    fn has_list(&self, number: u32) -> Result<bool, ProxyError> {
        Ok(!self.worker(&format!("show acl #{number}"))?.starts_with(UNKNOWN))
    }

    fn fill(&self, number: u32, values: &[String]) -> Result<(), ProxyError> {
        let prepare = format!("prepare acl #{number}");
        let answer = self.worker(&prepare)?;
        let version =
            answer.trim().strip_prefix("New version created: ").and_then(|version| version.parse::<u32>().ok());
        let Some(version) = version else {
            return Err(ProxyError::Refused { command: prepare, answer: answer.trim().to_owned() });
        };
        let mut commands = String::new();
        for value in values {
            let add = format!("add acl @{version} #{number} {} ", escaped(value));
            if commands.len() + add.len() > AT_ONCE {
                self.add(number, version, &std::mem::take(&mut commands))?;
            }
            // An empty command would be one that HAProxy does not know.
            if !commands.is_empty() {
                commands.push(';');
            }
            commands.push_str(&add);
        }
        self.add(number, version, &commands)?;
        self.order(&format!("commit acl @{version} #{number}"))
    }

    /// What is left of a version that HAProxy did not take in full goes.
    fn add(&self, number: u32, version: u32, commands: &str) -> Result<(), ProxyError> {
        if commands.is_empty() {
            return Ok(());
        }
        let answer = socket::ask(&self.in_run("admin.sock"), commands, ANSWER).map_err(io("telling HAProxy values"))?;
        match answer.trim() {
            "" => Ok(()),
            answer => {
                let _ = self.worker(&format!("clear acl @{version} #{number}"));
                Err(ProxyError::Refused { command: format!("add acl #{number}"), answer: answer.to_owned() })
            }
        }
    }
}

const UNKNOWN: &str = "Unknown ACL identifier";

/// As a word on the command line. What stands behind it must be a space: `<<` at a command's end would begin something
/// else.
fn escaped(value: &str) -> String {
    value.chars().fold(String::new(), |mut word, c| {
        if matches!(c, ' ' | ';' | '\\') {
            word.push('\\');
        }
        word.push(c);
        word
    })
}

/// Of one of ours: `1000000 () acl 'path' file '/run/lb/haproxy.cfg' line 61. curr_ver=0 next_ver=0 entry_cnt=5`.
fn number(line: &str) -> Option<u32> {
    let number = line.split(' ').next()?.parse().ok()?;
    (number >= lists::FIRST).then_some(number)
}

/// Lists as they come: `0x5613adea8dd0 VALUE` each, with an empty line behind each list.
fn values(answer: &str) -> Option<Vec<Vec<String>>> {
    let (mut all, mut list) = (Vec::new(), Vec::new());
    for line in answer.lines() {
        if line.is_empty() {
            all.push(std::mem::take(&mut list));
        } else {
            let (_, value) = line.strip_prefix("0x")?.split_once(' ')?;
            list.push(value.to_owned());
        }
    }
    list.is_empty().then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As 2.6.12 answers.
    #[test]
    fn what_runs() {
        let about = "# id (file) description\n0 () acl 'var' file 'httpclient' line 0. curr_ver=0 next_ver=0 entry_cnt=1\n\
            1000000 () acl 'path' file 'h.cfg' line 10. curr_ver=1 next_ver=1 entry_cnt=2\n\
            -1 (/run/lb/certs/acme:hosts) pattern loaded from file 'x'. curr_ver=0 next_ver=0 entry_cnt=1\n\n";
        assert_eq!(about.lines().filter_map(number).collect::<Vec<_>>(), [1_000_000]);
        let answer = "0x5613adea8dd0 /a\n0x5613adea8e70 /b  c\n\n\n0x5613adea98d0 10.0.0.0/8\n\n";
        let read = |lists: [&[&str]; 3]| Some(lists.map(|list| list.iter().map(ToString::to_string).collect()).into());
        assert_eq!(values(answer), read([&["/a", "/b  c"], &[], &["10.0.0.0/8"]]));
        for other in ["Unknown ACL identifier. Please use #<id> or <file>.\n\n", "0x5613adea8dd0 /a\n"] {
            assert_eq!(values(other), None, "{other}");
        }
    }

    #[test]
    fn words_of_the_command_line() {
        assert_eq!(escaped("/a b;c\\d \"<<"), "/a\\ b\\;c\\\\d\\ \"<<");
    }
}

//! Types on a serial console as a person would and reads what comes back.
//!
//! A thread reads the line all the time, so nothing is lost between two calls; [`Console::expect`] looks for the next
//! match after the last one. The whole conversation is kept ([`Console::transcript`]) and stands in every error.
//! [`Console::run`] needs a root shell at its prompt: [`Console::login_root`] leaves one.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use regex::Regex;

use crate::limits::{self, scaled, wait_until};

/// Of root on a new unit.
pub const FACTORY_PASSWORD: &str = "loadbalancer";
/// What root gets in its place at the first log-in.
pub const ROOT_PASSWORD: &str = "steel Yard 77";

/// How much of the conversation an error shows, in characters.
const SHOWN: usize = 2500;

/// What a command on a root shell came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Standard output and error, as the terminal showed them, lines ended by `\n`.
    pub text: String,
    /// Exit status of the shell's last command.
    pub status: i32,
}

/// What a password came to at the log-in prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoggedIn {
    /// It is wrong: the prompt comes again.
    No,
    /// It is the factory's: another one is asked for.
    Asked,
    /// A shell is at its prompt.
    Shell,
}

#[derive(Default)]
struct Heard {
    text: String,
    closed: bool,
}

/// One end of a serial line.
pub struct Console {
    line: UnixStream,
    heard: Arc<(Mutex<Heard>, Condvar)>,
    /// Everything before this byte of the text has been matched already.
    seen: usize,
    commands: u32,
    /// The factory's password was replaced on this line.
    renewed: bool,
}

impl Console {
    /// Connects to the socket QEMU keeps for a serial port, as soon as it is there.
    pub fn connect(socket: &Path) -> Result<Console> {
        let what = format!("the console socket {}", socket.display());
        let line = wait_until(&what, limits::APPEAR, || Ok(UnixStream::connect(socket).ok()))?;
        let heard = Arc::new((Mutex::new(Heard::default()), Condvar::new()));
        let mut reader = line.try_clone().context("duplicating the console socket")?;
        let shared = Arc::clone(&heard);
        thread::spawn(move || listen(&mut reader, &shared));
        Ok(Console { line, heard, seen: 0, commands: 0, renewed: false })
    }

    /// Types `text` and Enter.
    pub fn send_line(&mut self, text: &str) -> Result<()> {
        self.send(&format!("{text}\r"))
    }

    /// Types `text` as it is; `"\u{3}"` is Ctrl-C.
    pub fn send(&mut self, text: &str) -> Result<()> {
        self.line.write_all(text.as_bytes()).context("typing on the console")
    }

    /// Waits for `text` after the last match and returns what came before it.
    pub fn expect(&mut self, text: &str, limit: Duration) -> Result<String> {
        let found =
            self.wait_for(&format!("{text:?}"), limit, |heard| heard.find(text).map(|at| (at, at + text.len())))?;
        Ok(found.0)
    }

    /// Waits for a match of `pattern` after the last match; returns what came before it and the match itself.
    pub fn expect_match(&mut self, pattern: &str, limit: Duration) -> Result<(String, String)> {
        let regex = Regex::new(pattern).with_context(|| format!("the pattern {pattern}"))?;
        self.wait_for(&format!("/{pattern}/"), limit, |heard| regex.find(heard).map(|m| (m.start(), m.end())))
    }

    /// Logs in as root at the prompt (waiting for it up to `limit`) and prepares a quiet root shell for [`Console::run`].
    /// A unit that has the factory's password is given [`ROOT_PASSWORD`], as it asks for another one; one that was given
    /// it before is logged in to with that.
    pub fn login_root(&mut self, limit: Duration) -> Result<()> {
        let mut passwords = [FACTORY_PASSWORD, ROOT_PASSWORD];
        if self.renewed {
            passwords.reverse();
        }
        let mut limit = limit;
        for password in passwords {
            match self.try_login("root", password, limit)? {
                LoggedIn::No => limit = limits::COMMAND,
                LoggedIn::Shell => return self.quiet_shell(),
                LoggedIn::Asked => {
                    self.send_line(ROOT_PASSWORD)?;
                    self.expect("The same again: ", limits::COMMAND)?;
                    self.send_line(ROOT_PASSWORD)?;
                    self.expect_match(r"[#$] $", limits::COMMAND).context("no shell after the new password")?;
                    self.renewed = true;
                    return self.quiet_shell();
                }
            }
        }
        bail!("root has neither the factory's password nor the one it is given here")
    }

    /// Answers the log-in prompt, and says what comes of it.
    pub fn try_login(&mut self, user: &str, password: &str, limit: Duration) -> Result<LoggedIn> {
        self.expect("login: ", limit).context("no login prompt")?;
        self.send_line(user)?;
        self.expect("assword: ", limits::COMMAND)?;
        self.send_line(password)?;
        let (_, end) = self
            .expect_match(r"Login incorrect|New password: $|[#$] $", limits::COMMAND)
            .context("nothing after the password")?;
        Ok(match end.as_str() {
            "Login incorrect" => LoggedIn::No,
            "New password: " => LoggedIn::Asked,
            _ => LoggedIn::Shell,
        })
    }

    /// Turns echo, prompt and line editing off, so that what comes back is output only.
    pub fn quiet_shell(&mut self) -> Result<()> {
        // The marker is put together by the shell: the echo of this line cannot be taken for it.
        // A line editor throws away what is typed before it reads: its first prompt is waited for.
        self.send_line("exec bash --norc --noediting")?;
        self.expect("\n", limits::COMMAND)?;
        self.expect_match(r"[#$] $", limits::COMMAND)?;
        self.send_line("PS1= PS2=; stty -echo; printf 'quiet-%s\\n' shell")?;
        self.expect("quiet-shell", limits::COMMAND)?;
        self.expect("\n", limits::COMMAND)?;
        Ok(())
    }

    /// Runs `command` on the root shell; at most about 4000 characters, the limit of a terminal line.
    pub fn run(&mut self, command: &str) -> Result<Answer> {
        self.run_within(command, limits::COMMAND)
    }

    /// [`Console::run`] with another limit.
    pub fn run_within(&mut self, command: &str, limit: Duration) -> Result<Answer> {
        self.commands += 1;
        let number = self.commands;
        self.send_line(&format!("{command}\nprintf '\\nend-%s:%d:\\n' {number} $?"))?;
        let (text, mark) = self
            .expect_match(&format!(r"\nend-{number}:\d+:\n"), limit)
            .with_context(|| format!("running on the console: {command}"))?;
        let status = mark.trim().trim_end_matches(':').rsplit(':').next().and_then(|digits| digits.parse().ok());
        Ok(Answer { text, status: status.context("the shell's status is no number")? })
    }

    /// [`Console::run`]; a status other than 0 is an error that shows the output.
    pub fn ok(&mut self, command: &str) -> Result<String> {
        self.ok_within(command, limits::COMMAND)
    }

    /// [`Console::ok`] with another limit.
    pub fn ok_within(&mut self, command: &str, limit: Duration) -> Result<String> {
        let answer = self.run_within(command, limit)?;
        if answer.status != 0 {
            bail!("`{command}` ended with status {}:\n{}", answer.status, answer.text);
        }
        Ok(answer.text)
    }

    /// Everything heard so far.
    pub fn transcript(&self) -> String {
        lock(&self.heard.0).text.clone()
    }

    fn wait_for(
        &mut self,
        what: &str,
        limit: Duration,
        find: impl Fn(&str) -> Option<(usize, usize)>,
    ) -> Result<(String, String)> {
        let end = Instant::now() + scaled(limit);
        let (mutex, changed) = &*self.heard;
        let mut heard = lock(mutex);
        loop {
            let fresh = heard.text.get(self.seen..).unwrap_or_default();
            if let Some((from, to)) = find(fresh) {
                let found = (fresh[..from].to_string(), fresh[from..to].to_string());
                self.seen += to;
                return Ok(found);
            }
            let left = end.saturating_duration_since(Instant::now());
            if heard.closed || left.is_zero() {
                let why = if heard.closed { "the console was closed" } else { "the time is up" };
                bail!("waiting for {what} on the console: {why}. It showed last:\n{}", tail(&heard.text));
            }
            heard = changed.wait_timeout(heard, left).map_or_else(|e| e.into_inner().0, |(guard, _)| guard);
        }
    }
}

impl Drop for Console {
    /// Hangs up, so that the reading thread ends and another one may connect.
    fn drop(&mut self) {
        let _ = self.line.shutdown(std::net::Shutdown::Both);
    }
}

fn lock(mutex: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listen(line: &mut UnixStream, shared: &(Mutex<Heard>, Condvar)) {
    let mut buffer = [0_u8; 4096];
    loop {
        let count = line.read(&mut buffer).unwrap_or(0);
        let mut heard = lock(&shared.0);
        if count == 0 {
            heard.closed = true;
        }
        // The carriage returns of the terminal would stand in every pattern. A character cut by the buffer's end
        // shows as the replacement character: the programs under test print ASCII.
        heard.text.push_str(&String::from_utf8_lossy(&buffer[..count]).replace('\r', ""));
        shared.1.notify_all();
        if count == 0 {
            return;
        }
    }
}

fn tail(text: &str) -> &str {
    let mut at = text.len().saturating_sub(SHOWN);
    while !text.is_char_boundary(at) {
        at += 1;
    }
    &text[at..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// A console whose other end is a real shell.
    fn shell() -> Result<(Console, std::process::Child, tempfile::TempDir)> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("console");
        let listener = UnixListener::bind(&path)?;
        let console = Console::connect(&path)?;
        let (end, _) = listener.accept()?;
        let (input, output): (std::os::fd::OwnedFd, std::os::fd::OwnedFd) = (end.try_clone()?.into(), end.into());
        let child = std::process::Command::new("sh").stdin(input).stdout(output).spawn()?;
        Ok((console, child, folder))
    }

    /// Enter is a carriage return on a terminal; a plain shell wants the newline the terminal would make of it.
    fn type_plain(console: &mut Console, text: &str) -> Result<()> {
        console.send(&format!("{text}\n"))
    }

    #[test]
    fn matches_go_forward_and_return_what_came_before() -> Result<()> {
        let (mut console, mut child, _folder) = shell()?;
        type_plain(&mut console, "echo one; echo two; echo one")?;
        assert_eq!(console.expect("two", limits::COMMAND)?, "one\n");
        assert_eq!(console.expect("one", limits::COMMAND)?, "\n");
        type_plain(&mut console, "exit")?;
        let err = console.expect("one", limits::COMMAND).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(err.contains("closed") && err.contains("one\ntwo\none"), "{err}");
        child.wait()?;
        Ok(())
    }
}

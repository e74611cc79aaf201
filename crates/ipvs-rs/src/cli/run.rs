//! Does what a command line asks for: talks to the kernel, prints, and returns the exit status.
//!
//! A restore sends what it has read so far in batches, before it waits for more input and before every
//! line that is no change, so that output, messages and effects come in the order of the lines.

use std::fs;
use std::io::{self, Read, Write};
use std::process::{Command as Process, ExitCode};

use super::names::{Names, System};
use super::parse::parse;
use super::{Command, Format, Listing, Rejection, conn, lines, message, render, usage};
use crate::client::Ipvs;
use crate::error::{Error, ErrorKind};
use crate::request::Request;

/// `ipvsadm ARGS`; without arguments it lists the table.
pub fn ipvsadm(program: &str, args: &[&str]) -> ExitCode {
    let names = System::default();
    let command =
        if args.is_empty() { Ok(Command::List(Listing::All, Format::default())) } else { parse(program, args, &names) };
    let status = match command {
        Err(rejection) => reject(&rejection),
        Ok(Command::Help) => print(&usage::help(program)),
        Ok(Command::Version) => print(usage::VERSION),
        Ok(command) => match open() {
            Ok(ipvs) => Runner { ipvs, names: &names, program, restoring: false }.run(command),
            Err(text) => complain(2, &text),
        },
    };
    ExitCode::from(status)
}

/// `ipvsadm-save [-n]`.
pub fn save(program: &str, args: &[&str]) -> ExitCode {
    let mut command = vec!["-S"];
    for arg in args {
        match *arg {
            "-n" => command.push("-n"),
            other if other.starts_with('-') => {
                let text = format!(
                    "{program}: Script to save the IPVS table to stdout.\n   \
                     With the -n option, prints out the table in numeric format."
                );
                return ExitCode::from(complain(1, &text));
            }
            _ => {}
        }
    }
    command.dedup();
    ipvsadm("ipvsadm", &command)
}

/// `ipvsadm-restore`: clears the table, then `-R`; lines that begin with `#` are left out. The table is
/// cleared when all input is there.
pub fn restore() -> ExitCode {
    let mut text = Vec::new();
    if let Err(error) = io::stdin().lock().read_to_end(&mut text) {
        return ExitCode::from(complain(1, &format!("cannot read standard input: {error}")));
    }
    let kept: Vec<&[u8]> = text.split(|b| *b == b'\n').filter(|line| !line.starts_with(b"#")).collect();
    let text = kept.join(&b'\n');
    let names = System::default();
    let status = match open() {
        Ok(ipvs) => {
            let mut runner = Runner { ipvs, names: &names, program: "ipvsadm", restoring: false };
            runner.run(Command::Change(Request::Flush));
            runner.restore(&mut text.as_slice())
        }
        Err(text) => complain(2, &text),
    };
    ExitCode::from(status)
}

/// Opens the kernel's IPVS; asks for its module once if it is not there.
fn open() -> Result<Ipvs, String> {
    let first = Ipvs::open().and_then(usable);
    let result = match first {
        Err(Error::NoIpvs) => {
            // Its outcome does not matter: the second try tells.
            let _outcome = Process::new("/sbin/modprobe").args(["--", "ip_vs"]).status();
            Ipvs::open().and_then(usable)
        }
        other => other,
    };
    result.map_err(|error| {
        let why = match &error {
            Error::NoIpvs => "Protocol not available".to_owned(),
            other => message::text(other),
        };
        format!(
            "Can't initialize ipvs: {why}\n\
             Are you sure that IP Virtual Server is built in the kernel or as module?"
        )
    })
}

/// Looking the family up needs no right; the first read tells whether we have it.
fn usable(mut ipvs: Ipvs) -> Result<Ipvs, Error> {
    ipvs.info().map(|_| ipvs)
}

struct Runner<'a> {
    ipvs: Ipvs,
    names: &'a dyn Names,
    program: &'a str,
    restoring: bool,
}

impl Runner<'_> {
    fn run(&mut self, command: Command) -> u8 {
        match command {
            Command::Change(request) => self.changes(&[request]),
            Command::List(what, format) => self.output(|runner, out| runner.list(out, what, &format)),
            Command::Save(format) => self.output(|runner, out| runner.table(out, &format, render::commands)),
            Command::Restore if self.restoring => reject(&Rejection::try_help(self.program)),
            Command::Restore => self.restore(&mut io::stdin().lock()),
            Command::Help => print(&usage::help(self.program)),
            Command::Version => print(usage::VERSION),
        }
    }

    /// Does the changes, says which were refused, returns the status of the last.
    fn changes(&mut self, requests: &[Request]) -> u8 {
        let mut status = 0;
        for result in self.ipvs.batch(requests) {
            status = match result {
                Ok(()) => 0,
                Err(error) => complain(255, &message::text(&error)),
            };
        }
        status
    }

    /// Prints what `fill` wrote, also when it failed on the way.
    fn output(&mut self, fill: impl FnOnce(&mut Self, &mut String) -> Result<(), String>) -> u8 {
        let mut out = String::new();
        let result = fill(self, &mut out);
        print(&out);
        match result {
            Ok(()) => 0,
            Err(text) => complain(1, &text),
        }
    }

    fn list(&mut self, out: &mut String, what: Listing, format: &Format) -> Result<(), String> {
        match what {
            Listing::All => {
                render::banner(out, &self.ipvs.info().map_err(words)?);
                render::title(out, format);
                self.table(out, format, render::entry)?;
            }
            Listing::One(id) => {
                let service = self.ipvs.service(&id).map_err(words)?;
                let dests = self.dests(&id, format)?;
                render::title(out, format);
                render::entry(out, &service, &dests, format, self.names);
            }
            Listing::Connections => {
                let text = fs::read(conn::PATH).map_err(|_| format!("cannot open file {}", conn::PATH))?;
                conn::listing(out, &String::from_utf8_lossy(&text), format, self.names);
            }
            Listing::Timeouts => render::timeouts(out, &self.ipvs.timeouts().map_err(words)?),
            Listing::Daemons => render::daemons(out, &self.ipvs.daemons().map_err(words)?),
        }
        Ok(())
    }

    /// Every service and its destinations, each written by `write`.
    fn table(
        &mut self,
        out: &mut String,
        format: &Format,
        write: fn(&mut String, &crate::ServiceEntry, &[crate::DestEntry], &Format, &dyn Names),
    ) -> Result<(), String> {
        let mut services = self.ipvs.services().map_err(words)?;
        if !format.nosort {
            render::sort_services(&mut services, |service| service);
        }
        for service in &services {
            let dests = self.dests(&service.service.id, format)?;
            write(out, service, &dests, format, self.names);
        }
        Ok(())
    }

    fn dests(&mut self, id: &crate::ServiceId, format: &Format) -> Result<Vec<crate::DestEntry>, String> {
        let mut dests = self.ipvs.dests(id).map_err(words)?;
        if !format.nosort {
            render::sort_dests(&mut dests);
        }
        Ok(dests)
    }

    /// `-R`: the status is that of the last line; a line that cannot be accepted ends it.
    fn restore(&mut self, input: &mut dyn Read) -> u8 {
        self.restoring = true;
        let mut status = 0;
        let mut buffer = vec![0; 64 * 1024];
        let mut filled = 0;
        loop {
            if filled == buffer.len() {
                buffer.resize(2 * filled, 0);
            }
            let got = match input.read(&mut buffer[filled..]) {
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return complain(255, &format!("cannot read standard input: {error}")),
            };
            filled += got;
            // At the end of the input a line needs no line end.
            let whole = match got {
                0 => filled,
                _ => buffer[..filled].iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1),
            };
            let text = String::from_utf8_lossy(&buffer[..whole]);
            match self.restore_lines(&text, status) {
                Ok(last) => status = last,
                Err(end) => return end,
            }
            if got == 0 {
                return status;
            }
            buffer.copy_within(whole..filled, 0);
            filled -= whole;
        }
    }

    /// The lines of one piece of input. `Err` is the status of a line that ends everything.
    fn restore_lines(&mut self, text: &str, mut status: u8) -> Result<u8, u8> {
        let mut pending = Vec::new();
        let mut words = Vec::new();
        for line in text.lines() {
            words.clear();
            lines::words(line, &mut words);
            if words.is_empty() {
                continue;
            }
            let parsed = match parse(self.program, &words, self.names) {
                Ok(Command::Change(request)) => {
                    pending.push(request);
                    continue;
                }
                other => other,
            };
            self.changes(&pending);
            pending.clear();
            status = match parsed {
                Ok(Command::Restore | Command::Help | Command::Version) => return Err(self.last_word(parsed)),
                Ok(command) => match self.run(command) {
                    0 => 0,
                    // A listing that fails ends the original.
                    failed => return Err(failed),
                },
                Err(rejection) if rejection.fatal => return Err(reject(&rejection)),
                Err(rejection) => reject(&rejection),
            };
        }
        if pending.is_empty() { Ok(status) } else { Ok(self.changes(&pending)) }
    }

    /// Commands after which the original exits wherever it meets them.
    fn last_word(&mut self, command: Result<Command, Rejection>) -> u8 {
        match command {
            Ok(command) => self.run(command),
            Err(rejection) => reject(&rejection),
        }
    }
}

fn words(error: Error) -> String {
    match error.kind() {
        Some(ErrorKind::NoSuchService) => "No such service".to_owned(),
        _ => message::text(&error),
    }
}

fn reject(rejection: &Rejection) -> u8 {
    complain(rejection.status, &rejection.text)
}

fn complain(status: u8, text: &str) -> u8 {
    // Nowhere to report a closed standard error to.
    let _closed = writeln!(io::stderr(), "{text}");
    status
}

fn print(text: &str) -> u8 {
    let mut out = io::stdout().lock();
    // The reader may have gone (`| head`): as good as done.
    let _closed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    0
}

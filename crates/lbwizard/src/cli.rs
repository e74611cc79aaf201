//! The command line, and the choice of where answers come from.

use crate::{
    prompter::{AnswersFile, Lines, Prompter},
    session::{self, WizardError},
    signals::Guard,
};
use clap::Parser;
use lb_api::BlockingClient;
use std::{
    io::{self, IsTerminal},
    path::PathBuf,
};

const LONG_HELP: &str = "\
Exit status: 0 set up, or nothing to do; 1 it could not be done, or not wholly,
or the input ended; 2 wrong options; 129, 130, 143 left by hang-up, Ctrl-C, SIGTERM. Except
after 0, nothing was changed unless the message says otherwise.

The answers file holds one answer a line, in the order of the questions. An
empty line takes the default. What follows a # is a comment. Neither the Enter
at the beginning nor the one at the end is in it. The quick start guide's
two-arm NAT example:

  n               # part of an HA-Pair?
  n               # one-armed?
  10.0.0.21       # IP address for interface eth0
  255.255.255.0   # netmask for interface eth0
  192.168.2.21    # IP address for interface eth1
  255.255.255.0   # netmask for interface eth1
  10.0.0.31       # default gateway
  10.0.0.31       # nameserver
  80              # port for first virtual server
  192.168.2.50    # first real server

One arm leaves out the two lines for eth1. The units of a pair, the slave first:

  y               # part of an HA-Pair?     y               # part of an HA-Pair?
  s               # the slave               m               # the master
  y               # one-armed?              y               # the slave is set up
  10.0.0.22       # eth0                    y               # one-armed?
  255.255.255.0                             10.0.0.21       # eth0
  10.0.0.31       # default gateway         255.255.255.0
  10.0.0.31       # nameserver              10.0.0.31       # default gateway
                                            10.0.0.31       # nameserver
                                            10.0.0.22       # the slave
                                            10.0.0.20       # floating IP
                                            80              # port
                                            10.0.0.50       # real server

Two arms have a second floating IP after the first. Without a null-modem cable
the code that the slave shows is a line after the slave's address.

  lbwizard                                  ask, and set this unit up
  lbwizard --answers two-arm.txt --dry-run  only show what would be done
  lbwizard --answers two-arm.txt            set this unit up, unattended";

/// Sets up a load balancer in a few questions: network, first virtual server, first real server.
///
/// Enter takes the [default]; ? explains a question; Ctrl-C leaves at any time, and nothing was
/// changed. All is made permanent at once, after the last Enter.
#[derive(Debug, Parser)]
#[command(name = "lbwizard", version, after_long_help = LONG_HELP, max_term_width = 78)]
pub struct Cli {
    /// Take the answers from a file, and ask nobody. See below for the file.
    #[arg(long, value_name = "FILE")]
    pub answers: Option<PathBuf>,
    /// Print the list of changes and the plan; change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Where lbd listens.
    #[arg(long, value_name = "PATH", default_value = lb_api::SOCKET)]
    pub socket: PathBuf,
}

impl Cli {
    pub fn run(&self, guard: &Guard) -> Result<(), WizardError> {
        let client = BlockingClient::new(&self.socket);
        let stdin = io::stdin();
        let mut prompter: Box<dyn Prompter> = match &self.answers {
            Some(file) => Box::new(AnswersFile::open(file.clone(), io::stdout())?),
            None => Box::new(Lines::new(stdin.lock(), io::stdout(), !stdin.is_terminal())),
        };
        session::run(&client, prompter.as_mut(), guard, &author(), self.dry_run)
    }
}

/// `lbwizard (root)`: the person, where the session says who it is.
fn author() -> String {
    let user = ["SUDO_USER", "LOGNAME", "USER"].iter().find_map(|v| std::env::var(v).ok()).filter(|u| !u.is_empty());
    user.map_or_else(|| "lbwizard".to_owned(), |u| format!("lbwizard ({u})"))
}

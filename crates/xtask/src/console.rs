//! `cargo xtask console`: this terminal becomes the serial console of a machine of the running demo.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;

use anyhow::{Context, Result};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use testbed::host;

/// Ctrl-]: leaves, as telnet does.
const LEAVE: u8 = 0x1d;

/// The machines of a demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Appliance,
    /// Unit two of a pair.
    Second,
    Lab,
}

/// Where the demo notes the sockets of its consoles.
fn note(which: Which) -> PathBuf {
    host::target().join("vm").join(match which {
        Which::Appliance => "demo-appliance.console",
        Which::Second => "demo-second.console",
        Which::Lab => "demo-lab.console",
    })
}

/// Notes where the consoles of the running demo are.
pub fn announce(consoles: &[(Which, PathBuf)]) -> Result<()> {
    for (which, socket) in consoles {
        fs::write(note(*which), socket.as_os_str().as_encoded_bytes()).context("noting a console's socket")?;
    }
    Ok(())
}

/// Removes the notes.
pub fn withdraw() {
    for which in [Which::Appliance, Which::Second, Which::Lab] {
        let _ = fs::remove_file(note(which));
    }
}

/// Attaches until Ctrl-] or the machine's end.
pub fn attach(which: Which) -> Result<()> {
    let socket =
        fs::read_to_string(note(which)).context("no demo is running\nhint: cargo xtask demo, and leave it running")?;
    let mut line = UnixStream::connect(&socket).context("the demo's console does not answer; has it ended?")?;
    eprintln!("Attached. Enter shows the prompt, Ctrl-] leaves.");
    let stdin = std::io::stdin();
    let before = tcgetattr(&stdin).ok();
    if let Some(mut raw) = before.clone() {
        cfmakeraw(&mut raw);
        tcsetattr(&stdin, SetArg::TCSANOW, &raw).context("switching the terminal to single keys")?;
    }
    let typed = line.try_clone().context("duplicating the console's socket")?;
    thread::spawn(move || type_on(typed));
    let mut buffer = [0; 4096];
    let mut out = std::io::stdout();
    while let Ok(count @ 1..) = line.read(&mut buffer) {
        if out.write_all(&buffer[..count]).and_then(|()| out.flush()).is_err() {
            break;
        }
    }
    if let Some(before) = before {
        tcsetattr(&stdin, SetArg::TCSANOW, &before).context("switching the terminal back")?;
    }
    eprintln!();
    Ok(())
}

/// Sends every key; Ctrl-] or the end of the input hangs up, which ends the reading side too.
fn type_on(mut line: UnixStream) {
    let mut key = [0; 256];
    while let Ok(count @ 1..) = std::io::stdin().read(&mut key) {
        if key[..count].contains(&LEAVE) || line.write_all(&key[..count]).is_err() {
            break;
        }
    }
    let _ = line.shutdown(std::net::Shutdown::Both);
}

//! `cargo xtask console`: this terminal becomes the serial console of a machine of the running demo.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use testbed::host;

/// Ctrl-]: leaves, as telnet does.
const LEAVE: u8 = 0x1d;

/// Where the demo notes the sockets of its consoles.
fn note(lab: bool) -> PathBuf {
    host::target().join("vm").join(if lab { "demo-lab.console" } else { "demo-appliance.console" })
}

/// Notes where the consoles of the running demo are.
pub fn announce(appliance: &Path, lab: &Path) -> Result<()> {
    for (is_lab, socket) in [(false, appliance), (true, lab)] {
        fs::write(note(is_lab), socket.as_os_str().as_encoded_bytes()).context("noting a console's socket")?;
    }
    Ok(())
}

/// Removes the notes.
pub fn withdraw() {
    for lab in [false, true] {
        let _ = fs::remove_file(note(lab));
    }
}

/// Attaches until Ctrl-] or the machine's end.
pub fn attach(lab: bool) -> Result<()> {
    let socket =
        fs::read_to_string(note(lab)).context("no demo is running\nhint: cargo xtask demo, and leave it running")?;
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

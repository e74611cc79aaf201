//! The build machine: its programs, commands with an error that says what was tried, and progress lines.
//!
//! Nothing here knows images or machines. Commands run with their output captured; it is shown when they fail.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// A program this project calls, or a file it reads, and the Debian 12 package that brings it.
const TOOLS: &[(&str, &str)] = &[
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("qemu-img", "qemu-utils"),
    ("mmdebstrap", "mmdebstrap"),
    ("mksquashfs", "squashfs-tools"),
    ("genimage", "genimage"),
    ("mcopy", "mtools"),
    ("mkdosfs", "dosfstools"),
    ("mke2fs", "e2fsprogs"),
    ("grub-mkimage", "grub-common"),
    ("/usr/lib/grub/i386-pc/boot.img", "grub-pc-bin"),
    ("/usr/lib/grub/x86_64-efi/fat.mod", "grub-efi-amd64-bin"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "ovmf"),
    ("depmod", "kmod"),
    ("cpio", "cpio"),
    ("lz4", "lz4"),
    ("zstd", "zstd"),
    ("xz", "xz-utils"),
    ("readelf", "binutils"),
    ("setpriv", "util-linux"),
    // The tests of the kernel's interfaces, in a namespace of this machine.
    ("ip", "iproute2"),
    ("nft", "nftables"),
    // lb-haproxy's tests.
    ("haproxy", "haproxy"),
    // An ACME server, for lbd's tests.
    ("pebble", "pebble"),
];

/// The same for the suites of the web interface alone.
const WEB_TOOLS: &[(&str, &str)] = &[
    ("chromium", "chromium"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("unshare", "util-linux"),
    ("ip", "iproute2"),
    ("virtualenv", "virtualenv"),
];

/// The folder of the workspace.
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// Cargo's target folder: `CARGO_TARGET_DIR` or `target` in the workspace.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// Debian packages that are missing here, sorted, without doubles.
fn missing_packages(tools: &[(&'static str, &'static str)]) -> Vec<&'static str> {
    let mut missing: Vec<_> =
        tools.iter().filter(|(tool, _)| find_program(tool).is_none()).map(|(_, package)| *package).collect();
    missing.sort_unstable();
    missing.dedup();
    missing
}

/// The command line that installs `packages`.
pub fn apt_line(packages: &[&str]) -> String {
    format!("apt-get install --no-install-recommends -y {}", packages.join(" "))
}

/// Refuses with the command to type when a program is missing.
pub fn require_tools() -> Result<()> {
    require(TOOLS)
}

fn require(tools: &[(&'static str, &'static str)]) -> Result<()> {
    let missing = missing_packages(tools);
    if !missing.is_empty() {
        bail!("programs are missing on this machine\nhint: {}", apt_line(&missing));
    }
    Ok(())
}

/// Installs what is missing, and says so. Needs root on a Debian machine.
pub fn install_missing_tools() -> Result<()> {
    install(TOOLS)
}

/// The same for the web interface's suites.
pub fn install_web_tools() -> Result<()> {
    install(WEB_TOOLS)
}

fn install(tools: &[(&'static str, &'static str)]) -> Result<()> {
    // Twice: a program from elsewhere, newer than Debian's (qemu-img from backports), is removed by the first round
    // when it conflicts with what that installs, and is Debian's after the second.
    for round in 0..2 {
        let missing = missing_packages(tools);
        if missing.is_empty() {
            return Ok(());
        }
        say(&format!("Installing Debian packages: {}", missing.join(" ")));
        if round == 0 {
            apt(&["update"])?;
        }
        let mut install = vec!["install", "--no-install-recommends", "-y"];
        install.extend(&missing);
        if !apt(&install)?.success() {
            bail!("apt-get could not install them\nhint: as root: {}", apt_line(&missing));
        }
    }
    require(tools)
}

fn apt(args: &[&str]) -> Result<ExitStatus> {
    Command::new("apt-get")
        .args(["-o", "DPkg::Lock::Timeout=120", "-q"])
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .status()
        .context("starting apt-get")
}

/// Where `name` is in PATH or in the folders for administrators, which a plain user's PATH leaves out.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(sbin).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// A command for a program of [`TOOLS`], found outside PATH as well.
pub fn tool(name: &str) -> Command {
    Command::new(find_program(name).unwrap_or_else(|| PathBuf::from(name)))
}

/// Cargo in this workspace. What cargo told the program it runs of its own package stays behind: ring's build script
/// looks at it, and would build itself, and all that needs it, anew for each program that calls cargo.
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            cargo.env_remove(name);
        }
    }
    cargo.current_dir(workspace());
    cargo
}

/// Runs to the end; its standard output comes back, both streams are in the error.
pub fn run(command: &mut Command) -> Result<Vec<u8>> {
    let line = show(command);
    let done = command.stdin(Stdio::null()).output().with_context(|| format!("starting {line}"))?;
    if !done.status.success() {
        bail!(
            "{line}: {}\n{}{}",
            done.status,
            String::from_utf8_lossy(&done.stdout),
            String::from_utf8_lossy(&done.stderr)
        );
    }
    Ok(done.stdout)
}

/// [`run`], as text.
pub fn run_text(command: &mut Command) -> Result<String> {
    Ok(String::from_utf8_lossy(&run(command)?).into_owned())
}

/// Runs `from` into `into`, the way a shell's pipe does; the bytes that come out of `into` come back.
pub fn pipe(from: &mut Command, into: &mut Command) -> Result<Vec<u8>> {
    let (first, second) = (show(from), show(into));
    let mut left =
        from.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().with_context(|| format!("starting {first}"))?;
    let stdout = left.stdout.take().context("the pipe has no left end")?;
    let done = into.stdin(stdout).output();
    // The command keeps its end of the pipe until it is given another, and while that is open, whoever writes to a
    // program that has ended waits for ever.
    into.stdin(Stdio::null());
    let left = left.wait()?;
    let done = done.with_context(|| format!("starting {second}"))?;
    // First: the left one fails as well when nobody reads what it writes.
    if !done.status.success() {
        bail!("{second}: {}\n{}", done.status, String::from_utf8_lossy(&done.stderr));
    }
    if !left.success() {
        bail!("{first} failed");
    }
    Ok(done.stdout)
}

fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// One line for the person who waits.
pub fn say(line: &str) {
    let mut out = std::io::stderr().lock();
    // A closed terminal must not end a build.
    let _ = writeln!(out, "{line}");
}

/// Does one step and says what it was and how long it took.
pub fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    say(&format!("  … {what}"));
    let done = work().with_context(|| what.to_string())?;
    say(&format!("  ✓ {what} ({:.1} s)", start.elapsed().as_secs_f64()));
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It waited for ever.
    #[test]
    fn a_pipe_whose_right_end_fails_early_ends() {
        let error = pipe(&mut Command::new("yes"), &mut Command::new("false")).unwrap_err();
        assert!(error.to_string().starts_with("false: "), "{error}");
        let error = pipe(&mut Command::new("yes"), &mut Command::new("/nonexistent")).unwrap_err();
        assert_eq!(error.to_string(), "starting /nonexistent");
    }

    #[test]
    fn a_pipe_brings_what_comes_out_at_its_right_end() {
        let mut cat = Command::new("cat");
        assert_eq!(pipe(Command::new("echo").arg("seen"), &mut cat).unwrap(), b"seen\n");
        let error = pipe(&mut Command::new("false"), &mut cat).unwrap_err();
        assert_eq!(error.to_string(), "false failed");
    }
}

//! `cargo xtask buildroot-check`: is `buildroot-external/` whole? What needs nothing is checked always, and by `tidy`
//! too ([`tree`]); what needs Buildroot or the kernel's sources only where they are given, and said when it is not.
//!
//! Nothing is built and nothing but two Python packages is downloaded.

mod kernel;
mod scripts;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use testbed::host::{self, run, run_text, step};
use testbed::image;

pub use tree::offences;

const REQUIREMENTS: &str = "crates/xtask/src/buildroot/requirements.txt";
const DEFCONFIG: &str = "lb_x86_64_defconfig";
/// The branch that the tree is written for.
const BRANCH: &str = "2026.02";

/// What to check against.
#[derive(Default)]
pub struct Against {
    /// A checkout of Buildroot.
    pub buildroot: Option<PathBuf>,
    /// Sources of the kernel, unpacked.
    pub kernel: Option<PathBuf>,
    /// A finished configuration of the kernel.
    pub kernel_config: Option<PathBuf>,
}

/// Checks what can be checked here; what cannot is named, with what to give.
pub fn check(against: &Against) -> Result<()> {
    let root = host::workspace();
    let external = root.join("buildroot-external");
    if let Some(config) = &against.kernel_config {
        return report("kernel configuration", kernel::compare(&external, &read(config)?)?);
    }
    report("the tree", tree::offences(&root)?)?;
    shellcheck(&external)?;
    partition_table()?;
    let sources = against.kernel.clone().map_or_else(kernel::debian, |folder| Ok(Some(folder)))?;
    match sources {
        Some(folder) => report("kernel symbols", step("kernel symbols", || kernel::check(&external, &folder))?)?,
        None => println!(
            "skipped  kernel symbols: no sources\n         hint: apt-get install linux-source-6.12, or --kernel FOLDER"
        ),
    }
    match &against.buildroot {
        Some(folder) => with_buildroot(&external, folder),
        None => {
            println!(
                "skipped  defconfig and check-package: no Buildroot\n         hint: cargo xtask buildroot-check FOLDER, a checkout of Buildroot {BRANCH}"
            );
            Ok(())
        }
    }
}

fn report(what: &str, offences: Vec<String>) -> Result<()> {
    if offences.is_empty() {
        println!("holds    {what}");
        return Ok(());
    }
    for offence in &offences {
        eprintln!("{what}: {offence}");
    }
    bail!("{what}: {} found", offences.len())
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))
}

fn shellcheck(external: &Path) -> Result<()> {
    let files = ["post-build.sh", "post-image.sh"].map(|name| external.join("board/lb").join(name));
    if host::find_program("shellcheck").is_none() {
        println!("skipped  scripts: no shellcheck\n         hint: {}", host::apt_line(&["shellcheck"]));
        return Ok(());
    }
    run(host::tool("shellcheck").args(&files))?;
    println!("holds    scripts (shellcheck)");
    Ok(())
}

/// Does genimage take the partition table? On files of about the right size, with nothing in them.
fn partition_table() -> Result<()> {
    if host::find_program("genimage").is_none() {
        println!("skipped  partition table: no genimage\n         hint: {}", host::apt_line(&["genimage"]));
        return Ok(());
    }
    let folder = tempfile::tempdir().context("making a folder for genimage")?;
    for (name, size) in [
        ("mbr.img", 440),
        ("core.img", 100_000),
        ("rootfs.squashfs", 1_000_000),
        ("BOOTX64.EFI", 100_000),
        ("grub.cfg", 100),
        ("grubenv", 1024),
    ] {
        fs::write(folder.path().join(name), vec![0; size])?;
    }
    image::partition(folder.path())?;
    println!("holds    partition table (genimage)");
    Ok(())
}

fn with_buildroot(external: &Path, buildroot: &Path) -> Result<()> {
    let makefile = read(&buildroot.join("Makefile"))?;
    let version = makefile.lines().find_map(|line| line.strip_prefix("export BR2_VERSION := "));
    let version = version.with_context(|| format!("{} is no Buildroot", buildroot.display()))?;
    if !version.starts_with(BRANCH) {
        println!("note: Buildroot {version}; the tree is written for {BRANCH}");
    }
    let out = tempfile::tempdir().context("making an output folder for Buildroot")?;
    let make = |goal: &str| {
        let mut make = host::tool("make");
        make.arg("-s").arg("-C").arg(buildroot).arg(format!("O={}", out.path().display()));
        make.arg(format!("BR2_EXTERNAL={}", external.display())).arg(goal);
        make
    };
    let asked = read(&external.join("configs").join(DEFCONFIG))?;
    let wants = tree::symbols_of_programs();
    let found = step("defconfig", || {
        run(&mut make(DEFCONFIG))?;
        let resolved = read(&out.path().join(".config"))?;
        let saved = out.path().join("saved");
        run(make("savedefconfig").arg(format!("BR2_DEFCONFIG={}", saved.display())))?;
        Ok([unset(&asked, &resolved, &wants), not_canonical(&asked, &read(&saved)?)].concat())
    })?;
    report("defconfig", found)?;
    let busybox = read(&buildroot.join("package/busybox/busybox.config"))?;
    report("busybox", tree::applets_off(&busybox))?;
    let rust = read(&buildroot.join("package/rust-bin/rust-bin.mk"))?;
    let manifest = read(&host::workspace().join("Cargo.toml"))?;
    report("Rust", tree::rust_too_old(&manifest, &rust))?;
    step("check-package", || check_package(external, buildroot))?;
    println!("holds    check-package");
    println!("Buildroot {version}: all that can be told without building");
    Ok(())
}

/// Lines of the defconfig that Buildroot dropped, symbols that programs need and that are off, symbols of the past.
fn unset(asked: &str, resolved: &str, wants: &[&str]) -> Vec<String> {
    let has = |line: &str| resolved.lines().any(|have| have == line);
    let lines = asked.lines().filter(|line| line.contains("BR2_"));
    let mut found: Vec<String> =
        lines.filter(|line| !has(line)).map(|line| format!("{line} is not in the result")).collect();
    let off = wants.iter().filter(|symbol| !has(&format!("{symbol}=y")));
    found.extend(off.map(|symbol| format!("{symbol} is off in the result, and a program needs it")));
    let legacy = resolved.lines().filter(|line| line.starts_with("BR2_LEGACY") && line.ends_with("=y"));
    found.extend(legacy.map(|line| format!("{line}: a symbol that Buildroot has given up")));
    found
}

fn not_canonical(asked: &str, saved: &str) -> Vec<String> {
    let differs = asked != saved;
    let more = asked.lines().filter(|line| !saved.lines().any(|other| other == *line));
    let less = saved.lines().filter(|line| !asked.lines().any(|other| other == *line));
    let mut found: Vec<String> = more.map(|line| format!("savedefconfig would not write {line}")).collect();
    found.extend(less.map(|line| format!("savedefconfig would also write {line}")));
    if differs && found.is_empty() {
        found.push("savedefconfig would write it in another order".into());
    }
    found
}

/// Buildroot's own linter, on every file of the tree.
fn check_package(external: &Path, buildroot: &Path) -> Result<()> {
    let folder = host::target().join("buildroot");
    crate::pypi::install("what check-package needs", &host::workspace().join(REQUIREMENTS), &folder)?;
    let programs = folder.join("venv/bin");
    let tracked = run_text(Command::new("git").args(["ls-files"]).current_dir(external))?;
    ensure!(!tracked.is_empty(), "git tracks nothing in {}", external.display());
    let path = std::env::var("PATH").unwrap_or_default();
    let mut check = Command::new(programs.join("python"));
    check.arg(buildroot.join("utils/check-package")).arg("-b").args(tracked.lines());
    run(check.current_dir(external).env("PATH", format!("{}:{path}", programs.display()))).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_buildroot_drops_is_seen() {
        let resolved = "BR2_A=y\n# BR2_B is not set\nBR2_LEGACY_C=y\n";
        assert_eq!(unset("BR2_A=y\n# BR2_B is not set\n", "BR2_A=y\n# BR2_B is not set\n", &["BR2_A"]), [""; 0]);
        let found = unset("BR2_A=y\nBR2_B=y\n", resolved, &["BR2_D"]);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with("BR2_B=y") && found[1].starts_with("BR2_D") && found[2].contains("LEGACY"));
    }

    #[test]
    fn a_defconfig_is_what_savedefconfig_writes() {
        assert_eq!(not_canonical("A\nB\n", "A\nB\n"), [""; 0]);
        assert_eq!(not_canonical("A\nB\n", "B\nA\n").len(), 1);
        assert_eq!(not_canonical("A\nB\n", "A\nC\n").len(), 2);
    }
}

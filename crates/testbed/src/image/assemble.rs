//! Puts trees together: the appliance's root, the initramfs, the test guest's root. No policy: what goes in is listed
//! in `image/quick/`, `rootfs-overlay/` and [`PROGRAMS`].

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::kernel::Kernel;
use super::stage::Stage;
use super::{Folders, Hardware, PROGRAMS, pick, sbom, setuid};
use crate::host::{self, run, run_text, say};

/// Further names of programs: link, target in the same folder.
const LINKS: &[(&str, &str)] = &[
    ("usr/sbin/modprobe", "../bin/kmod"),
    ("usr/sbin/insmod", "../bin/kmod"),
    ("usr/sbin/rmmod", "../bin/kmod"),
    ("usr/sbin/lsmod", "../bin/kmod"),
    ("usr/sbin/modinfo", "../bin/kmod"),
    ("usr/sbin/depmod", "../bin/kmod"),
    ("usr/sbin/mkfs.ext4", "mke2fs"),
    ("usr/sbin/fsck.ext4", "e2fsck"),
    ("usr/sbin/ipvsadm-save", "ipvsadm"),
    ("usr/sbin/ipvsadm-restore", "ipvsadm"),
    ("usr/lib64/ld-linux-x86-64.so.2", "../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"),
    ("var/run", "/run"),
    ("var/lock", "/run/lock"),
];

/// Folders that are mount points or must be there empty.
const FOLDERS: &[&str] =
    &["dev", "proc", "sys", "run", "tmp", "data", "root", "mnt", "var/empty", "var/tmp", "boot", "usr/lib64"];

/// Files whose mode git cannot keep.
const MODES: &[(&str, u32)] = &[("etc/shadow", 0o600), ("root", 0o700), ("tmp", 0o1777), ("var/tmp", 0o1777)];

/// The public authorities in one file.
const AUTHORITIES: &str = "etc/ssl/certs/ca-certificates.crt";

/// Terminals that people have.
const TERMINALS: &[&str] = &[
    "d/dumb",
    "l/linux",
    "s/screen",
    "s/screen-256color",
    "t/tmux",
    "v/vt100",
    "v/vt102",
    "v/vt220",
    "x/xterm",
    "x/xterm-256color",
];

pub(super) fn root(
    folders: &Folders,
    stage: &Stage,
    kernel: &Kernel,
    modules: &[String],
    initrd: &Path,
    bins: &Path,
    root: &Path,
) -> Result<()> {
    fresh(root)?;
    folders_of(root)?;
    let mut own = Vec::new();
    for (_, program, place) in PROGRAMS {
        pick::copy(&bins.join(program), &root.join(place))?;
        own.push(root.join(place));
    }
    pick::pick(stage, &folders.list("binaries")?, &own, root)?;
    authorities(stage, root)?;
    for (link, target) in LINKS {
        link_to(&root.join(link), target)?;
    }
    busybox_names(stage, root)?;
    for terminal in TERMINALS {
        let from = stage.find(&format!("usr/lib/terminfo/{terminal}"));
        pick::copy(
            &from.with_context(|| format!("no terminfo for {terminal}"))?,
            &root.join("usr/lib/terminfo").join(terminal),
        )?;
    }
    completions(&mut Command::new(bins.join("lbctl")), root);
    report_unknown(&kernel.install(modules, stage, root)?);
    run(Command::new("cp").arg("-a").arg(folders.workspace.join("rootfs-overlay/.")).arg(root))?;
    guide(&folders.workspace, root)?;
    pick::copy(&kernel.vmlinuz, &root.join("boot/vmlinuz"))?;
    pick::copy(initrd, &root.join("boot/initrd"))?;
    let overlay = folders.workspace.join("rootfs-overlay");
    let made = [(AUTHORITIES, "ca-certificates")];
    let list = sbom::list(root, &stage.origins, &kernel.package, &[&overlay], &made)?;
    fs::write(root.join("usr/share/steelyard").join(sbom::NAME), list).context("writing the list of what ships")?;
    modes(root)?;
    setuid::check(root)
}

pub(super) fn folders_of(root: &Path) -> Result<()> {
    FOLDERS.iter().try_for_each(|folder| {
        fs::create_dir_all(root.join(folder)).with_context(|| format!("making {folder} in the root file system"))
    })
}

/// The administrator's guide, to be read on the console too.
pub(super) fn guide(workspace: &Path, root: &Path) -> Result<()> {
    let place = root.join("usr/share/steelyard");
    run(Command::new("cp").arg("-r").arg(workspace.join("docs/guide")).arg(place)).map(drop)
}

pub(super) fn modes(root: &Path) -> Result<()> {
    MODES.iter().try_for_each(|(path, mode)| {
        fs::set_permissions(root.join(path), fs::Permissions::from_mode(*mode))
            .with_context(|| format!("setting the mode of {path}"))
    })
}

/// The public authorities in one file, as the package's own script would write it: whom ACME servers are verified by.
fn authorities(stage: &Stage, root: &Path) -> Result<()> {
    let folder = stage.root.join("usr/share/ca-certificates/mozilla");
    let entries = fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let mut all = String::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "crt")) {
        all.push_str(&fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?);
    }
    let place = root.join(AUTHORITIES);
    fs::create_dir_all(root.join("etc/ssl/certs")).context("making etc/ssl/certs")?;
    fs::write(&place, all).with_context(|| format!("writing {}", place.display()))
}

pub(super) fn initramfs(stage: &Stage, kernel: &Kernel, modules: &[String], init: &Path, tree: &Path) -> Result<()> {
    fresh(tree)?;
    mount_points(tree)?;
    pick::copy(&stage.find("/bin/busybox").context("no busybox-static")?, &tree.join("usr/bin/busybox"))?;
    busybox_names(stage, tree)?;
    report_unknown(&kernel.install(modules, stage, tree)?);
    pick::copy(init, &tree.join("init"))
}

/// Folders that the initramfs's init mounts on.
pub(super) fn mount_points(tree: &Path) -> Result<()> {
    ["dev", "proc", "sys", "ro", "rw", "root"].iter().try_for_each(|folder| {
        fs::create_dir_all(tree.join(folder)).with_context(|| format!("making {folder} in the initramfs"))
    })
}

pub(super) fn guest(folders: &Folders, stage: &Stage, kernel: &Kernel, scripts: &Path, tree: &Path) -> Result<()> {
    if tree.exists() {
        fs::remove_dir_all(tree)?;
    }
    run(Command::new("cp").arg("-a").arg(&stage.root).arg(tree))?;
    for folder in [
        "usr/share/doc",
        "usr/share/man",
        "usr/share/locale",
        "usr/share/info",
        "usr/lib/firmware",
        "var/lib/apt",
        "var/cache",
    ] {
        let folder = tree.join(folder);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
    }
    fs::create_dir_all(tree.join("job"))?;
    fs::create_dir_all(tree.join("out"))?;
    busybox_names(stage, tree)?;
    let modules = Hardware::Virtual.modules_root(folders)?;
    report_unknown(&kernel.install(&modules, stage, tree)?);
    fs::write(tree.join("etc/modules"), modules.join("\n"))?;
    for (name, text) in [
        (
            "passwd",
            "root:x:0:0:root:/root:/bin/bash\nhaproxy:x:102:102::/:/bin/false\nchrony:x:103:103::/:/bin/false\n\
             nobody:x:65534:65534::/:/bin/false\n",
        ),
        ("group", "root:x:0:\nhaproxy:x:102:\nchrony:x:103:\nnogroup:x:65534:\n"),
        ("hosts", "127.0.0.1 localhost\n"),
    ] {
        fs::write(tree.join("etc").join(name), text)?;
    }
    let init = tree.join("usr/sbin/init");
    if init.is_symlink() || init.exists() {
        fs::remove_file(&init)?;
    }
    pick::copy(&scripts.join("init"), &init)
}

/// An empty merged-usr tree.
pub(super) fn fresh(tree: &Path) -> Result<()> {
    if tree.exists() {
        fs::remove_dir_all(tree).with_context(|| format!("removing {}", tree.display()))?;
    }
    for folder in ["bin", "sbin", "lib", "lib64"] {
        fs::create_dir_all(tree.join("usr").join(folder))?;
        symlink(format!("usr/{folder}"), tree.join(folder))?;
    }
    Ok(())
}

pub(super) fn link_to(link: &Path, target: &str) -> Result<()> {
    if let Some(folder) = link.parent() {
        fs::create_dir_all(folder)?;
    }
    if link.is_symlink() || link.exists() {
        fs::remove_file(link)?;
    }
    symlink(target, link).with_context(|| format!("linking {}", link.display()))
}

/// Gives busybox the names of its programs, except those another program has already, in whatever folder.
fn busybox_names(stage: &Stage, tree: &Path) -> Result<()> {
    let busybox = stage.find("/bin/busybox").context("no busybox-static")?;
    let taken = |name: &str| {
        ["usr/bin", "usr/sbin"].iter().any(|folder| tree.join(folder).join(name).symlink_metadata().is_ok())
    };
    for path in run_text(Command::new(&busybox).arg("--list-full"))?.lines() {
        let name = path.rsplit('/').next().unwrap_or(path);
        // Package tools of other worlds would only mislead on an appliance.
        if ["busybox", "dpkg", "dpkg-deb", "rpm", "rpm2cpio", "linuxrc"].contains(&name) || taken(name) {
            continue;
        }
        let folder = if path.contains("sbin/") { "usr/sbin" } else { "usr/bin" };
        link_to(&tree.join(folder).join(name), "/usr/bin/busybox")?;
    }
    Ok(())
}

/// Tab completion of lbctl, when `lbctl` runs here and can print it.
pub(super) fn completions(lbctl: &mut Command, root: &Path) {
    let printed = host::run_text(lbctl.args(["completions", "bash"])).unwrap_or_default();
    let file: PathBuf = root.join("usr/share/bash-completion/completions/lbctl");
    let written = printed
        .contains("complete")
        .then(|| fs::create_dir_all(file.parent().unwrap_or(root)).and_then(|()| fs::write(&file, printed)));
    if !matches!(written, Some(Ok(()))) {
        say("    note: lbctl prints no completions");
    }
}

fn report_unknown(modules: &[String]) {
    if !modules.is_empty() {
        say(&format!("    note: built into this kernel or not there: {}", modules.join(" ")));
    }
}

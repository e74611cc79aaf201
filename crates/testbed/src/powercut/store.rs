//! The case of lb-store alone: its example `store_writer` on ext4, in a guest of a few MB.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use super::initramfs::Archive;
use super::kernel::{self, Kernel};
use super::{Disk, Plan, Server, Summary, driver};

const DISK: u64 = 64 << 20;

/// Runs as process 1. `mounted` and what the writer prints reach the serial console.
const INIT: &str = "#!/bin/busybox sh
export PATH=/bin
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
for module in /modules/*.ko; do /bin/busybox insmod $module; done
/bin/busybox mount -t ext4 /dev/vda /data || { echo cannot mount; /bin/busybox poweroff -f; }
echo mounted
/bin/store_writer /data/lb/store
echo the writer has ended
/bin/busybox poweroff -f
";

/// Build what is needed, then cut. The kernel stays in `work` for the next run.
pub fn cut(plan: &Plan, work: &Path, progress: impl FnMut(&str)) -> anyhow::Result<Summary> {
    fs::create_dir_all(work)?;
    let kernel = kernel::debian(work)?;
    // Several runs may be under way. After a failure the disk stays for a look.
    let run = work.join(format!("run.{}", std::process::id()));
    fs::create_dir_all(&run)?;
    let initramfs = run.join("initramfs.cpio");
    fs::write(&initramfs, archive(&kernel, &writer()?)?)?;
    let image = run.join("disk.img");
    format(&image)?;
    let server = Server::start(Disk::new(&image)?, &run.join("nbd.sock"))?;
    let summary = driver::run(plan, &server, |drive| qemu(&kernel, &initramfs, drive), progress)?;
    fs::remove_dir_all(&run)?;
    Ok(summary)
}

/// `STORE_WRITER` names another program to be tried: one built without the fsync must fail here.
fn writer() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("STORE_WRITER") {
        return Ok(path.into());
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["build", "--release", "-p", "lb-store", "--example", "store_writer"];
    kernel::run(Command::new(cargo).args(arguments).current_dir(&root))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    let path = target.join("release/examples/store_writer");
    if !path.exists() {
        bail!("{} is not there", path.display());
    }
    Ok(path)
}

fn archive(kernel: &Kernel, writer: &Path) -> anyhow::Result<Vec<u8>> {
    let mut archive = Archive::default();
    for folder in ["proc", "dev", "data", "modules", "bin"] {
        archive.folder(folder);
    }
    // For the lines before devtmpfs is there.
    archive.device("dev/console", 5, 1);
    archive.file("init", INIT.as_bytes());
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|p| Path::new(p).exists());
    let busybox = busybox.context("busybox is missing: apt-get install busybox-static")?;
    archive.program("bin/busybox", Path::new(busybox))?;
    archive.program("bin/store_writer", writer)?;
    for (order, module) in kernel.modules.iter().enumerate() {
        archive.file(&format!("modules/{order}.ko"), &fs::read(module)?);
    }
    Ok(archive.finish())
}

fn format(image: &Path) -> anyhow::Result<()> {
    let _ = fs::remove_file(image);
    File::create(image)?.set_len(DISK)?;
    kernel::run(Command::new("/sbin/mkfs.ext4").args(["-q", "-F"]).arg(image))
}

/// q35: microvm hangs in its clock calibration on a loaded machine.
fn qemu(kernel: &Kernel, initramfs: &Path, drive: &str) -> Command {
    let mut append = "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable".to_owned();
    // The kernel hands what it does not know to init's environment, and so to the writer.
    if let Ok(max) = std::env::var("STORE_WRITER_MAX") {
        append.push_str(&format!(" STORE_WRITER_MAX={max}"));
    }
    let mut command = Command::new("qemu-system-x86_64");
    command
        .args(["-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", "256", "-smp", "1"])
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
        .args(["-serial", "stdio", "-drive", drive])
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(initramfs)
        .args(["-append", &append]);
    command
}

//! What boots on the cut disk: the image's kernel, busybox and a case's programs, all in memory, in a few seconds.
//!
//! The appliance's own boot is left out: it takes longer than all the rest, and writes nothing that is judged here.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::initramfs::Archive;
use super::{Disk, Plan, Server, Summary, driver};
use crate::{host, image};

const DISK: u64 = 64 << 20;

/// Below `kernel/drivers` of the modules, in the order in which they are loaded; ext4 is built in.
const MODULES: [&str; 6] = [
    "virtio/virtio_ring.ko",
    "virtio/virtio.ko",
    "virtio/virtio_pci_legacy_dev.ko",
    "virtio/virtio_pci_modern_dev.ko",
    "virtio/virtio_pci.ko",
    "block/virtio_blk.ko",
];

/// What runs in the guest.
#[derive(Debug, Clone)]
pub struct Case {
    pub name: &'static str,
    /// Files of this machine; they are in the guest's `/bin` with the libraries that they load.
    pub programs: Vec<PathBuf>,
    /// A line of shell. Prints the lines that [`driver`] reads; leaving is a failure.
    pub command: String,
    /// MB.
    pub memory: u32,
}

impl Case {
    /// Runs as process 1.
    fn init(&self) -> String {
        format!(
            "#!/bin/busybox sh
export PATH=/bin
busybox mount -t proc proc /proc
busybox mount -t devtmpfs dev /dev
for module in /modules/*.ko; do busybox insmod $module; done
busybox mount -t ext4 /dev/vda /data || {{ echo cannot mount; busybox poweroff -f; }}
echo mounted
{}
echo it has ended
busybox poweroff -f
",
            self.command
        )
    }

    fn archive(&self, parts: &image::Parts) -> Result<Vec<u8>> {
        let mut archive = Archive::default();
        for folder in ["proc", "dev", "data", "modules", "bin", "run", "etc", "tmp"] {
            archive.folder(folder);
        }
        // For the lines before devtmpfs is there.
        archive.device("dev/console", 5, 1);
        archive.file("init", self.init().as_bytes());
        archive.program("bin/busybox", &parts.busybox)?;
        for program in &self.programs {
            let name = program.file_name().context("a program without a name")?.to_string_lossy();
            archive.program(&format!("bin/{name}"), program)?;
        }
        for (order, module) in MODULES.iter().enumerate() {
            let file = parts.modules.join("kernel/drivers").join(module);
            archive.file(&format!("modules/{order}.ko"), &fs::read(&file).with_context(|| file.display().to_string())?);
        }
        Ok(archive.finish())
    }

    /// q35: microvm hangs in its clock calibration on a loaded machine.
    fn qemu(&self, kernel: &Path, initramfs: &Path, drive: &str) -> Command {
        let mut command = host::tool("qemu-system-x86_64");
        command
            .args([
                "-M",
                "q35",
                "-accel",
                "tcg,thread=multi",
                "-cpu",
                "max",
                "-m",
                &self.memory.to_string(),
                "-smp",
                "1",
            ])
            .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
            .args(["-serial", "stdio", "-drive", drive])
            .arg("-kernel")
            .arg(kernel)
            .arg("-initrd")
            .arg(initramfs)
            .args(["-append", "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable"]);
        command
    }
}

/// Cuts `cuts` times, a quarter of them while the store opens, and says a line per cut on standard error. The same
/// `seed` draws the same moments. The files are in `target/powercut`; the disk of a failure stays there.
///
/// `POWERCUT_PRELOAD` names a shared library to load before all others: with one whose `fsync` and `fdatasync` do
/// nothing, every case must fail.
pub fn run(case: &Case, cuts: u32, seed: u64) -> Result<Summary> {
    let mut case = case.clone();
    if let Some(library) = std::env::var_os("POWERCUT_PRELOAD").map(PathBuf::from) {
        let name = library.file_name().context("POWERCUT_PRELOAD has no file name")?.to_string_lossy().into_owned();
        case.command = format!("export LD_PRELOAD=/bin/{name}\n{}", case.command);
        case.programs.push(library);
    }
    let parts = image::parts()?;
    // Several runs may be under way.
    let folder = host::target().join("powercut").join(format!("{}.{}", case.name, std::process::id()));
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let initramfs = folder.join("initramfs.cpio");
    fs::write(&initramfs, case.archive(&parts)?).with_context(|| format!("writing {}", initramfs.display()))?;
    let disk = folder.join("disk.img");
    File::create(&disk)?.set_len(DISK)?;
    host::run(host::tool("mke2fs").args(["-q", "-F", "-t", "ext4"]).arg(&disk))?;
    let server = Server::start(Disk::new(&disk)?, &folder.join("nbd.sock"))?;
    let plan = Plan { cuts, seed, longest_life: Duration::from_secs(3), aim_at_open: 4 };
    let launch = |drive: &str| case.qemu(&parts.vmlinux, &initramfs, drive);
    let summary = driver::run(&plan, &server, launch, |line| host::say(&format!("  {}: {line}", case.name)))
        .with_context(|| format!("the disk is kept in {}", folder.display()))?;
    let few = cuts >= 10 && summary.acknowledged < u64::from(cuts);
    ensure!(!few, "too little was written to say anything: {summary}");
    drop(server);
    fs::remove_dir_all(&folder)?;
    Ok(summary)
}

/// Builds with `cargo build --release` and the arguments given; `made` is below `target/release`.
pub(super) fn cargo_build(arguments: &[&str], made: &str) -> Result<PathBuf> {
    host::run(host::cargo().args(["build", "--release", "--quiet"]).args(arguments))?;
    Ok(host::target().join("release").join(made))
}

//! Debian's cloud kernel, as the rig boots it: ext4 is built in, virtio-blk is not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// In the order in which they are loaded.
const MODULES: [&str; 6] = [
    "virtio/virtio_ring.ko",
    "virtio/virtio.ko",
    "virtio/virtio_pci_legacy_dev.ko",
    "virtio/virtio_pci_modern_dev.ko",
    "virtio/virtio_pci.ko",
    "block/virtio_blk.ko",
];

#[derive(Debug, Clone)]
pub struct Kernel {
    pub image: PathBuf,
    /// In the order in which they are loaded.
    pub modules: Vec<PathBuf>,
}

/// Find the kernel unpacked in `cache`, or download and unpack it there. The package is not
/// installed: the machine's own boot is none of our business.
pub fn debian(cache: &Path) -> anyhow::Result<Kernel> {
    let root = cache.join("linux");
    if !root.join("boot").is_dir() {
        fs::create_dir_all(cache)?;
        let out = Command::new("apt-cache").args(["depends", "linux-image-cloud-amd64"]).output()?;
        let text = String::from_utf8_lossy(&out.stdout);
        let name = text
            .lines()
            .find_map(|line| line.trim().strip_prefix("Depends: "))
            .context("apt-cache knows no linux-image-cloud-amd64")?;
        run(Command::new("apt-get").args(["download", name]).current_dir(cache))?;
        let package = first(cache, |n| n.starts_with("linux-image") && n.ends_with(".deb"))?;
        let unfinished = cache.join("linux.new");
        run(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&unfinished))?;
        fs::rename(&unfinished, &root)?;
    }
    let image = first(&root.join("boot"), |n| n.starts_with("vmlinuz-"))?;
    let drivers = first(&root.join("lib/modules"), |_| true)?.join("kernel/drivers");
    Ok(Kernel { image, modules: MODULES.iter().map(|m| drivers.join(m)).collect() })
}

fn first(folder: &Path, wanted: impl Fn(&str) -> bool) -> anyhow::Result<PathBuf> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        if wanted(&entry.file_name().to_string_lossy()) {
            return Ok(entry.path());
        }
    }
    bail!("not found in {}", folder.display())
}

pub(super) fn run(command: &mut Command) -> anyhow::Result<()> {
    let out = command.output().with_context(|| format!("{command:?}"))?;
    if !out.status.success() {
        bail!("{command:?}: {}\n{}", out.status, String::from_utf8_lossy(&out.stderr));
    }
    Ok(())
}

//! The machines an image is for: which of Debian's kernels it has, and which drivers.

use anyhow::Result;

use super::{Folders, words};

/// Two images that differ in nothing but kernel and drivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hardware {
    /// Servers and virtual machines.
    Any,
    /// Virtual machines alone: smaller, and sooner up where a processor is emulated. What most tests boot.
    Virtual,
}

impl Hardware {
    /// Of its folder below `target/image/`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Hardware::Any => "any",
            Hardware::Virtual => "virtual",
        }
    }

    /// File name of the disk image.
    pub(super) fn disk(self) -> &'static str {
        match self {
            Hardware::Any => "steelyard.img",
            Hardware::Virtual => "steelyard-vm.img",
        }
    }

    /// Debian's package that stands for the current 6.1 kernel.
    pub(super) fn kernel(self) -> &'static str {
        match self {
            Hardware::Any => "linux-image-amd64",
            Hardware::Virtual => "linux-image-cloud-amd64",
        }
    }

    pub(super) fn modules_initramfs(self, folders: &Folders) -> Result<Vec<String>> {
        self.with_servers(folders.list("modules-initramfs")?, folders, "modules-initramfs-servers")
    }

    pub(super) fn modules_root(self, folders: &Folders) -> Result<Vec<String>> {
        let mut modules = words(&folders.workspace.join("rootfs-overlay/etc/modules"))?;
        modules.extend(folders.list("modules-rootfs")?);
        self.with_servers(modules, folders, "modules-rootfs-servers")
    }

    fn with_servers(self, mut modules: Vec<String>, folders: &Folders, list: &str) -> Result<Vec<String>> {
        if self == Hardware::Any {
            modules.extend(folders.list(list)?);
        }
        Ok(modules)
    }
}

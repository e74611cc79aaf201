//! The boot loader: GRUB for BIOS (MBR code, and a core image in a partition of its own) and for UEFI, made with
//! `grub-mkimage` alone, so that no root and no loop device is needed; of Debian's modules, or of those Buildroot built. Where it looks is `image/genimage.cfg`'s
//! business, what it does `image/grub/grub.cfg`'s.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::host::{self, run};

/// Where GRUB's modules are.
pub(super) struct Grub {
    bios: PathBuf,
    efi: PathBuf,
}

impl Grub {
    /// Debian's: grub-pc-bin, grub-efi-amd64-bin.
    pub(super) fn debian() -> Grub {
        Grub { bios: "/usr/lib/grub/i386-pc".into(), efi: "/usr/lib/grub/x86_64-efi".into() }
    }

    /// In the folder where Buildroot built its package grub2.
    pub(super) fn built(folder: &Path) -> Grub {
        let modules = |platform: &str| folder.join(format!("build-{platform}/grub-core"));
        Grub { bios: modules("i386-pc"), efi: modules("x86_64-efi") }
    }
}

/// What both need to find a slot and read a kernel out of it.
const MODULES: &[&str] = &[
    "part_gpt",
    "fat",
    "squash4",
    "normal",
    "linux",
    "configfile",
    "loadenv",
    "serial",
    "terminal",
    "test",
    "regexp",
    "echo",
    "reboot",
    "halt",
    "ls",
    "cat",
    "search",
    "sleep",
    "true",
];

/// First sector of the partition `biosboot`: the first one, at 1 MiB.
const CORE: u64 = 2048;
/// Where boot.img keeps the sector it loads, and the word that it checks the BIOS's drive number by (GRUB,
/// include/grub/i386/pc/boot.h: GRUB_BOOT_MACHINE_KERNEL_SECTOR, GRUB_BOOT_MACHINE_DRIVE_CHECK).
const KERNEL_SECTOR: usize = 0x5c;
const DRIVE_CHECK: usize = 0x66;
/// What is left to programs of an MBR: then come the disk's signature and the table.
const MBR_CODE: usize = 440;
/// Where the first sector of core.img keeps the sector of the rest (GRUB, grub-core/boot/i386/pc/diskboot.S: the last
/// entry of its list of blocks).
const REST: usize = 0x1f4;
/// Size of GRUB's environment block (GRUB, include/grub/lib/envblk.h).
const ENVIRONMENT: usize = 1024;

/// Makes `mbr.img`, `core.img`, `BOOTX64.EFI`, `grub.cfg` and `grubenv` in `folder`.
pub(super) fn make(grub: &Grub, config: &Path, folder: &Path) -> Result<()> {
    let core = folder.join("core.img");
    let mut make = host::tool("grub-mkimage");
    make.arg("-d")
        .arg(&grub.bios)
        .args(["-O", "i386-pc", "-p", "(,gpt2)/grub", "-o"])
        .arg(&core)
        .args(["biosdisk", "linux16"]);
    run(make.args(MODULES))?;
    let mut image = fs::read(&core).context("reading GRUB's core image")?;
    put(&mut image, REST, &(CORE + 1).to_le_bytes())?;
    fs::write(&core, image).context("writing GRUB's core image")?;

    let mut mbr = fs::read(grub.bios.join("boot.img")).context("reading GRUB's boot.img")?;
    put(&mut mbr, KERNEL_SECTOR, &CORE.to_le_bytes())?;
    // As grub-install does: two no-ops, for a BIOS that passes a wrong drive number.
    put(&mut mbr, DRIVE_CHECK, &[0x90, 0x90])?;
    mbr.truncate(MBR_CODE);
    fs::write(folder.join("mbr.img"), mbr).context("writing the MBR's code")?;

    let mut make = host::tool("grub-mkimage");
    make.arg("-d").arg(&grub.efi).args(["-O", "x86_64-efi", "-p", "/grub", "-o"]).arg(folder.join("BOOTX64.EFI"));
    run(make.args(MODULES))?;

    fs::copy(config, folder.join("grub.cfg")).context("copying grub.cfg")?;
    fs::write(folder.join("grubenv"), environment()).context("writing the boot loader's environment")
}

/// Of a new unit: the system is in slot A, slot B is empty.
fn environment() -> String {
    let mut text = String::from("# GRUB Environment Block\nORDER=A B\nA_OK=1\nA_TRY=0\nB_OK=0\nB_TRY=0\n");
    text.extend(std::iter::repeat_n('#', ENVIRONMENT - text.len()));
    text
}

fn put(image: &mut [u8], at: usize, bytes: &[u8]) -> Result<()> {
    ensure!(image.len() >= at + bytes.len(), "GRUB's image is too short: {} bytes", image.len());
    image[at..at + bytes.len()].copy_from_slice(bytes);
    Ok(())
}

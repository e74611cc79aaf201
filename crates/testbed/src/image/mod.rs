//! Builds what boots: the quick appliance image and the test guest, from one set of Debian packages.
//!
//! Inputs: `image/` (partition table, initramfs, lists), `rootfs-overlay/`, Debian's packages, `cargo build --release`.
//! Everything lands in `target/image/`; a step whose inputs did not change is skipped ([`stamp`]). One build runs at a
//! time (a lock file). Tested by the VM cases, which boot the result.

mod assemble;
mod bundle;
mod hardware;
mod kernel;
mod loader;
mod pick;
mod release;
mod sbom;
mod setuid;
mod stage;
mod stamp;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};

use crate::host::{self, run, step};
pub use bundle::{bundle, bundle_for_another, bundle_of, signature};
pub use hardware::Hardware;
pub use release::{partition, release_disk, release_root};
use stamp::{Stamp, digest};

/// Kernel command line of the appliance under QEMU; the boot loader's is the same.
pub const COMMAND_LINE: &str = "console=tty1 console=ttyS0,115200 panic=10 net.ifnames=0 quiet loglevel=3";

/// Programs of ours in the image: package, program, where it goes.
pub const PROGRAMS: &[(&str, &str, &str)] = &[
    ("lbd", "lbd", "usr/sbin/lbd"),
    ("lbctl", "lbctl", "usr/bin/lbctl"),
    ("lbwizard", "lbwizard", "usr/bin/lbwizard"),
    ("lbadmin", "lbadmin", "usr/sbin/lbadmin"),
    ("heartbeat", "heartbeat", "usr/sbin/heartbeat"),
    ("ipvs-rs", "ipvsadm", "usr/sbin/ipvsadm"),
    ("lb-update", "lbupdate", "usr/sbin/lbupdate"),
];

/// A slot is not packed: whatever brings one packs all of it, far better than block by block
/// (docs/decisions/0046-slots-are-not-packed.md). GRUB reads no squashfs that names another packer than gzip.
const SLOT: &[&str] = &["-comp", "gzip", "-noI", "-noD", "-noF", "-noX"];

/// The appliance, ready to boot.
#[derive(Debug, Clone)]
pub struct Appliance {
    /// ELF kernel for direct boot.
    pub vmlinux: PathBuf,
    /// The same kernel as a boot loader takes it. Booted directly it knows the VGA screen; PVH boot does not tell it.
    pub vmlinuz: PathBuf,
    /// Initramfs.
    pub initrd: PathBuf,
    /// The whole disk; sparse.
    pub disk: PathBuf,
    /// The slot: root file system, kernel and initramfs in one file.
    pub slot: PathBuf,
    /// The list of what ships, CycloneDX.
    pub sbom: PathBuf,
}

/// The test guest, ready to boot: see [`crate::guest`] and [`crate::lab`].
#[derive(Debug, Clone)]
pub struct GuestBase {
    /// ELF kernel for direct boot.
    pub vmlinux: PathBuf,
    /// Initramfs.
    pub initrd: PathBuf,
    /// Read-only root with Debian's tools.
    pub root: PathBuf,
}

/// What a guest smaller than the test guest is made of: see [`crate::powercut`].
#[derive(Debug, Clone)]
pub struct Parts {
    /// ELF kernel for direct boot.
    pub vmlinux: PathBuf,
    /// `lib/modules/VERSION` of the kernel.
    pub modules: PathBuf,
    /// Debian's busybox.
    pub busybox: PathBuf,
}

/// Where the inputs are and the outputs go.
struct Folders {
    workspace: PathBuf,
    out: PathBuf,
}

impl Folders {
    fn new() -> Result<Folders> {
        let folders = Folders { workspace: host::workspace(), out: host::target().join("image") };
        fs::create_dir_all(&folders.out).with_context(|| format!("making {}", folders.out.display()))?;
        Ok(folders)
    }

    fn lock(&self) -> Result<Flock<fs::File>> {
        let file = fs::File::create(self.out.join("lock")).context("making the lock file of the image build")?;
        Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, errno)| errno)
            .context("waiting for another image build")
    }

    fn stamp(&self, name: &str) -> Stamp {
        Stamp::new(&self.out.join("stamps"), name)
    }

    /// Where the parts of an image for `hardware` go.
    fn of(&self, hardware: Hardware) -> Result<PathBuf> {
        let folder = self.out.join(hardware.name());
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        Ok(folder)
    }

    /// The words of a list in `image/quick/`: one a line, `#` starts a comment.
    fn list(&self, name: &str) -> Result<Vec<String>> {
        words(&self.workspace.join("image/quick").join(name))
    }
}

/// Forgets what was fetched and made, so that the next build takes Debian's packages of the day.
pub fn forget() -> Result<()> {
    let stamps = Folders::new()?.out.join("stamps");
    if stamps.exists() {
        fs::remove_dir_all(&stamps).with_context(|| format!("removing {}", stamps.display()))?;
    }
    Ok(())
}

/// Builds our programs for the image and returns the folder they are in.
pub fn programs() -> Result<PathBuf> {
    let mut cargo = host::cargo();
    cargo.args(["build", "--release", "--quiet", "-p", "testbed", "--bin", "lab"]);
    for (package, program, _) in PROGRAMS {
        cargo.args(["-p", package, "--bin", program]);
    }
    step("our programs: cargo build --release", || {
        // Its messages are for the reader: not captured.
        if !cargo.status().context("starting cargo")?.success() {
            bail!("cargo build failed; its messages are above");
        }
        Ok(())
    })?;
    Ok(host::target().join("release"))
}

/// Builds the appliance image for `hardware`.
pub fn build(hardware: Hardware) -> Result<Appliance> {
    host::require_tools()?;
    let folders = Folders::new()?;
    let bins = programs()?;
    let _lock = folders.lock()?;
    let folder = folders.of(hardware)?;
    let (stage, kernel) = fetch(&folders, hardware)?;
    let drivers = hardware.modules_initramfs(&folders)?;
    let init = folders.workspace.join("image/initramfs/init");
    let initrd = initramfs(&folders, &stage, &kernel, &drivers, &folder.join("initrd"), &init)?;

    let root = folder.join("root");
    let slot = folder.join("rootfs.squashfs");
    let mut inputs = vec![stage.key.clone(), kernel.key.clone(), digest(&[&initrd])?];
    for folder in ["rootfs-overlay", "image/quick", "docs/guide"] {
        inputs.push(digest(&[&folders.workspace.join(folder)])?);
    }
    inputs.push(digest(&PROGRAMS.iter().map(|(_, program, _)| bins.join(program)).collect::<Vec<_>>())?);
    let key = bundle::signing_key(&folders)?;
    inputs.push(key.public_text());
    // How it is put together, and the versions that it names; not the program that does it, of which there are several.
    inputs.push(digest(&["crates/testbed/src/image", "Cargo.lock"].map(|input| folders.workspace.join(input)))?);
    folders.stamp(&format!("slot-{}", hardware.name())).unless_done(&inputs, &[&slot], || {
        step("root file system", || {
            let modules = hardware.modules_root(&folders)?;
            assemble::root(&folders, &stage, &kernel, &modules, &initrd, &bins, &root)?;
            bundle::trust(&key, &root)
        })?;
        step("slot (squashfs)", || squash(&root, &slot, SLOT))
    })?;

    let disk = folders.out.join(hardware.disk());
    let table = folders.workspace.join("image/genimage.cfg");
    let grub = folders.workspace.join("image/grub/grub.cfg");
    let inputs = [digest(&[&slot, &table, &grub])?];
    folders.stamp(&format!("disk-{}", hardware.name())).unless_done(&inputs, &[&disk], || {
        step("disk image", || {
            loader::make(&loader::Grub::debian(), &grub, &folder)?;
            genimage(&table, &folder, &disk)
        })
    })?;
    let sbom = disk.with_extension("cdx.json");
    fs::copy(root.join("usr/share/steelyard").join(sbom::NAME), &sbom).context("copying the list of what ships")?;
    Ok(Appliance { vmlinux: kernel.vmlinux, vmlinuz: kernel.vmlinuz, initrd, disk, slot, sbom })
}

/// Builds the test guest. Our programs are not in it: they come with the job, so that it changes rarely.
pub fn guest_base() -> Result<GuestBase> {
    host::require_tools()?;
    let folders = Folders::new()?;
    let _lock = folders.lock()?;
    let (stage, kernel) = fetch(&folders, Hardware::Virtual)?;
    let scripts = folders.workspace.join("crates/testbed/guest");
    let (drivers, init) = (Hardware::Virtual.modules_initramfs(&folders)?, scripts.join("initramfs-init"));
    let initrd = initramfs(&folders, &stage, &kernel, &drivers, &folders.out.join("guest-initrd"), &init)?;
    let root = folders.out.join("guest.squashfs");
    let lists = [folders.workspace.join("image/quick"), folders.workspace.join("rootfs-overlay/etc/modules")];
    let inputs = [stage.key.clone(), kernel.key.clone(), digest(&[&scripts])?, digest(&lists)?];
    folders.stamp("guest-root").unless_done(&inputs, &[&root], || {
        step("test guest", || {
            let tree = folders.out.join("guest-root");
            assemble::guest(&folders, &stage, &kernel, &scripts, &tree)?;
            squash(&tree, &root, &["-comp", "lz4"])?;
            fs::remove_dir_all(&tree).context("removing the guest's tree")
        })
    })?;
    Ok(GuestBase { vmlinux: kernel.vmlinux, initrd, root })
}

/// Fetches what is missing of the parts.
pub fn parts() -> Result<Parts> {
    host::require_tools()?;
    let folders = Folders::new()?;
    let _lock = folders.lock()?;
    let (stage, kernel) = fetch(&folders, Hardware::Virtual)?;
    let busybox = stage.find("/usr/bin/busybox").context("Debian's packages came without busybox")?;
    Ok(Parts { vmlinux: kernel.vmlinux, modules: kernel.modules, busybox })
}

/// A form in which the disk is handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// To be written to a disk or a stick: `.img.xz`.
    Xz,
    /// For KVM, Proxmox, OpenStack: `.qcow2`, compressed.
    Qcow2,
    /// For VMware: `.vmdk`, stream-optimized, as its importers take it.
    Vmdk,
}

/// The disk in that form, made again when the disk is newer.
pub fn export(disk: &Path, form: Form) -> Result<PathBuf> {
    let (ending, mut make) = match form {
        Form::Xz => ("img.xz", host::tool("xz")),
        Form::Qcow2 => ("qcow2", host::tool("qemu-img")),
        Form::Vmdk => ("vmdk", host::tool("qemu-img")),
    };
    let file = disk.with_extension(ending);
    let newer =
        |a: &Path, b: &Path| Ok::<_, std::io::Error>(fs::metadata(a)?.modified()? >= fs::metadata(b)?.modified()?);
    if newer(&file, disk).unwrap_or(false) {
        return Ok(file);
    }
    match form {
        // The window spans most of a slot; addresses in programs are made alike first (xz(1), filters).
        Form::Xz => make.args(["--x86", "--lzma2=preset=6,dict=64MiB", "-k", "-f"]).arg(disk),
        Form::Qcow2 => make.args(["convert", "-f", "raw", "-O", "qcow2", "-c"]).arg(disk).arg(&file),
        Form::Vmdk => {
            make.args(["convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized"]).arg(disk).arg(&file)
        }
    };
    step(&format!("the disk as .{ending}"), || run(&mut make))?;
    Ok(file)
}

/// Writes `.sha256` beside the disk, as `sha256sum --check` reads it.
pub fn checksums(disk: &Path, files: &[PathBuf]) -> Result<PathBuf> {
    let folder = disk.parent().context("the disk is in no folder")?;
    let mut sum = host::tool("sha256sum");
    sum.current_dir(folder).args(files.iter().filter_map(|file| file.file_name()));
    let place = disk.with_extension("sha256");
    fs::write(&place, run(&mut sum)?).with_context(|| format!("writing {}", place.display()))?;
    Ok(place)
}

fn fetch(folders: &Folders, hardware: Hardware) -> Result<(stage::Stage, kernel::Kernel)> {
    Ok((stage::fetch(folders)?, kernel::fetch(folders, hardware)?))
}

/// `file`: `init` with the modules named.
fn initramfs(
    folders: &Folders,
    stage: &stage::Stage,
    kernel: &kernel::Kernel,
    modules: &[String],
    file: &Path,
    init: &Path,
) -> Result<PathBuf> {
    let name = format!("initramfs {}", file.strip_prefix(&folders.out).unwrap_or(file).display());
    let inputs = [stage.key.clone(), kernel.key.clone(), digest(&[init])?, modules.join(" ")];
    folders.stamp(&name.replace(['/', ' '], "-")).unless_done(&inputs, &[file], || {
        step(&name, || {
            let tree = file.with_extension("tree");
            assemble::initramfs(stage, kernel, modules, init, &tree)?;
            pack_initramfs(&tree, file)?;
            fs::remove_dir_all(&tree).context("removing the initramfs's tree")
        })
    })?;
    Ok(file.to_path_buf())
}

/// Packs `tree` for the kernel: same files, same bytes.
fn pack_initramfs(tree: &Path, file: &Path) -> Result<()> {
    let find = "find . -exec touch -h -d @0 {} + && find . | LC_ALL=C sort | cpio -o -H newc --quiet --owner=+0:+0 --reproducible";
    let packed = host::pipe(
        Command::new("sh").args(["-c", find]).current_dir(tree),
        host::tool("lz4").args(["-l", "-9", "-c"]),
    )?;
    fs::write(file, packed).with_context(|| format!("writing {}", file.display()))
}

/// Packs `folder` into a squashfs, every file owned by root and of the same age.
pub(crate) fn squash(folder: &Path, file: &Path, options: &[&str]) -> Result<()> {
    let mut pack = host::tool("mksquashfs");
    pack.arg(folder).arg(file).args([
        "-noappend",
        "-all-root",
        "-no-progress",
        "-quiet",
        "-mkfs-time",
        "0",
        "-all-time",
        "0",
    ]);
    // Set, it contradicts the options that give the times.
    run(pack.args(options).env_remove("SOURCE_DATE_EPOCH")).map(drop)
}

/// `disk`: the partitions of `table` with what lies in `folder`.
fn genimage(table: &Path, folder: &Path, disk: &Path) -> Result<()> {
    let scratch = tempfile::tempdir_in(folder).context("making a folder for genimage")?;
    let empty = scratch.path().join("empty");
    fs::create_dir(&empty)?;
    let mut make = host::tool("genimage");
    make.arg("--config").arg(table).arg("--rootpath").arg(&empty).arg("--tmppath").arg(scratch.path().join("tmp"));
    make.arg("--inputpath").arg(folder).arg("--outputpath").arg(scratch.path());
    run(&mut make)?;
    fs::rename(scratch.path().join("steelyard.img"), disk).context("keeping the disk image")
}

fn words(file: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    Ok(text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_string)
        .collect())
}

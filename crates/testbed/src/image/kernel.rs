//! Debian's kernel: fetched through the meta package (a package with an ABI number in its name does not stay), its
//! modules with everything they need, and the ELF image inside `vmlinuz`.
//!
//! PVH boot of the ELF image saves the machine the decompression, which is slow under emulation.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::sbom::Package;
use super::stage::Stage;
use super::{Folders, Hardware, pick};
use crate::host::{self, run, run_text, step};

/// In the tree: name and version of the package.
const PACKAGE: &str = "package";

pub(super) struct Kernel {
    /// ELF image.
    pub vmlinux: PathBuf,
    /// The image a boot loader takes.
    pub vmlinuz: PathBuf,
    /// `lib/modules/VERSION` of the unpacked package.
    pub modules: PathBuf,
    /// Debian's package.
    pub package: Package,
    /// `uname -r`.
    pub version: String,
    /// Changes when the kernel does.
    pub key: String,
}

pub(super) fn fetch(folders: &Folders, hardware: Hardware) -> Result<Kernel> {
    let meta = hardware.kernel();
    let tree = folders.of(hardware)?.join("kernel");
    let vmlinux = tree.with_file_name("vmlinux");
    folders.stamp(&format!("kernel-{}", hardware.name())).unless_done(
        &[meta.to_string()],
        &[&tree, &vmlinux],
        || {
            step(&format!("Debian kernel ({meta})"), || {
                if tree.exists() {
                    fs::remove_dir_all(&tree).context("removing the old kernel")?;
                }
                download(meta, &tree)?;
                let packed = fs::read(only(&tree.join("boot"), "vmlinuz-")?).context("reading vmlinuz")?;
                fs::write(&vmlinux, unpack(&packed)?).context("writing vmlinux")
            })
        },
    )?;
    let modules = only(&tree.join("lib/modules"), "")?;
    let version = modules.file_name().context("the modules have no version")?.to_string_lossy().into_owned();
    let age = fs::metadata(&vmlinux).and_then(|about| about.modified()).context("looking at vmlinux")?;
    let package = fs::read_to_string(tree.join(PACKAGE)).context("reading the kernel's package")?;
    let (name, number) = package.split_once(' ').context("the kernel's package has no version")?;
    Ok(Kernel {
        vmlinux,
        package: Package { name: name.to_owned(), version: number.to_owned() },
        vmlinuz: only(&tree.join("boot"), "vmlinuz-")?,
        key: format!("{version} {age:?}"),
        modules,
        version,
    })
}

fn download(meta: &str, tree: &Path) -> Result<()> {
    let depends = run_text(Command::new("apt-cache").args(["depends", meta]))?;
    let package = depends
        .lines()
        .find_map(|line| line.trim().strip_prefix("Depends: "))
        .filter(|name| name.starts_with("linux-image-"));
    let package = package.with_context(|| format!("apt knows no {meta}\nhint: apt-get update"))?;
    let parent = tree.parent().context("the kernel's folder has no parent")?;
    let scratch = tempfile::tempdir_in(parent).context("making a folder for the download")?;
    run(Command::new("apt-get").args(["-q", "download", package]).current_dir(scratch.path()))?;
    let archive = only(scratch.path(), "linux-image-")?;
    run(Command::new("dpkg").arg("-x").arg(&archive).arg(tree))?;
    let Package { name, version } = Package::of(&archive)?;
    fs::write(tree.join(PACKAGE), format!("{name} {version}")).context("writing the kernel's package")
}

/// The one entry of `folder` whose name starts with `prefix`.
fn only(folder: &Path, prefix: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let names = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut fitting =
        names.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)));
    fitting.next().with_context(|| format!("{} has no {prefix}…", folder.display()))
}

/// The compressed ELF image inside a bzImage: Linux boot protocol (Documentation/x86/boot.rst), fields setup_sects
/// 0x1f1, payload_offset 0x248, payload_length 0x24c. The payload's last 4 bytes are its unpacked size.
fn payload(image: &[u8]) -> Option<&[u8]> {
    let long = |at: usize| Some(u32::from_le_bytes(image.get(at..at + 4)?.try_into().ok()?) as usize);
    let setup = match *image.get(0x1f1)? {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let start = (setup + 1) * 512 + long(0x248)?;
    image.get(start..start + long(0x24c)?.checked_sub(4)?)
}

fn unpack(image: &[u8]) -> Result<Vec<u8>> {
    let packed = payload(image).context("vmlinuz has no payload: is it a bzImage?")?;
    let tool = match packed.get(..4) {
        Some([0x02, 0x21, 0x4c, 0x18]) => "lz4",
        Some([0x28, 0xb5, 0x2f, 0xfd]) => "zstd",
        Some([0xfd, b'7', b'z', b'X']) => "xz",
        other => bail!("vmlinuz is packed in a way nobody told us: {other:02x?}"),
    };
    let scratch = tempfile::NamedTempFile::new().context("making a scratch file")?;
    fs::write(scratch.path(), packed)?;
    let input = fs::File::open(scratch.path())?;
    let done = host::tool(tool)
        .arg("-dc")
        .stdin(input)
        .stderr(Stdio::null())
        .output()
        .with_context(|| format!("starting {tool}"))?;
    if !done.stdout.starts_with(b"\x7fELF") {
        bail!("{tool} did not find an ELF kernel in vmlinuz");
    }
    Ok(done.stdout)
}

impl Kernel {
    /// Copies `wanted` modules and all they need to `root/usr/lib/modules/VERSION` and indexes them; the firmware that
    /// they load comes along where `stage` has it.
    /// Names built into this kernel or unknown to it come back.
    pub(super) fn install(&self, wanted: &[String], stage: &Stage, root: &Path) -> Result<Vec<String>> {
        let index = self.modules.join("modules.dep");
        if !index.exists() {
            let tree = self.modules.ancestors().nth(3).context("the modules lie too high")?;
            run(host::tool("depmod").arg("-b").arg(tree).arg(&self.version))?;
        }
        let text = fs::read_to_string(&index).context("reading modules.dep")?;
        let depends: BTreeMap<&str, Vec<&str>> = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(file, needs)| (file, needs.split_whitespace().collect()))
            .collect();
        let by_name: BTreeMap<String, &str> = depends.keys().map(|file| (module_name(file), *file)).collect();

        let mut unknown = Vec::new();
        let mut files = BTreeSet::new();
        for name in wanted {
            let Some(file) = by_name.get(&module_name(name)) else {
                unknown.push(name.clone());
                continue;
            };
            files.insert(*file);
            // modules.dep lists everything a module needs, directly or not.
            files.extend(depends.get(file).into_iter().flatten());
        }
        let target = root.join("usr/lib/modules").join(&self.version);
        for file in &files {
            pick::copy(&self.modules.join(file), &target.join(file))?;
        }
        let mut ask = host::tool("modinfo");
        ask.args(["-F", "firmware"]).args(files.iter().map(|file| self.modules.join(file)));
        for name in run_text(&mut ask)?.lines() {
            let place = format!("usr/lib/firmware/{name}");
            if let Some(file) = stage.find(&place) {
                pick::copy(&file, &root.join(place))?;
            }
        }
        for name in ["modules.order", "modules.builtin", "modules.builtin.modinfo"] {
            pick::copy(&self.modules.join(name), &target.join(name))?;
        }
        run(host::tool("depmod").arg("-b").arg(root).arg(&self.version))?;
        Ok(unknown)
    }
}

/// `kernel/net/x-y.ko.xz` and `x-y` are both module `x_y`.
fn module_name(file: &str) -> String {
    let last = file.rsplit('/').next().unwrap_or(file);
    last.split(".ko").next().unwrap_or(last).replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_ends_before_its_size() {
        let mut image = vec![0; 4096];
        image[0x1f1] = 1;
        image[0x248..0x24c].copy_from_slice(&16_u32.to_le_bytes());
        image[0x24c..0x250].copy_from_slice(&12_u32.to_le_bytes());
        image[1040..1052].copy_from_slice(b"payloadsSIZE");
        assert_eq!(payload(&image), Some(&b"payloads"[..]));
        assert_eq!(payload(&image[..1045]), None);
        assert_eq!(payload(&[]), None);
    }

    #[test]
    fn a_module_has_one_name() {
        assert_eq!(module_name("kernel/net/8021q/8021q.ko.xz"), "8021q");
        assert_eq!(module_name("kernel/drivers/block/xen-blkfront.ko"), module_name("xen_blkfront"));
    }
}

//! The release image's share of the image build: what `buildroot-external/board/lb` calls once Buildroot has built the
//! packages. The tree, kernel and GRUB are Buildroot's; initramfs, slot, boot loader and disk are made by the quick
//! image's own steps. Programs come from PATH, which Buildroot sets to its own.
//!
//! Not here: what the tree is made of (`buildroot-external/configs`).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::stage::Stage;
use super::{SLOT, assemble, bundle, genimage, loader, pack_initramfs, pick, squash};
use crate::host::{self, run, step};

/// Names that the initramfs calls busybox by, although in the root file system another program has them.
const TAKEN: &[&str] = &["modprobe", "setsid"];

/// Gives Buildroot's tree what the quick image's has beyond packages and overlay: mount points, the guide, completions,
/// modes; and takes out the start scripts of packages, as services are started by runsvdir.
pub fn release_root(root: &Path) -> Result<()> {
    ensure!(root.join("usr").is_dir(), "{} has no usr: is it the target folder of Buildroot?", root.display());
    assemble::folders_of(root)?;
    start_scripts(root)?;
    assemble::guide(&host::workspace(), root)?;
    // By the tree's own loader: the build machine's libraries may be older.
    let mut lbctl = Command::new(root.join("usr/lib/ld-linux-x86-64.so.2"));
    lbctl.arg("--library-path").arg(root.join("usr/lib")).arg(root.join("usr/bin/lbctl"));
    assemble::completions(&mut lbctl, root);
    bundle::trust_builder(root)?;
    assemble::modes(root)
}

/// `S50name`, which packages bring and nothing here would start.
fn start_scripts(root: &Path) -> Result<()> {
    for entry in fs::read_dir(root.join("etc/init.d")).context("reading etc/init.d")? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.strip_prefix('S').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
            fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
        }
    }
    Ok(())
}

/// Makes `initrd`, `rootfs.squashfs` (a slot) and `steelyard.img` (the disk) in the folder of Buildroot's images, of
/// its `rootfs.tar` and `bzImage` and of the GRUB built in `grub`.
pub fn release_disk(images: &Path, grub: &Path) -> Result<()> {
    let workspace = host::workspace();
    let scratch = tempfile::tempdir_in(images).context("making a folder for the root file system")?;
    let root = scratch.path().join("root");
    step("root file system", || {
        fs::create_dir(&root)?;
        let archive = images.join("rootfs.tar");
        run(Command::new("tar").arg("--exclude=./dev/*").arg("-C").arg(&root).arg("-xf").arg(archive))?;
        no_setuid(&root)
    })?;
    let initrd = images.join("initrd");
    step("initramfs", || {
        let tree = scratch.path().join("initramfs");
        initramfs(&root, &workspace.join("image/initramfs/init"), &tree)?;
        pack_initramfs(&tree, &initrd)
    })?;
    step("slot (squashfs)", || {
        pick::copy(&images.join("bzImage"), &root.join("boot/vmlinuz"))?;
        pick::copy(&initrd, &root.join("boot/initrd"))?;
        squash(&root, &images.join("rootfs.squashfs"), SLOT)
    })?;
    step("disk image", || {
        loader::make(&loader::Grub::built(grub), &workspace.join("image/grub/grub.cfg"), images)?;
        partition(images)
    })
}

/// Makes `steelyard.img` in `folder` of the files that `image/genimage.cfg` names, which lie there.
pub fn partition(folder: &Path) -> Result<()> {
    genimage(&host::workspace().join("image/genimage.cfg"), folder, &folder.join("steelyard.img"))
}

/// Takes the bits away that make a program run as another user: nobody but root logs in, and no service needs them.
fn no_setuid(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        let about = fs::symlink_metadata(&path)?;
        let mode = about.permissions().mode();
        if about.is_dir() {
            no_setuid(&path)?;
        } else if about.is_file() && mode & 0o6000 != 0 {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode & 0o1777))
                .with_context(|| format!("setting the mode of {}", path.display()))?;
        }
    }
    Ok(())
}

/// Busybox of `root` with its libraries, and `init`. No modules: what the start needs is built into the kernel.
fn initramfs(root: &Path, init: &Path, tree: &Path) -> Result<()> {
    assemble::fresh(tree)?;
    assemble::mount_points(tree)?;
    let stage = Stage { root: root.to_path_buf(), ..Stage::default() };
    pick::pick(&stage, &["/usr/bin/busybox".into()], &[], tree)?;
    for folder in ["usr/bin", "usr/sbin"] {
        for entry in fs::read_dir(root.join(folder)).with_context(|| format!("reading {folder}"))? {
            let entry = entry?;
            let name = entry.file_name();
            let to_busybox = fs::read_link(entry.path()).is_ok_and(|target| target.ends_with("busybox"));
            if to_busybox || TAKEN.iter().any(|taken| name == *taken) {
                assemble::link_to(&tree.join(folder).join(name), "/usr/bin/busybox")?;
            }
        }
    }
    // Every program names its loader by this path.
    let loader = "ld-linux-x86-64.so.2";
    if tree.join("usr/lib").join(loader).exists() {
        assemble::link_to(&tree.join("usr/lib64").join(loader), &format!("../lib/{loader}"))?;
    }
    pick::copy(init, &tree.join("init"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_program_runs_as_another_user() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("bin/busybox");
        fs::create_dir(folder.path().join("bin"))?;
        fs::write(&file, "")?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o4755))?;
        no_setuid(folder.path())?;
        assert_eq!(fs::metadata(&file)?.permissions().mode() & 0o7777, 0o755);
        Ok(())
    }

    #[test]
    fn start_scripts_of_packages_go_and_ours_stay() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let scripts = folder.path().join("etc/init.d");
        fs::create_dir_all(&scripts)?;
        for name in ["S50dropbear", "rcS", "Sleep"] {
            fs::write(scripts.join(name), "")?;
        }
        start_scripts(folder.path())?;
        let left = |name: &str| scripts.join(name).exists();
        assert_eq!((left("S50dropbear"), left("rcS"), left("Sleep")), (false, true, true));
        Ok(())
    }

    #[test]
    fn the_initramfs_has_busybox_its_libraries_and_its_names() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let (root, tree) = (folder.path().join("root"), folder.path().join("tree"));
        for place in ["usr/bin", "usr/sbin", "usr/lib"] {
            fs::create_dir_all(root.join(place))?;
        }
        // Any program with libraries will do.
        fs::copy("/bin/true", root.join("usr/bin/busybox"))?;
        for library in ["libc.so.6", "ld-linux-x86-64.so.2"] {
            fs::copy(Path::new("/lib/x86_64-linux-gnu").join(library), root.join("usr/lib").join(library))?;
        }
        symlink("busybox", root.join("usr/bin/grep"))?;
        symlink("../bin/kmod", root.join("usr/sbin/modprobe"))?;
        symlink("../bin/kmod", root.join("usr/sbin/lsmod"))?;
        initramfs(&root, &host::workspace().join("image/initramfs/init"), &tree)?;
        for name in ["init", "usr/bin/busybox", "usr/lib/libc.so.6", "usr/lib64/ld-linux-x86-64.so.2", "proc"] {
            assert!(tree.join(name).exists(), "{name} lacks");
        }
        let names = ["usr/bin/grep", "usr/sbin/modprobe"];
        assert!(names.iter().all(|name| fs::read_link(tree.join(name)).is_ok_and(|to| to.ends_with("busybox"))));
        assert!(!tree.join("usr/sbin/lsmod").is_symlink());
        Ok(())
    }
}

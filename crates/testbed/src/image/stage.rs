//! Debian's packages, unpacked but not installed (no maintainer script runs): the source of every file not ours.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Folders;
use super::sbom::Origins;
use crate::host::{self, run, step};

/// The unpacked packages.
#[derive(Default)]
pub(super) struct Stage {
    /// Root of the tree, merged-usr.
    pub root: PathBuf,
    /// Which package brought what.
    pub origins: Origins,
    /// Changes when the tree does.
    pub key: String,
}

/// Debian release the files come from; the same the build machine has, as our programs use its glibc.
const SUITE: &str = "bookworm";

pub(super) fn fetch(folders: &Folders) -> Result<Stage> {
    let packages = folders.list("packages")?.join(",");
    let root = folders.out.join("stage");
    let marker = folders.out.join("stage.list");
    folders.stamp("stage").unless_done(std::slice::from_ref(&packages), &[&root, &marker], || {
        step("Debian packages", || {
            if root.exists() {
                fs::remove_dir_all(&root).context("removing the old packages")?;
            }
            let mut get = host::tool("mmdebstrap");
            get.args(["--variant=extract", "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr", "--quiet"]);
            // The second for network cards' firmware, which may be passed on though it has no source.
            get.arg("--skip=cleanup/apt");
            get.arg("--components=main,non-free-firmware");
            get.arg(format!("--include={packages}")).arg(SUITE).arg(&root);
            run(&mut get)?;
            let archives = root.join("var/cache/apt/archives");
            Origins::of_archives(&archives)?.write(&marker)?;
            fs::remove_dir_all(&archives).context("removing the packages' archives")
        })
    })?;
    let age = fs::metadata(&marker).and_then(|about| about.modified()).context("looking at the list of packages")?;
    Ok(Stage { key: format!("{packages} {age:?}"), origins: Origins::read(&marker)?, root })
}

impl Stage {
    /// The file `path` (as on a running system) in the tree, links followed inside the tree.
    pub(super) fn find(&self, path: &str) -> Option<PathBuf> {
        let mut file = self.root.join(path.trim_start_matches('/'));
        for _ in 0..8 {
            let Ok(target) = fs::read_link(&file) else { break };
            file = match target.strip_prefix("/") {
                Ok(inside) => self.root.join(inside),
                Err(_) => file.parent().unwrap_or(Path::new("/")).join(target),
            };
        }
        file.is_file().then_some(file)
    }
}

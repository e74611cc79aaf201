//! Takes named programs out of the stage with the libraries they need, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::stage::Stage;
use crate::host::{self, run_text};

/// Where Debian keeps libraries, in the order of the dynamic loader.
const LIBRARY_FOLDERS: &[&str] = &["usr/lib/x86_64-linux-gnu", "usr/lib", "usr/lib64"];

/// Copies `from` into `to` with its mode, making folders.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    // A link that stands there (a busybox name) must not be written through.
    if to.is_symlink() {
        fs::remove_file(to)?;
    }
    fs::copy(from, to).with_context(|| format!("copying {} to {}", from.display(), to.display()))?;
    Ok(())
}

/// Copies `wanted` and all libraries that they and `own` (programs already in `root`) need into `root`.
pub(super) fn pick(stage: &Stage, wanted: &[String], own: &[PathBuf], root: &Path) -> Result<()> {
    let mut libraries = BTreeMap::new();
    let mut queue: Vec<PathBuf> = own.to_vec();
    for path in wanted {
        let Some(file) = stage.find(path) else {
            bail!("Debian's packages bring no {path}\nhint: compare image/quick/binaries with image/quick/packages");
        };
        copy(&file, &root.join(merged(path)))?;
        queue.push(file);
    }
    let mut missing = BTreeSet::new();
    while let Some(file) = queue.pop() {
        for name in needed(&file)? {
            if libraries.contains_key(&name) || missing.contains(&name) {
                continue;
            }
            let found =
                LIBRARY_FOLDERS.iter().find_map(|folder| Some((*folder, stage.find(&format!("{folder}/{name}"))?)));
            if let Some((folder, library)) = found {
                copy(&library, &root.join(folder).join(&name))?;
                queue.push(library.clone());
                libraries.insert(name, library);
            } else {
                missing.insert(name);
            }
        }
    }
    if !missing.is_empty() {
        bail!("libraries that no package brings: {missing:?}");
    }
    Ok(())
}

/// `path` in a system whose /bin, /sbin and /lib are links into /usr.
fn merged(path: &str) -> String {
    let path = path.trim_start_matches('/');
    if path.starts_with("usr/") { path.to_string() } else { format!("usr/{path}") }
}

/// Names in the DT_NEEDED entries of an ELF file; none for a static one.
fn needed(file: &Path) -> Result<Vec<String>> {
    let text = run_text(host::tool("readelf").arg("-dW").arg(file))?;
    let names = text.lines().filter(|line| line.contains("(NEEDED)"));
    Ok(names.filter_map(|line| line.split(['[', ']']).nth(1)).map(str::to_string).collect())
}

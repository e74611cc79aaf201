//! Skips a step whose inputs are the ones it was last done with.
//!
//! A stamp is a file that holds the digest of the inputs; it is written after the step, so a step that failed or was
//! interrupted is done again.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Memory of one step.
pub(super) struct Stamp {
    file: PathBuf,
}

impl Stamp {
    pub(super) fn new(folder: &Path, name: &str) -> Stamp {
        Stamp { file: folder.join(name) }
    }

    /// Does `work` unless it was done with these inputs and all `outputs` are there.
    pub(super) fn unless_done(
        &self,
        inputs: &[String],
        outputs: &[&Path],
        work: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let key = inputs.join("\n");
        if fs::read_to_string(&self.file).is_ok_and(|old| old == key) && outputs.iter().all(|file| file.exists()) {
            return Ok(());
        }
        // A step that fails half-way must not look done.
        let _ = fs::remove_file(&self.file);
        work()?;
        if let Some(folder) = self.file.parent() {
            fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        fs::write(&self.file, key).with_context(|| format!("writing {}", self.file.display()))
    }
}

/// A digest over files and folders: names, links, sizes, modes and times of change of everything below.
pub(super) fn digest<P: AsRef<Path>>(paths: &[P]) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    for path in paths {
        add(path.as_ref(), &mut hasher)?;
    }
    Ok(format!("{:016x}", hasher.finish()))
}

fn add(path: &Path, hasher: &mut DefaultHasher) -> Result<()> {
    let about = fs::symlink_metadata(path).with_context(|| format!("looking at {}", path.display()))?;
    path.hash(hasher);
    about.mode().hash(hasher);
    if about.is_dir() {
        let entries = fs::read_dir(path).with_context(|| format!("reading {}", path.display()))?;
        let mut names: Vec<_> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        names.sort_unstable();
        return names.iter().try_for_each(|name| add(name, hasher));
    }
    if about.is_symlink() {
        fs::read_link(path)?.hash(hasher);
    } else {
        (about.len(), about.mtime(), about.mtime_nsec()).hash(hasher);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_done_again_for_other_inputs_or_a_missing_output() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let output = folder.path().join("out");
        let stamp = Stamp::new(&folder.path().join("stamps"), "s");
        let mut done = 0;
        let mut go = |input: &str| {
            stamp.unless_done(&[input.to_string()], &[&output], || {
                done += 1;
                Ok(fs::write(&output, "x")?)
            })?;
            Ok::<_, anyhow::Error>(done)
        };
        assert_eq!((go("a")?, go("a")?, go("b")?), (1, 1, 2));
        fs::remove_file(&output)?;
        assert_eq!(go("b")?, 3);
        Ok(())
    }

    #[test]
    fn a_digest_sees_a_changed_file_below_a_folder() -> Result<()> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("f"), "one")?;
        let before = digest(&[folder.path()])?;
        fs::write(folder.path().join("f"), "other")?;
        assert_ne!(before, digest(&[folder.path()])?);
        Ok(())
    }
}

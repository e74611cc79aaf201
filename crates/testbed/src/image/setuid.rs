//! Programs that run as another user than whoever starts them: a written list, and nothing beyond it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// Paths below the root that may be setuid or setgid. None: root alone logs in, and services drop what they do not need.
const ALLOWED: &[&str] = &[];

/// Refuses a root file system with others.
pub(super) fn check(root: &Path) -> Result<()> {
    let mut found = Vec::new();
    below(root, &mut found)?;
    found.retain(|path| !ALLOWED.iter().any(|allowed| path.strip_prefix(root).is_ok_and(|p| p == Path::new(allowed))));
    ensure!(found.is_empty(), "setuid or setgid and not in the list (testbed/src/image/setuid.rs): {found:?}");
    Ok(())
}

fn below(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        let about = fs::symlink_metadata(&path).with_context(|| format!("looking at {}", path.display()))?;
        if about.is_dir() {
            below(&path, found)?;
        } else if about.is_file() && about.permissions().mode() & 0o6000 != 0 {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setuid_program_is_refused_by_its_name() -> Result<()> {
        let root = tempfile::tempdir()?;
        let program = root.path().join("usr/bin/su");
        fs::create_dir_all(root.path().join("usr/bin"))?;
        fs::write(&program, "")?;
        check(root.path())?;
        for mode in [0o4755, 0o2755] {
            fs::set_permissions(&program, fs::Permissions::from_mode(mode))?;
            let refusal = check(root.path()).err().context("it was let through")?.to_string();
            ensure!(refusal.contains("usr/bin/su"), "{refusal}");
        }
        Ok(())
    }
}

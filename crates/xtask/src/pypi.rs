//! Programs and clients from PyPI, each set in a virtual environment of its own below `target`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use testbed::host::{self, step};

/// Makes `folder/venv` with what `requirements` pins, unless there is one made from the same.
pub fn install(what: &str, requirements: &Path, folder: &Path) -> Result<()> {
    let done = folder.join("installed.txt");
    let pinned = fs::read(requirements).with_context(|| format!("reading {}", requirements.display()))?;
    if fs::read(&done).is_ok_and(|before| before == pinned) {
        return Ok(());
    }
    step(&format!("{what} from PyPI"), || {
        let venv = folder.join("venv");
        fs::create_dir_all(folder)?;
        host::run(host::tool("virtualenv").args(["--quiet", "--clear"]).arg(&venv))?;
        let pip = venv.join("bin/pip");
        host::run(Command::new(pip).args(["install", "--quiet", "--requirement"]).arg(requirements))?;
        fs::write(&done, &pinned).context("writing installed.txt")
    })
}

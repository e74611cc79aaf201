//! `cargo xtask test browser`: lbadmin in Chromium, as a person clicks it. The story is in `lbadmin/tests/browser`.
//!
//! Brings playwright-core and axe-core into `target/browser` (pinned by the lock file, nothing of them in the source
//! tree), takes the daemons of the unit tests, and starts the suite in a network namespace of its own, where the guide's
//! addresses are free. It has a process namespace as well, so that nothing outlives it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use testbed::host::{self, step};
use testbed::limits;

use crate::suites;

/// All of the suite, from the start of the daemons.
const SUITE: Duration = Duration::from_secs(400);

pub fn browser() -> Result<()> {
    install()?;
    let modules = modules()?;
    let programs = suites::programs()?;
    clear_pictures(&modules)?;
    let chromium = host::find_program("chromium").context("chromium is missing\nhint: cargo xtask setup")?;
    let mut command = host::tool("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    let mut child = command
        .args(["--net", "--pid", "--fork", "--kill-child", "--mount-proc", "node"])
        .arg(suite().join("suite.mjs"))
        .env("STEELYARD_BROWSER_MODULES", &modules)
        .env("STEELYARD_PROGRAMS", programs)
        .env("STEELYARD_CHROMIUM", chromium)
        .spawn()
        .context("starting unshare")?;
    let ended = limits::wait_until("the browser suite", SUITE, || Ok(child.try_wait()?));
    let status = match ended {
        Ok(status) => status,
        Err(late) => {
            // Whatever is left of it ends with the first process of its namespace.
            child.kill()?;
            child.wait()?;
            return Err(late);
        }
    };
    if !status.success() {
        bail!("it ended with {status}; its messages are above, pictures in {}", pictures(&modules).display());
    }
    Ok(())
}

/// Where its sources are.
pub fn suite() -> PathBuf {
    host::workspace().join("crates/lbadmin/tests/browser")
}

/// Where npm's packages and the pictures go.
pub fn modules() -> Result<PathBuf> {
    std::path::absolute(host::target().join("browser")).context("finding target/browser")
}

/// `npm ci`, unless what is there was made from the same lock file.
pub fn install() -> Result<()> {
    let (suite, modules) = (suite(), modules()?);
    let lock = fs::read(suite.join("package-lock.json")).context("reading package-lock.json")?;
    let done = modules.join("installed.json");
    if fs::read(&done).is_ok_and(|before| before == lock) {
        return Ok(());
    }
    step("playwright-core and axe-core from the npm registry", || {
        fs::create_dir_all(&modules)?;
        for file in ["package.json", "package-lock.json"] {
            fs::copy(suite.join(file), modules.join(file)).with_context(|| format!("copying {file}"))?;
        }
        host::run(
            host::tool("npm")
                .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"])
                .arg(&modules)
                .current_dir(&modules),
        )?;
        fs::write(&done, &lock).context("writing installed.json")
    })
}

fn pictures(modules: &Path) -> PathBuf {
    modules.join("screenshots")
}

/// Pictures of pages that are no more would mislead.
fn clear_pictures(modules: &Path) -> Result<()> {
    let folder = pictures(modules);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("clearing {}", folder.display()))?;
    }
    Ok(())
}

//! Does every symbol of the kernel's fragments take effect? A symbol that does not exist, or whose conditions are not
//! met, is dropped by the kernel's configuration without a word.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use testbed::host::{self, run};

/// Buildroot applies them in this order, upon the architecture's own configuration.
const FRAGMENTS: &[&str] = &["base", "net", "virt", "rack"];
/// What Debian's package linux-source-6.12 brings.
const ARCHIVE: &str = "/usr/src/linux-source-6.12.tar.xz";
/// All that the kernel's configuration reads.
const NEEDED: &[&str] =
    &["*/Kconfig*", "*/Makefile*", "*/scripts/*", "*/arch/x86/configs/*", "*/Kbuild*", "*/kernel/configs/*"];

/// The kernel's sources from Debian's package, unpacked below `target` as far as needed; none where it is not there.
pub fn debian() -> Result<Option<PathBuf>> {
    if !Path::new(ARCHIVE).exists() {
        return Ok(None);
    }
    let folder = host::target().join("buildroot/linux");
    let done = folder.join("Makefile");
    if !done.exists() {
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let mut unpack = Command::new("tar");
        unpack.arg("-C").arg(&folder).args(["-xJf", ARCHIVE, "--strip-components=1", "--wildcards"]).args(NEEDED);
        run(&mut unpack)?;
    }
    Ok(Some(folder))
}

/// Configures the kernel in `sources`, in a folder of its own, and compares.
pub fn check(external: &Path, sources: &Path) -> Result<Vec<String>> {
    let out = tempfile::tempdir().context("making a folder for the kernel's configuration")?;
    let make = |goal: &str| {
        let mut make = host::tool("make");
        make.arg("-s").arg("-C").arg(sources).arg(format!("O={}", out.path().display()));
        make.args(["ARCH=x86_64", goal]);
        run(&mut make)
    };
    make("x86_64_defconfig")?;
    let config = out.path().join(".config");
    let text = fs::read_to_string(&config).context("reading the kernel's configuration")?;
    fs::write(&config, text + &fragments(external)?).context("writing the kernel's configuration")?;
    make("olddefconfig")?;
    compare(external, &fs::read_to_string(&config).context("reading the kernel's configuration")?)
}

/// Symbols of the fragments that are otherwise in the finished configuration `result`.
pub fn compare(external: &Path, result: &str) -> Result<Vec<String>> {
    Ok(differences(&fragments(external)?, result))
}

fn fragments(external: &Path) -> Result<String> {
    let mut text = String::new();
    for name in FRAGMENTS {
        let file = external.join(format!("board/lb/linux/{name}.fragment"));
        text += &fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    }
    Ok(text)
}

fn differences(asked: &str, result: &str) -> Vec<String> {
    let value = |symbol: &str| {
        result.lines().find_map(|line| line.strip_prefix(symbol)?.strip_prefix('=')).unwrap_or("off").to_string()
    };
    let mut found = Vec::new();
    for line in asked.lines() {
        let off = line.strip_prefix("# ").and_then(|rest| rest.strip_suffix(" is not set"));
        let wanted = off.map(|symbol| (symbol, "off")).or_else(|| line.split_once('='));
        let Some((symbol, wanted)) = wanted.filter(|(symbol, _)| symbol.starts_with("CONFIG_")) else { continue };
        let is = value(symbol);
        if is != wanted {
            found.push(format!("{symbol}: asked for {wanted}, is {is}"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_without_effect_is_seen() {
        let asked = "# a word = another\nCONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\nCONFIG_AB=16\n";
        assert_eq!(differences(asked, "CONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\nCONFIG_AB=16\n"), [""; 0]);
        let found = differences(asked, "CONFIG_A=m\nCONFIG_C=y\nCONFIG_AB=12\n");
        assert_eq!(
            found,
            [
                "CONFIG_A: asked for y, is m",
                "CONFIG_B: asked for m, is off",
                "CONFIG_C: asked for off, is y",
                "CONFIG_AB: asked for 16, is 12"
            ]
        );
    }
}

//! Update bundles of what was built, and the key that they are signed with.
//!
//! `STEELYARD_UPDATE_KEY` names the builder's own key (PKCS#8 in PEM; `openssl genpkey -algorithm ed25519` makes one).
//! Without it a key for this build machine is made once, `target/update-key/development.key`. The image believes the
//! key that was in force when it was built, and no other.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lb_update::manifest::{ARCHITECTURE, PRODUCT, Packed};
use lb_update::{Formats, Manifest, SigningKey, Version, write_bundle};

use super::{Appliance, Folders, Hardware, SLOT, squash};
use crate::host::{self, run};

/// Names the file of the builder's key.
const KEY: &str = "STEELYARD_UPDATE_KEY";
/// Where the image keeps what it believes.
const TRUSTED: &str = "usr/share/steelyard/update-keys";
/// The first version with two slots: every one since can be followed.
const OLDEST: Version = Version(0, 1, 0);

/// The builder's, or the development key, made when it is not there.
pub(super) fn signing_key(folders: &Folders) -> Result<SigningKey> {
    let file = match std::env::var_os(KEY) {
        Some(file) => PathBuf::from(file),
        None => folders.out.with_file_name("update-key").join("development.key"),
    };
    if !file.exists() && std::env::var_os(KEY).is_none() {
        let folder = file.parent().context("a folder for the key")?;
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let mut new = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&file)
            .with_context(|| format!("making {}", file.display()))?;
        new.write_all(SigningKey::generate()?.as_bytes()).context("writing the development key")?;
    }
    Ok(SigningKey::read(&file)?)
}

/// Puts the public half into a root file system.
pub(super) fn trust(key: &SigningKey, root: &Path) -> Result<()> {
    let folder = root.join(TRUSTED);
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    fs::write(folder.join(format!("{}.pub", key.name)), key.public_text()).context("writing the public key")
}

/// The builder's own key for a release image. Without one it believes nobody, and installs no update: a key of this
/// build machine has no place in it.
pub(super) fn trust_builder(root: &Path) -> Result<()> {
    match std::env::var_os(KEY) {
        Some(file) => trust(&SigningKey::read(Path::new(&file))?, root),
        None => fs::create_dir_all(root.join(TRUSTED)).context("making the folder of the keys"),
    }
}

/// Signs a file of checksums with the key that bundles are signed with: the signature, 64 bytes beside it, and the public
/// key as OpenSSL reads it. No bundle's head begins as checksums do, so neither signature counts for the other.
pub fn signature(sums: &Path) -> Result<[PathBuf; 2]> {
    signature_by(&signing_key(&Folders::new()?)?, sums)
}

fn signature_by(key: &SigningKey, sums: &Path) -> Result<[PathBuf; 2]> {
    let text = fs::read(sums).with_context(|| format!("reading {}", sums.display()))?;
    let name = sums.file_name().unwrap_or_default().to_string_lossy();
    let signature = sums.with_file_name(format!("{name}.sig"));
    fs::write(&signature, key.sign(&text)).with_context(|| format!("writing {}", signature.display()))?;
    let public = sums.with_file_name(format!("{}.pem", key.name));
    fs::write(&public, key.public_pem()).with_context(|| format!("writing {}", public.display()))?;
    Ok([signature, public])
}

/// The bundle of an image, beside it.
pub fn bundle(appliance: &Appliance) -> Result<PathBuf> {
    let version: Version = env!("CARGO_PKG_VERSION").parse()?;
    let file = appliance.slot.with_file_name(format!("steelyard-{version}.lbu"));
    signed(&appliance.slot, version, &file, "-19")?;
    Ok(file)
}

/// For tests: a bundle of the image for virtual machines with another version, in which `change` has changed the root file system.
pub fn bundle_of(version: &str, file: &Path, change: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let folders = Folders::new()?;
    let _lock = folders.lock()?;
    let scratch = tempfile::tempdir_in(&folders.out).context("making a folder for a root file system")?;
    let root = scratch.path().join("root");
    run(std::process::Command::new("cp").arg("-a").arg(folders.of(Hardware::Virtual)?.join("root")).arg(&root))?;
    let release = root.join("etc/os-release");
    let text = fs::read_to_string(&release).context("reading os-release")?;
    fs::write(&release, text.replace(env!("CARGO_PKG_VERSION"), version)).context("writing os-release")?;
    change(&root)?;
    let slot = scratch.path().join("slot");
    squash(&root, &slot, SLOT)?;
    signed(&slot, version.parse()?, file, "-3")
}

/// For tests: a small bundle with our signature that is for another product.
pub fn bundle_for_another(file: &Path) -> Result<()> {
    let key = signing_key(&Folders::new()?)?;
    let payload = b"nothing of ours";
    let (sha256, size) = lb_update::bundle::hash(&mut &payload[..], payload.len() as u64, |_| Ok(()))?;
    let packed = Packed { size, sha256: sha256.clone() };
    let manifest = Manifest {
        product: "another".into(),
        version: OLDEST,
        architecture: ARCHITECTURE.into(),
        size,
        sha256,
        packed,
        oldest: OLDEST,
        configuration: Formats::OURS,
    };
    let mut to = File::create(file).with_context(|| format!("making {}", file.display()))?;
    write_bundle(&manifest, &key, &mut &payload[..], &mut to).with_context(|| format!("writing {}", file.display()))
}

/// `level`: how well it is packed, and how long that takes, in zstd's words.
fn signed(slot: &Path, version: Version, file: &Path, level: &str) -> Result<()> {
    let key = signing_key(&Folders::new()?)?;
    let payload = file.with_extension("packed");
    run(host::tool("zstd").args(["-q", "-f", "-T0", level, "-o"]).arg(&payload).arg(slot))?;
    let open = |file: &Path| File::open(file).with_context(|| format!("opening {}", file.display()));
    let hashed = |file: &Path| -> Result<(String, u64)> {
        let size = open(file)?.metadata().with_context(|| format!("looking at {}", file.display()))?.len();
        let hash = lb_update::bundle::hash(&mut open(file)?, size, |_| Ok(()));
        hash.with_context(|| format!("reading {}", file.display()))
    };
    let (sha256, size) = hashed(slot)?;
    let (packed_sha256, packed_size) = hashed(&payload)?;
    let manifest = Manifest {
        product: PRODUCT.into(),
        version,
        architecture: ARCHITECTURE.into(),
        size,
        sha256,
        packed: Packed { size: packed_size, sha256: packed_sha256 },
        oldest: OLDEST,
        configuration: Formats::OURS,
    };
    let mut to = BufWriter::new(File::create(file).with_context(|| format!("making {}", file.display()))?);
    let written = write_bundle(&manifest, &key, &mut open(&payload)?, &mut to);
    written.with_context(|| format!("writing {}", file.display()))?;
    fs::remove_file(&payload).with_context(|| format!("removing {}", payload.display()))?;
    host::say(&format!("  bundle {} signed with the key {}", file.display(), key.name));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// As the guide tells people to.
    fn openssl_says(public: &Path, sums: &Path, signature: &Path) -> Result<bool> {
        let mut openssl = Command::new("openssl");
        openssl.args(["pkeyutl", "-verify", "-pubin", "-rawin", "-inkey"]).arg(public);
        let done = openssl.arg("-in").arg(sums).arg("-sigfile").arg(signature).output().context("starting openssl")?;
        Ok(done.status.success())
    }

    #[test]
    fn openssl_believes_signed_checksums_and_nothing_else() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let sums = folder.path().join("steelyard.sha256");
        let key = |name: &str| Ok::<_, anyhow::Error>(SigningKey::parse(name, &SigningKey::generate()?)?);
        fs::write(&sums, format!("{}  steelyard.img.xz\n", "a1".repeat(32)))?;
        let [signature, public] = signature_by(&key("release")?, &sums)?;
        let names = [&signature, &public].map(|file| file.file_name().unwrap_or_default().to_owned());
        assert_eq!(names, ["steelyard.sha256.sig", "release.pem"]);
        assert!(openssl_says(&public, &sums, &signature)?);

        let changed = folder.path().join("changed");
        fs::write(&changed, fs::read_to_string(&sums)?.replacen("a1", "a2", 1))?;
        assert!(!openssl_says(&public, &changed, &signature)?, "another checksum is believed");
        let copy = folder.path().join("of-a-stranger");
        fs::copy(&sums, &copy)?;
        let [of_a_stranger, _] = signature_by(&key("stranger")?, &copy)?;
        assert!(!openssl_says(&public, &sums, &of_a_stranger)?, "a stranger is believed");
        Ok(())
    }
}

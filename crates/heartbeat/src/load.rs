//! Reads `ha.json` and the key file, and notices when either has changed.

use anyhow::{Context, Result, bail};
use lb_ha::{Codec, Document, Keys};
use lb_model::Problem;
use std::{
    fs::{self, File, Metadata},
    io::{ErrorKind, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// No document of a pair comes near.
const LONGEST: u64 = 1 << 20;

/// Where the two files are.
#[derive(Debug, Clone)]
pub struct Files {
    pub document: PathBuf,
    pub keys: PathBuf,
}

/// What tells one version of a file from the next: a rename brings another inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp(Option<(u64, i64, i64, u64)>);

impl Stamp {
    pub fn is_missing(self) -> bool {
        self.0.is_none()
    }
}

impl Files {
    pub fn stamp(&self) -> (Stamp, Stamp) {
        (stamp(&self.document), stamp(&self.keys))
    }

    /// The document; an error names everything that is wrong with it.
    pub fn document(&self) -> Result<Document> {
        let (document, problems) = read(&self.document)?;
        if !problems.is_empty() {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            bail!("{} is not in force:\n{}", self.document.display(), lines.join("\n"));
        }
        Ok(document)
    }

    pub fn codec(&self) -> Result<Codec> {
        let keys = &self.keys;
        let doing = || format!("reading the keys in {}", keys.display());
        let file = File::open(keys).with_context(doing)?;
        if file.metadata().with_context(doing)?.mode() & 0o077 != 0 {
            bail!("{}: others may read the keys\nhint: chmod 600 {}", keys.display(), keys.display());
        }
        let mut text = Zeroizing::new(String::with_capacity(1024));
        file.take(LONGEST).read_to_string(&mut text).with_context(doing)?;
        let keys = Keys::parse(&text).with_context(doing)?;
        Ok(Codec::new(&keys.seal, keys.accept.as_ref()))
    }
}

/// The document as it stands in the file, and what is wrong with it.
pub fn read(file: &Path) -> Result<(Document, Vec<Problem>)> {
    let doing = || format!("reading {}", file.display());
    let mut text = String::new();
    File::open(file).with_context(doing)?.take(LONGEST).read_to_string(&mut text).with_context(doing)?;
    let reader = &mut serde_json::Deserializer::from_str(&text);
    let document: Document = serde_path_to_error::deserialize(reader).with_context(doing)?;
    let problems = document.problems();
    Ok((document, problems))
}

fn stamp(file: &Path) -> Stamp {
    let of = |m: Metadata| (m.ino(), m.mtime(), m.mtime_nsec(), m.size());
    match fs::metadata(file) {
        Ok(metadata) => Stamp(Some(of(metadata))),
        Err(error) if error.kind() == ErrorKind::NotFound => Stamp(None),
        // It is there, whatever is wrong with it.
        Err(_) => Stamp(Some((0, 0, 0, 0))),
    }
}

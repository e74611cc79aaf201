//! The case of lb-store alone: its example `store_writer`, which commits documents of all sizes in a loop.

use std::path::PathBuf;

use anyhow::Result;

use super::{Summary, boot};

/// Builds what is needed, then cuts; see [`boot::run`]. `STORE_WRITER` names another program to be tried (one built
/// without the fsync must fail here), `STORE_WRITER_MAX` the largest document in bytes.
pub fn run(cuts: u32, seed: u64) -> Result<Summary> {
    let writer = match std::env::var_os("STORE_WRITER") {
        Some(path) => PathBuf::from(path),
        None => boot::cargo_build(&["-p", "lb-store", "--example", "store_writer"], "examples/store_writer")?,
    };
    let name = writer.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let max = std::env::var("STORE_WRITER_MAX").map(|max| format!("STORE_WRITER_MAX={max} ")).unwrap_or_default();
    let command = format!("{max}/bin/{name} /data/lb/store");
    boot::run(&boot::Case { name: "store", programs: vec![writer], command, memory: 256 }, cuts, seed)
}

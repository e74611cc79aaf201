//! The case of the product: the real lbd, configured over its socket by `applier` as lbctl would.
//!
//! lbd runs with `--fake-kernel`: its way from a request to the disk and back is the same with every kernel, and the
//! guest then needs neither cards nor IPVS.

use anyhow::Result;

use super::{Summary, boot};
use crate::image;

/// Builds what is needed, then cuts; see [`boot::run`].
pub fn run(cuts: u32, seed: u64) -> Result<Summary> {
    let lbd = image::programs()?.join("lbd");
    let applier = boot::cargo_build(&["-p", "testbed", "--features", "cases", "--bin", "applier"], "applier")?;
    let command = "/bin/applier /bin/lbd /data/lb".to_owned();
    boot::run(&boot::Case { name: "product", programs: vec![lbd, applier], command, memory: 256 }, cuts, seed)
}

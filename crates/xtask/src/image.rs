//! `cargo xtask image` and `bundle`: build the appliance image and its update, and say where they are and how big.

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result};
use testbed::{host, image};

/// Builds the image; from nothing when `fresh`.
pub fn image(fresh: bool) -> Result<()> {
    host::require_tools()?;
    if fresh {
        image::forget()?;
    }
    let start = Instant::now();
    let built = image::build()?;
    let took = start.elapsed().as_secs_f64();
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let size =
        |file: &std::path::Path| fs::metadata(file).map(|about| megabytes(about.len())).context("reading a size");
    let (packed, file) = image::compress(&built)?;
    println!("disk        {} ({:.0} MB, sparse)", built.disk.display(), size(&built.disk)?);
    println!("compressed  {} ({:.1} MB)", file.display(), megabytes(packed));
    println!("slot        {} ({:.1} MB)", built.slot.display(), size(&built.slot)?);
    println!("initramfs   {} ({:.1} MB)", built.initrd.display(), size(&built.initrd)?);
    println!("built in {took:.1} s without the compression");
    Ok(())
}

/// Builds the image, and the bundle that brings it to a unit.
pub fn bundle() -> Result<()> {
    host::require_tools()?;
    let file = image::bundle(&image::build()?)?;
    let bytes = fs::metadata(&file).context("reading the bundle's size")?.len();
    println!("bundle      {} ({:.1} MB)", file.display(), bytes as f64 / 1e6);
    Ok(())
}

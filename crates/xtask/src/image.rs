//! `cargo xtask image` and `bundle`: build the appliance image in all its forms and its update, and say where they are
//! and how big.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use testbed::host;
use testbed::image::{self, Form, Hardware};

/// Builds the image for servers, or the smaller one for virtual machines; from nothing when `fresh`.
pub fn image(fresh: bool, virtual_machines: bool) -> Result<()> {
    host::require_tools()?;
    if fresh {
        image::forget()?;
    }
    let start = Instant::now();
    let built = image::build(if virtual_machines { Hardware::Virtual } else { Hardware::Any })?;
    let took = start.elapsed().as_secs_f64();
    let line = |what: &str, file: &Path| -> Result<()> {
        let bytes = fs::metadata(file).with_context(|| format!("looking at {}", file.display()))?.len();
        println!("{what:<11} {} ({:.1} MB)", file.display(), bytes as f64 / 1e6);
        Ok(())
    };
    let forms = [Form::Xz, Form::Qcow2, Form::Vmdk].map(|form| image::export(&built.disk, form));
    let forms = forms.into_iter().collect::<Result<Vec<_>>>()?;
    let listed: Vec<_> = forms.iter().chain([&built.sbom]).cloned().collect();
    let sums = image::checksums(&built.disk, &listed)?;
    let [signature, public] = image::signature(&sums)?;
    line("disk", &built.disk)?;
    for (what, file) in ["compressed", "qcow2", "vmdk"].into_iter().zip(&forms) {
        line(what, file)?;
    }
    println!("{:<11} {}", "checksums", sums.display());
    println!("{:<11} {}", "signature", signature.display());
    println!("{:<11} {}", "public key", public.display());
    println!("{:<11} {}", "what ships", built.sbom.display());
    line("slot", &built.slot)?;
    line("initramfs", &built.initrd)?;
    println!("built in {took:.1} s without the other forms");
    Ok(())
}

/// Builds the image for servers, and the bundle that brings it to a unit of either kind.
pub fn bundle() -> Result<()> {
    host::require_tools()?;
    let file = image::bundle(&image::build(Hardware::Any)?)?;
    let bytes = fs::metadata(&file).context("reading the bundle's size")?.len();
    println!("bundle      {} ({:.1} MB)", file.display(), bytes as f64 / 1e6);
    Ok(())
}

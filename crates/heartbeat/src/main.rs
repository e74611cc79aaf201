//! heartbeat: the hands of `lb_ha::Node`. See the library's documentation.
#![forbid(unsafe_code)]

use anyhow::{Context, Result, bail};
use clap::Parser;
use heartbeat::{Places, load, run};
use lb_kernel::{Floating, LinuxFloating};
use std::path::Path;

mod args;

fn main() -> Result<()> {
    let args = args::Args::parse();
    if let Some(file) = &args.check {
        return check(file);
    }
    if args.release {
        return release();
    }
    run(Places {
        files: load::Files { document: args.config, keys: args.keys },
        state: args.state,
        socket: args.socket,
        lbd: (!args.no_lbd).then_some(args.lbd),
        watchdog: args.watchdog,
        record: args.record,
    })
}

fn check(file: &Path) -> Result<()> {
    let (document, problems) = load::read(file)?;
    for problem in &problems {
        println!("{problem}");
    }
    if !problems.is_empty() {
        bail!("{} has {} problem(s)", file.display(), problems.len());
    }
    let (paths, floating) = (document.settings.paths.len(), document.floating.len());
    println!("{}: nothing is wrong; {paths} path(s), {floating} floating address(es)", file.display());
    Ok(())
}

fn release() -> Result<()> {
    let removed = LinuxFloating::open().and_then(|mut hands| hands.release(&[], &[]));
    let removed = removed.context("removing what a daemon has left")?;
    println!("removed {removed} floating address(es)");
    Ok(())
}

//! lbd keeps the box equal to its configuration.
//!
//! It alone opens the store and programs the kernel; everybody else speaks to it on its socket.
//! [`engine`] is the one loop, on a thread of its own; [`api`] turns HTTP into its commands;
//! [`probes`] ask real servers how they are. Stopping, crashing or upgrading lbd leaves the data
//! path as it is.

use anyhow::Context;
use clap::Parser;

mod args;
mod logging;

fn main() -> anyhow::Result<()> {
    let args = args::Args::parse();
    std::fs::create_dir_all(&args.run).with_context(|| format!("creating {}", args.run.display()))?;
    let _log = logging::init(args.keeper().transpose().context("keeping a log")?);
    if args.fake_kernel {
        let fake = args.fake();
        return lbd::serve(args.settings(), move || Ok(fake));
    }
    let paths = args.paths();
    lbd::serve(args.settings(), move || lb_kernel::Linux::open(paths))
}

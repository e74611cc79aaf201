//! lbadmin: the web interface of the load balancer.

use clap::Parser;
use lbadmin::{App, args::Args, confine, server};

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let _log = lbadmin::args::log();
    let app = App::open(&args)?;
    let listening = server::Listeners::open(&args)?;
    if !args.unconfined {
        confine::to(&args.state)?;
    }
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(64)
        .enable_all()
        .build()?
        .block_on(async {
            app.start();
            server::serve(app, listening).await
        })
}

//! `lbwizard`: see `lbwizard --help`.

use clap::Parser;
use lbwizard::{cli::Cli, signals::Guard};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let guard = Guard::start();
    match cli.run(&guard) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            guard.failed(&error);
            ExitCode::FAILURE
        }
    }
}

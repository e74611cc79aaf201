//! Everything one types: `cargo xtask demo`, `test`, `image`, `run`, …
//!
//! Each command is a module; this file is the table of contents. The machines themselves are in `testbed`.
#![forbid(unsafe_code)]

mod appliance;
mod bench;
mod bench_web;
mod browser;
mod clicks;
mod console;
mod demo;
mod dialects;
mod disk;
mod image;
mod pair;
mod pypi;
mod scan;
mod suites;
mod tidy;
mod unit;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds, boots, tests and measures Steelyard.
///
/// Everything runs in QEMU machines that speak to each other alone; what is made lies in target/.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", after_help = "Start with: cargo xtask demo")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Boot the appliance with a lab beside it, set it up, balance requests; stay until Ctrl-C
    Demo {
        /// Two appliances with a null-modem cable between them, as a pair
        #[arg(long)]
        pair: bool,
        /// Leave when everything was shown
        #[arg(long)]
        exit: bool,
    },
    /// Run all tests: unit, component, then the VM suites
    Test {
        /// Only what needs no QEMU
        #[arg(long)]
        fast: bool,
        /// Only suites or cases whose name contains one of these
        #[arg(value_name = "NAME")]
        wanted: Vec<String>,
    },
    /// Build the appliance image and print its place and size
    Image {
        /// Fetch Debian's packages again and build from nothing
        #[arg(long)]
        fresh: bool,
    },
    /// Boot the appliance with its serial console on this terminal (Ctrl-A X leaves)
    Run {
        /// Keep what the appliance writes in this disk file, made from the image when it is not there
        #[arg(long, value_name = "FILE")]
        disk: Option<std::path::PathBuf>,
    },
    /// Attach this terminal to the console of the running demo (Ctrl-] leaves)
    Console {
        /// The lab's console in place of the appliance's
        #[arg(long)]
        lab: bool,
        /// That of a pair's unit two
        #[arg(long, conflicts_with = "lab")]
        second: bool,
    },
    /// Measure speed, boot and memory beside the peers, in guests, and the web interface
    Bench {
        /// Only measurements whose name contains one of these
        #[arg(value_name = "NAME")]
        wanted: Vec<String>,
    },
    /// Check the rules of the source tree: who may depend on whom, pure crates, top-level entries
    Tidy,
    /// Rewrite the expected texts of the tests from what the code prints now
    Bless,
    /// Install what the other commands need: Debian packages, the web suites' npm and PyPI packages
    Setup,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Demo { pair: true, exit } => demo::pair::demo(exit),
        Task::Demo { pair: false, exit } => demo::demo(exit),
        Task::Test { fast, wanted } => suites::test(fast, &wanted),
        Task::Image { fresh } => image::image(fresh),
        Task::Run { disk } => appliance::run(disk.as_deref()),
        Task::Console { lab, second } => console::attach(match (lab, second) {
            (true, _) => console::Which::Lab,
            (_, true) => console::Which::Second,
            _ => console::Which::Appliance,
        }),
        Task::Bench { wanted } => bench::bench(&wanted),
        Task::Tidy => tidy::tidy(),
        Task::Bless => suites::bless(),
        Task::Setup => suites::setup(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

//! Everything one types: `cargo xtask demo`, `test`, `image`, `run`, …
//!
//! Each command is a module; this file is the table of contents. The machines themselves are in `testbed`.
#![forbid(unsafe_code)]

mod appliance;
mod bench;
mod bench_web;
mod browser;
mod buildroot;
mod clicks;
mod console;
mod cuts;
mod demo;
mod dialects;
mod disk;
mod door;
mod image;
mod pair;
mod ports;
mod pypi;
mod scan;
mod suites;
mod tidy;
mod unit;
mod update;

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
    /// Build the appliance image in all its forms, and print their places and sizes
    ///
    /// Their checksums are signed with the key that `bundle` signs with.
    Image {
        /// Fetch Debian's packages again and build from nothing
        #[arg(long)]
        fresh: bool,
        /// The smaller image that starts on virtual machines only
        #[arg(long)]
        virtual_machines: bool,
    },
    /// Check the release image's Buildroot tree: what needs no Buildroot, and the rest when one is given
    BuildrootCheck {
        /// A checkout of Buildroot 2026.02
        #[arg(value_name = "FOLDER")]
        buildroot: Option<std::path::PathBuf>,
        /// Unpacked sources of Linux 6.12 [default: Debian's package linux-source-6.12, if it is installed]
        #[arg(long, value_name = "FOLDER")]
        kernel: Option<std::path::PathBuf>,
        /// Only: is every symbol of the fragments in this finished configuration?
        #[arg(long, value_name = "FILE")]
        kernel_config: Option<std::path::PathBuf>,
    },
    /// For Buildroot's post-build script: complete the tree of the root file system
    #[command(hide = true)]
    ReleaseRoot { root: std::path::PathBuf },
    /// For Buildroot's post-image script: make slot and disk in the folder of the images
    #[command(hide = true)]
    ReleaseDisk {
        images: std::path::PathBuf,
        /// Where Buildroot built its package grub2
        #[arg(long, value_name = "FOLDER")]
        grub: std::path::PathBuf,
    },
    /// Build the image and its update bundle
    ///
    /// Signed with the key in the file that STEELYARD_UPDATE_KEY names (PKCS#8, PEM), which the image then believes;
    /// without it with a development key in target/update-key/.
    Bundle,
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
        Task::Image { fresh, virtual_machines } => image::image(fresh, virtual_machines),
        Task::BuildrootCheck { buildroot, kernel, kernel_config } => {
            buildroot::check(&buildroot::Against { buildroot, kernel, kernel_config })
        }
        Task::ReleaseRoot { root } => testbed::image::release_root(&root),
        Task::ReleaseDisk { images, grub } => testbed::image::release_disk(&images, &grub),
        Task::Bundle => image::bundle(),
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

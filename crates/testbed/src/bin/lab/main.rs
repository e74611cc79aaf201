//! What runs inside the lab guest: wires the networks, serves, asks, counts who answered.
#![forbid(unsafe_code)]

mod client;
mod file;
mod ports;
mod server;
mod steady;
mod wiring;

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Client, real servers and wiring of the test lab", version)]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Take everything down and wire nat, dr or tun, with HTTP servers on the real servers
    Wire {
        #[arg(value_enum)]
        topology: wiring::Topology,
    },
    /// Start the HTTP server of a real server in its namespace
    StartServer { name: String },
    /// Kill the HTTP server of a real server
    StopServer { name: String },
    /// Answer HTTP requests with a name
    HttpServer {
        /// What to answer
        #[arg(long)]
        name: String,
        #[arg(long, default_value_t = 80)]
        port: u16,
        /// Answer with this many bytes after the name
        #[arg(long, default_value_t = 0)]
        size: usize,
    },
    /// Send requests and print who answered how often
    Fetch {
        #[arg(long)]
        to: SocketAddr,
        #[arg(long, default_value_t = 100)]
        count: u32,
        /// Requests at the same time
        #[arg(long, default_value_t = 1)]
        concurrency: u32,
        /// Seconds for one request
        #[arg(long, default_value_t = 5.0)]
        timeout: f64,
        /// End with status 1 when a request failed
        #[arg(long)]
        strict: bool,
    },
    /// Send requests one after another for a time; status 1 when one failed
    Load {
        #[arg(long)]
        to: SocketAddr,
        #[arg(long)]
        seconds: f64,
        #[arg(long, default_value_t = 4)]
        concurrency: u32,
        #[arg(long, default_value_t = 5.0)]
        timeout: f64,
    },
    /// Begin a request every so many milliseconds, whatever becomes of those before; status 1 when one failed
    Steady {
        #[arg(long)]
        to: SocketAddr,
        #[arg(long, default_value_t = 1000)]
        count: u32,
        /// Milliseconds between two requests
        #[arg(long, default_value_t = 5.0)]
        spacing: f64,
        /// Seconds for one step of a request
        #[arg(long, default_value_t = 10.0)]
        timeout: f64,
        /// Connections that stay from the first request to the last and ask again and again
        #[arg(long, default_value_t = 0)]
        standing: u32,
    },
    /// Fetch a file that takes this long, and compare every byte; status 1 when one is wrong or missing
    Download {
        #[arg(long)]
        to: SocketAddr,
        #[arg(long)]
        seconds: u32,
    },
    /// Try every port of a machine, and print the open ones; of UDP those that are not refused
    Ports {
        #[arg(long)]
        of: Ipv4Addr,
        #[arg(long, value_enum)]
        kind: ports::Kind,
    },
    /// Answer every datagram with a name
    UdpServer {
        #[arg(long)]
        name: String,
        #[arg(long)]
        port: u16,
    },
    /// Send datagrams, each from a port of its own, and print who answered
    Udp {
        #[arg(long)]
        to: SocketAddr,
        #[arg(long, default_value_t = 100)]
        count: u32,
        #[arg(long, default_value_t = 2.0)]
        timeout: f64,
    },
}

fn main() -> ExitCode {
    match work(Arguments::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn work(task: Task) -> Result<bool> {
    let seconds = |number: f64| Duration::try_from_secs_f64(number).unwrap_or(Duration::from_secs(5));
    match task {
        Task::Wire { topology } => wiring::wire(topology).map(|()| true),
        Task::StartServer { name } => wiring::start_server(&name).map(|()| true),
        Task::StopServer { name } => wiring::stop_server(&name).map(|()| true),
        Task::HttpServer { name, port, size } => server::http(&name, port, size).map(|()| true),
        Task::UdpServer { name, port } => server::udp(&name, port).map(|()| true),
        Task::Fetch { to, count, concurrency, timeout, strict } => {
            let tally = client::fetch(to, count, concurrency, seconds(timeout));
            print!("{tally}");
            Ok(!strict || tally.failures() == 0)
        }
        Task::Load { to, seconds: time, concurrency, timeout } => {
            let tally = client::load(to, seconds(time), concurrency, seconds(timeout));
            print!("{tally}");
            Ok(tally.failures() == 0)
        }
        Task::Steady { to, count, spacing, timeout, standing } => {
            let spacing = seconds(spacing / 1000.0);
            let outcome = steady::run(&steady::Order { to, count, spacing, timeout: seconds(timeout), standing })?;
            print!("{outcome}");
            Ok(outcome.lost_nothing())
        }
        Task::Download { to, seconds } => file::download(to, seconds).map(|text| {
            println!("{text}");
            true
        }),
        Task::Ports { of, kind } => {
            let open = ports::scan(of, kind)?;
            open.iter().for_each(|port| println!("{port}/{}", kind.name()));
            Ok(true)
        }
        Task::Udp { to, count, timeout } => {
            let tally = client::udp(to, count, seconds(timeout))?;
            print!("{tally}");
            Ok(tally.failures() == 0)
        }
    }
}

//! The command line.

use clap::Parser;
use std::path::PathBuf;

/// Keeps this load balancer equal to its configuration: network, IPVS, health checks.
///
/// Started by the supervisor. Administrators use lbwizard and lbctl, which speak to it on its socket.
#[derive(Parser)]
#[command(version)]
pub struct Args {
    /// Directory of the configuration store; its readable copies are written beside it
    #[arg(long, default_value = "/data/lb/store")]
    pub state: PathBuf,
    /// Directory for what lasts until the next boot
    #[arg(long, default_value = "/run/lb")]
    pub run: PathBuf,
    /// Unix socket to listen on
    #[arg(long, default_value = lb_api::SOCKET)]
    pub socket: PathBuf,
    /// Directory of this unit's key, of its peer, and of the heartbeat's keys [default: pair, beside the store]
    #[arg(long, value_name = "DIR")]
    pub pair: Option<PathBuf>,
    /// Where the two units of a pair speak with each other; the same port on both
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "[::]:6694")]
    pub pair_listen: std::net::SocketAddr,
    /// heartbeat's status socket
    #[arg(long, value_name = "FILE", default_value = lb_ha::control::SOCKET)]
    pub heartbeat: PathBuf,
    /// HAProxy, which serves layer 7 [default: /usr/sbin/haproxy; with a fake kernel one that exists in memory only]
    #[arg(long, value_name = "FILE")]
    pub haproxy: Option<PathBuf>,
    /// Directory of HAProxy's sockets
    #[arg(long, value_name = "DIR", default_value = "/run/haproxy")]
    pub haproxy_run: PathBuf,
    /// Directory for hostname, hosts and resolv.conf
    #[arg(long, default_value = "/etc")]
    pub etc: PathBuf,
    /// Directory of the services' logs [default: /data/log; with a fake kernel, log below the run directory, where lbd
    /// keeps its own lines itself]
    #[arg(long, value_name = "DIR")]
    pub log: Option<PathBuf>,
    /// Directory of the supervised services [default: /etc/service; with a fake kernel none, and restarts are only logged]
    #[arg(long, value_name = "DIR")]
    pub services: Option<PathBuf>,
    /// Seconds between two comparisons with the kernel
    #[arg(long, default_value_t = 5)]
    pub reconcile_every: u64,
    /// Configure a kernel that exists in memory only (for trying things out)
    #[arg(long)]
    pub fake_kernel: bool,
    /// Give the services of a fake kernel made-up clients
    #[arg(long, requires = "fake_kernel")]
    pub fake_traffic: bool,
    /// Put so many made-up entries into a fake kernel's connection table
    #[arg(long, requires = "fake_kernel", value_name = "N")]
    pub fake_connections: Option<usize>,
}

impl Args {
    pub fn settings(&self) -> lbd::Settings {
        lbd::Settings {
            state: self.state.clone(),
            log: self.log(),
            socket: self.socket.clone(),
            run: self.run.clone(),
            pair: self.pair(),
            pair_listen: self.pair_listen,
            heartbeat: self.heartbeat.clone(),
            unit: lbd::Unit {
                services: self.services.clone().or_else(|| (!self.fake_kernel).then(|| "/etc/service".into())),
                power: !self.fake_kernel,
            },
            table: match self.fake_kernel {
                true => std::sync::Arc::new(lbd::NoTable),
                false => std::sync::Arc::new(lbd::KernelTable),
            },
            haproxy: self.haproxy(),
            reconcile_every: std::time::Duration::from_secs(self.reconcile_every.max(1)),
        }
    }

    /// `/data/pair` for the store at `/data/lb/store`.
    fn pair(&self) -> PathBuf {
        let beside = || self.state.parent()?.parent().map(|dir| dir.join("pair"));
        self.pair.clone().or_else(beside).unwrap_or_else(|| "/data/pair".into())
    }

    fn haproxy(&self) -> Option<lb_haproxy::Paths> {
        let usual = || (!self.fake_kernel).then(|| "/usr/sbin/haproxy".into());
        Some(lb_haproxy::Paths {
            binary: self.haproxy.clone().or_else(usual)?,
            file: self.run.join("haproxy.cfg"),
            run: self.haproxy_run.clone(),
            certificates: self.run.join("certs"),
        })
    }

    fn log(&self) -> PathBuf {
        match &self.log {
            Some(dir) => dir.clone(),
            None if self.fake_kernel => self.run.join("log"),
            None => "/data/log".into(),
        }
    }

    /// Who keeps lbd's lines where no supervisor does.
    pub fn keeper(&self) -> Option<std::io::Result<lbd::logs::Keeper>> {
        self.fake_kernel.then(|| lbd::logs::Keeper::open(&self.log()))
    }

    /// The kernel in memory, with what it was asked to make up.
    pub fn fake(&self) -> lb_kernel::Fake {
        let mut fake = lb_kernel::Fake::new(&["eth0", "eth1"]);
        if self.fake_traffic {
            let started = std::time::Instant::now();
            fake = fake.with_traffic(move || started.elapsed());
        }
        match self.fake_connections {
            Some(entries) => fake.with_connections(entries),
            None => fake,
        }
    }

    pub fn paths(&self) -> lb_kernel::Paths {
        lb_kernel::Paths { etc: self.etc.clone(), run: self.run.clone(), ..lb_kernel::Paths::default() }
    }
}

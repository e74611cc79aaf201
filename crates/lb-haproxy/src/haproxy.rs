//! The real HAProxy, by its binary, its file and its sockets.

pub(crate) mod text;

use crate::{Action, Observed, Proxy, ProxyError, Rendered, Statistics};
use lb_model::Problem;
use std::path::PathBuf;

/// Where things are; all in directories that exist.
#[derive(Debug, Clone)]
pub struct Paths {
    /// `/usr/sbin/haproxy`
    pub binary: PathBuf,
    /// `/run/lb/haproxy.cfg`; the service starts HAProxy when it is there.
    pub file: PathBuf,
    /// `/run/haproxy`: the sockets `master.sock` (`-S`), `admin.sock` (stats socket, level admin), the file
    /// `servers` (state over a reload).
    pub run: PathBuf,
}

pub struct Haproxy {
    paths: Paths,
}

impl Haproxy {
    pub fn new(paths: Paths) -> Haproxy {
        Haproxy { paths }
    }
}

impl Proxy for Haproxy {
    fn check(&mut self, wanted: &Rendered) -> Result<Vec<Problem>, ProxyError> {
        todo!("{wanted:?} {:?}", self.paths)
    }

    fn observe(&mut self) -> Result<Observed, ProxyError> {
        todo!()
    }

    fn execute(&mut self, action: &Action) -> Result<(), ProxyError> {
        todo!("{action:?}")
    }

    fn statistics(&mut self) -> Result<Statistics, ProxyError> {
        todo!()
    }
}

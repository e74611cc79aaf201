//! The load-balancer APIs of two clouds, spoken on the appliance's configuration: Rackspace Cloud Load Balancers v1.0
//! ([`rackspace`]) and OVH ipLoadbalancing v1 ([`ovh`]).
//!
//! ```text
//!  Request --> rackspace / ovh::handle(config, facts) --> Outcome: Response, and a changed configuration
//!                  |  dialects.* edited                        ^
//!                  \--> commit: render before and after, merge what runs --+
//! ```
//! Pure: what is kept stands in the configuration ([`lb_model::dialects`]), time and secrets come as arguments; who
//! calls is the business of [`Accounts`], which lbadmin fills in. A dialect touches only the virtual servers that it
//! made; what was changed in them by hand stays until the dialect itself changes the same thing ([`merge`]).
//! Refuses XML. Tested by tables of requests and answers, and with random requests, in `tests/`.
#![forbid(unsafe_code)]

mod accounts;
pub mod commit;
mod http;
pub mod merge;
pub mod ovh;
pub mod rackspace;
pub mod render;

pub use accounts::{AccessRule, Accounts, Application, Consumer, ConsumerState, Login, NewCredential, Person, Secret};
pub use http::{Request, Response};

use lb_api::{ActualState, CertificateView, Secret as Hidden, Status};
use lb_model::{Config, Label, layer7::Certificate};
use std::collections::HashMap;

/// A body larger than this is refused.
pub const LARGEST_BODY: usize = 1 << 20;

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub response: Response,
    /// To be applied before the answer counts.
    pub change: Option<Change>,
    /// To be put on the unit's shelf; then the same request is decided again, with [`Facts::with_certificate`].
    pub certificate: Option<Upload>,
}

/// A certificate that came with its key.
#[derive(Debug, Clone, PartialEq)]
pub struct Upload {
    /// The certificate and those that complete it, PEM.
    pub chain: String,
    pub key: Hidden,
    /// Whoever called.
    pub author: String,
}

impl Upload {
    fn new(certificate: &str, intermediate: Option<&str>, key: Hidden) -> Upload {
        let chain = [certificate, intermediate.unwrap_or_default()].join("\n");
        Upload { chain, key, author: String::new() }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub config: Config,
    /// For the history.
    pub comment: String,
    /// Whoever called.
    pub author: String,
    /// What to do instead when the configuration is refused.
    pub otherwise: Option<Box<Outcome>>,
}

impl Outcome {
    /// Everything in it was asked for by `author`.
    fn by(mut self, author: &str) -> Outcome {
        if let Some(change) = &mut self.change {
            author.clone_into(&mut change.author);
            change.otherwise = change.otherwise.take().map(|outcome| Box::new(outcome.by(author)));
        }
        if let Some(upload) = &mut self.certificate {
            author.clone_into(&mut upload.author);
        }
        self
    }
}

impl From<Response> for Outcome {
    fn from(response: Response) -> Self {
        Outcome { response, change: None, certificate: None }
    }
}

/// What is known of the servers beside the configuration.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    fit: HashMap<(String, String), bool>,
    connections: HashMap<String, u64>,
    certificate: Option<CertificateView>,
}

impl Facts {
    pub fn of(status: &Status) -> Facts {
        let mut facts = Facts::default();
        for vs in &status.virtual_servers {
            let connections = vs.real_servers.iter().map(|rs| u64::from(rs.active_connections)).sum();
            facts.connections.insert(vs.label.clone(), connections);
            for rs in &vs.real_servers {
                let fit = matches!(rs.actual, ActualState::Active | ActualState::Draining);
                facts.fit.insert((vs.label.clone(), rs.label.clone()), fit);
            }
        }
        facts
    }

    /// The certificate that the request brought lies on the shelf.
    #[must_use]
    pub fn with_certificate(mut self, view: CertificateView) -> Facts {
        self.certificate = Some(view);
        self
    }

    /// The certificate that the request brought, under this label; `None` while it is not on the shelf.
    fn kept(&self, label: Label) -> Option<Result<(Certificate, &CertificateView), &'static str>> {
        let view = self.certificate.as_ref()?;
        let kept = view.named(label).filter(|kept| !kept.authority);
        Some(kept.map(|kept| (kept, view)).ok_or("The certificate is not one of a server."))
    }

    /// Whether the last check was good; nothing where nobody knows.
    pub fn fit(&self, virtual_server: &str, real_server: &str) -> Option<bool> {
        self.fit.get(&(virtual_server.to_owned(), real_server.to_owned())).copied()
    }

    pub fn connections(&self, virtual_server: &str) -> u64 {
        self.connections.get(virtual_server).copied().unwrap_or(0)
    }
}

/// `2026-11-21T21:46:21Z`
fn timestamp(seconds: u64) -> String {
    i64::try_from(seconds).ok().and_then(|s| jiff::Timestamp::from_second(s).ok()).unwrap_or_default().to_string()
}

//! Edit Configuration > Layer 7 Configuration: the pages of virtual servers that HAProxy proxies.

mod acme;
mod certificates;
mod real_servers;
mod virtual_servers;

use crate::Shared;
use axum::Router;
use lb_model::Config;

pub fn routes() -> Router<Shared> {
    virtual_servers::routes().merge(real_servers::routes()).merge(certificates::routes()).merge(acme::routes())
}

/// Those of layer 4 come first, here as in the overview.
fn first_number(config: &Config) -> usize {
    config.virtual_servers.len() + 1
}

//! View Configuration: what runs, in readable form: network, routes, firewall, layers 4 and 7, the document itself.

mod document;
mod layer4;
pub mod layer7;
mod network;

use crate::Shared;
use axum::{Router, routing::get};

pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/lbadmin/view/network", get(network::cards))
        .route("/lbadmin/view/routing", get(network::routing))
        .route("/lbadmin/view/firewall", get(network::firewall))
        .route("/lbadmin/view/layer-4", get(layer4::page))
        .route("/lbadmin/view/layer-7", get(layer7::page))
        .route("/lbadmin/view/document", get(document::page))
        .route("/lbadmin/view/document.json", get(document::download))
}

//! The pages, a module each; this file is the route table. A page of the menu stands in [`crate::menu`] too.

pub mod access;
pub mod api_doc;
pub mod backup;
pub mod changes;
pub mod connections;
pub mod dialects;
pub mod edit;
pub mod factory;
pub mod graphs;
pub mod ha;
pub mod help;
pub mod history;
pub mod layer7_statistics;
pub mod list;
pub mod login;
pub mod logs;
pub mod overview;
pub mod servers;
pub mod services;
pub mod status;
pub mod traffic;
pub mod update;
pub mod view;

use crate::{Shared, live, refusal::Refusal};
use axum::{Router, response::Redirect, routing::get};

pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/", get(|| async { Redirect::to("/lbadmin/") }))
        .route("/lbadmin", get(|| async { Redirect::to("/lbadmin/") }))
        .route("/lbadmin/live/{view}", get(live::stream))
        .merge(crate::assets::routes())
        .merge(login::routes())
        .merge(overview::routes())
        .merge(api_doc::routes())
        .merge(backup::routes())
        .merge(changes::routes())
        .merge(history::routes())
        .merge(help::routes())
        .merge(status::routes())
        .merge(connections::routes())
        .merge(traffic::routes())
        .merge(layer7_statistics::routes())
        .merge(graphs::routes())
        .merge(ha::routes())
        .merge(logs::routes())
        .merge(edit::routes())
        .merge(servers::routes())
        .merge(access::routes())
        .merge(dialects::routes())
        .merge(view::routes())
        .merge(services::routes())
        .merge(update::routes())
        .merge(factory::routes())
        .fallback(|| async { Refusal::NotFound("There is no such page.".into()) })
}

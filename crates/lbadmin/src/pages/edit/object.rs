//! An object of a list: the pages that add, modify and remove it are the same for all of them.

use super::{Place, show, show_removal, take, take_removal};
use crate::{
    Shared,
    forms::{Edit, Remove},
    refusal::Refusal,
    seat::{Seat, Sent},
};
use axum::{
    extract::{Query, State},
    response::Response,
};
use lb_model::Config;
use serde::de::DeserializeOwned;

/// What a page does with it. The last part of its address is the word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    Add,
    Modify,
    Remove,
}

impl Doing {
    pub fn word(self) -> &'static str {
        match self {
            Doing::Add => "new",
            Doing::Modify => "modify",
            Doing::Remove => "remove",
        }
    }
}

/// Names one object by the page's query. Names stand there: a path could not tell `new`, `.` and `..` from a label.
pub trait Named: DeserializeOwned + Send + Sync + 'static {
    type Form: Edit + Remove + Send + Sync;

    /// Empty in the address of the page that adds one.
    fn name(&self) -> &str;

    /// The form of the object, or of one that is to be added.
    fn form(&self, doing: Doing) -> Self::Form;

    fn place(&self, config: &Config, doing: Doing) -> Place;
}

async fn place<N: Named>(app: &Shared, of: &N, doing: Doing) -> Result<Place, Refusal> {
    if doing != Doing::Add && of.name().is_empty() {
        return Err(Refusal::Unreadable("The address does not say which one is meant.".into()));
    }
    Ok(of.place(&app.lbd.candidate().await?.config, doing))
}

pub async fn show_new<N: Named>(
    State(app): State<Shared>,
    seat: Seat,
    Query(of): Query<N>,
) -> Result<Response, Refusal> {
    show(&app, &seat, &of.form(Doing::Add), place(&app, &of, Doing::Add).await?).await
}

pub async fn take_new<N: Named>(
    State(app): State<Shared>,
    Query(of): Query<N>,
    sent: Sent,
) -> Result<Response, Refusal> {
    take(&app, sent, &of.form(Doing::Add), place(&app, &of, Doing::Add).await?).await
}

pub async fn show_one<N: Named>(
    State(app): State<Shared>,
    seat: Seat,
    Query(of): Query<N>,
) -> Result<Response, Refusal> {
    show(&app, &seat, &of.form(Doing::Modify), place(&app, &of, Doing::Modify).await?).await
}

pub async fn take_one<N: Named>(
    State(app): State<Shared>,
    Query(of): Query<N>,
    sent: Sent,
) -> Result<Response, Refusal> {
    take(&app, sent, &of.form(Doing::Modify), place(&app, &of, Doing::Modify).await?).await
}

pub async fn ask<N: Named>(State(app): State<Shared>, seat: Seat, Query(of): Query<N>) -> Result<Response, Refusal> {
    show_removal(&app, &seat, &of.form(Doing::Remove), place(&app, &of, Doing::Remove).await?).await
}

pub async fn remove<N: Named>(State(app): State<Shared>, Query(of): Query<N>, sent: Sent) -> Result<Response, Refusal> {
    take_removal(&app, sent, &of.form(Doing::Remove), place(&app, &of, Doing::Remove).await?).await
}

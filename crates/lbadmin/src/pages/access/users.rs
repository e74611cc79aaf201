//! Edit Configuration > Users and Roles.

use super::{Ask, FormPage, blocking, forms, html, sentence};
use crate::{
    Shared,
    app::{Flash, now},
    forms::Form,
    frame::{self, Frame, ago, go, show, time},
    refusal::Refusal,
    seat::{Seat, Sent},
};
use askama::Template;
use axum::{
    Router,
    extract::{Query, State},
    response::Response,
    routing::{get, post},
};
use lb_access::{Permission, Role, UserView};
use serde::Deserialize;

const HERE: &str = "edit/users";
const LIST: &str = "/lbadmin/edit/users";
const NEW: &str = "/lbadmin/edit/users/new";
const ROLE: &str = "/lbadmin/edit/users/role";
const PASSWORD: &str = "/lbadmin/edit/users/password";
const REMOVE: &str = "/lbadmin/edit/users/remove";

pub fn routes() -> Router<Shared> {
    Router::new()
        .route(LIST, get(list))
        .route(NEW, get(show_new).post(take_new))
        .route("/lbadmin/edit/users/modify", get(modify))
        .route(ROLE, post(take_role))
        .route(PASSWORD, post(take_password))
        .route("/lbadmin/edit/users/unlock", post(unlock))
        .route("/lbadmin/edit/users/totp-off", post(totp_off))
        .route(REMOVE, get(ask).post(remove))
}

#[derive(Deserialize)]
struct Of {
    user: String,
}

struct Row {
    user: UserView,
    you: bool,
    last_login: String,
    /// Minutes that guessers still wait.
    locked: u64,
}

#[derive(Template)]
#[template(path = "users.html")]
struct List {
    frame: Frame,
    rows: Vec<Row>,
}

fn locked(user: &UserView) -> u64 {
    user.locked_until.map_or(0, |until| until.saturating_sub(now()).div_ceil(60))
}

async fn list(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Administer, "Users and Roles")?;
    let frame = Frame::load(&app, &seat, HERE, &["Edit Configuration", "Users and Roles"]).await?;
    let row = |user: UserView| Row {
        you: user.name == seat.session.who.user,
        last_login: user.last_login.map(|at| format!("{} ({})", time(at), ago(at))).unwrap_or_default(),
        locked: locked(&user),
        user,
    };
    let rows = app.access.users().into_iter().map(row).collect();
    show(&List { frame, rows })
}

async fn new_page(app: &Shared, seat: &Seat, form: &Form) -> Result<FormPage, Refusal> {
    Ok(FormPage {
        frame: Frame::load(app, seat, HERE, &["Edit Configuration", "Users and Roles", "Add a user"]).await?,
        intro: "The user must change this password at the first log-in. It takes effect at once.".into(),
        form: html(form, NEW, seat)?,
        links: vec![(LIST, "Users and Roles")],
    })
}

async fn show_new(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Administer, "add a user")?;
    show(&new_page(&app, &seat, &forms::new_user()).await?)
}

async fn take_new(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Administer, "add a user")?;
    let form = forms::typed(forms::new_user(), &sent);
    let name = sent.get("name").trim().to_owned();
    let form = match (sent.get("role").parse::<Role>(), sent.get("password") == sent.get("repeat")) {
        (Err(unknown), _) => forms::wrong(form, "role", unknown.to_string()),
        (_, false) => forms::wrong(form, "repeat", "The two passwords differ. Type the same one twice.".into()),
        (Ok(role), true) => {
            let (by, user, password) = (seat.session.who.clone(), name.clone(), sent.get("password").to_owned());
            match blocking(&app, move |access| access.add_user(&user, role, &password, &by, now())).await? {
                Ok(()) => {
                    let flash = Flash::good(format!("User {name} is added, with the role {role}."));
                    return Ok(go(&app, seat, LIST, flash));
                }
                Err(refusal) => forms::wrong(form, refusal.field(), sentence(&refusal)),
            }
        }
    };
    frame::refused(&new_page(&app, seat, &form).await?)
}

#[derive(Template)]
#[template(path = "user.html")]
struct Modify {
    frame: Frame,
    user: UserView,
    you: bool,
    locked: u64,
    role: String,
    password: String,
}

/// One user with both forms, either of which may have come back.
async fn one(
    app: &Shared,
    seat: &Seat,
    name: &str,
    role: Option<Form>,
    password: Option<Form>,
) -> Result<Modify, Refusal> {
    let user = app.access.users().into_iter().find(|user| user.name == name);
    let user = user.ok_or_else(|| Refusal::NotFound("There is no such user.".into()))?;
    let query = serde_urlencoded::to_string([("user", name)]).unwrap_or_default();
    let role = role.unwrap_or_else(|| forms::role(user.role));
    let password = password.unwrap_or_else(forms::password_of_somebody);
    Ok(Modify {
        frame: Frame::load(app, seat, HERE, &["Edit Configuration", "Users and Roles", &format!("User {name}")])
            .await?,
        you: name == seat.session.who.user,
        locked: locked(&user),
        role: html(&role, &format!("{ROLE}?{query}"), seat)?,
        password: html(&password, &format!("{PASSWORD}?{query}"), seat)?,
        user,
    })
}

async fn modify(State(app): State<Shared>, seat: Seat, Query(of): Query<Of>) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Administer, "modify a user")?;
    show(&one(&app, &seat, &of.user, None, None).await?)
}

async fn take_role(State(app): State<Shared>, Query(of): Query<Of>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Administer, "change a role")?;
    let form = match sent.get("role").parse::<Role>() {
        Err(unknown) => forms::wrong(forms::role(Role::Report), "role", unknown.to_string()),
        Ok(role) => {
            let (by, user) = (seat.session.who.clone(), of.user.clone());
            match blocking(&app, move |access| access.set_role(&user, role, &by, now())).await? {
                Ok(()) => {
                    // Who has taken the role off themselves may not see the list any more.
                    let own = of.user == seat.session.who.user && !role.may(Permission::Administer);
                    let flash = Flash::good(format!("User {} has the role {role} from now on.", of.user));
                    return Ok(go(&app, seat, if own { "/lbadmin/" } else { LIST }, flash));
                }
                Err(refusal) => {
                    forms::wrong(forms::typed(forms::role(role), &sent), refusal.field(), sentence(&refusal))
                }
            }
        }
    };
    frame::refused(&one(&app, seat, &of.user, Some(form), None).await?)
}

async fn take_password(State(app): State<Shared>, Query(of): Query<Of>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Administer, "set a password")?;
    let form = forms::password_of_somebody();
    let form = if of.user == seat.session.who.user {
        forms::wrong(form, "", "Change your own password under Maintenance > Passwords.".into())
    } else if sent.get("password") != sent.get("repeat") {
        forms::wrong(form, "repeat", "The two passwords differ. Type the same one twice.".into())
    } else {
        let (by, user, password) = (seat.session.who.clone(), of.user.clone(), sent.get("password").to_owned());
        match blocking(&app, move |access| access.set_password(&user, &password, &by, now())).await? {
            Ok(()) => {
                let text = format!("User {} has a new password, to be changed at the next log-in.", of.user);
                return Ok(go(&app, seat, LIST, Flash::good(text)));
            }
            Err(refusal) => forms::wrong(form, refusal.field(), sentence(&refusal)),
        }
    };
    frame::refused(&one(&app, seat, &of.user, None, Some(form)).await?)
}

/// Back to the list, with what came of it.
fn told(app: &Shared, seat: &Seat, result: Result<(), lb_access::Refusal>, good: String) -> Response {
    let flash = match result {
        Ok(()) => Flash::good(good),
        Err(refusal) => Flash::bad(sentence(&refusal)),
    };
    go(app, seat, LIST, flash)
}

async fn unlock(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    sent.seat.must(&app, Permission::Administer, "unlock a user")?;
    let (by, user) = (sent.seat.session.who.clone(), sent.get("user").to_owned());
    let good = format!("User {user} can try to log in again at once.");
    let result = blocking(&app, move |access| access.unlock(&user, &by, now())).await?;
    Ok(told(&app, &sent.seat, result, good))
}

async fn totp_off(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    sent.seat.must(&app, Permission::Administer, "turn one-time codes off")?;
    let (by, user) = (sent.seat.session.who.clone(), sent.get("user").to_owned());
    let good = format!("User {user} logs in without a code from now on.");
    let result = blocking(&app, move |access| access.remove_totp(&user, &by, now())).await?;
    Ok(told(&app, &sent.seat, result, good))
}

async fn ask(State(app): State<Shared>, seat: Seat, Query(of): Query<Of>) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Administer, "remove a user")?;
    let user = app.access.users().into_iter().find(|user| user.name == of.user);
    let user = user.ok_or_else(|| Refusal::NotFound("There is no such user.".into()))?;
    let title = format!("Remove user {}", user.name);
    let mut lines = vec![format!("User {} is removed, and logged out everywhere, at once.", user.name)];
    if user.tokens > 0 {
        lines.push(format!("API tokens of this user that stop working: {}.", user.tokens));
    }
    let frame = Frame::load(&app, &seat, HERE, &["Edit Configuration", "Users and Roles", &title]).await?;
    show(&Ask { frame, lines, action: REMOVE, name: "user", value: user.name, button: "Remove", back: LIST })
}

async fn remove(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    sent.seat.must(&app, Permission::Administer, "remove a user")?;
    let (by, user) = (sent.seat.session.who.clone(), sent.get("user").to_owned());
    let good = format!("User {user} is removed.");
    let result = blocking(&app, move |access| access.remove_user(&user, &by, now())).await?;
    Ok(told(&app, &sent.seat, result, good))
}

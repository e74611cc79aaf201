//! The forms of these pages, as data. Pure.

use crate::{
    forms::{Field, Form, Section},
    seat::Sent,
};
use lb_access::{PASSWORD_LONGEST, PASSWORD_SHORTEST, Role, WebSettings};

pub use crate::forms::wrong;

/// How long a new token is good for: days as posted, and in words.
pub const TOKEN_DAYS: [(&str, &str); 5] =
    [("7", "7 days"), ("30", "30 days"), ("90", "90 days"), ("365", "a year"), ("", "until it is revoked")];

/// Who may read `/metrics`: as posted, and in words.
const METRICS: [(&str, &str); 2] =
    [("token", "with an API token"), ("everybody", "for everybody who reaches this unit")];

fn form(title: &str, heading: &'static str, fields: Vec<Field>) -> Form {
    Form {
        title: title.to_owned(),
        sections: vec![Section::new(heading, fields)],
        errors: Vec::new(),
        seen: String::new(),
    }
}

fn roles(most: Role) -> Vec<(String, String)> {
    let below = Role::ALL.into_iter().filter(|role| *role <= most);
    below.map(|role| (role.to_string(), format!("{role}: {}", role.describe()))).collect()
}

fn role_field(most: Role, value: Role, help: &'static str) -> Field {
    Field::select("role", "Role", help, roles(most)).value(value.to_string())
}

fn password_fields() -> [Field; 2] {
    [
        Field::password("password", "Password", "user-password").hint(format!(
            "{PASSWORD_SHORTEST} to {PASSWORD_LONGEST} characters. It must be changed at the next log-in."
        )),
        Field::password("repeat", "Password again", "user-password"),
    ]
}

pub fn new_user() -> Form {
    let [password, repeat] = password_fields();
    let name = Field::text("name", "User name", "user-name").hint("Small letters, digits, and . _ - between them.");
    form("Add a user", "", vec![name, role_field(Role::Configuration, Role::Report, "user-role"), password, repeat])
}

pub fn role(now: Role) -> Form {
    form("Role", "Role", vec![role_field(Role::Configuration, now, "user-role")])
}

pub fn password_of_somebody() -> Form {
    form("A new password", "A new password", password_fields().into())
}

pub fn new_token(own: Role) -> Form {
    let name = Field::text("name", "Name", "token-name").hint("Says what the token is for: it stands in the history.");
    let days = Field::select("days", "Good for", "token-expiry", TOKEN_DAYS).value("90");
    form("Create an API token", "", vec![name, role_field(own, Role::Report, "token-role"), days])
}

pub fn own_password() -> Form {
    let fields = vec![
        Field::password("old", "Old password", "own-password"),
        Field::password("new", "New password", "own-password")
            .hint(format!("{PASSWORD_SHORTEST} to {PASSWORD_LONGEST} characters. Your other sessions end.")),
        Field::password("repeat", "New password again", "own-password"),
    ];
    form("Your password", "Your password", fields)
}

pub fn confirm_code() -> Form {
    let code = Field::text("code", "Code", "one-time-code").hint("The six digits that the app shows now.");
    form("One-time code", "", vec![code])
}

pub fn remove_code() -> Form {
    let code = Field::text("code", "Code", "one-time-code")
        .hint("Enter the six digits that the app shows now to log in without codes again.");
    form("One-time code", "Log in without codes", vec![code])
}

pub fn web(settings: &WebSettings) -> Form {
    let modes = [("on", "on"), ("redirect", "redirect to https"), ("off", "off")];
    let fields =
        vec![
            Field::select("http", "Plain http", "web-http", modes).value(settings.http.to_string()),
            Field::number("session_idle", "Session ends when idle for", "session-idle", 60, 86_400)
                .unit("seconds")
                .value(settings.session_idle.to_string()),
            Field::number("session_absolute", "Session ends at the latest after", "session-absolute", 300, 604_800)
                .unit("seconds")
                .value(settings.session_absolute.to_string()),
            Field::select("metrics", "Metrics for monitoring", "web-metrics", METRICS)
                .value(if settings.open_metrics { "everybody" } else { "token" }),
        ];
    form("Access", "Access", fields)
}

pub fn own_certificate(names: &[String]) -> Form {
    let names = Field::area("names", "Names and addresses", "certificate-names", 4)
        .hint("One a line: what browsers have in their address bar.")
        .value(names.join("\n"));
    form("Self-signed certificate", "Make a new self-signed certificate", vec![names])
}

/// What was typed, passwords excepted.
pub fn typed(mut form: Form, sent: &Sent) -> Form {
    for field in form.fields_mut().filter(|field| field.kind != crate::forms::Kind::Password) {
        field.value = sent.get(field.name).to_owned();
    }
    form
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_mark_leads_to_the_guide() {
        let forms = [
            new_user(),
            role(Role::Report),
            password_of_somebody(),
            new_token(Role::Configuration),
            own_password(),
            confirm_code(),
            remove_code(),
            web(&WebSettings::default()),
            own_certificate(&[]),
        ];
        for field in forms.iter().flat_map(Form::fields) {
            assert!(crate::help::field(field.help).is_some(), "{} is not explained", field.help);
        }
        for upload in ["certificate-chain", "certificate-key"] {
            assert!(crate::help::field(upload).is_some(), "{upload}");
        }
    }

    #[test]
    fn a_token_offers_no_more_than_ones_own_role() {
        let kind = |form: &Form| form.field("role").map(|field| field.kind.clone());
        let offered = |role| match kind(&new_token(role)) {
            Some(crate::forms::Kind::Select { options }) => options.len(),
            other => panic!("{other:?}"),
        };
        assert_eq!(Role::ALL.map(offered), [1, 2, 3]);
    }
}

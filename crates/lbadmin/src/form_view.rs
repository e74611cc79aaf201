//! A [`Form`] as HTML: `templates/form.html`, for any form, for every browser.
//!
//! Labels belong to their inputs, errors and hints are announced with them, and nothing in it needs a script
//! or carries a style. What was typed is escaped by the template. Tested by the text it renders.

use crate::forms::{Field, Form, Kind};
use askama::Template;

/// Posts the form to `action`.
#[derive(Template)]
#[template(path = "form.html")]
pub struct FormView<'a> {
    pub form: &'a Form,
    pub action: &'a str,
    pub csrf: &'a str,
}

impl FormView<'_> {
    fn wrong(&self) -> impl Iterator<Item = &Field> {
        self.form.fields().filter(|f| f.error.is_some())
    }

    /// The attributes that tie a field to its error, unit and hint. Made of names that we give, nothing that was typed.
    fn described(&self, field: &Field) -> String {
        let parts =
            [(field.error.is_some(), "error"), (!field.unit.is_empty(), "unit"), (field.hint.is_some(), "hint")];
        let ids: Vec<String> =
            parts.iter().filter(|(there, _)| *there).map(|(_, part)| format!("f-{}-{part}", field.name)).collect();
        let invalid = if field.error.is_some() { " aria-invalid=\"true\"" } else { "" };
        match ids.is_empty() {
            true => invalid.to_owned(),
            false => format!(" aria-describedby=\"{}\"{invalid}", ids.join(" ")),
        }
    }
}

#[cfg(test)]
mod tests;

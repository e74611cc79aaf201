//! What all forms have in common: showing, reading, and two administrators at once.
//!
//! ```text
//! posted --> names known? --> changed by somebody else? --> each field parses? --> new problems? --> new configuration
//!               | no                | yes                      | no                  | yes
//!               v                   v                          v                     v
//!             Wrong              Conflict                    Wrong                 Wrong
//! ```

use super::{
    form::{Field, Form, Kind, Section},
    places::{about_the_value, capital, elsewhere, new_problems, sentence},
    posted::Posted,
};
use lb_model::{Config, Problem};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The check box that stages a change although settings elsewhere do not fit any more.
pub(super) const ANYWAY: &str = "anyway";

/// [`Form::seen`] of an object that is not there yet.
const NEW: &str = "new";

const LONGEST_LINE: usize = 2000;
const LONGEST_TEXT: usize = 256 * 1024;

/// A form's values by field name, as text.
pub type Values = BTreeMap<&'static str, String>;

/// Why a posted form did not become a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// Something in it is wrong; the form says what, at its fields.
    Wrong(Form),
    /// Somebody else changed the same object; sent once more, the form overwrites that.
    Conflict(Form),
    /// What the object belongs to is not there any more.
    Gone(String),
}

/// An object in the configuration as it stands.
pub enum Standing {
    There(Values),
    /// It is to be added; these are the defaults.
    New(Values),
    /// It was there when the form was made; defaults for adding it again.
    Gone(Values),
    /// It cannot be added either.
    Nowhere(String),
}

/// An object that a form edits.
pub trait Edit: Object {
    /// The form as the object stands; `None`: there is no such object.
    fn form(&self, config: &Config) -> Option<Form> {
        let (values, seen) = match self.standing(config) {
            Standing::There(values) => {
                let seen = fingerprint(&values);
                (values, seen)
            }
            Standing::New(values) => (values, NEW.to_owned()),
            Standing::Gone(_) | Standing::Nowhere(_) => return None,
        };
        let mut form = filled(self, config, &values, seen);
        // What was wrong before anybody typed is worth knowing too.
        if let Some(at) = self.pointer(config) {
            for problem in below(config, &at) {
                if let Some(name) = problem.path.strip_prefix(&at).and_then(|tail| self.field_at(tail)) {
                    at_field(&mut form, name, &self.entry(&at, &problem), &problem);
                }
            }
        }
        Some(form)
    }

    /// The configuration with what was posted in it.
    fn read(&self, config: &Config, posted: &Posted) -> Result<Config, Refused> {
        let (stored, new, gone) = match self.standing(config) {
            Standing::There(values) => (values, false, false),
            Standing::New(values) => (values, true, false),
            Standing::Gone(values) => (values, true, true),
            Standing::Nowhere(reason) => return Err(Refused::Gone(reason)),
        };
        let seen = if new { NEW.to_owned() } else { fingerprint(&stored) };
        let mut form = filled(self, config, &stored, seen);
        let foreign = posted.foreign(|name| form.field(name).is_some());
        for field in form.fields_mut() {
            match (&field.kind, posted.get(field.name)) {
                (Kind::Readonly, _) => {}
                (Kind::Checkbox, typed) => field.value = typed.map_or_else(String::new, |_| "on".to_owned()),
                (_, Some(typed)) => field.value = typed.to_owned(),
                // A field that was not sent was not touched.
                (_, None) => {}
            }
        }
        if !foreign.is_empty() {
            form.errors = foreign;
            return Err(Refused::Wrong(form));
        }
        if gone && posted.get("seen") != Some(NEW) {
            form.errors.push(format!(
                "{} was removed or renamed by somebody else meanwhile. Update adds it again.",
                self.name()
            ));
            return Err(Refused::Conflict(form));
        }
        if !new && !overwritten(&mut form, &stored, posted.get("seen").unwrap_or_default(), self.verbatim()) {
            return Err(Refused::Conflict(form));
        }
        let anyway = posted.get(ANYWAY).is_some();
        let mut typed = Typed { form, stored: if new { Values::new() } else { stored }, verbatim: self.verbatim() };
        typed.check_lengths();
        let mut changed = config.clone();
        let at = self.write(&mut changed, &mut typed);
        let mut form = typed.form;
        if form.has_errors() {
            return Err(Refused::Wrong(form));
        }
        if changed == *config {
            return Ok(changed);
        }
        let mut outside = Vec::new();
        for problem in new_problems(config, &changed, false) {
            match problem.path.strip_prefix(&at).and_then(|tail| self.field_at(tail)) {
                Some(name) => at_field(&mut form, name, &self.entry(&at, &problem), &problem),
                None => outside.push(elsewhere(&changed, &problem)),
            }
        }
        let mistaken = form.has_errors();
        if !mistaken && (outside.is_empty() || anyway) {
            return Ok(changed);
        }
        if !outside.is_empty() {
            form.errors.push("With this change other settings would no longer fit:".into());
            form.errors.append(&mut outside);
            let field = Field::checkbox(ANYWAY, "Stage it all the same", "staged-changes")
                .hint("The configuration can be applied once the others are mended too")
                .value(if anyway { "on" } else { "" });
            form.sections.push(Section::new("", vec![field]));
        }
        Err(Refused::Wrong(form))
    }
}

impl<T: Object> Edit for T {}

/// What a form's object has of its own.
pub trait Object {
    fn title(&self) -> String;

    /// The object in a sentence: `Virtual Server HTTP_Cluster`.
    fn name(&self) -> String;

    fn standing(&self, config: &Config) -> Standing;

    /// The fields, still without values, for an object that has `values`.
    fn sections(&self, config: &Config, values: &Values) -> Vec<Section>;

    /// JSON pointer to the object, where it is there.
    fn pointer(&self, config: &Config) -> Option<String>;

    /// Puts what was typed into `config`; gives the JSON pointer to the object. Notes what does not parse.
    fn write(&self, config: &mut Config, typed: &mut Typed) -> String;

    /// The field that the rest of a JSON pointer, below the object's own, is about.
    fn field_at(&self, tail: &str) -> Option<&'static str>;

    /// Which entry of a field with several is meant by the rest of a pointer: `Rule 2`.
    fn entry_at(&self, _tail: &str) -> Option<String> {
        None
    }

    /// The same before a sentence about `problem`.
    fn entry(&self, pointer: &str, problem: &Problem) -> String {
        match problem.path.strip_prefix(pointer).and_then(|tail| self.entry_at(tail)) {
            Some(entry) if about_the_value(problem) => format!("{entry}: "),
            Some(entry) => format!("{entry}, \"{}\": ", problem.value),
            None => String::new(),
        }
    }

    /// Fields in which spaces at the ends count.
    fn verbatim(&self) -> &'static [&'static str] {
        &[]
    }
}

/// An object taken out of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    pub config: Config,
    /// What does not fit any more without it, a sentence each. The removal can be staged all the same.
    pub consequences: Vec<String>,
}

/// An object that can be removed.
pub trait Remove {
    /// Names the object with all that goes with it, as it stands; `None`: it is not there.
    fn fingerprint(&self, config: &Config) -> Option<String>;

    /// `None`: it is not there.
    fn remove(&self, config: &Config) -> Option<Removal>;
}

pub(super) fn removal(old: &Config, new: Config) -> Removal {
    let consequences = new_problems(old, &new, true).iter().map(|p| elsewhere(&new, p)).collect();
    Removal { config: new, consequences }
}

pub(super) fn fingerprint_of(object: &impl serde::Serialize) -> String {
    short_hash(&serde_json::to_string(object).unwrap_or_default())
}

fn filled<T: Object + ?Sized>(object: &T, config: &Config, values: &Values, seen: String) -> Form {
    let mut form = Form { title: object.title(), sections: object.sections(config, values), errors: vec![], seen };
    for field in form.fields_mut() {
        if let Some(value) = values.get(field.name) {
            field.value.clone_from(value);
        }
    }
    form
}

fn below(config: &Config, pointer: &str) -> Vec<Problem> {
    lb_model::problems(config).into_iter().filter(|p| p.path.starts_with(pointer)).collect()
}

fn at_field(form: &mut Form, name: &str, entry: &str, problem: &Problem) {
    let text = format!("{entry}{}", sentence(problem));
    let Some(field) = form.fields_mut().find(|f| f.name == name) else {
        form.errors.push(text);
        return;
    };
    match &mut field.error {
        Some(error) => *error = format!("{error}. {text}"),
        none => *none = Some(text),
    }
    if let Some(hint) = &problem.hint {
        field.hint = Some(capital(hint));
    }
}

/// 48 bits: two values of one field that are not the same differ in it, but for one pair in 2.8e14.
fn short_hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(6).map(|b| format!("{b:02x}")).collect()
}

/// A hash a field, so that a later reader knows which of them changed.
fn fingerprint(values: &Values) -> String {
    values.iter().map(|(name, value)| format!("{name}:{}", short_hash(value))).collect::<Vec<_>>().join(".")
}

/// Whether the form may go on: nobody else changed what it shows, or only to what was typed too.
/// If not, the form tells what is different, and what only the other one changed is taken over.
fn overwritten(form: &mut Form, stored: &Values, seen: &str, verbatim: &[&str]) -> bool {
    let seen: BTreeMap<&str, &str> = seen.split('.').take(100).filter_map(|part| part.split_once(':')).collect();
    let mut told = Vec::new();
    for field in form.fields_mut() {
        let Some(now) = stored.get(field.name) else { continue };
        let before = seen.get(field.name).copied();
        if before == Some(short_hash(now).as_str()) || same(field.name, &field.value, now, verbatim) {
            continue;
        }
        let untouched = before == Some(short_hash(&field.value).as_str());
        let now_shown = in_words(field, now);
        told.push(match untouched {
            true => format!("{} is now {now_shown}, which is taken over here.", field.label),
            false => {
                let typed = in_words(field, &field.value);
                field.hint = Some(format!("Now {now_shown}, you typed {typed}"));
                format!("{} is now {now_shown}, you typed {typed}.", field.label)
            }
        });
        if untouched {
            field.value.clone_from(now);
        }
    }
    if told.is_empty() {
        return true;
    }
    form.errors.push("Somebody else changed this meanwhile. Update once more saves what is shown here.".into());
    form.errors.append(&mut told);
    false
}

fn same(name: &str, a: &str, b: &str, verbatim: &[&str]) -> bool {
    a == b || (!verbatim.contains(&name) && a.trim() == b.trim())
}

fn in_words(field: &Field, value: &str) -> String {
    const LONGEST: usize = 60;
    match &field.kind {
        Kind::Checkbox => if value.is_empty() { "off" } else { "on" }.to_owned(),
        Kind::Password => "another one".to_owned(),
        Kind::Select { options } => {
            options.iter().find(|(v, _)| v == value).map_or_else(|| format!("\"{value}\""), |(_, words)| words.clone())
        }
        _ if value.trim().is_empty() => "empty".to_owned(),
        _ => {
            let line = value.trim().replace('\n', ", ");
            match line.chars().count() > LONGEST {
                true => format!("{}…", line.chars().take(LONGEST).collect::<String>()),
                false => line,
            }
        }
    }
}

/// What was typed, beside what is stored; takes notes of what does not parse.
pub struct Typed {
    form: Form,
    /// Empty for an object that is being added: everything counts as changed.
    stored: Values,
    verbatim: &'static [&'static str],
}

impl Typed {
    fn check_lengths(&mut self) {
        for field in self.form.fields_mut() {
            let longest = match field.kind {
                Kind::TextArea { .. } => LONGEST_TEXT,
                _ => LONGEST_LINE,
            };
            if field.value.len() > longest {
                field.error = Some(format!("This is too long; at most {longest} characters are allowed"));
            } else if !matches!(field.kind, Kind::TextArea { .. }) && field.value.contains(char::is_control) {
                field.error = Some("This has characters in it that cannot be seen; type it again".into());
            } else if let Kind::Select { options } = &field.kind
                && !options.iter().any(|(v, _)| *v == field.value)
            {
                let shown: String = field.value.chars().take(40).collect();
                field.error = Some(format!("\"{shown}\" cannot be chosen here; choose one of the list"));
            }
        }
    }

    /// As typed.
    pub fn raw(&self, name: &str) -> &str {
        self.form.field(name).map_or("", |f| f.value.as_str())
    }

    /// Without spaces around it.
    pub fn text(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    pub fn on(&self, name: &str) -> bool {
        !self.raw(name).is_empty()
    }

    /// Whether one of these fields differs from what is stored, or nothing is stored.
    pub fn changed(&self, names: &[&str]) -> bool {
        names
            .iter()
            .any(|name| self.stored.get(name).is_none_or(|stored| !same(name, self.raw(name), stored, self.verbatim)))
    }

    pub fn wrong(&mut self, name: &str, error: impl Into<String>) {
        if let Some(field) = self.form.fields_mut().find(|f| f.name == name)
            && field.error.is_none()
        {
            field.error = Some(capital(&error.into()));
        }
    }

    fn failed(&self, name: &str) -> bool {
        self.form.field(name).is_some_and(|f| f.error.is_some())
    }

    /// The field's value, if it parses.
    pub fn parsed<T, E: ToString>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        if self.failed(name) {
            return None;
        }
        let value = if self.verbatim.contains(&name) { self.raw(name) } else { self.text(name) };
        match parse(value) {
            Ok(value) => Some(value),
            Err(error) => {
                let error = error.to_string();
                self.wrong(name, error);
                None
            }
        }
    }

    /// Puts the field's value into `place`, if it was changed and parses.
    pub fn put<T, E: ToString>(&mut self, name: &str, place: &mut T, parse: impl FnOnce(&str) -> Result<T, E>) {
        if self.changed(&[name])
            && let Some(value) = self.parsed(name, parse)
        {
            *place = value;
        }
    }

    /// The same with a number in the range that the field states.
    pub fn put_number(&mut self, name: &str, place: &mut u32) {
        let (min, max) = self.range(name);
        self.put(name, place, |text| super::parse::number(text, min, max));
    }

    /// The same where nothing means that it is left to somebody else.
    pub fn put_optional_number(&mut self, name: &str, place: &mut Option<u32>) {
        let (min, max) = self.range(name);
        self.put(name, place, |text| match text {
            "" => Ok(None),
            text => super::parse::number(text, min, max).map(Some),
        });
    }

    pub fn range(&self, name: &str) -> (u32, u32) {
        match self.form.field(name).map(|f| &f.kind) {
            Some(Kind::Number { min, max }) => (*min, *max),
            _ => (0, u32::MAX),
        }
    }
}

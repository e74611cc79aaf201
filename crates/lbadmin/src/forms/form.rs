//! A form as data.

use super::edit::Values;

/// What a page shows and a browser sends back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    pub title: String,
    pub sections: Vec<Section>,
    /// What is wrong or has to be known, but not at one field. One sentence or more each.
    pub errors: Vec<String>,
    /// Names the values as they stood when the form was made. Sent back as `seen`, opaque to everybody else.
    pub seen: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Empty: no heading.
    pub heading: &'static str,
    pub fields: Vec<Field>,
    /// Folded up for as long as its fields have these values, and no error.
    pub usual: Option<Values>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    pub name: &'static str,
    pub label: String,
    /// As stored, or as typed. A checkbox: `on` or empty.
    pub value: String,
    pub kind: Kind,
    /// `seconds`; empty: none.
    pub unit: &'static str,
    /// Anchor in the help page.
    pub help: &'static str,
    pub error: Option<String>,
    pub hint: Option<String>,
    pub placeholder: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// A whole number, or nothing where the field says what that means.
    Number {
        min: u32,
        max: u32,
    },
    /// Values as they are posted, with the words shown for them.
    Select {
        options: Vec<(String, String)>,
    },
    Checkbox,
    TextArea {
        rows: u8,
    },
    Password,
    /// Shown, and not read back.
    Readonly,
}

impl Form {
    /// One act among others on a page: folded away with its button, which says what it does.
    pub fn is_folded(&self) -> bool {
        matches!(self.sections.as_slice(), [only] if only.usual.is_some())
    }

    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.sections.iter().flat_map(|s| &s.fields)
    }

    pub fn fields_mut(&mut self) -> impl Iterator<Item = &mut Field> {
        self.sections.iter_mut().flat_map(|s| &mut s.fields)
    }

    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields().find(|f| f.name == name)
    }

    /// Whether something has to be mended or looked at.
    pub fn has_errors(&self) -> bool {
        !self.errors.is_empty() || self.fields().any(|f| f.error.is_some())
    }
}

/// The error at its field, or above the form when it belongs to none.
pub fn wrong(mut form: Form, field: &str, text: String) -> Form {
    if form.field(field).is_none() {
        form.errors.push(text);
        return form;
    }
    for there in form.fields_mut().filter(|there| there.name == field) {
        there.error = Some(text.clone());
    }
    form
}

impl Section {
    pub fn new(heading: &'static str, fields: Vec<Field>) -> Self {
        Section { heading, fields, usual: None }
    }

    /// For what few need: it shows its heading only while all in it is as usual.
    pub fn folding(heading: &'static str, fields: Vec<Field>, usual: &Values) -> Self {
        let names: Vec<&str> = fields.iter().map(|f| f.name).collect();
        let usual = usual.iter().filter(|(name, _)| names.contains(name)).map(|(n, v)| (*n, v.clone())).collect();
        Section { heading, fields, usual: Some(usual) }
    }

    pub fn is_open(&self) -> bool {
        let Some(usual) = &self.usual else { return true };
        self.fields.iter().any(|f| f.error.is_some() || usual.get(f.name).is_some_and(|v| *v != f.value))
    }
}

impl Field {
    fn new(name: &'static str, label: &str, help: &'static str, kind: Kind) -> Self {
        Field {
            name,
            label: label.to_owned(),
            value: String::new(),
            kind,
            unit: "",
            help,
            error: None,
            hint: None,
            placeholder: String::new(),
        }
    }

    pub fn text(name: &'static str, label: &str, help: &'static str) -> Self {
        Field::new(name, label, help, Kind::Text)
    }

    pub fn number(name: &'static str, label: &str, help: &'static str, min: u32, max: u32) -> Self {
        Field::new(name, label, help, Kind::Number { min, max })
    }

    pub fn checkbox(name: &'static str, label: &str, help: &'static str) -> Self {
        Field::new(name, label, help, Kind::Checkbox)
    }

    pub fn area(name: &'static str, label: &str, help: &'static str, rows: u8) -> Self {
        Field::new(name, label, help, Kind::TextArea { rows })
    }

    pub fn readonly(name: &'static str, label: &str, help: &'static str) -> Self {
        Field::new(name, label, help, Kind::Readonly)
    }

    pub fn password(name: &'static str, label: &str, help: &'static str) -> Self {
        Field::new(name, label, help, Kind::Password)
    }

    pub fn select<V: ToString, W: ToString>(
        name: &'static str,
        label: &str,
        help: &'static str,
        options: impl IntoIterator<Item = (V, W)>,
    ) -> Self {
        let options = options.into_iter().map(|(v, w)| (v.to_string(), w.to_string())).collect();
        Field::new(name, label, help, Kind::Select { options })
    }

    pub fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn placeholder(mut self, placeholder: impl Into<String>) -> Self {
        self.placeholder = placeholder.into();
        self
    }

    pub fn value(mut self, value: impl Into<String>) -> Self {
        self.value = value.into();
        self
    }

    pub fn is_on(&self) -> bool {
        !self.value.is_empty()
    }
}

//! The readable copy of the running revision: its form, and reading it back.
//!
//! One JSON document for people and for recovery. `sha256` covers everything else in it, taken
//! over the compact text, so that an editor may lay it out anew, but a changed value is noticed:
//! such a file is never used. It is set aside as `running.json.edited`, the administrator's way
//! to change a configuration is the API.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::files::Files;
use crate::json_text::{compact, pretty};
use crate::records::{self, hex};
use crate::types::{Confirm, Revision, RevisionMeta};

/// Copies that are kept: of the running revision and of the ones before.
pub const KEPT: usize = 3;

const ABOUT: &str = "Written after each apply, for reading and for recovery. An edited copy is refused.";

/// What a copy says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    pub store: String,
    pub generation: u64,
    pub confirm: Option<Confirm>,
    pub revision: Revision,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form<'a> {
    about: String,
    schema: u32,
    store: String,
    generation: u64,
    revision: RevisionMeta,
    confirm: Option<Confirm>,
    /// First before the document: it must be found without scrolling.
    sha256: String,
    #[serde(borrow)]
    document: &'a RawValue,
}

/// Lay the copy out as text.
pub fn render(copy: &Copy) -> Result<String, serde_json::Error> {
    let mut form = Form {
        about: ABOUT.to_owned(),
        schema: records::SCHEMA,
        store: copy.store.clone(),
        generation: copy.generation,
        revision: copy.revision.meta(),
        confirm: copy.confirm,
        sha256: String::new(),
        document: serde_json::from_str(&copy.revision.document)?,
    };
    form.sha256 = checksum(&form)?;
    let mut text = pretty(&serde_json::to_string(&form)?);
    text.push('\n');
    Ok(text)
}

fn checksum(form: &Form<'_>) -> Result<String, serde_json::Error> {
    // Over the form with an empty sum, in the order of its fields.
    Ok(hex(&Sha256::digest(serde_json::to_string(form)?)))
}

/// Read a copy's text, or say why it is not to be used.
pub fn parse(text: &str) -> Result<Copy, String> {
    let text = compact(text).map_err(|e| format!("no JSON: {e}"))?;
    let mut form: Form<'_> = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    let sum = std::mem::take(&mut form.sha256);
    if checksum(&form).map_err(|e| e.to_string())? != sum {
        return Err("its checksum differs: edited or damaged".to_owned());
    }
    if form.schema > records::SCHEMA {
        return Err(format!("written by a newer version (schema {})", form.schema));
    }
    Ok(Copy {
        store: form.store,
        generation: form.generation,
        confirm: form.confirm,
        revision: Revision {
            number: form.revision.number,
            parent: form.revision.parent,
            time: form.revision.time,
            author: form.revision.author,
            comment: form.revision.comment,
            tag: form.revision.tag,
            document: Arc::from(form.document.get()),
        },
    })
}

/// The copies that can be used, newest first, and the ages of those that are there but cannot,
/// with the reason.
#[derive(Debug, Default)]
pub struct Found {
    pub valid: Vec<Copy>,
    pub invalid: Vec<(usize, String)>,
    /// The generation that `running.json` itself shows, if valid.
    pub newest_file: Option<u64>,
}

pub fn find(files: &Files) -> Found {
    let mut found = Found::default();
    for age in 0..KEPT {
        match read(&files.copy(age)) {
            None => {}
            Some(Ok(copy)) => {
                if age == 0 {
                    found.newest_file = Some(copy.generation);
                }
                found.valid.push(copy);
            }
            Some(Err(why)) => found.invalid.push((age, why)),
        }
    }
    found.valid.sort_by_key(|copy| std::cmp::Reverse(copy.generation));
    found
}

fn read(path: &Path) -> Option<Result<Copy, String>> {
    match fs::read(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(e) => Some(Err(e.to_string())),
        Ok(bytes) => Some(String::from_utf8(bytes).map_err(|e| e.to_string()).and_then(|t| parse(&t))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Copy {
        Copy {
            store: "s".to_owned(),
            generation: 7,
            confirm: Some(Confirm { deadline_unix: 5, revert_to: 2 }),
            revision: Revision {
                number: 3,
                parent: Some(2),
                time: 1,
                author: "ä".to_owned(),
                comment: "say \"hi\"".to_owned(),
                tag: Some("t".to_owned()),
                document: r#"{"b":1.0,"a":[1e2,"x  y"]}"#.into(),
            },
        }
    }

    #[test]
    fn a_copy_comes_back_also_after_an_editor_laid_it_out_anew() {
        let text = render(&example()).unwrap();
        assert_eq!(parse(&text).unwrap(), example());
        assert_eq!(parse(&text.replace('\n', "\r\n\t ")).unwrap(), example());
    }

    #[test]
    fn every_changed_value_is_noticed() {
        let text = render(&example()).unwrap();
        for (from, to) in [
            ("1.0", "1.1"),
            ("x  y", "x y"),
            ("\"generation\": 7", "\"generation\": 8"),
            ("\"number\": 3", "\"number\": 4"),
            ("\"b\"", "\"c\""),
            ("hi", "ho"),
        ] {
            let edited = text.replacen(from, to, 1);
            assert_ne!(edited, text, "{from}");
            assert!(parse(&edited).is_err(), "{from} -> {to}");
        }
        for cut in 0..text.trim_end().len() {
            if text.is_char_boundary(cut) {
                assert!(parse(&text[..cut]).is_err(), "cut at {cut}");
            }
        }
    }
}

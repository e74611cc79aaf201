//! What a browser sent: names and values, untrusted.

use std::collections::{BTreeMap, btree_map::Entry};

/// Names that every form carries beside its own fields.
const CARRIED: [&str; 3] = ["csrf", "seen", super::edit::ANYWAY];

/// The fields of a posted form, each name once; line ends are `\n`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Posted {
    values: BTreeMap<String, String>,
    twice: Vec<String>,
}

impl FromIterator<(String, String)> for Posted {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        let mut posted = Posted::default();
        for (name, value) in pairs {
            // A text area is sent with CRLF whatever was typed (HTML, 4.10.21.3 "normalize newlines").
            let value = value.replace("\r\n", "\n").replace('\r', "\n");
            match posted.values.entry(name) {
                Entry::Occupied(there) => posted.twice.push(there.key().clone()),
                Entry::Vacant(free) => {
                    free.insert(value);
                }
            }
        }
        posted
    }
}

impl From<Vec<(String, String)>> for Posted {
    fn from(pairs: Vec<(String, String)>) -> Self {
        pairs.into_iter().collect()
    }
}

impl Posted {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.values.insert(name.to_owned(), value.to_owned());
    }

    pub fn remove(&mut self, name: &str) {
        self.values.remove(name);
    }

    /// What has no place in a form with these fields, in words.
    pub(super) fn foreign(&self, known: impl Fn(&str) -> bool) -> Vec<String> {
        let unknown = self.values.keys().filter(|n| !CARRIED.contains(&n.as_str()) && !known(n));
        let unknown = unknown.map(|n| format!("This form has no field {}.", shortened(n)));
        unknown
            .chain(self.twice.iter().map(|n| format!("The field {} was sent twice.", shortened(n))))
            .take(10)
            .collect()
    }
}

fn shortened(name: &str) -> String {
    format!("{:?}", name.chars().take(40).collect::<String>())
}

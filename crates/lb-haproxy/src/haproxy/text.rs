//! What our own text says of the servers, for those who have only the file.

use crate::ServerKey;

pub(crate) struct TextServer<'a> {
    pub key: ServerKey,
    /// `10.0.0.31:80`
    pub place: &'a str,
    pub weight: u16,
    /// 0: HAProxy's own.
    pub number: u32,
    pub disabled: bool,
    pub checked: bool,
    /// Its agent is asked.
    pub agent: bool,
}

/// The real servers of a text of ours, without those of names that no label has.
pub(crate) fn servers(text: &str) -> impl Iterator<Item = TextServer<'_>> {
    let mut backend = None;
    text.lines().filter_map(move |line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        if !line.starts_with(' ') {
            backend = match words[..] {
                ["backend", label, ..] => label.parse().ok(),
                _ => None,
            };
            return None;
        }
        let ["server", label, place, ref rest @ ..] = words[..] else { return None };
        let key = ServerKey { virtual_server: backend.clone()?, real_server: label.parse().ok()? };
        let after = |name: &str| rest.iter().skip_while(|word| **word != name).nth(1);
        Some(TextServer {
            key,
            place,
            weight: after("weight").and_then(|weight| weight.parse().ok()).unwrap_or(1),
            number: after("id").and_then(|number| number.parse().ok()).unwrap_or(0),
            disabled: rest.contains(&"disabled"),
            checked: rest.contains(&"check"),
            agent: rest.contains(&"agent-check"),
        })
    })
}

//! What our own text says of the servers and of tests' values, for those who have only the file.

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

/// The values of tests in a text of ours, by the numbers of their lists.
pub(crate) fn lists(text: &str) -> impl Iterator<Item = (u32, Vec<String>)> + '_ {
    text.lines().filter_map(|line| {
        let (_, list) = line.strip_prefix("  acl rule:")?.split_once(" -u ")?;
        let (number, values) = list.split_once(" -- ")?;
        Some((number.parse().ok()?, words(values)))
    })
}

/// As `render::quote::word` wrote them.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut letters) = (Vec::new(), text.chars());
    while let Some(first) = letters.next() {
        let mut word = String::new();
        match first {
            ' ' => continue,
            '\'' => word.extend(letters.by_ref().take_while(|c| *c != '\'')),
            '"' => {
                while let Some(c) = letters.next().filter(|c| *c != '"') {
                    word.extend(if c == '\\' { letters.next() } else { Some(c) });
                }
            }
            first => {
                word.push(first);
                word.extend(letters.by_ref().take_while(|c| *c != ' '));
            }
        }
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_they_were_written() {
        let values = ["/a", "a b", "it's \"$x\" \\ y", "\"", "'", "\\", "#", "-u 7 -- x", "<<", " "];
        let written: Vec<String> = values.iter().map(|value| crate::render::word(value)).collect();
        let text = format!("frontend vs:A from http\n  acl rule:0 src -u 1000002 -- {}\n  bind x\n", written.join(" "));
        assert_eq!(lists(&text).collect::<Vec<_>>(), [(1_000_002, values.map(str::to_owned).to_vec())]);
    }
}

//! JSON as text: white space in, white space out, every other byte as it came.
//!
//! Going through a parsed value would reorder keys and respell numbers, so that a checksum over
//! the document would not survive. Input has been checked by serde_json before it comes here.

use serde::de::IgnoredAny;

/// The text without insignificant white space, or why it is no JSON.
pub fn compact(text: &str) -> Result<String, serde_json::Error> {
    serde_json::from_str::<IgnoredAny>(text)?;
    // What a program wrote has none, and is as it should be.
    if !text.bytes().any(|b| matches!(b, b' ' | b'\n' | b'\r' | b'\t')) {
        return Ok(text.to_owned());
    }
    let mut out = String::with_capacity(text.len());
    let mut start = 0;
    let mut in_string = false;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
        } else if byte == b'"' {
            in_string = true;
        } else if matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
            out.push_str(&text[start..at]);
            start = at + 1;
        }
    }
    out.push_str(&text[start..]);
    Ok(out)
}

/// Compact JSON laid out with two spaces per level; empty objects and lists stay on one line.
pub fn pretty(compact: &str) -> String {
    let mut out = String::with_capacity(compact.len() * 2);
    let mut depth = 0usize;
    let mut in_string = false;
    let mut escaped = false;
    let mut previous = '\0';
    for c in compact.chars() {
        if in_string {
            out.push(c);
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => in_string = false,
                _ => {}
            }
            previous = c;
            continue;
        }
        let closes = matches!(c, '}' | ']');
        let opened = matches!(previous, '{' | '[');
        if closes {
            depth = depth.saturating_sub(1);
            if !opened {
                new_line(&mut out, depth);
            }
        } else if opened || previous == ',' {
            new_line(&mut out, depth);
        }
        out.push(c);
        match c {
            '{' | '[' => depth += 1,
            ':' => out.push(' '),
            '"' => in_string = true,
            _ => {}
        }
        previous = c;
    }
    out
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    for _ in 0..depth {
        out.push_str("  ");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_keeps_every_token() {
        let text = " { \"b\" : [ 1.0 , 1e2 , \" a \\\" b\\\\\" ] ,\n\t\"a\":{ } } ";
        assert_eq!(compact(text).unwrap(), r#"{"b":[1.0,1e2," a \" b\\"],"a":{}}"#);
        assert!(compact("{").is_err());
        assert!(compact("").is_err());
    }

    #[test]
    fn pretty_is_undone_by_compact() {
        let text = r#"{"b":[1.0,[],{},"a,{\"}"],"ä":{"x":null}}"#;
        let laid_out = pretty(text);
        assert_eq!(compact(&laid_out).unwrap(), text);
        assert!(laid_out.contains("\n  \"b\": [\n    1.0,\n    [],\n    {},"), "{laid_out}");
    }
}

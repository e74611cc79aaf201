//! A text as one word of HAProxy's language (Configuration Manual, 2.2 "Quoting and escaping").

/// One word that means exactly `text`.
pub(crate) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/_.:,@=+~^*?&;<>|!-%[](){}".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else if text.contains('\'') {
        // Within "" these three are special: the end, the escape, a variable.
        let mut word = String::from('"');
        for c in text.chars() {
            if matches!(c, '"' | '\\' | '$') {
                word.push('\\');
            }
            word.push(c);
        }
        word.push('"');
        word
    } else {
        format!("'{text}'")
    }
}

/// One word that means exactly `text`, which may have several lines.
pub(super) fn lines(text: &str) -> String {
    let mut word = String::from('"');
    for c in text.chars() {
        match c {
            '\r' => {}
            '\n' => word.push_str("\\n"),
            '\t' => word.push_str("\\t"),
            '"' | '\\' | '$' => word.extend(['\\', c]),
            c => word.push(c),
        }
    }
    word.push('"');
    word
}

/// One word that means exactly `text` where HAProxy expects a log format (8.2.4 "Custom log format").
///
/// There `%` begins a variable, and spaces in a row become one: all but the first are written by their code.
pub(super) fn format(text: &str) -> String {
    let mut format = String::new();
    let mut last = None;
    for c in text.chars() {
        match c {
            '%' => format.push_str("%%"),
            ' ' if last == Some(' ') => format.push_str("%[bin(20)]"),
            c => format.push(c),
        }
        last = Some(c);
    }
    word(&format)
}

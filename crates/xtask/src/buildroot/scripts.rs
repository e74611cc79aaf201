//! Which programs a shell script calls. No shell: it reads the plain style that the scripts of this repository are
//! written in, a command at the start of a line or behind a separator.

use std::collections::BTreeSet;

/// Words of the shell, and what it does itself.
const SHELL: &[&str] = &[
    "if", "then", "else", "elif", "fi", "for", "in", "do", "done", "while", "until", "case", "esac", "exec", "exit",
    "set", "unset", "export", "umask", "ulimit", "trap", "read", "echo", "printf", "shift", "true", "false", "test",
    "return", "break", "continue", "cd", ".", "eval", "local", "command", "complete", "wait",
];
/// Words behind which a command follows.
const BEFORE: &[&str] = &["if", "then", "else", "elif", "do", "while", "until", "exec", "command"];
/// Programs whose operand is a program; the options of these before it, and their values, are skipped.
const RUNNERS: &[&str] = &["xargs", "chpst", "chroot", "setsid", "cttyhack"];

/// The programs that `script` calls, without its own functions.
pub fn programs(script: &str) -> Vec<String> {
    let mut functions = BTreeSet::new();
    let mut found = BTreeSet::new();
    let mut here = None::<String>;
    for line in script.lines() {
        if let Some(end) = &here {
            if line.trim() == end {
                here = None;
            }
            continue;
        }
        if let Some((_, rest)) = line.split_once("<<'") {
            here = rest.split('\'').next().map(str::to_string);
        }
        let line = plain(&without_sums(line));
        if let Some((name, _)) = line.split_once("()") {
            functions.insert(name.trim().to_string());
        }
        for part in line.split([';', '|', '&', '(', '`', '{', '}']) {
            command(part, &mut found);
        }
    }
    found.into_iter().filter(|name| !functions.contains(name)).collect()
}

/// Without `$((…))`.
fn without_sums(line: &str) -> String {
    let mut parts = line.split("$((");
    let mut out = parts.next().unwrap_or_default().to_string();
    for part in parts {
        out.push('_');
        out.push_str(part.split_once("))").map_or("", |(_, rest)| rest));
    }
    out
}

/// Without comments and quoted text; commands in double quotes stay.
fn plain(line: &str) -> String {
    let mut out = String::new();
    let mut quote = None;
    let mut depth = 0_u32;
    let mut before = ' ';
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (None, '#') if before.is_whitespace() => break,
            (None, '\'' | '"') if depth == 0 || letter == '\'' => {
                quote = Some(letter);
                out.push('_');
            }
            (Some(open), _) if letter == open && depth == 0 => quote = None,
            (Some('\''), '\'') => quote = None,
            (Some('"'), '$') if letters.peek() == Some(&'(') && depth == 0 => {
                // A command inside: what is in it counts until its end.
                depth = 1;
                letters.next();
                out.push(';');
            }
            (Some('"'), '(') if depth > 0 => depth += 1,
            (Some('"'), ')') if depth > 0 => {
                depth -= 1;
                out.push(';');
            }
            (Some('"'), _) if depth > 0 => out.push(letter),
            (Some(_), _) => {}
            (None, _) => out.push(letter),
        }
        before = letter;
    }
    out
}

fn command(part: &str, found: &mut BTreeSet<String>) {
    let mut words = part.split_whitespace().skip_while(|word| {
        // A label of `case`, an assignment, a negation, an end of something.
        word.ends_with(')') || word.contains('=') || ["!", "]", "\\"].contains(word) || BEFORE.contains(word)
    });
    let Some(word) = words.next() else { return };
    let named = word.starts_with(|c: char| c.is_ascii_lowercase() || c == '/');
    let letters = word.chars().all(|c| c.is_ascii_alphanumeric() || "/_.-".contains(c));
    if !named || !letters || SHELL.contains(&word) || word.starts_with("/dev/") {
        return;
    }
    found.insert(word.to_string());
    if RUNNERS.contains(&word) {
        let next = words
            .find(|word| word.starts_with(|c: char| c.is_ascii_lowercase() || c == '/') && looks_like_program(word));
        found.extend(next.filter(|next| !SHELL.contains(next)).map(str::to_string));
    }
}

/// Not `user:group`, nor a folder to change the root to.
fn looks_like_program(word: &str) -> bool {
    !word.contains(':') && word != "/root" && word.chars().all(|c| c.is_ascii_alphanumeric() || "/_.-".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_where_scripts_have_them() {
        let script = r#"#!/bin/sh
# nothing; here
set -eu
helper() {
    mkdir -p "$1"
}
helper /data
x=$(grep -l "a; b" /proc | head -n 1) || true
if ! /usr/bin/env set "${x}_OK=1"; then echo "not; this"; fi
find . -print | xargs modprobe -a || true # sleep
exec chpst -u nobody:nogroup /bin/busybox httpd -f
n=$((n + 1))
head -c $((10 - ${#n})) /dev/zero
if [ "$(tty)" = /dev/tty1 ]; then stty rows 24; fi
case $x in
get) cat x ;;
-h | --help) usleep 1 ;;
esac
chroot /root /usr/sbin/fsck -p && sync
y="$(cat a; stat b)"
cat <<'TEXT'
reboot now
TEXT
exec setsid cttyhack sh
"#;
        assert_eq!(
            programs(script),
            [
                "/bin/busybox",
                "/usr/bin/env",
                "/usr/sbin/fsck",
                "cat",
                "chpst",
                "chroot",
                "cttyhack",
                "find",
                "grep",
                "head",
                "mkdir",
                "modprobe",
                "setsid",
                "stat",
                "stty",
                "sync",
                "tty",
                "usleep",
                "xargs"
            ]
        );
    }
}

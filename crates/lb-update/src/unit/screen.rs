//! Where a person reads that an update did not stay: before and after a log-in on the console, and, through lbd, among
//! the alarms of the web interface and of `lbctl status`.

use anyhow::{Context, Result};
use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    path::Path,
};

/// lbd shows what is in here as an alarm (`lbd::engine::notice`); gone with the next restart.
const ALARM: &str = "/run/lb/update.alarm";
/// What is shown before and after a log-in; both are made anew at every start.
const BANNERS: [&str; 2] = ["/etc/issue", "/etc/motd"];
/// Columns of a console.
const WIDTH: usize = 76;

/// Says it everywhere.
pub fn say(alarm: &str) -> Result<()> {
    println!("update: {alarm}");
    fs::write(ALARM, alarm).with_context(|| format!("writing {ALARM}"))?;
    for banner in BANNERS {
        append(Path::new(banner), alarm).with_context(|| format!("writing {banner}"))?;
    }
    Ok(())
}

/// Takes the alarm away; the banners go with the next restart.
pub fn quiet() -> Result<()> {
    match fs::remove_file(ALARM) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).with_context(|| format!("removing {ALARM}")),
        _ => Ok(()),
    }
}

fn append(file: &Path, alarm: &str) -> std::io::Result<()> {
    OpenOptions::new().append(true).create(true).open(file)?.write_all(banner(alarm).as_bytes())
}

/// Marked, in lines of a console's width. getty takes a backslash for an order of its own (issue(5)).
fn banner(alarm: &str) -> String {
    let mut lines = vec![String::new()];
    for word in alarm.split_ascii_whitespace() {
        let word: String = word.chars().filter(|c| c.is_ascii_graphic() && !"\\@%".contains(*c)).collect();
        let last = lines.last_mut().filter(|line| line.len() + 1 + word.len() <= WIDTH || line.is_empty());
        match last {
            Some(line) if line.is_empty() => line.push_str(&word),
            Some(line) => {
                line.push(' ');
                line.push_str(&word);
            }
            None => lines.push(word),
        }
    }
    lines
        .iter()
        .enumerate()
        .map(|(at, line)| format!("{}{line}\n", if at == 0 { "! " } else { "  " }))
        .collect::<String>()
        + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_banner_fits_the_console_and_gives_getty_no_orders() {
        let text = banner(&format!("the update did not stay: \\n \x1b[2J {}", "word ".repeat(40)));
        assert!(text.starts_with("! the update did not stay: n [2J word word"), "{text}");
        assert!(text.lines().all(|line| line.len() <= WIDTH + 2), "{text}");
        assert!(text.lines().skip(1).filter(|line| !line.is_empty()).all(|line| line.starts_with("  ")), "{text}");
        assert!(!text.contains(['\\', '\x1b']));
    }
}

//! Somebody at the text browser `links` on a console: goes from link to link, reads the screen, presses what is there.
//!
//! Ctrl-L draws the whole screen again; what comes then is read into a [`Screen`]. The last line of it says what the
//! cursor is on. Needs a shell at its prompt with a terminal of 24 lines.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::console::Console;
use crate::limits::{self, wait_until};

const LINES: usize = 24;
const COLUMNS: usize = 80;
/// Links and fields of the longest page.
const STEPS: usize = 200;
/// From Ctrl-L to the last character.
const REDRAW: Duration = Duration::from_secs(10);

const DOWN: &str = "\u{1b}[B";
const REDRAW_KEY: &str = "\u{c}";

/// What is on the screen, and where the cursor is.
#[derive(Debug)]
pub struct Screen {
    lines: Vec<Vec<char>>,
    row: usize,
    column: usize,
}

impl Screen {
    /// Reads what a program drew: cursor positions, backspaces and characters; colours are left out.
    fn read(drawn: &str) -> Screen {
        let mut screen = Screen { lines: vec![vec![' '; COLUMNS]; LINES], row: 0, column: 0 };
        let mut rest = drawn.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '\u{1b}' if rest.next_if_eq(&'[').is_some() => {
                    let mut numbers = String::new();
                    let end = loop {
                        match rest.next() {
                            Some(c) if c.is_ascii_alphabetic() => break c,
                            Some(c) => numbers.push(c),
                            None => return screen,
                        }
                    };
                    if end == 'H' {
                        let (row, column) = numbers.split_once(';').unwrap_or((&numbers, "1"));
                        screen.row = row.parse().unwrap_or(1_usize).saturating_sub(1);
                        screen.column = column.parse().unwrap_or(1_usize).saturating_sub(1);
                    }
                }
                '\u{1b}' => drop(rest.next()),
                '\u{8}' => screen.column = screen.column.saturating_sub(1),
                c if c >= ' ' => {
                    if let Some(place) = screen.lines.get_mut(screen.row).and_then(|line| line.get_mut(screen.column)) {
                        *place = c;
                    }
                    screen.column += 1;
                }
                _ => {}
            }
        }
        screen
    }

    /// All of it, one line after the other.
    pub fn text(&self) -> String {
        self.lines.iter().map(|line| line.iter().collect::<String>().trim_end().to_string() + "\n").collect()
    }

    /// What the cursor is on, as the last line says.
    pub fn status(&self) -> String {
        self.lines[LINES - 1].iter().collect::<String>().trim_end().to_string()
    }

    /// The text at the cursor; it stands on the third character of a button.
    pub fn at_cursor(&self) -> String {
        let line = self.lines.get(self.row).map_or(&[][..], Vec::as_slice);
        let from = if self.status().starts_with("Post form") { self.column.saturating_sub(2) } else { self.column };
        line.iter().skip(from).collect()
    }
}

/// `links`, running in the foreground of a console.
pub struct Links<'c> {
    console: &'c mut Console,
}

impl Links<'_> {
    /// Starts it at `url`.
    pub fn open<'c>(console: &'c mut Console, url: &str) -> Result<Links<'c>> {
        console.send_line(&format!(
            "stty rows {LINES} cols {COLUMNS}; TERM=vt100 links {url}; printf 'links %s\\n' ended"
        ))?;
        console.expect("\u{1b}[2J", limits::COMMAND).context("links draws nothing")?;
        Ok(Links { console })
    }

    /// The screen as it is now.
    pub fn screen(&mut self) -> Result<Screen> {
        self.console.send(REDRAW_KEY)?;
        // The last line, and after it the cursor's place as the end of all.
        let (_, drawn) = self.console.expect_match("(?s)\u{1b}\\[2J.*\u{1b}\\[24;1H.*\u{1b}\\[\\d+;\\d+H$", REDRAW)?;
        let screen = Screen::read(&drawn);
        if screen.text().contains("Welcome to links!") {
            self.console.send("\r")?;
            return self.screen();
        }
        Ok(screen)
    }

    /// Waits until the screen has `text` on it.
    pub fn shows(&mut self, text: &str) -> Result<()> {
        let mut last = String::new();
        wait_until(&format!("{text:?} on the screen"), limits::CONVERGE, || {
            last = self.screen()?.text();
            Ok(last.contains(text).then_some(()))
        })
        .with_context(|| format!("links shows:\n{last}"))
    }

    /// Goes down from link to link to the first one that is wanted.
    fn to(&mut self, what: &str, wanted: impl Fn(&Screen) -> bool) -> Result<()> {
        for _ in 0..STEPS {
            if wanted(&self.screen()?) {
                return Ok(());
            }
            self.console.send(DOWN)?;
        }
        bail!("no {what} on the page; links shows:\n{}", self.screen()?.text())
    }

    /// Follows the link of this text.
    pub fn follow(&mut self, text: &str) -> Result<()> {
        self.to(&format!("link {text}"), |screen| screen.at_cursor().starts_with(text))?;
        self.console.send("\r")
    }

    /// Types into the field of this name.
    pub fn fill(&mut self, name: &str, value: &str) -> Result<()> {
        self.to(&format!("field {name}"), |screen| screen.status().ends_with(&format!("name {name}")))?;
        self.console.send(value)
    }

    /// Presses the button of this text.
    pub fn press(&mut self, text: &str) -> Result<()> {
        self.to(&format!("button {text}"), |screen| {
            screen.status().starts_with("Post form") && screen.at_cursor().starts_with(text)
        })?;
        self.console.send("\r")
    }

    /// Ends it, back to the shell. What is typed while it gives the terminal back is lost, so the end is waited for.
    pub fn quit(self) -> Result<()> {
        // Q asks nobody.
        self.console.send("Q")?;
        self.console.expect("links ended\n", limits::COMMAND).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_screen_is_read_as_a_person_reads_it() {
        let drawn = "\u{1b}[2J\u{1b}[1;1H\u{1b}[0m   title \u{1b}[5;4H\u{1b}[0;1mOnline\u{1b}[0m ^\u{8}x\u{1b}[24;1H\u{1b}[0;7mPost form to a\u{1b}[0m\u{1b}[5;6H";
        let screen = Screen::read(drawn);
        assert_eq!(screen.text().lines().next(), Some("   title"));
        assert_eq!(screen.status(), "Post form to a");
        assert_eq!(screen.at_cursor().trim_end(), "Online x");
    }
}

//! Where questions are shown and answers come from.
//!
//! Terminals, serial lines and pipes are all served by [`Lines`]: whole lines in the terminal's own
//! (cooked) mode, with the kernel's line editing and echo, and not one escape sequence. So it looks the
//! same on a VT100 at 9600 baud, on a dumb terminal and in a log, there is no terminal mode to restore
//! after Ctrl-C, and Ctrl-D is the end of input instead of an accepted default. dialoguer is not used
//! for that reason: with every console 0.16 its `Input::interact()` reads key by key in raw mode.

use crate::check::Refusal;
use std::{
    io::{self, BufRead, Write},
    path::PathBuf,
};

#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// Ctrl-D, a closed line, the end of a pipe.
    #[error("the input ended before the questions did")]
    Ended,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("cannot read the answers file {path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error(
        "{path}: there is no answer to \"{question}\"\nhint: one answer a line, in the order of the questions; an empty line takes the default"
    )]
    TooFew { path: PathBuf, question: String },
    #[error(
        "{path}, line {line}: \"{answer}\" answers nothing; all questions are answered before it\nhint: the two-arm set-up has two questions more than the one-arm set-up"
    )]
    TooMany { path: PathBuf, line: usize, answer: String },
    #[error("{path}, line {line}: the answer \"{answer}\" cannot be taken\n{refusal}")]
    Refused { path: PathBuf, line: usize, answer: String, refusal: Refusal },
}

/// Shows and asks.
pub trait Prompter {
    fn say(&mut self, text: &str) -> Result<(), PromptError>;
    /// Shows a question with its default; what was answered, without line end.
    fn ask(&mut self, question: &str, default: Option<&str>) -> Result<String, PromptError>;
    /// The last answer cannot be taken; the question comes again.
    fn refuse(&mut self, refusal: &Refusal) -> Result<(), PromptError>;
    /// Waits for Enter.
    fn pause(&mut self, text: &str) -> Result<(), PromptError>;
    /// Somebody is there who can be asked again.
    fn attended(&self) -> bool;
    /// There is no further question.
    fn all_answered(&mut self) -> Result<(), PromptError>;
}

/// `Question [default]: `, as the guide prints it.
fn prompt(question: &str, default: Option<&str>) -> String {
    match default {
        Some(default) => format!("{question} [{default}]: "),
        None => format!("{question}: "),
    }
}

/// Line by line: terminals and pipes.
pub struct Lines<R, W> {
    input: R,
    output: W,
    /// Print the answers too: nobody else does where input is not a terminal.
    echo: bool,
}

impl<R: BufRead, W: Write> Lines<R, W> {
    pub fn new(input: R, output: W, echo: bool) -> Self {
        Lines { input, output, echo }
    }

    fn line(&mut self) -> Result<String, PromptError> {
        self.output.flush()?;
        let mut line = Vec::new();
        // Bounded, as the line may come from anywhere; what is over the bound is refused as too long.
        let mut limited = io::Read::take(&mut self.input, 4096);
        if limited.read_until(b'\n', &mut line)? == 0 {
            return Err(PromptError::Ended);
        }
        let line = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
        if self.echo {
            // As a terminal's own echo does: nothing that moves the cursor.
            writeln!(self.output, "{}", line.replace(char::is_control, "^"))?;
        }
        Ok(line)
    }
}

impl<R: BufRead, W: Write> Prompter for Lines<R, W> {
    fn say(&mut self, text: &str) -> Result<(), PromptError> {
        writeln!(self.output, "{text}")?;
        Ok(self.output.flush()?)
    }

    fn ask(&mut self, question: &str, default: Option<&str>) -> Result<String, PromptError> {
        write!(self.output, "{}", prompt(question, default))?;
        self.line()
    }

    fn refuse(&mut self, refusal: &Refusal) -> Result<(), PromptError> {
        self.say(&refusal.to_string())
    }

    fn pause(&mut self, text: &str) -> Result<(), PromptError> {
        loop {
            write!(self.output, "{text}")?;
            // Whoever types "no" here does not mean yes.
            if self.line()?.trim().is_empty() {
                return Ok(());
            }
            self.say("error: only Enter goes on\nhint: Ctrl-C leaves instead")?;
        }
    }

    fn attended(&self) -> bool {
        true
    }

    fn all_answered(&mut self) -> Result<(), PromptError> {
        Ok(())
    }
}

/// Answers from a file: nobody is there to be asked again, so the first wrong one ends it.
pub struct AnswersFile<W> {
    path: PathBuf,
    /// With their line numbers, last first.
    answers: Vec<(usize, String)>,
    last: (usize, String),
    output: W,
}

impl<W: Write> AnswersFile<W> {
    pub fn open(path: PathBuf, output: W) -> Result<Self, PromptError> {
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(AnswersFile::new(path, &text, output)),
            Err(source) => Err(PromptError::File { path, source }),
        }
    }

    /// One answer a line; what follows a `#` is a comment, and a line that is nothing but a comment does not count.
    pub fn new(path: PathBuf, text: &str, output: W) -> Self {
        let answer = |(n, line): (usize, &str)| match line.split_once('#') {
            Some((before, _)) if before.trim().is_empty() => None,
            Some((before, _)) => Some((n + 1, before.trim().to_owned())),
            None => Some((n + 1, line.trim().to_owned())),
        };
        let mut answers: Vec<_> = text.lines().enumerate().filter_map(answer).collect();
        answers.reverse();
        AnswersFile { path, answers, last: (0, String::new()), output }
    }
}

impl<W: Write> Prompter for AnswersFile<W> {
    fn say(&mut self, text: &str) -> Result<(), PromptError> {
        writeln!(self.output, "{text}")?;
        Ok(self.output.flush()?)
    }

    fn ask(&mut self, question: &str, default: Option<&str>) -> Result<String, PromptError> {
        let Some(answer) = self.answers.pop() else {
            return Err(PromptError::TooFew { path: self.path.clone(), question: question.to_owned() });
        };
        self.say(&format!("{}{}", prompt(question, default), answer.1))?;
        self.last = answer;
        Ok(self.last.1.clone())
    }

    fn refuse(&mut self, refusal: &Refusal) -> Result<(), PromptError> {
        let (line, answer) = self.last.clone();
        Err(PromptError::Refused { path: self.path.clone(), line, answer, refusal: refusal.clone() })
    }

    fn pause(&mut self, _: &str) -> Result<(), PromptError> {
        Ok(())
    }

    fn attended(&self) -> bool {
        false
    }

    fn all_answered(&mut self) -> Result<(), PromptError> {
        match self.answers.iter().rev().find(|(_, a)| !a.is_empty()) {
            Some((line, answer)) => {
                Err(PromptError::TooMany { path: self.path.clone(), line: *line, answer: answer.clone() })
            }
            None => Ok(()),
        }
    }
}

//! Splits arguments into options and operands as the popt library does: `-Ln`, `-wVALUE`, `-w VALUE`,
//! `-w=VALUE`, `--weight VALUE`, `--weight=VALUE`, `--` ends the options, operands may stand anywhere. Pure.

use super::options::{Arg, Opt};

/// An option that cannot be taken; `.0` is the argument it stood in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoptError<'a> {
    Unknown(&'a str),
    MissingArgument(&'a str),
    UnwantedArgument(&'a str),
}

impl PoptError<'_> {
    /// In popt's words.
    pub fn text(&self) -> String {
        match self {
            Self::Unknown(at) => format!("{at}: unknown option"),
            Self::MissingArgument(at) => format!("{at}: missing argument"),
            Self::UnwantedArgument(at) => format!("{at}: option does not take an argument"),
        }
    }
}

/// Walks over the arguments.
#[derive(Debug)]
pub struct Popt<'a> {
    args: &'a [&'a str],
    next: usize,
    /// What is left of a group of short options.
    group: Option<&'a str>,
    only_operands: bool,
    /// Arguments that are no options, in order.
    pub operands: Vec<&'a str>,
}

impl<'a> Popt<'a> {
    /// `args` without the program's name.
    pub fn new(args: &'a [&'a str]) -> Self {
        Self { args, next: 0, group: None, only_operands: false, operands: Vec::new() }
    }

    /// The argument that the last option came from.
    pub fn current(&self) -> &'a str {
        self.next.checked_sub(1).and_then(|at| self.args.get(at)).copied().unwrap_or("")
    }

    /// The next option with its argument; `None` at the end.
    pub fn next_option(&mut self) -> Result<Option<(Opt, Option<&'a str>)>, PoptError<'a>> {
        let (opt, attached) = match self.group.take() {
            Some(group) => self.short(group)?,
            None => match self.word()? {
                Some(found) => found,
                None => return Ok(None),
            },
        };
        match opt.arg() {
            Arg::None if attached.is_some() => Err(PoptError::UnwantedArgument(self.current())),
            Arg::None => Ok(Some((opt, None))),
            Arg::Required | Arg::Optional if attached.is_some() => Ok(Some((opt, attached))),
            Arg::Required | Arg::Optional if self.group.is_some() => Ok(Some((opt, self.group.take()))),
            Arg::Required => {
                let missing = PoptError::MissingArgument(self.current());
                let value = self.args.get(self.next).ok_or(missing)?;
                self.next += 1;
                Ok(Some((opt, Some(value))))
            }
            Arg::Optional => {
                let value = self.args.get(self.next).filter(|arg| !arg.starts_with('-')).copied();
                self.next += usize::from(value.is_some());
                Ok(Some((opt, value)))
            }
        }
    }

    /// The option at the next argument that is one.
    fn word(&mut self) -> Result<Option<(Opt, Option<&'a str>)>, PoptError<'a>> {
        while let Some(&word) = self.args.get(self.next) {
            self.next += 1;
            if self.only_operands || !word.starts_with('-') || word == "-" {
                self.operands.push(word);
            } else if word == "--" {
                self.only_operands = true;
            } else if let Some(long) = word.strip_prefix("--") {
                let (name, value) = match long.split_once('=') {
                    Some((name, value)) => (name, Some(value)),
                    None => (long, None),
                };
                let opt = Opt::from_long(name).ok_or(PoptError::Unknown(word))?;
                return Ok(Some((opt, value)));
            } else {
                return self.short(&word[1..]).map(Some);
            }
        }
        Ok(None)
    }

    /// The first option of a group; what follows (without one `=`) stays for the next call.
    fn short(&mut self, group: &'a str) -> Result<(Opt, Option<&'a str>), PoptError<'a>> {
        let unknown = PoptError::Unknown(self.current());
        let letter = group.chars().next().ok_or(unknown)?;
        let opt = Opt::from_short(letter).ok_or(unknown)?;
        let rest = &group[letter.len_utf8()..];
        if !rest.is_empty() {
            let value = rest.strip_prefix('=').unwrap_or(rest);
            if opt.arg() == Arg::None && value.starts_with('=') {
                return Err(PoptError::UnwantedArgument(self.current()));
            }
            self.group = Some(value);
        }
        Ok((opt, None))
    }
}

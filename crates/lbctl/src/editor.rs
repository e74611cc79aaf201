//! `lbctl config edit`: the candidate as a text in the administrator's editor.
//!
//! Owns the file that is edited. What was typed is never lost: the file goes away only when lbd has
//! its content, or when it was not changed. The editor is started without a shell; questions go to
//! standard error. Tested by a story with a script as the editor.

use crate::{
    edit::edited,
    error::{Error, problem_lines},
    session::{Answer, Session},
    text,
};
use lb_model::Config;
use std::{
    fs,
    io::{self, BufRead, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Command,
};

/// Edits until lbd takes it and it has no problems, or the administrator stops.
pub fn edit(session: &Session) -> Result<Answer, Error> {
    let first = session.client.candidate()?;
    let file = Draft::new(&(serde_json::to_string_pretty(&first.config)? + "\n"))?;
    let mut view = first.clone();
    loop {
        run_editor(&file.0)?;
        let typed = fs::read_to_string(&file.0).map_err(|source| Error::File { path: file.0.clone(), source })?;
        let config: Config = match lb_model::migrate(&typed) {
            Ok(config) => config,
            Err(e) => match again(&format!("error: {e}\n"))? {
                true => continue,
                false => return Err(kept(&file.0, "the text is no configuration yet; the candidate is as it was")),
            },
        };
        if config == view.config && view.problems.is_empty() {
            file.remove();
            let text =
                if view.etag == first.etag { "Nothing was changed.\n".to_owned() } else { edited(&first, &view) };
            return Answer::new(text, &view);
        }
        if config != view.config {
            view = session.put(&view, config).map_err(|e| with_file(e, &file.0))?;
        }
        let wrong = problem_lines(&view.problems, Some(&view.config));
        let count = text::count(view.problems.len(), "problem");
        if view.problems.is_empty()
            || !again(&format!("The candidate keeps your text, but it has {count} and cannot be applied:\n{wrong}"))?
        {
            file.remove();
            return Answer::new(edited(&first, &view), &view);
        }
    }
}

/// A file that only its owner can read: the configuration may hold secrets.
struct Draft(PathBuf);

impl Draft {
    fn new(text: &str) -> Result<Self, Error> {
        // A draft kept from an earlier run may have the same name; it is not touched.
        let mut path = std::env::temp_dir().join(format!("lbctl-edit-{}.json", std::process::id()));
        let open = |path: &Path| fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let mut made = open(&path);
        for n in 1..100 {
            if !matches!(&made, Err(e) if e.kind() == io::ErrorKind::AlreadyExists) {
                break;
            }
            path.set_file_name(format!("lbctl-edit-{}-{n}.json", std::process::id()));
            made = open(&path);
        }
        made.and_then(|mut f| f.write_all(text.as_bytes()))
            .map_err(|source| Error::File { path: path.clone(), source })?;
        Ok(Draft(path))
    }

    /// Its content is with lbd; a file left behind would do no harm.
    fn remove(&self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn run_editor(file: &Path) -> Result<(), Error> {
    let named = ["VISUAL", "EDITOR"].iter().filter_map(|name| std::env::var(name).ok()).find(|e| !e.trim().is_empty());
    let line = named.unwrap_or_else(|| "vi".to_owned());
    let mut words = line.split_whitespace();
    let program = words.next().unwrap_or("vi");
    let status = Command::new(program).args(words).arg(file).status();
    match status.map_err(|source| Error::Editor { what: program.to_owned(), source })? {
        status if status.success() => Ok(()),
        status => Err(kept(file, &format!("the editor {program} ended with {status}; the candidate is as it was"))),
    }
}

fn kept(file: &Path, message: &str) -> Error {
    let file = file.display();
    Error::request(message, Some(format!("your text is kept in {file}; go on with lbctl config put {file}")))
}

fn with_file(mut error: Error, file: &Path) -> Error {
    let hint = format!("your text is kept in {}; compare it with lbctl config show candidate", file.display());
    match &mut error {
        Error::Refused(refusal) => refusal.error.hint = Some(hint),
        Error::Client(e) => return Error::request(e.to_string().replace("\nhint:", ";"), Some(hint)),
        _ => {}
    }
    error
}

/// Asks whether to edit again; at the end of standard input the answer is no.
fn again(reason: &str) -> Result<bool, Error> {
    let mut stderr = io::stderr();
    write!(stderr, "{reason}Edit again? [Y/n] ")?;
    stderr.flush()?;
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line)?;
    writeln!(stderr)?;
    Ok(read > 0 && !line.trim().to_lowercase().starts_with('n'))
}

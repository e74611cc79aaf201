//! `lbctl config show`: a document, or the part of it at a path.

use crate::{
    cli::Source,
    error::Error,
    path,
    session::{Answer, Session},
    suggest::closest,
};
use serde_json::Value;

impl Session {
    /// `which` may be the path, when only one of the two is given.
    pub fn show(&self, which: Option<&str>, path: Option<&str>) -> Result<Answer, Error> {
        let (source, path) = match (which, path) {
            (None, path) => (Source::Running, path),
            (Some(word), path) => match (word.parse::<Source>(), path) {
                (Ok(source), path) => (source, path),
                (Err(_), None) => (Source::Running, Some(word)),
                (Err(e), Some(_)) => {
                    let near =
                        closest(word, ["running", "candidate", "factory"]).map(|near| format!("did you mean {near}?"));
                    return Err(Error::request(format!("there is no configuration {word}"), near.or(Some(e))));
                }
            },
        };
        match path {
            None => self.document(source),
            Some(path) => {
                let part = path::get(&self.config(source)?, path)?;
                let answer = Answer::new("", &part)?;
                let text = match part {
                    Value::String(text) => text + "\n",
                    _ => answer.json.clone(),
                };
                Ok(Answer { text, ..answer })
            }
        }
    }

    /// The text is the document itself, fit for `lbctl config put`; the JSON is lbd's answer around it.
    fn document(&self, source: Source) -> Result<Answer, Error> {
        let (config, answer) = match source {
            Source::Running => {
                let running = self.client.running()?;
                let answer = Answer::new("", &running)?;
                (running.config, answer)
            }
            Source::Candidate => {
                let view = self.client.candidate()?;
                let answer = Answer::new("", &view)?;
                (view.config, answer)
            }
            Source::Revision(number) => {
                let revision = self.client.revision(number)?;
                let answer = Answer::new("", &revision)?;
                (revision.config, answer)
            }
            Source::Factory => {
                let config = self.client.factory()?;
                let answer = Answer::new("", &config)?;
                (config, answer)
            }
        };
        Ok(Answer { text: serde_json::to_string_pretty(&config)? + "\n", ..answer })
    }
}

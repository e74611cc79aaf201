//! From the text of a stored or uploaded document to today's [`Config`], in memory.
//!
//! A later version adds its step to `migrate`, from one version to the next; the disk keeps the
//! old document until someone applies.

use crate::{Config, DOCUMENT_VERSION};
use serde::Deserialize;

#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// With the path of the field: `virtual_servers[0].service.ports`.
    #[error("the configuration cannot be read at {}: {}", .0.path(), .0.inner())]
    Field(serde_path_to_error::Error<serde_json::Error>),
    #[error("the configuration is no JSON document with a version: {0}")]
    Syntax(#[from] serde_json::Error),
    #[error(
        "the configuration is of version {found}; this software knows up to {DOCUMENT_VERSION}. hint: update the software first"
    )]
    TooNew { found: u32 },
    #[error("the configuration says version 0, which never existed. hint: the first version is 1")]
    NoVersion,
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// Reads a document of any version known so far.
pub fn migrate(document: &str) -> Result<Config, MigrateError> {
    match serde_json::from_str::<Versioned>(document)?.version {
        0 => Err(MigrateError::NoVersion),
        DOCUMENT_VERSION => {
            if let Ok(config) = serde_json::from_str(document) {
                return Ok(config);
            }
            // Once more, for the path of what is wrong: keeping track of it costs as much again.
            let mut reader = serde_json::Deserializer::from_str(document);
            let config = serde_path_to_error::deserialize(&mut reader).map_err(MigrateError::Field)?;
            reader.end()?;
            Ok(config)
        }
        found => Err(MigrateError::TooNew { found }),
    }
}

//! What can go wrong: the directory cannot be used, or the disk is full.

use std::{io, path::PathBuf};

/// After an error of [`crate::Series::record`] the next call tries again; what was recorded before stays readable.
#[derive(Debug, thiserror::Error)]
pub enum SeriesError {
    #[error("{doing} {path}")]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("room for {0} objects was asked for; 1 to 65536 can be recorded")]
    Limit(usize),
}

impl SeriesError {
    pub(crate) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| SeriesError::Io { doing, path, source }
    }
}

//! Which load balancer is meant, and how it is reached: lbd's socket here, or the native API of any unit.
//!
//! Owns where a token comes from and the warnings about how it is kept. Tested by `tests/stories/remote.txt`.

use crate::{cli::Remote, error::Error};
use lb_api::{BlockingClient, Transport, Trust};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

/// The client, and what its user should be warned of.
pub fn client(socket: &Path, remote: &Remote) -> Result<(BlockingClient, Vec<String>), Error> {
    let mut warnings = Vec::new();
    let Some(url) = &remote.url else {
        return Ok((BlockingClient::new(socket), warnings));
    };
    let trust = match remote {
        Remote { insecure: true, .. } => {
            warnings.push("the server's certificate is not checked: whoever is in between can read the token and change everything".into());
            Trust::Insecure
        }
        Remote { fingerprint: Some(fingerprint), .. } => Trust::Fingerprint(*fingerprint),
        Remote { ca_file: Some(file), .. } => Trust::CaFile(file.clone()),
        _ => Trust::System,
    };
    // What is named on the command line counts more than what stands in the environment.
    let token = match &remote.token_file {
        Some(file) => Some(token_in(file, &mut warnings)?),
        None => remote.token.clone(),
    };
    Ok((BlockingClient::over(Transport::https(url, token, trust)?), warnings))
}

fn token_in(file: &Path, warnings: &mut Vec<String>) -> Result<String, Error> {
    let unreadable = |source| Error::File { path: file.to_owned(), source };
    let text = fs::read_to_string(file).map_err(unreadable)?;
    let mode = fs::metadata(file).map_err(unreadable)?.permissions().mode();
    if mode & 0o077 != 0 {
        warnings.push(format!("others can read the token in {0}; chmod 600 {0}", file.display()));
    }
    Ok(text)
}

//! Log lines on stderr, where the supervisor's logger takes them.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Level `info`, unless `RUST_LOG` says otherwise. The supervisor's logger adds the time.
pub fn init() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,sled=warn"));
    let format = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false);
    if std::io::stderr().is_terminal() { format.init() } else { format.without_time().init() }
}

//! Settings of the web interface itself.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;

/// What plain http (port 9080) does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HttpMode {
    /// The web interface, as on https.
    #[default]
    On,
    /// Sends the browser to https.
    Redirect,
    /// Nothing listens.
    Off,
}

impl HttpMode {
    pub const ALL: [HttpMode; 3] = [HttpMode::On, HttpMode::Redirect, HttpMode::Off];

    pub fn name(self) -> &'static str {
        match self {
            HttpMode::On => "on",
            HttpMode::Redirect => "redirect",
            HttpMode::Off => "off",
        }
    }
}

impl fmt::Display for HttpMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for HttpMode {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<HttpMode, Refusal> {
        HttpMode::ALL.into_iter().find(|mode| mode.name() == text).ok_or(Refusal::Setting {
            field: "http",
            reason: "This is none of the choices",
            hint: "Choose on, redirect or off.",
        })
    }
}

/// Settings of the web interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebSettings {
    pub http: HttpMode,
    /// A session ends after this long without a request: seconds, 60..=86400.
    pub session_idle: u32,
    /// A session ends after this long in any case: seconds, 300..=604800, not less than `session_idle`.
    pub session_absolute: u32,
    /// `/metrics` is answered to everybody who reaches the unit; otherwise to those with an API token.
    pub open_metrics: bool,
}

impl Default for WebSettings {
    fn default() -> WebSettings {
        WebSettings { http: HttpMode::On, session_idle: 900, session_absolute: 28_800, open_metrics: false }
    }
}

impl WebSettings {
    pub fn check(&self) -> Result<(), Refusal> {
        if !(60..=86_400).contains(&self.session_idle) {
            return Err(Refusal::Setting {
                field: "session_idle",
                reason: "The idle time-out is out of range",
                hint: "60 to 86400 seconds; 900 is a quarter of an hour.",
            });
        }
        if !(300..=604_800).contains(&self.session_absolute) {
            return Err(Refusal::Setting {
                field: "session_absolute",
                reason: "The longest session is out of range",
                hint: "300 to 604800 seconds; 28800 is eight hours.",
            });
        }
        if self.session_absolute < self.session_idle {
            return Err(Refusal::Setting {
                field: "session_absolute",
                reason: "The longest session is shorter than the idle time-out",
                hint: "Make it longer, or the idle time-out shorter.",
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_are_what_the_hints_say() {
        let field = |session_idle, session_absolute| {
            let settings = WebSettings { session_idle, session_absolute, ..WebSettings::default() };
            settings.check().map_err(|refusal| refusal.field())
        };
        assert_eq!(WebSettings::default().check(), Ok(()));
        assert_eq!(field(60, 300), Ok(()));
        assert_eq!(field(86_400, 604_800), Ok(()));
        assert_eq!(field(59, 300), Err("session_idle"));
        assert_eq!(field(86_401, 604_800), Err("session_idle"));
        assert_eq!(field(60, 299), Err("session_absolute"));
        assert_eq!(field(60, 604_801), Err("session_absolute"));
        assert_eq!(field(600, 599), Err("session_absolute"));
    }

    #[test]
    fn modes_have_one_name() {
        for mode in HttpMode::ALL {
            assert_eq!(mode.to_string().parse(), Ok(mode));
            assert_eq!(serde_json::to_value(mode).unwrap(), mode.name());
        }
    }
}

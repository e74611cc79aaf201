//! Certificates that the unit obtains by itself: named in the candidate, watched, and ordered at once.

use super::{day, minute};
use crate::{
    cli::EditOptions,
    error::Error,
    session::{Answer, Session},
};
use clap::Args;
use lb_api::{AcmeView, OrderCertificate};
use lb_model::{
    Config, Label,
    layer7::{Acme, AcmeContact, AcmeDirectory, Certificate, CertificateName},
};
use std::fmt::Write as _;

#[derive(Debug, Args)]
pub struct Obtain {
    pub label: Label,
    /// Host name; more than one is possible
    #[arg(long = "name", value_name = "NAME", required = true)]
    pub names: Vec<CertificateName>,
    #[command(flatten)]
    pub options: EditOptions,
}

#[derive(Debug, Args)]
pub struct Server {
    /// The server's terms of service are agreed to
    #[arg(long)]
    pub agree_terms: bool,
    /// E-mail address that the server may write to
    #[arg(long, value_name = "ADDRESS")]
    pub contact: Option<AcmeContact>,
    /// URL of the server's directory [default: Let's Encrypt]
    #[arg(long, value_name = "URL")]
    pub directory: Option<AcmeDirectory>,
    /// Let's Encrypt's server for tries, whose certificates nobody trusts
    #[arg(long, conflicts_with = "directory")]
    pub staging: bool,
    /// Label of the authority that signed a private server's own certificate
    #[arg(long, value_name = "LABEL")]
    pub authority: Option<Label>,
    #[command(flatten)]
    pub options: EditOptions,
}

impl Session {
    pub(super) fn obtain(&self, args: Obtain) -> Result<Answer, Error> {
        let Obtain { label, names, options } = args;
        self.edit(&options, |config| Ok(obtained(config, &label, &names)))
    }

    pub(super) fn acme_server(&self, args: Server) -> Result<Answer, Error> {
        let Server { agree_terms, contact, directory, staging, authority, options } = args;
        let staged = staging.then(|| AcmeDirectory::LETS_ENCRYPT_STAGING.parse().ok()).flatten();
        let directory = directory.or(staged).unwrap_or_default();
        let acme = Acme { directory, contact, terms_agreed: agree_terms, authority };
        self.edit(&options, |config| {
            let mut config = config.clone();
            config.layer7.acme = Some(acme.clone());
            Ok(config)
        })
    }

    pub(super) fn acme_status(&self) -> Result<Answer, Error> {
        let all = self.client.acme()?;
        Answer::new(list(&all), &all)
    }

    pub(super) fn order(&self, label: Label) -> Result<Answer, Error> {
        let done = self.client.order_certificate(&OrderCertificate { label, author: self.author.clone() })?;
        Answer::new(format!("{}\nhint: lbctl certificate acme-status says how far it is\n", done.message), &done)
    }
}

/// The configuration in which `label` is obtained for these hosts. What runs under it goes on until then.
fn obtained(config: &Config, label: &Label, names: &[CertificateName]) -> Config {
    let mut config = config.clone();
    match config.layer7.certificates.iter_mut().find(|is| is.label == *label) {
        Some(is) => is.acme = names.to_vec(),
        None => config.layer7.certificates.push(Certificate::awaited(label.clone(), names.to_vec())),
    }
    config
}

fn list(all: &[AcmeView]) -> String {
    if all.is_empty() {
        return "No certificate is obtained by the unit itself.\nhint: lbctl certificate acme LABEL --name HOST, and \
                lbctl apply\n"
            .into();
    }
    let mut text = String::new();
    for view in all {
        let _ = writeln!(text, "{}  {}  {}", view.label, view.state, view.names.join(", "));
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "  {name:<9} {value}");
        };
        match view.not_after {
            0 => line("shown", "a stand-in, signed by the unit itself".into()),
            end => line("shown", format!("valid until {}", day(end))),
        }
        if let Some(error) = &view.error {
            let times = if view.failures == 1 { "once".to_owned() } else { format!("{} times", view.failures) };
            line("failed", format!("{times}: {error}"));
        }
        match &view.waits_for {
            Some(why) => line("waits", why.clone()),
            None => line("next", if view.next == 0 { "now".into() } else { minute(view.next) }),
        }
    }
    text
}

//! `lbctl certificate`: keys with their certificates go to the unit's shelf, and get a label in the candidate.
//!
//! Two things with one word: what lies on the shelf is there at once and by its fingerprint; the label that virtual
//! servers name is part of the configuration. A key is read from a file or from standard input, never from an
//! argument, which others could see. Tested beside the code and by `tests/stories/certificates.txt`.

mod acme;

use crate::{
    cli::EditOptions,
    error::Error,
    session::{Answer, Session},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::{Args, Subcommand};
use lb_api::{
    AddCertificate, ByRequest, CertificateKind, CertificateView, OcspState, OcspView, RequestCertificate, Secret,
    SelfSigned,
};
use lb_model::{Config, Label, layer7::Certificate};
use std::{
    fmt::Write as _,
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// Bytes of a file that is sent; lbd takes less.
const LARGEST: u64 = 16 << 20;

#[derive(Debug, Subcommand)]
pub enum CertificateCommand {
    /// Show all certificates of the unit, and when they expire
    List,
    /// Show one
    Show {
        /// Label, or the beginning of the fingerprint
        #[arg(value_name = "CERTIFICATE")]
        which: String,
    },
    /// Upload a certificate with its key, and give it a label in the candidate
    ///
    /// A label that is there already gets the new certificate: that is how one is renewed. The answer to a request made
    /// here needs no key.
    Add(Add),
    /// Make a key and a certificate signed by itself
    SelfSigned(SelfSign),
    /// Make a key, which stays on the unit, and print the request (CSR) for an authority
    Csr(Request),
    /// Let the unit obtain and renew a certificate by itself (ACME), and give it a label in the candidate
    ///
    /// Hosts are proved over HTTP: their names must lead to this unit's VIP. Virtual servers may name the label at once;
    /// until the certificate is there clients see one that the unit signed itself.
    Acme(acme::Obtain),
    /// Say in the candidate whom certificates are obtained from
    AcmeServer(acme::Server),
    /// Show the certificates that the unit obtains by itself, and what went wrong
    AcmeStatus,
    /// Order a certificate now that the unit obtains by itself
    Order { label: Label },
    /// Take a label out of the candidate; or, by its fingerprint, a certificate off the unit
    Remove {
        /// Label, or the beginning of the fingerprint
        #[arg(value_name = "CERTIFICATE")]
        which: String,
        #[command(flatten)]
        options: EditOptions,
    },
}

#[derive(Debug, Args)]
pub struct Add {
    pub label: Label,
    /// PEM in any order, or PKCS#12 (.pfx, .p12); - is standard input
    pub file: PathBuf,
    /// PEM, where the key is in a file of its own
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Holds the passphrase of the PKCS#12 or of the key, in its first line
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// It is an authority's, for the certificates of clients or real servers
    #[arg(long, conflicts_with = "key")]
    pub authority: bool,
    #[command(flatten)]
    pub options: EditOptions,
}

#[derive(Debug, Args)]
pub struct SelfSign {
    pub label: Label,
    /// Host name, *.NAME, or address; more than one is possible
    #[arg(long = "name", value_name = "NAME", required = true)]
    pub names: Vec<String>,
    /// How long it is valid [default: 825]
    #[arg(long, value_name = "N")]
    pub days: Option<u32>,
    #[command(flatten)]
    pub options: EditOptions,
}

#[derive(Debug, Args)]
pub struct Request {
    /// Host name, *.NAME, or address; more than one is possible
    #[arg(long = "name", value_name = "NAME", required = true)]
    pub names: Vec<String>,
    #[arg(long, value_name = "NAME", default_value = "")]
    pub organization: String,
    /// Of the organization
    #[arg(long, value_name = "NAME", default_value = "")]
    pub unit: String,
    #[arg(long, value_name = "NAME", default_value = "")]
    pub locality: String,
    #[arg(long, value_name = "NAME", default_value = "")]
    pub state: String,
    /// Two capital letters
    #[arg(long, value_name = "CC", default_value = "")]
    pub country: String,
}

impl Session {
    pub fn certificate(&self, command: CertificateCommand) -> Result<Answer, Error> {
        match command {
            CertificateCommand::List => {
                let all = self.client.certificates()?;
                Answer::new(list(&all), &all)
            }
            CertificateCommand::Show { which } => {
                let all = self.client.certificates()?;
                let one = find(&all, &which)?;
                Answer::new(shown(one), one)
            }
            CertificateCommand::Add(args) => {
                let view = self.client.add_certificate(&self.upload(&args)?)?;
                self.label(&args.options, &args.label, &view)
            }
            CertificateCommand::SelfSigned(args) => {
                let request = SelfSigned { names: args.names, days: args.days, author: self.author.clone() };
                let view = self.client.self_signed(&request)?;
                self.label(&args.options, &args.label, &view)
            }
            CertificateCommand::Csr(args) => {
                let Request { names, organization, unit, locality, state, country } = args;
                let author = self.author.clone();
                let request = RequestCertificate { names, organization, unit, locality, state, country, author };
                let view = self.client.request_certificate(&request)?;
                Answer::new(view.request.clone().unwrap_or_default(), &view)
            }
            CertificateCommand::Acme(args) => self.obtain(args),
            CertificateCommand::AcmeServer(args) => self.acme_server(args),
            CertificateCommand::AcmeStatus => self.acme_status(),
            CertificateCommand::Order { label } => self.order(label),
            CertificateCommand::Remove { which, options } => self.remove_certificate(&options, &which),
        }
    }

    fn upload(&self, args: &Add) -> Result<AddCertificate, Error> {
        let bytes = read(&args.file)?;
        let (pem, pfx) = match String::from_utf8(bytes) {
            Ok(text) if text.contains("-----BEGIN ") => (Some(Secret::new(text)), None),
            Ok(text) => (None, Some(Secret::new(STANDARD.encode(text)))),
            Err(other) => (None, Some(Secret::new(STANDARD.encode(other.into_bytes())))),
        };
        let text = |path: &PathBuf| {
            let invalid = |_| io::Error::new(io::ErrorKind::InvalidData, "it is no text");
            let file = |source| Error::File { path: path.clone(), source };
            String::from_utf8(read(path)?).map_err(|e| file(invalid(e)))
        };
        let passphrase = match &args.passphrase_file {
            Some(path) => Some(Secret::new(text(path)?.lines().next().unwrap_or_default())),
            None => None,
        };
        let key = args.key.as_ref().map(|path| text(path).map(Secret::new)).transpose()?;
        Ok(AddCertificate { pem, pfx, key, passphrase, authority: args.authority, author: self.author.clone() })
    }

    /// What came onto the shelf gets its label.
    fn label(&self, options: &EditOptions, label: &Label, view: &CertificateView) -> Result<Answer, Error> {
        let mut answer = self.edit(options, |config| named(config, label, view))?;
        answer.text = format!("{}{}", shown(view), answer.text);
        Ok(answer)
    }

    fn remove_certificate(&self, options: &EditOptions, which: &str) -> Result<Answer, Error> {
        let candidate = self.client.candidate()?;
        if candidate.config.layer7.certificate(which).is_some() {
            return self.edit(options, |config| {
                let mut config = config.clone();
                config.layer7.certificates.retain(|certificate| certificate.label.as_str() != which);
                Ok(config)
            });
        }
        let all = self.client.certificates()?;
        let one = find(&all, which)?;
        let fingerprint = one.fingerprint.parse().map_err(|why| Error::request(format!("{why}"), None))?;
        let done = self.client.remove_certificate(&fingerprint, &ByRequest { author: self.author.clone() })?;
        Answer::new(format!("{}\n", done.message), &done)
    }
}

/// The configuration in which `label` is this certificate.
fn named(config: &Config, label: &Label, view: &CertificateView) -> Result<Config, Error> {
    let Some(certificate) = view.named(label.clone()) else {
        return Err(Error::request("a request has no certificate yet".to_owned(), None));
    };
    let mut config = config.clone();
    match config.layer7.certificates.iter_mut().find(|is| is.label == *label) {
        Some(is) => *is = Certificate { stapling: is.stapling, ..certificate },
        None => config.layer7.certificates.push(certificate),
    }
    Ok(config)
}

fn find<'a>(all: &'a [CertificateView], which: &str) -> Result<&'a CertificateView, Error> {
    let hint = || Some("lbctl certificate list shows all".to_owned());
    if let Some(one) = all.iter().find(|view| view.labels.iter().any(|label| label == which)) {
        return Ok(one);
    }
    let which = which.replace(':', "").to_lowercase();
    let mut fitting = all.iter().filter(|view| which.len() >= 8 && view.fingerprint.starts_with(&which));
    match (fitting.next(), fitting.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(Error::request(format!("several fingerprints begin with {which}"), hint())),
        (None, _) => Err(Error::request(format!("there is no certificate {which}"), hint())),
    }
}

fn list(all: &[CertificateView]) -> String {
    if all.is_empty() {
        return "There is no certificate.\nhint: lbctl certificate add LABEL FILE, or lbctl certificate self-signed\n"
            .into();
    }
    let rows: Vec<[String; 5]> = all
        .iter()
        .map(|view| {
            let labels = if view.labels.is_empty() { "-".to_owned() } else { view.labels.join(",") };
            let end = if view.kind == CertificateKind::Request { "-".to_owned() } else { day(view.not_after) };
            let use_ = if view.in_use { "in use" } else { "-" };
            [labels, view.kind.to_string(), end, view.fingerprint.chars().take(16).collect(), use_.to_owned()]
        })
        .collect();
    let head = ["LABEL", "KIND", "EXPIRES", "FINGERPRINT", "USE"].map(str::to_owned);
    let mut widths = [0; 5];
    for row in rows.iter().chain([&head]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    let mut text = String::new();
    for (row, names) in std::iter::once((&head, "NAMES".to_owned())).chain(rows.iter().zip(all.iter().map(names))) {
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(text, "{cell:width$}  ");
        }
        let _ = writeln!(text, "{names}");
    }
    text
}

fn names(view: &CertificateView) -> String {
    match view.names.as_slice() {
        [] => view.subject.clone(),
        all if all.len() > 3 => format!("{}, … ({} names)", all[..2].join(", "), all.len()),
        all => all.join(", "),
    }
}

fn shown(view: &CertificateView) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "{name:<12} {value}");
        }
    };
    line("fingerprint", &view.fingerprint);
    line("kind", &view.kind.to_string());
    line("labels", &view.labels.join(", "));
    line("subject", &view.subject);
    line("issuer", &view.issuer);
    line("names", &view.names.join(", "));
    line("key", &view.key);
    if view.kind != CertificateKind::Request {
        line("valid", &format!("{} to {}", day(view.not_before), day(view.not_after)));
    }
    line("chain", &view.chain.join("; "));
    if let Some(ocsp) = &view.ocsp {
        line("ocsp", &format!("{} ({})", stapling(ocsp), ocsp.responder));
        line("ocsp error", ocsp.error.as_deref().unwrap_or_default());
    }
    line("warning", view.warning.as_deref().unwrap_or_default());
    line("request", view.request.as_deref().map(str::trim_end).unwrap_or_default());
    text
}

fn stapling(ocsp: &OcspView) -> String {
    match ocsp.state {
        OcspState::Stapled => format!("stapled, made {}, until {}", minute(ocsp.produced), minute(ocsp.next_update)),
        OcspState::Waiting => "the responder is asked".to_owned(),
        OcspState::Failed => format!("the responder did not answer; asked again {}", minute(ocsp.next)),
        OcspState::Revoked => "revoked, says the responder".to_owned(),
        OcspState::Off => "off: no virtual server that runs shows it, or its stapling is false".to_owned(),
    }
}

/// `2026-11-21 04:00 UTC`
fn minute(unix: u64) -> String {
    let moment = i64::try_from(unix).ok().and_then(|unix| jiff::Timestamp::from_second(unix).ok());
    moment.map_or_else(|| "never".to_owned(), |moment| moment.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

/// `2026-11-21`
fn day(unix: u64) -> String {
    let moment = i64::try_from(unix).ok().and_then(|unix| jiff::Timestamp::from_second(unix).ok());
    moment.map_or_else(|| "never".to_owned(), |moment| moment.strftime("%Y-%m-%d").to_string())
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let bounded = || {
        let mut bytes = Vec::new();
        let reader: Box<dyn io::Read> = match path.as_os_str() == "-" {
            true => Box::new(io::stdin()),
            false => Box::new(fs::File::open(path)?),
        };
        let length = reader.take(LARGEST + 1).read_to_end(&mut bytes)? as u64;
        match length > LARGEST {
            true => Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is much larger than a certificate")),
            false => Ok(bytes),
        }
    };
    bounded().map_err(|source| Error::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_responder_says_is_one_line() {
        let view = |state| OcspView {
            responder: "http://ocsp.example.com/".into(),
            state,
            produced: 1_795_327_200,
            next_update: 1_795_413_600,
            next: 1_795_370_400,
            failures: 1,
            error: None,
        };
        let said = stapling(&view(OcspState::Stapled));
        assert_eq!(said, "stapled, made 2026-11-22 06:00 UTC, until 2026-11-23 06:00 UTC");
        let said = stapling(&view(OcspState::Failed));
        assert_eq!(said, "the responder did not answer; asked again 2026-11-22 18:00 UTC");
        assert_eq!(stapling(&view(OcspState::Revoked)), "revoked, says the responder");
    }
}

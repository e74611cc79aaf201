//! SSL termination in a layer 7 virtual server's form, and how real servers' certificates are verified.

use crate::forms::{
    edit::{Typed, Values},
    form::{Field, Section},
};
use lb_model::{
    Config, Label, Layer7VirtualServer,
    layer7::{CertificateName, ClientCertificates, ClientVerify, ServerVerification, Tls, TlsProfile},
};

const TERMINATION: [&str; 5] = ["tls_certificates", "tls_profile", "tls_hsts", "tls_client", "tls_client_verify"];
const VERIFICATION: [&str; 2] = ["server_authority", "server_name"];

fn profile_phrase(profile: TlsProfile) -> &'static str {
    match profile {
        TlsProfile::Modern => "modern - TLS 1.3 only",
        TlsProfile::Compatible => "compatible - TLS 1.2 and 1.3",
    }
}

fn verify_phrase(verify: ClientVerify) -> &'static str {
    match verify {
        ClientVerify::Required => "required - who has none is refused",
        ClientVerify::Optional => "optional - who has a wrong one is refused",
    }
}

pub fn values(vs: &Layer7VirtualServer, into: &mut Values) {
    let tls = vs.tls.as_ref();
    let client = tls.and_then(|tls| tls.client.as_ref());
    let labels = |all: &[Label]| all.iter().map(Label::to_string).collect::<Vec<_>>().join(", ");
    let text = |t: Option<String>| t.unwrap_or_default();
    into.extend([
        ("tls_certificates", text(tls.map(|tls| labels(&tls.certificates)))),
        ("tls_profile", tls.map(|tls| tls.profile).unwrap_or_default().to_string()),
        ("tls_hsts", text(tls.and_then(|tls| tls.hsts).map(|seconds| seconds.to_string()))),
        ("tls_client", text(client.map(|client| client.authority.to_string()))),
        ("tls_client_verify", client.map(|client| client.verify).unwrap_or_default().to_string()),
        ("server_authority", text(vs.server_verification.as_ref().map(|v| v.authority.to_string()))),
        ("server_name", text(vs.server_verification.as_ref().and_then(|v| v.name.as_ref()).map(ToString::to_string))),
    ]);
}

fn known(config: &Config, authority: bool) -> String {
    let all = config.layer7.certificates.iter().filter(|certificate| certificate.authority == authority);
    let labels: Vec<&str> = all.map(|certificate| certificate.label.as_str()).take(20).collect();
    match (labels.is_empty(), authority) {
        (true, true) => "There is no authority's certificate yet: add one under SSL Termination".to_owned(),
        (true, false) => "There is no certificate yet: add one under SSL Termination".to_owned(),
        (false, _) => format!("There is: {}", labels.join(", ")),
    }
}

pub fn sections(config: &Config, usual: &Values) -> [Section; 2] {
    let profiles = [TlsProfile::Compatible, TlsProfile::Modern].map(|p| (p.as_str(), profile_phrase(p)));
    let verify = [ClientVerify::Required, ClientVerify::Optional].map(|v| (v.as_str(), verify_phrase(v)));
    let termination = vec![
        Field::text("tls_certificates", "Certificates", "layer-seven-tls-certificates")
            .placeholder("none: no TLS")
            .hint(format!("Labels, the first for clients that name no host. {}", known(config, false))),
        Field::select("tls_profile", "Profile", "layer-seven-tls-profile", profiles),
        Field::number("tls_hsts", "HSTS", "layer-seven-hsts", 1, Tls::LONGEST_HSTS)
            .unit("seconds")
            .placeholder("off")
            .hint("Browsers come by https only for so long (http)"),
        Field::text("tls_client", "Authority of clients", "layer-seven-tls-client")
            .placeholder("none: clients are not asked")
            .hint(known(config, true)),
        Field::select("tls_client_verify", "Client certificates", "layer-seven-tls-client", verify),
    ];
    let verification = vec![
        Field::text("server_authority", "Authority of real servers", "layer-seven-server-verification")
            .placeholder("none: not verified")
            .hint(known(config, true)),
        Field::text("server_name", "Their host name", "layer-seven-server-verification")
            .hint("What their certificates must be for; empty: any name"),
    ];
    [
        Section::folding("SSL termination", termination, usual),
        Section::folding("Real servers with TLS", verification, usual),
    ]
}

fn label(text: &str) -> Result<Option<Label>, lb_model::NameError> {
    if text.is_empty() { Ok(None) } else { text.parse().map(Some) }
}

fn labels(text: &str) -> Result<Vec<Label>, lb_model::NameError> {
    text.split(|c: char| c == ',' || c.is_whitespace()).filter(|label| !label.is_empty()).map(str::parse).collect()
}

pub fn write(vs: &mut Layer7VirtualServer, typed: &mut Typed) {
    if typed.changed(&TERMINATION) {
        let certificates = typed.parsed("tls_certificates", labels).unwrap_or_default();
        let profile = typed.parsed("tls_profile", str::parse::<TlsProfile>).unwrap_or_default();
        let verify = typed.parsed("tls_client_verify", str::parse::<ClientVerify>).unwrap_or_default();
        let authority = typed.parsed("tls_client", label).flatten();
        let mut hsts = vs.tls.as_ref().and_then(|tls| tls.hsts);
        typed.put_optional_number("tls_hsts", &mut hsts);
        let client = authority.map(|authority| ClientCertificates { authority, verify });
        if certificates.is_empty() && (client.is_some() || hsts.is_some()) {
            typed.wrong("tls_certificates", "what is below needs a certificate; name its label");
        }
        vs.tls = (!certificates.is_empty()).then(|| Tls { profile, hsts, client, ..Tls::new(certificates) });
    }
    if typed.changed(&VERIFICATION) {
        let authority = typed.parsed("server_authority", label).flatten();
        let name = typed.parsed("server_name", |text| match text {
            "" => Ok(None),
            text => text.parse::<CertificateName>().map(Some),
        });
        let name = name.flatten();
        if authority.is_none() && name.is_some() {
            typed.wrong("server_authority", "a name is verified by an authority; name its label");
        }
        vs.server_verification = authority.map(|authority| ServerVerification { authority, name });
    }
}

/// `rest` is below `/tls`.
pub fn field_at(rest: &str) -> &'static str {
    match rest.split('/').nth(1) {
        Some("profile") => "tls_profile",
        Some("hsts") => "tls_hsts",
        Some("client") => "tls_client",
        _ => "tls_certificates",
    }
}

/// `rest` is below `/server_verification`.
pub fn server_field_at(rest: &str) -> &'static str {
    if rest == "/name" { "server_name" } else { "server_authority" }
}

//! Layer 7 Configuration > SSL Termination, as a browser meets it.

use crate::rig::{Browser, Page, Rig, guide};

const HERE: &str = "/lbadmin/edit/layer-7/ssl";

fn upload(browser: &mut Browser, parts: &[(&str, &str)]) -> Page {
    let mut body = String::new();
    let csrf = browser.csrf.clone();
    for (name, text) in std::iter::once(&("csrf", csrf.as_str())).chain(parts) {
        let file = if ["file", "key"].contains(name) { "; filename=\"x.pem\"" } else { "" };
        body.push_str(&format!("--edge\r\ncontent-disposition: form-data; name=\"{name}\"{file}\r\n\r\n{text}\r\n"));
    }
    body.push_str("--edge--\r\n");
    let origin = format!("http://{}", browser.address);
    let headers = [("content-type", "multipart/form-data; boundary=edge"), ("origin", origin.as_str())];
    browser.send("POST", &format!("{HERE}/upload"), &headers, Some(body.as_bytes()))
}

#[test]
fn a_certificate_is_uploaded_named_and_removed() {
    let (_rig, mut admin) = Rig::with(&guide());
    admin.get(HERE).has("There is no certificate yet");
    let made = rcgen::generate_simple_self_signed(["shop.example.com".to_owned()]).expect("made");
    let (key, chain) = (made.signing_key.serialize_pem(), made.cert.pem());
    let both = format!("{key}{chain}");
    let page = upload(&mut admin, &[("label", ""), ("file", &both)]);
    assert_eq!(page.status, 422);
    page.has("A label is needed here");
    assert!(!page.text.contains("PRIVATE KEY"), "a key is not shown again");
    let page = upload(&mut admin, &[("label", "shop"), ("file", &chain)]);
    page.has("There is no private key in it");
    let page = upload(&mut admin, &[("label", "shop"), ("file", &"x".repeat(10 << 20))]);
    page.has("10485760 bytes");
    let page = upload(&mut admin, &[("label", "shop"), ("file", &chain), ("key", &key)]);
    assert_eq!(page.header("location"), HERE, "{}", page.text);
    let list = admin.get(HERE);
    list.has("shop.example.com").has("signed by itself").has("a pending change");
    assert!(!list.text.contains("PRIVATE KEY"), "{}", list.text);
    let form = admin.get("/lbadmin/edit/layer-7/virtual-servers/new");
    form.has("There is: shop");
    let at = list.text.find("?certificate=").expect("a link") + "?certificate=".len();
    let fingerprint = list.text[at..at + 64].to_owned();
    admin.get(&format!("{HERE}/remove?certificate={fingerprint}")).has("taken out of the configuration");
    admin.post(&format!("{HERE}/remove"), &[("certificate", &fingerprint)]);
    admin.get(&format!("{HERE}/remove?certificate={fingerprint}")).has("removed from this unit at once");
    admin.post(&format!("{HERE}/remove"), &[("certificate", &fingerprint)]);
    admin.get(HERE).has("There is no certificate yet");
}

#[test]
fn certificates_are_made_and_asked_for() {
    let (_rig, mut admin) = Rig::with(&guide());
    admin.get(HERE);
    let page = admin.post(&format!("{HERE}/self-signed"), &[("label", "shop"), ("names", "a b_c!"), ("days", "90")]);
    page.has("is not a host name");
    admin.post(&format!("{HERE}/self-signed"), &[("label", "shop"), ("names", "shop.example.com"), ("days", "90")]);
    admin.get(HERE).has("shop.example.com");
    let page = admin.post(&format!("{HERE}/request"), &[("request_names", "blog.example.com"), ("country", "Germany")]);
    page.has("is no country");
    admin.post(&format!("{HERE}/request"), &[("request_names", "blog.example.com"), ("country", "DE")]);
    admin.get(HERE).has("BEGIN CERTIFICATE REQUEST").has("waits for its certificate");
}

#[test]
fn certificates_are_obtained_by_the_unit() {
    let (_rig, mut admin) = Rig::with(&guide());
    let acme = format!("{HERE}/acme");
    admin.get(&acme).has("No certificate that runs is obtained").has("acme-v02.api.letsencrypt.org");
    let wrong = [("directory", "http://ca/"), ("contact", "nobody"), ("authority", "a b")];
    let page = admin.post(&format!("{acme}/server"), &wrong);
    page.has("is not the directory of an ACME server").has("is not an e-mail address");
    let right = [("directory", "https://ca.example/dir"), ("contact", "admin@example.com"), ("terms", "on")];
    admin.post(&format!("{acme}/server"), &right);
    admin.get(&acme).has("https://ca.example/dir").has("admin@example.com");
    admin.post(&format!("{acme}/obtain"), &[("label", "shop"), ("names", " ")]).has("At least one host name is needed");
    admin.post(&format!("{acme}/obtain"), &[("label", "shop"), ("names", "shop.example.com")]);
    admin.get("/lbadmin/changes").has("Obtain certificate shop for shop.example.com");
    // Only what runs can be ordered.
    admin.post(&format!("{acme}/order"), &[("label", "shop")]);
    admin.get(&acme).has("No certificate shop is obtained here");
}

/// Its responder is nobody: what comes of that is shown, and it can be turned off.
#[test]
fn what_a_responder_says_is_shown_and_turned_off() {
    let (_rig, mut admin) = Rig::with(&guide());
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "Root");
    let root = rcgen::Issuer::new(params, key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "Authority");
    let authority = params.signed_by(&key, &root).expect("an authority").pem();
    let issuer = rcgen::Issuer::new(params, key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(vec!["shop.example.com".to_owned()]).expect("parameters");
    // AuthorityInfoAccess: OCSP, http://127.0.0.1:9/
    let mut access = b"\x30\x21\x30\x1f\x06\x08\x2b\x06\x01\x05\x05\x07\x30\x01\x86\x13".to_vec();
    access.extend(b"http://127.0.0.1:9/");
    params.custom_extensions = vec![rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], access)];
    let leaf = params.signed_by(&key, &issuer).expect("a certificate").pem();
    let file = format!("{}{leaf}{authority}", key.serialize_pem());
    admin.get(HERE);
    let page = upload(&mut admin, &[("label", "shop"), ("file", &file)]);
    assert_eq!(page.header("location"), HERE, "{}", page.text);
    let list = admin.get(HERE);
    list.has("OCSP: off").has("OCSP stapling off");
    let at = list.text.find("?certificate=").expect("a link") + "?certificate=".len();
    let fingerprint = list.text[at..at + 64].to_owned();
    let page = admin.post(&format!("{HERE}/stapling"), &[("certificate", &fingerprint), ("stapling", "off")]);
    assert_eq!(page.header("location"), HERE, "{}", page.text);
    admin.get(HERE).has("OCSP stapling off is a pending change").has("OCSP stapling on");
    let page = admin.post(&format!("{HERE}/stapling"), &[("certificate", "nothing"), ("stapling", "off")]);
    page.has("There is no such certificate");
}

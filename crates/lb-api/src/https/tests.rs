use super::*;

#[test]
fn urls() {
    let read = |s: &str| s.parse::<Url>().map(|u| (u.authority, u.host, u.port)).map_err(|e| e.to_string());
    let good = |a: &str, h: &str, p| Ok((a.to_owned(), h.to_owned(), p));
    assert_eq!(read("https://lb1:9443"), good("lb1:9443", "lb1", 9443));
    assert_eq!(read(" https://lb1/ "), good("lb1", "lb1", 443));
    assert_eq!(read("https://[2001:db8::1]:9443/lbadmin/overview"), good("[2001:db8::1]:9443", "2001:db8::1", 9443));
    for bad in
        ["", "lb1", "http://lb1", "ftp://lb1", "https://", "https://a@lb1", "https://lb1/api/v1", "https://[]:9443"]
    {
        assert!(read(bad).is_err(), "{bad}");
    }
}

#[test]
fn fingerprints() {
    let fingerprint = Fingerprint::of(b"certificate");
    let text = fingerprint.to_string();
    assert_eq!(text.len(), 95);
    for form in [text.clone(), text.to_lowercase(), text.replace(':', ""), format!("sha256:{text}")] {
        assert_eq!(form.parse(), Ok(fingerprint));
    }
    for bad in ["", "AB", &text[3..], &format!("{text}:00"), &text.replace('A', "G").replace('B', "é")] {
        assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
    }
}

#[test]
fn a_token_is_not_printed() {
    let way = Https::new("https://lb1", Some("lb_secret".into()), Trust::Insecure).expect("settings");
    assert!(!format!("{way:?}").contains("secret"));
    assert!(Https::new("https://lb1", Some("two\nlines".into()), Trust::Insecure).is_err());
}

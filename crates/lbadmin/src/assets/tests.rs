use super::*;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use tower::ServiceExt;

async fn ask(path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, Vec<u8>) {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = routes::<()>().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = answer.into_parts();
    (parts.status, parts.headers, to_bytes(body, usize::MAX).await.unwrap().to_vec())
}

#[tokio::test]
async fn a_versioned_address_may_be_kept_for_ever_and_any_other_is_asked_again() {
    let (status, headers, body) = ask(url("app.css"), &[]).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["cache-control"], "public, max-age=31536000, immutable");
    assert_eq!(headers["content-type"], "text/css; charset=utf-8");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert!(body.starts_with(b"@layer vendor{"));

    for stale in ["/lbadmin/static/app.css", "/lbadmin/static/app.css?v=0000000000000000"] {
        let (status, headers, _) = ask(stale, &[]).await;
        assert_eq!((status, &headers["cache-control"]), (StatusCode::OK, &HeaderValue::from_static("no-cache")));
    }
}

#[tokio::test]
async fn who_can_unpack_gets_it_packed_and_both_forms_have_their_own_etag() {
    let (_, plain_headers, plain) = ask("/lbadmin/static/app.css", &[("accept-encoding", "br, gzip;q=0")]).await;
    assert!(!plain_headers.contains_key("content-encoding"));
    let (_, headers, packed) = ask("/lbadmin/static/app.css", &[("accept-encoding", "br, GZIP")]).await;
    assert_eq!(headers["content-encoding"], "gzip");
    assert_ne!(headers["etag"], plain_headers["etag"]);
    let mut unpacked = Vec::new();
    std::io::copy(&mut flate2::read::GzDecoder::new(&packed[..]), &mut unpacked).unwrap();
    assert_eq!(unpacked, plain);

    let etag = headers["etag"].to_str().unwrap();
    let again = [("accept-encoding", "gzip"), ("if-none-match", etag)];
    let (status, _, body) = ask("/lbadmin/static/app.css", &again).await;
    assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0));
    let (status, _, _) = ask("/lbadmin/static/app.css", &[("if-none-match", "\"other\"")]).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn nothing_but_the_embedded_files_is_answered() {
    for path in [
        "/lbadmin/static/",
        "/lbadmin/static/../Cargo.toml",
        "/lbadmin/static/..%2fCargo.toml",
        "/lbadmin/static/%2e%2e/%2e%2e/Cargo.toml",
        "/lbadmin/static/vendor/../app.css",
        "/lbadmin/static//etc/passwd",
        "/lbadmin/static/%2fetc%2fpasswd",
        "/lbadmin/static/app.css%00",
        "/lbadmin/static/VENDORED.md",
        "/lbadmin/static/vendor",
        "/lbadmin/static/unknown",
    ] {
        assert_eq!(ask(path, &[]).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(url("../Cargo.toml"), "/lbadmin/static/unknown");
}

#[tokio::test]
async fn every_file_is_answered_with_its_own_type() {
    for (name, asset) in ASSETS.iter() {
        let (status, headers, body) = ask(&asset.url, &[]).await;
        assert_eq!((status, body.len()), (StatusCode::OK, asset.plain.len()), "{name}");
        assert_eq!(headers["content-type"], asset.content_type, "{name}");
    }
    assert!(ASSETS.len() >= 14, "{:?}", ASSETS.keys());
}

#[test]
fn vendored_files_are_those_that_were_recorded() {
    let table = String::from_utf8(Files::get("VENDORED.md").unwrap().data.into_owned()).unwrap();
    let mut vendored = Files::iter().filter(|name| name.starts_with("vendor/")).collect::<Vec<_>>();
    vendored.sort();
    for name in vendored {
        let hash: String =
            Files::get(&name).unwrap().metadata.sha256_hash().iter().map(|b| format!("{b:02x}")).collect();
        assert!(
            table.contains(&format!("| `{name}` | `{hash}` |")),
            "VENDORED.md should have: | `{name}` | `{hash}` |"
        );
    }
}

/// The policy has no `data:`, so a picture of Pico's that is still in use would be missing.
#[test]
fn no_data_uri_of_the_vendored_sheets_is_left_in_use() {
    let own = String::from_utf8(Files::get("app.css").unwrap().data.into_owned()).unwrap();
    for sheet in LAYERED {
        let text = String::from_utf8(Files::get(sheet).unwrap().data.into_owned()).unwrap();
        for (at, _) in text.match_indices("url(") {
            let before = &text[..at];
            let property = before.rsplit([';', '{']).next().unwrap().trim_end_matches(':');
            assert!(property.starts_with("--pico-icon-"), "{sheet}: {property} uses an address");
            assert!(own.contains(&format!("{property}: ")), "app.css does not replace {property}");
        }
    }
    assert!(!own.contains("data:image"), "app.css has a data: URI");
}

#[test]
fn addresses_in_our_sheet_exist() {
    let own = String::from_utf8(Files::get("app.css").unwrap().data.into_owned()).unwrap();
    for (at, _) in own.match_indices("url(\"") {
        let address = own[at + 5..].split('"').next().unwrap();
        let name = address.strip_prefix(PREFIX).unwrap_or_else(|| panic!("{address} is not ours"));
        assert!(ASSETS.contains_key(name), "{address} does not exist");
    }
}

/// `assets::url("…")` in templates and code names files that exist.
#[test]
fn names_in_templates_exist() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("templates"), root.join("src")];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.ends_with("assets/tests.rs") || path.ends_with("src/assets.rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            for (at, found) in text.match_indices("assets::url(\"") {
                let name = text[at + found.len()..].split('"').next().unwrap();
                assert!(ASSETS.contains_key(name), "{}: no asset is called {name}", path.display());
                seen += 1;
            }
        }
    }
    // Grows with the templates; a search that finds nothing would prove nothing.
    assert!(seen > 0 || !root.join("templates/base.html").exists());
}

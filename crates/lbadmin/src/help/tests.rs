use super::*;

fn page(markdown: &str) -> String {
    render(markdown, &["5-web-interface".to_owned()]).page.html
}

#[test]
fn html_in_the_text_is_text() {
    let html = page("Say <script>alert(1)</script> or\n\n<img src=x onerror=alert(1)>\n\n# <b>T</b>\n");
    assert!(!html.contains("<script") && !html.contains("<img"), "{html}");
    assert!(html.contains("&lt;script&gt;"), "{html}");
}

#[test]
fn links_lead_to_chapters_or_are_none() {
    let html = page(
        "[a](5-web-interface.md) [b](5-web-interface.md#log-in) [c](#here) [d](README.md)\n\n\
         [e](javascript:alert(1)) [f](../api.md) [g](https://example.com/) [*h*](//evil.example/) [i](5-web-interface.md#\"x)",
    );
    for address in ["/lbadmin/help/5-web-interface", "/lbadmin/help/5-web-interface#log-in", "#here", "/lbadmin/help/"]
    {
        assert!(html.contains(&format!("href=\"{address}\"")), "{address}: {html}");
    }
    assert_eq!(html.matches("href=").count(), 4, "{html}");
    assert!(html.contains("e f g h"), "the words of a link stay: {html}");
}

#[test]
fn headings_have_anchors_and_the_title_is_not_repeated() {
    let made = render("# Words\n\n## In and out\n\n## In and out\n\n### Weight {#real-server-weight}\n", &[]);
    assert_eq!(made.page.title, "Words");
    let html = &made.page.html;
    assert!(!html.contains("<h1"), "{html}");
    for id in ["in-and-out", "in-and-out-2", "real-server-weight"] {
        assert!(html.contains(&format!("id=\"{id}\"")), "{id}: {html}");
    }
    assert_eq!(made.named, BTreeSet::from(["real-server-weight".to_owned()]));
}

#[test]
fn tables_need_no_inline_style() {
    let html = page("## Size\n\n| a | b |\n|:--|--:|\n| 1 | 2 |\n");
    assert!(!html.contains("style="), "{html}");
    assert!(html.contains("aria-label=\"Table 1: Size\""), "{html}");
}

#[test]
fn code_is_reached_by_the_keyboard_and_stays_text() {
    let html = page("So:\n\n    a <b> & \"c\"\n\n```sh\nls\n```\n");
    assert!(html.contains("<pre tabindex=\"0\"><code>a &lt;b&gt; &amp; "), "{html}");
    assert!(html.contains("<pre tabindex=\"0\"><code>ls\n</code></pre>"), "{html}");
}

#[test]
fn the_guide_has_no_dead_link() {
    let all = BOOK.chapters.iter().map(|(name, chapter)| (name.as_str(), chapter)).chain([("README", &BOOK.index)]);
    for (name, chapter) in all {
        assert_eq!(chapter.broken, Vec::<String>::new(), "{name}");
        assert!(!chapter.page.html.contains("style="), "{name}");
        let ids: Vec<&str> =
            chapter.page.html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(ids.len(), ids.iter().collect::<BTreeSet<_>>().len(), "{name}: an id stands twice");
        for (at, found) in chapter.page.html.match_indices("href=\"") {
            let address = chapter.page.html[at + found.len()..].split('"').next().unwrap();
            let (path, anchor) = address.split_once('#').map_or((address, None), |(path, anchor)| (path, Some(anchor)));
            let Some(anchor) = anchor else { continue };
            let target = path.strip_prefix(ROOT).filter(|target| !target.is_empty()).unwrap_or(name);
            let known = BOOK.chapters.iter().find(|(known, _)| known == target).map(|(_, chapter)| chapter);
            assert!(known.is_some_and(|known| known.anchors.contains(anchor)), "{name}: {address} leads nowhere");
        }
    }
}

#[test]
fn every_chapter_is_in_the_contents() {
    for (name, title) in chapters() {
        assert!(index().html.contains(&format!("href=\"{ROOT}{name}\"")), "README.md does not name {name}");
        assert_ne!(title, "Help", "{name} has no title");
        assert!(chapter(name).is_some());
    }
    assert!(chapters().count() >= 9);
    assert!(chapter("../README").is_none() && chapter("README").is_none() && chapter("").is_none());
}

/// One name means one place in the whole guide.
#[test]
fn a_named_anchor_stands_once() {
    let mut seen = BTreeMap::new();
    for (name, chapter) in &BOOK.chapters {
        for anchor in &chapter.named {
            assert_eq!(anchor, &slug(anchor), "{name}: an anchor is small letters, digits and -");
            if let Some(before) = seen.insert(anchor, name) {
                panic!("{anchor} stands in {before} and in {name}");
            }
        }
    }
}

/// The `?` beside every field leads to a place in the guide.
#[test]
fn every_field_of_every_form_is_explained() {
    let unexplained: Vec<&str> = crate::forms::help_anchors().into_iter().filter(|a| field(a).is_none()).collect();
    assert_eq!(unexplained, Vec::<&str>::new());
}

//! The administrator's guide as pages: the same files that ship in `/usr/share/steelyard/guide`.
//!
//! Gives titles and safe HTML; it knows nothing of sessions or layout. [`index`] is `/lbadmin/help/`, [`chapter`] is
//! `/lbadmin/help/CHAPTER` (the file's name without `.md`), [`field`] is where `/lbadmin/help/field/ANCHOR` leads: the
//! `?` beside a field names an anchor, and stays right when chapters move.
//!
//! Every heading has an anchor: `{#name}` behind it, or its own words. HTML in the markdown is text here, no attribute
//! needs an inline style, and a link leads to another chapter or it is none.
//! Tested: all links and all anchors of the forms lead somewhere; anchors are unique in the whole guide where they are named.

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};
use rust_embed::RustEmbed;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

const ROOT: &str = "/lbadmin/help/";

#[derive(RustEmbed)]
#[folder = "../../docs/guide"]
struct Guide;

/// A page's heading, as text, and what is under it, as HTML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub title: String,
    pub html: String,
}

#[derive(Debug)]
struct Chapter {
    page: Page,
    /// Of all headings.
    anchors: BTreeSet<String>,
    /// Those that the text names itself by `{#name}`.
    named: BTreeSet<String>,
    /// Addresses that lead nowhere, as written. Empty but for mistakes.
    broken: Vec<String>,
}

struct Book {
    index: Chapter,
    /// In the guide's order.
    chapters: Vec<(String, Chapter)>,
    /// Named anchor -> chapter.
    fields: BTreeMap<String, String>,
}

static BOOK: LazyLock<Book> = LazyLock::new(|| {
    let mut names: Vec<String> = Guide::iter().filter_map(|file| Some(file.strip_suffix(".md")?.to_owned())).collect();
    names.retain(|name| name != "README");
    names.sort_by_key(|name| (number(name), name.clone()));
    let text = |name: &str| {
        let bytes = Guide::get(&format!("{name}.md")).map(|file| file.data.into_owned()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let mut chapters: Vec<(String, Chapter)> =
        names.iter().map(|name| (name.clone(), render(&text(name), &names))).collect();
    let titles: Vec<String> = chapters.iter().map(|(_, chapter)| chapter.page.title.clone()).collect();
    for (at, (_, chapter)) in chapters.iter_mut().enumerate() {
        chapter.page.html.push_str(&neighbours(at, &names, &titles));
    }
    let mut fields = BTreeMap::new();
    for (name, chapter) in &chapters {
        for anchor in &chapter.named {
            fields.entry(anchor.clone()).or_insert_with(|| name.clone());
        }
    }
    Book { index: render(&text("README"), &names), chapters, fields }
});

/// The table of contents.
pub fn index() -> &'static Page {
    &BOOK.index.page
}

/// `5-web-interface`.
pub fn chapter(name: &str) -> Option<&'static Page> {
    BOOK.chapters.iter().find(|(known, _)| known == name).map(|(_, chapter)| &chapter.page)
}

/// Names and titles, in order.
pub fn chapters() -> impl Iterator<Item = (&'static str, &'static str)> {
    BOOK.chapters.iter().map(|(name, chapter)| (name.as_str(), chapter.page.title.as_str()))
}

/// Where a field is explained: the address to redirect to.
pub fn field(anchor: &str) -> Option<String> {
    let chapter = BOOK.fields.get(anchor)?;
    Some(format!("{ROOT}{chapter}#{anchor}"))
}

/// What [`field`] knows.
pub fn anchors() -> impl Iterator<Item = &'static str> {
    BOOK.fields.keys().map(String::as_str)
}

fn number(name: &str) -> u32 {
    name.split('-').next().and_then(|digits| digits.parse().ok()).unwrap_or(u32::MAX)
}

fn neighbours(at: usize, names: &[String], titles: &[String]) -> String {
    let mut links = Vec::new();
    let link = |at: usize, words: &str, rel: &str| {
        format!("<li><a rel=\"{rel}\" href=\"{ROOT}{}\">{words}: {}</a></li>", names[at], escaped(&titles[at]))
    };
    if at > 0 {
        links.push(link(at - 1, "Previous", "prev"));
    }
    links.push(format!("<li><a href=\"{ROOT}\">Contents</a></li>"));
    if at + 1 < names.len() {
        links.push(link(at + 1, "Next", "next"));
    }
    format!("<nav class=\"pages\" aria-label=\"Chapters\"><ul>{}</ul></nav>\n", links.join(""))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// One file as a page. `names`: the chapters that a link may lead to.
fn render(markdown: &str, names: &[String]) -> Chapter {
    let options = Options::ENABLE_TABLES | Options::ENABLE_HEADING_ATTRIBUTES | Options::ENABLE_STRIKETHROUGH;
    let events: Vec<Event> = Parser::new_ext(markdown, options).collect();
    let mut chapter = Chapter {
        page: Page { title: "Help".to_owned(), html: String::new() },
        anchors: BTreeSet::new(),
        named: BTreeSet::new(),
        broken: Vec::new(),
    };
    let mut contents: Vec<(String, String)> = Vec::new();
    let mut out: Vec<Event> = Vec::with_capacity(events.len());
    let mut section = String::new();
    // A region of a page needs a name of its own.
    let mut tables = 0;
    let mut at = 0;
    while at < events.len() {
        match &events[at] {
            Event::Start(Tag::Heading { level, id, .. }) => {
                let end = at
                    + events[at..].iter().take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_)))).count();
                let words = text_of(&events[at..end]);
                section.clone_from(&words);
                if *level == pulldown_cmark::HeadingLevel::H1 {
                    chapter.page.title = words;
                    at = end + 1;
                    continue;
                }
                let anchor = match id {
                    Some(id) => {
                        chapter.named.insert(id.to_string());
                        id.to_string()
                    }
                    None => free(slug(&words), &chapter.anchors),
                };
                chapter.anchors.insert(anchor.clone());
                if *level == pulldown_cmark::HeadingLevel::H2 {
                    contents.push((anchor.clone(), words));
                }
                let id = Some(CowStr::from(anchor));
                out.push(Event::Start(Tag::Heading { level: *level, id, classes: vec![], attrs: vec![] }));
            }
            // Alignment would be an inline style.
            Event::Start(Tag::Table(_)) => {
                tables += 1;
                let region = format!(
                    "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table {tables}: {}\">",
                    escaped(if section.is_empty() { &chapter.page.title } else { &section })
                );
                out.push(Event::Html(CowStr::from(region)));
                out.push(Event::Start(Tag::Table(vec![])));
            }
            Event::End(TagEnd::Table) => {
                out.push(Event::End(TagEnd::Table));
                out.push(Event::Html(CowStr::from("</div>\n")));
            }
            Event::Start(Tag::Link { link_type, dest_url, .. }) => match destination(dest_url, names) {
                Some(address) => out.push(Event::Start(Tag::Link {
                    link_type: *link_type,
                    dest_url: CowStr::from(address),
                    title: CowStr::from(""),
                    id: CowStr::from(""),
                })),
                None => {
                    // The words stay, the link goes.
                    chapter.broken.push(dest_url.to_string());
                    let end =
                        events[at..].iter().take_while(|event| !matches!(event, Event::End(TagEnd::Link))).count();
                    out.push(Event::Text(CowStr::from(text_of(&events[at..at + end]))));
                    at += end;
                }
            },
            // On a phone it scrolls sideways, which the keyboard can do where it has the focus.
            Event::Start(Tag::CodeBlock(_)) => out.push(Event::Html(CowStr::from("<pre tabindex=\"0\"><code>"))),
            Event::End(TagEnd::CodeBlock) => out.push(Event::Html(CowStr::from("</code></pre>\n"))),
            Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => {}
            Event::Html(text) | Event::InlineHtml(text) => out.push(Event::Text(text.clone())),
            other => out.push(other.clone()),
        }
        at += 1;
    }
    let mut html = String::new();
    if contents.len() > 3 {
        html.push_str("<nav class=\"contents\" aria-label=\"On this page\"><ul>");
        for (anchor, words) in &contents {
            html.push_str(&format!("<li><a href=\"#{anchor}\">{}</a></li>", escaped(words)));
        }
        html.push_str("</ul></nav>\n");
    }
    html::push_html(&mut html, out.into_iter());
    chapter.page.html = html;
    chapter
}

fn text_of(events: &[Event]) -> String {
    let mut text = String::new();
    for event in events {
        match event {
            Event::Text(words) | Event::Code(words) | Event::Html(words) | Event::InlineHtml(words) => {
                text.push_str(words)
            }
            Event::SoftBreak | Event::HardBreak => text.push(' '),
            _ => {}
        }
    }
    text
}

/// `Servers in and out` -> `servers-in-and-out`.
fn slug(words: &str) -> String {
    let mut slug = String::new();
    for letter in words.to_lowercase().chars() {
        match letter {
            letter if letter.is_ascii_alphanumeric() => slug.push(letter),
            ' ' | '-' | '_' if !slug.ends_with('-') => slug.push('-'),
            _ => {}
        }
    }
    slug.trim_matches('-').to_owned()
}

fn free(wanted: String, taken: &BTreeSet<String>) -> String {
    let wanted = if wanted.is_empty() { "section".to_owned() } else { wanted };
    let mut candidates = (2..).map(|n| format!("{wanted}-{n}"));
    if taken.contains(&wanted) {
        candidates.find(|candidate| !taken.contains(candidate)).unwrap_or(wanted)
    } else {
        wanted
    }
}

/// The address of a link as written in a chapter; `None` if it does not lead to the guide.
fn destination(written: &str, names: &[String]) -> Option<String> {
    let (file, anchor) = written.split_once('#').map_or((written, None), |(file, anchor)| (file, Some(anchor)));
    if anchor.is_some_and(|anchor| slug(anchor) != anchor) {
        return None;
    }
    let page = match file {
        "" if anchor.is_some() => String::new(),
        "README.md" => ROOT.to_owned(),
        file => {
            let name = file.strip_suffix(".md")?;
            names.iter().find(|known| known.as_str() == name).map(|name| format!("{ROOT}{name}"))?
        }
    };
    Some(match anchor {
        Some(anchor) => format!("{page}#{anchor}"),
        None => page,
    })
}

#[cfg(test)]
mod tests;

//! What a browser sends for a form of a page: enough HTML for the pages of this interface.

/// The address of the first form whose tag has `mark` in it, and its fields as they stand, without buttons.
pub fn filled(page: &str, mark: &str) -> (String, Vec<(String, String)>) {
    let place = page.match_indices("<form").find(|(at, _)| tag(&page[*at..]).contains(mark));
    let at = place.unwrap_or_else(|| panic!("no form with {mark:?} in:\n{page}")).0;
    let form = &page[at..];
    let form = &form[..form.find("</form>").expect("the form ends")];
    let mut fields = Vec::new();
    let mut rest = form;
    while let Some(at) = rest.find('<') {
        rest = &rest[at..];
        let start = tag(rest);
        let after = &rest[start.len()..];
        let name = attribute(start, "name");
        match (start.split([' ', '>']).next().unwrap_or_default(), name) {
            ("<input", Some(name)) => {
                let kind = attribute(start, "type").unwrap_or_default();
                if !["checkbox", "radio"].contains(&kind.as_str()) || start.contains(" checked") {
                    fields.push((name, attribute(start, "value").unwrap_or_default()));
                }
            }
            ("<textarea", Some(name)) => {
                let text = &after[..after.find("</textarea>").expect("it ends")];
                fields.push((name, unescaped(text.strip_prefix('\n').unwrap_or(text))));
            }
            ("<select", Some(name)) => {
                let options = &after[..after.find("</select>").expect("it ends")];
                let options: Vec<&str> = options.split("<option").skip(1).collect();
                let chosen = options.iter().find(|o| tag(o).contains(" selected")).or(options.first());
                fields.push((name, chosen.and_then(|o| attribute(tag(o), "value")).unwrap_or_default()));
            }
            _ => {}
        }
        rest = after;
    }
    (attribute(tag(form), "action").unwrap_or_default(), fields)
}

fn tag(text: &str) -> &str {
    &text[..=text.find('>').expect("a tag ends")]
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let at = tag.find(&format!(" {name}=\""))? + name.len() + 3;
    Some(unescaped(&tag[at..at + tag[at..].find('"')?]))
}

pub fn unescaped(text: &str) -> String {
    let pairs = [("&#38;", "&"), ("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    pairs.into_iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

//! Long lists in pages: `limit` and `offset`, the total, and the links of RFC 8288 to the pages around.

use axum::http::{HeaderValue, header};
use serde::Deserialize;
use utoipa::IntoParams;

const DEFAULT: usize = 100;

/// Which part of a list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Part {
    /// Entries on a page
    #[param(minimum = 1, maximum = 1000, default = 100)]
    pub limit: Option<usize>,
    /// Entries before the page
    #[param(minimum = 0, default = 0)]
    pub offset: Option<usize>,
    /// Only entries that contain this, upper and lower case alike
    #[param(max_length = 100)]
    pub q: Option<String>,
}

impl Part {
    /// The entries of the page, how many there are in all, and the header `Link`.
    pub fn of<'a, T>(
        &self,
        path: &str,
        all: impl Iterator<Item = &'a T>,
        matches: impl Fn(&T, &str) -> bool,
    ) -> (Vec<&'a T>, usize, [(header::HeaderName, HeaderValue); 1]) {
        let wanted = self.q.as_deref().unwrap_or_default().trim().to_lowercase();
        let all: Vec<&T> = all.filter(|entry| wanted.is_empty() || matches(entry, &wanted)).collect();
        let total = all.len();
        let (limit, offset) = (self.limit.unwrap_or(DEFAULT).clamp(1, 1000), self.offset.unwrap_or(0));
        let page = all.into_iter().skip(offset).take(limit).collect();
        (page, total, [(header::LINK, self.links(path, total, limit, offset))])
    }

    fn links(&self, path: &str, total: usize, limit: usize, offset: usize) -> HeaderValue {
        let last = total.saturating_sub(1) / limit * limit;
        let mut links = vec![("first", 0)];
        if offset > 0 {
            links.push(("prev", offset.saturating_sub(limit).min(last)));
        }
        if offset.saturating_add(limit) < total {
            links.push(("next", offset + limit));
        }
        links.push(("last", last));
        let link = |(relation, offset): (&str, usize)| {
            let mut query = vec![("limit", limit.to_string()), ("offset", offset.to_string())];
            query.extend(self.q.clone().map(|q| ("q", q)));
            format!("<{path}?{}>; rel=\"{relation}\"", serde_urlencoded::to_string(query).unwrap_or_default())
        };
        let text = links.into_iter().map(link).collect::<Vec<_>>().join(", ");
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_link_to_their_neighbours() {
        let all: Vec<u32> = (0..25).collect();
        let links = |limit, offset| {
            let part = Part { limit, offset, q: None };
            let (page, total, [(_, links)]) = part.of("/x", all.iter(), |_, _| true);
            assert_eq!(total, 25);
            (page.len(), links.to_str().expect("a header").replace("</x?limit=10&offset=", "<"))
        };
        assert_eq!(links(Some(10), None), (10, r#"<0>; rel="first", <10>; rel="next", <20>; rel="last""#.into()));
        assert_eq!(links(Some(10), Some(20)), (5, r#"<0>; rel="first", <10>; rel="prev", <20>; rel="last""#.into()));
        assert_eq!(links(Some(10), Some(99)), (0, r#"<0>; rel="first", <20>; rel="prev", <20>; rel="last""#.into()));
    }

    #[test]
    fn a_search_stays_in_the_links() {
        let part = Part { limit: Some(1), offset: None, q: Some("a&b".into()) };
        let (page, total, [(_, links)]) =
            part.of("/x", ["A&B", "c", "xa&b"].iter(), |e, q| e.to_lowercase().contains(q));
        assert_eq!((page, total), (vec![&"A&B"], 2));
        assert!(links.to_str().expect("a header").contains("q=a%26b"));
    }
}

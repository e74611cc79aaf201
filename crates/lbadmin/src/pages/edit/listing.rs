//! Part of a long list: a search and a page.

use serde::Deserialize;

/// Entries on a page.
const PER_PAGE: usize = 100;
/// Longer searches are cut: nothing has a name as long.
const LONGEST: usize = 100;

/// What of a list was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Wanted {
    /// Upper and lower case alike.
    #[serde(default)]
    pub q: String,
    /// From 0.
    #[serde(default)]
    pub page: usize,
}

/// A page of a list, for `templates/search.html` and `templates/pages.html`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    pub q: String,
    pub page: usize,
    pub pages: usize,
    pub matching: usize,
    pub all: usize,
}

impl Wanted {
    pub fn of(query: &str) -> Wanted {
        serde_urlencoded::from_str(query).unwrap_or_default()
    }

    /// The entries of the page with their places in the whole list. `texts` are what of an entry is searched.
    pub fn select<'a, T>(&self, list: &'a [T], has: impl Fn(&T, &str) -> bool) -> (Vec<(usize, &'a T)>, Listing) {
        let q: String = self.q.trim().chars().take(LONGEST).collect();
        let wanted = q.to_lowercase();
        let found: Vec<(usize, &T)> =
            list.iter().enumerate().filter(|(_, entry)| wanted.is_empty() || has(entry, &wanted)).collect();
        let matching = found.len();
        let pages = matching.div_ceil(PER_PAGE).max(1);
        let page = self.page.min(pages - 1);
        let part = found.into_iter().skip(page * PER_PAGE).take(PER_PAGE).collect();
        (part, Listing { q, page, pages, matching, all: list.len() })
    }
}

impl Listing {
    /// The query of another page of the same search.
    pub fn query(&self, page: usize) -> String {
        serde_urlencoded::to_string([("q", self.q.as_str()), ("page", &page.to_string())]).unwrap_or_default()
    }

    /// Of this one.
    pub fn here(&self) -> String {
        self.query(self.page)
    }
}

/// `wanted` is in lower case already.
pub fn within(text: &str, wanted: &str) -> bool {
    text.to_lowercase().contains(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_is_not_there_is_the_last_one() {
        let list: Vec<usize> = (0..250).collect();
        let (part, listing) = Wanted { q: String::new(), page: 9 }.select(&list, |_, _| false);
        assert_eq!((part.len(), part[0], listing.page, listing.pages), (50, (200, &200), 2, 3));
        let (part, listing) = Wanted::of("q=24&page=0").select(&list, |n, q| n.to_string().contains(q));
        assert_eq!(
            part.iter().map(|(_, n)| **n).collect::<Vec<_>>(),
            [24, 124, 224, 240, 241, 242, 243, 244, 245, 246, 247, 248, 249]
        );
        assert_eq!((listing.matching, listing.all, listing.here().as_str()), (13, 250, "q=24&page=0"));
        let (none, listing) = Wanted::of("q=x%26y").select(&list, |_, _| false);
        assert!(none.is_empty() && listing.pages == 1);
        assert_eq!(listing.query(1), "q=x%26y&page=1");
    }
}

//! Part of a long list: a search and a page.

use crate::pages::list::{Paging, query};
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

/// What was searched, for `templates/search.html`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    pub q: String,
    pub matching: usize,
    pub all: usize,
}

impl Wanted {
    pub fn of(query: &str) -> Wanted {
        serde_urlencoded::from_str(query).unwrap_or_default()
    }

    /// The query of this page, for links.
    pub fn query(&self) -> String {
        query(&[("q", &self.sought())], self.page)
    }

    fn sought(&self) -> String {
        self.q.trim().chars().take(LONGEST).collect()
    }

    /// The entries of the page with their places in the whole list; `has` looks for a text in lower case.
    pub fn select<'a, T>(
        &self,
        list: &'a [T],
        has: impl Fn(&T, &str) -> bool,
    ) -> (Vec<(usize, &'a T)>, Listing, Paging) {
        let q = self.sought();
        let wanted = q.to_lowercase();
        let found: Vec<(usize, &T)> =
            list.iter().enumerate().filter(|(_, entry)| wanted.is_empty() || has(entry, &wanted)).collect();
        let matching = found.len();
        let paging = Paging::new(self.page, PER_PAGE, matching, "virtual servers", |page| query(&[("q", &q)], page));
        let part = found.into_iter().skip(paging.page * PER_PAGE).take(PER_PAGE).collect();
        (part, Listing { q, matching, all: list.len() }, paging)
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
        let (part, _, paging) = Wanted { q: String::new(), page: 9 }.select(&list, |_, _| false);
        assert_eq!((part.len(), part[0], paging.page, paging.pages), (50, (200, &200), 2, 3));
        let wanted = Wanted::of("q=+24&page=0");
        let (part, listing, _) = wanted.select(&list, |n, q| n.to_string().contains(q));
        let found: Vec<usize> = part.iter().map(|(_, n)| **n).collect();
        assert_eq!(found, [24, 124, 224, 240, 241, 242, 243, 244, 245, 246, 247, 248, 249]);
        assert_eq!((listing.q.as_str(), listing.matching, listing.all), ("24", 13, 250));
        let (none, listing, _) = Wanted::of("q=x%26y").select(&list, |_, _| false);
        assert!(none.is_empty() && listing.matching == 0);
        assert_eq!(Wanted { q: "x&y".into(), page: 1 }.query(), "q=x%26y&page=1");
    }
}

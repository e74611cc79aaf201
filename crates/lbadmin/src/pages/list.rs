//! What lists have in common: pages, and numbers as people read them. Pure.

/// Where in a long list a page is. Templates include `paging.html`, which calls it `paging`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paging {
    /// From 0; never beyond the last.
    pub page: usize,
    pub pages: usize,
    pub total: usize,
    /// `connections`
    pub what: &'static str,
    /// Queries of the neighbours.
    pub previous: Option<String>,
    pub next: Option<String>,
}

impl Paging {
    /// `query` gives a page's link; a page that does not exist becomes the last one.
    pub fn new(
        page: usize,
        per_page: usize,
        total: usize,
        what: &'static str,
        query: impl Fn(usize) -> String,
    ) -> Self {
        let pages = total.div_ceil(per_page).max(1);
        let page = page.min(pages - 1);
        let previous = page.checked_sub(1).map(&query);
        let next = (page + 1 < pages).then(|| query(page + 1));
        Paging { page, pages, total, what, previous, next }
    }

    pub fn total_words(&self) -> String {
        thousands(self.total as u64)
    }
}

/// A query of the parts that are set, with the page where it is not the first.
pub fn query(parts: &[(&str, &str)], page: usize) -> String {
    let page = page.to_string();
    let all = parts.iter().copied().chain([("page", page.as_str())]);
    let set: Vec<(&str, &str)> =
        all.filter(|(name, value)| !value.is_empty() && (*name, *value) != ("page", "0")).collect();
    serde_urlencoded::to_string(set).unwrap_or_default()
}

/// `1 234 567`
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push('\u{a0}');
        }
        text.push(digit);
    }
    text
}

/// A rate or an average: one decimal below 10 unless it is whole.
pub fn number(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        v if v < 9.95 && (v < 0.95 || (v - v.round()).abs() >= 0.05) => format!("{v:.1}"),
        v => thousands(v.round() as u64),
    }
}

/// `1.4 MB/s`
pub fn byte_rate(value: f64) -> String {
    format!("{}/s", super::overview::bytes(value.round() as u64))
}

/// `3 days 4 h`, `4 h 12 min`, `12 min`, `30 s`
pub fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, m) => format!("{m} min"),
        (0, h, m) => format!("{h} h {m} min"),
        (1, h, _) => format!("1 day {h} h"),
        (d, h, _) => format!("{d} days {h} h"),
    }
}

/// The lines of page `page` of a long text.
pub fn lines(text: &str, page: usize, per_page: usize) -> (String, usize) {
    let total = text.lines().count();
    let part: Vec<&str> = text.lines().skip(page * per_page).take(per_page).collect();
    (part.join("\n"), total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_neighbours_and_an_end() {
        let paging = |page, total| Paging::new(page, 100, total, "rows", |p| format!("page={p}"));
        assert_eq!((paging(0, 0).pages, paging(0, 0).next), (1, None));
        assert_eq!((paging(0, 100).pages, paging(0, 101).pages), (1, 2));
        let middle = paging(1, 250);
        assert_eq!((middle.previous.as_deref(), middle.next.as_deref()), (Some("page=0"), Some("page=2")));
        assert_eq!(paging(usize::MAX, 250).page, 2);
    }

    #[test]
    fn queries_hold_what_is_set() {
        assert_eq!(query(&[("q", "a b&c"), ("state", "")], 0), "q=a+b%26c");
        assert_eq!(query(&[("q", "")], 3), "page=3");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(thousands(1_234_567), "1\u{a0}234\u{a0}567");
        assert_eq!(
            [0.0, 0.04, 0.96, 5.0, 9.94, 9.96, 1500.4].map(number),
            ["0", "0.0", "1", "5", "9.9", "10", "1\u{a0}500"]
        );
        assert_eq!(
            [5, 65, 7260, 90000, 180_000].map(duration),
            ["5 s", "1 min", "2 h 1 min", "1 day 1 h", "2 days 2 h"]
        );
        assert_eq!(byte_rate(1_449_000.4), "1.4 MB/s");
        assert_eq!(lines("a\nb\nc\n", 1, 2), ("c".to_owned(), 3));
    }
}

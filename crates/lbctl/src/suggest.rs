//! "Did you mean …?": the known name that is nearest to a mistyped one.

/// The nearest of `known`, when it is near enough to have been meant.
pub fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).max(2);
    known
        .into_iter()
        .map(|k| (distance(&name.to_lowercase(), &k.to_lowercase()), k))
        .filter(|(d, k)| (*d <= limit && *d < k.chars().count()) || without_its_unit(name, k))
        .min_by_key(|(d, _)| *d)
        .map(|(_, k)| k)
}

/// `deadtime` for `deadtime_ms`.
fn without_its_unit(name: &str, known: &str) -> bool {
    known.strip_prefix(name).is_some_and(|rest| rest == "_ms")
}

/// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let differs = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + differs);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let known = ["interval", "timeout", "rise"];
        assert_eq!(closest("intervall", known), Some("interval"));
        assert_eq!(closest("TIMEOUT", known), Some("timeout"));
        assert_eq!(closest("tmieout", known), Some("timeout"));
        assert_eq!(closest("colour", known), None);
        assert_eq!(closest("x", ["ab"]), None);
        assert_eq!(closest("lease", ["lease_ms", "preferred"]), Some("lease_ms"));
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("", "abc"), 3);
    }
}

//! The values of content rules' tests as HAProxy keeps them: lists that the runtime API can fill anew in one step
//! (`prepare acl`, `add acl`, `commit acl`: Management Guide 9.3).
//!
//! Lists are known by numbers (`-u`: Configuration Manual 7.1.1). A test has two numbers, for the two lines that its
//! values may take in the text. While HAProxy runs all of them may be in the first list: what counts is what both hold.

use lb_model::Label;
use std::collections::BTreeMap;

/// The first number: whoever numbers lists in a manual block is not likely to come near it.
pub(crate) const FIRST: u32 = 1_000_000;

/// Values on a line, which takes 64 words (`MAX_LINE_ARGS`), of which a test needs at most nine for itself.
const ON_A_LINE: usize = 50;

/// The values that a rule's test compares with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    pub virtual_server: Label,
    /// Its place among the virtual server's rules, from 0.
    pub rule: usize,
    pub values: Vec<String>,
}

/// By the number of their first list.
pub(crate) type Lists = BTreeMap<u32, List>;

/// Gives the next number.
pub(super) fn add(lists: &mut Lists, list: List) -> u32 {
    let number = lists.last_key_value().map_or(FIRST, |(last, _)| last + 2);
    lists.insert(number, list);
    number
}

/// The number of a test's second list.
pub(crate) fn second(number: u32) -> u32 {
    number + 1
}

/// What stands on a test's two lines.
pub(super) fn parts<T>(values: &[T]) -> (&[T], &[T]) {
    values.split_at(values.len().min(ON_A_LINE))
}

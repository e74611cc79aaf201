//! The lines of a saved file, as `-R` reads them: words between blanks; the word `ipvsadm` is skipped
//! wherever it stands, so that a script of commands can be fed too. Pure.

/// The arguments on a line, appended to `words`.
pub fn words<'a>(line: &'a str, words: &mut Vec<&'a str>) {
    words.extend(line.split([' ', '\t', '\r']).filter(|word| !word.is_empty() && *word != "ipvsadm"));
}

#[cfg(test)]
mod tests {
    #[test]
    fn blanks_separate_and_the_programs_name_is_skipped() {
        let mut words = Vec::new();
        super::words(" ipvsadm -A\t-t 10.1.0.1:80  -s rr\r", &mut words);
        assert_eq!(words, ["-A", "-t", "10.1.0.1:80", "-s", "rr"]);
    }
}

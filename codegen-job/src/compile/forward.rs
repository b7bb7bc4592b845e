//! Public imports: what an import brings along. prost-reflect 0.16 follows them for one file only, so a file that needs
//! what comes through two gets an import of it.

use super::scan::public_imports;
use std::collections::BTreeSet;

/// The names that a file with the imports `direct` may use only because public imports lead on to them from file to
/// file. `read` gives the text of an imported file, if there is one.
pub(super) fn forwarded<'a>(direct: &[String], read: impl Fn(&str) -> Option<&'a str>) -> BTreeSet<&'a str> {
    let public = |name: &str| read(name).map(public_imports).unwrap_or_default();
    let mut seen: BTreeSet<&str> = direct.iter().map(String::as_str).collect();
    let first: BTreeSet<&str> = direct.iter().flat_map(|name| public(name)).collect();
    let mut queue: Vec<&str> = first.into_iter().filter(|name| seen.insert(name)).collect();
    let mut found = BTreeSet::new();
    while let Some(name) = queue.pop() {
        for next in public(name) {
            if seen.insert(next) {
                found.insert(next);
                queue.push(next);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_comes_through_two_files_or_more_is_named() {
        let files = [
            ("a", "import public \"b\"; import \"private\";"),
            ("b", "import public \"c\"; import public \"a\";"),
            ("c", "/* import public \"x\"; */ import public 'd';"),
            ("d", ""),
            ("private", "import public \"never\";"),
        ];
        let read = |name: &str| files.iter().find(|file| file.0 == name).map(|file| file.1);
        let check = |direct: &[&str], expected: &[&str]| {
            let direct: Vec<_> = direct.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(forwarded(&direct, read), expected.iter().copied().collect());
        };
        check(&["a"], &["c", "d"]);
        check(&["b"], &["d"]);
        check(&["a", "c"], &[]);
        check(&["c", "missing"], &[]);
    }
}

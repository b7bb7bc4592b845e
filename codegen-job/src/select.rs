//! Which `.proto` files code is generated for, and the names they are imported by.

use crate::repo_path::RepoPath;
use crate::source::SourceFiles;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use heddle_crds::idl_repo::Reason;
use std::collections::BTreeMap;

/// How many paths a message gives as examples.
const EXAMPLES: usize = 3;

/// The patterns of `source.include` and `source.exclude`.
#[derive(Clone, Debug)]
pub struct Patterns {
    include: Vec<String>,
    exclude: Vec<String>,
    included: GlobSet,
    excluded: GlobSet,
}

/// The files to generate code for.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// In the order of their paths.
    pub files: Vec<SelectedFile>,
    /// Files that are below none of the import roots, and were left out because no pattern asks for them.
    pub outside_roots: usize,
}

/// One file to generate code for.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct SelectedFile {
    /// Its path in the repository.
    pub path: String,
    /// The name that others import it by: the path relative to its import root.
    pub import: String,
}

/// Why no selection could be made.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    /// A glob pattern is malformed.
    #[error("failed to read the pattern {pattern:?}")]
    ReadPattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        #[source]
        source: globset::Error,
    },
    /// Nothing is selected.
    #[error("failed to find .proto files: {0}")]
    FindFiles(String),
    /// A file was asked for that nothing could import.
    #[error(
        "failed to name {path} for imports: source.include matches it, but it is below none of the import roots ({}); \
         add its directory to source.importRoots or exclude it",
        roots.join(", ")
    )]
    FindRoot {
        /// The file.
        path: String,
        /// The roots.
        roots: Vec<String>,
    },
    /// Two files have the same name for imports.
    #[error(
        "failed to tell {first} and {second} apart: both are imported as {import:?} below source.importRoots; exclude \
         one of them"
    )]
    DistinguishFiles {
        /// The name for imports.
        import: String,
        /// The file that the name leads to.
        first: String,
        /// The one that it hides.
        second: String,
    },
}

impl SelectError {
    /// The reason for the status.
    pub fn reason(&self) -> Reason {
        match self {
            Self::FindFiles(_) => Reason::NoProtoFiles,
            Self::ReadPattern { .. } | Self::FindRoot { .. } | Self::DistinguishFiles { .. } => {
                Reason::InvalidSpec
            }
        }
    }
}

impl Patterns {
    /// Parses glob patterns: `*` stays inside a directory, `**` does not, and a pattern that matches a directory
    /// matches everything in it. No `include` means every file.
    ///
    /// # Errors
    /// [`SelectError::ReadPattern`].
    pub fn parse(include: &[String], exclude: &[String]) -> Result<Self, SelectError> {
        Ok(Self {
            include: include.to_vec(),
            exclude: exclude.to_vec(),
            included: globs(include)?,
            excluded: globs(exclude)?,
        })
    }

    fn matches(&self, path: &str) -> bool {
        (self.include.is_empty() || self.included.is_match(path)) && !self.excluded.is_match(path)
    }
}

fn globs(patterns: &[String]) -> Result<GlobSet, SelectError> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let read = |glob: &str| {
            GlobBuilder::new(glob)
                .literal_separator(true)
                .build()
                .map_err(|source| SelectError::ReadPattern {
                    pattern: pattern.clone(),
                    source,
                })
        };
        let directory = pattern.trim_start_matches("./").trim_end_matches('/');
        set.add(read(directory)?);
        set.add(read(&format!("{directory}/**"))?);
    }
    set.build().map_err(|source| SelectError::ReadPattern {
        pattern: patterns.join(", "),
        source,
    })
}

/// Selects the files of `sources` that `patterns` match, and finds their names for imports below `roots`.
///
/// # Errors
/// When nothing is left, or a name for imports is missing or ambiguous.
pub fn select(
    sources: &SourceFiles,
    patterns: &Patterns,
    roots: &[RepoPath],
) -> Result<Selection, SelectError> {
    let mut by_import = BTreeMap::<String, String>::new();
    let mut outside_roots = 0;
    for path in sources.paths().filter(|path| patterns.matches(path)) {
        let Some(import) = import_name(path, roots) else {
            if !patterns.include.is_empty() {
                return Err(SelectError::FindRoot {
                    path: path.to_owned(),
                    roots: names(roots),
                });
            }
            outside_roots += 1;
            continue;
        };
        // A root that comes earlier may have a file of the same name, which imports would get instead.
        let found = sources.resolve(import, roots).unwrap_or(path);
        let hidden = (found != path).then_some((found, path));
        let twice = by_import.insert(import.to_owned(), path.to_owned());
        if let Some((first, second)) = hidden.or(twice.as_deref().map(|first| (first, path))) {
            return Err(SelectError::DistinguishFiles {
                import: import.to_owned(),
                first: first.to_owned(),
                second: second.to_owned(),
            });
        }
    }
    if by_import.is_empty() {
        return Err(SelectError::FindFiles(explain_absence(
            sources,
            patterns,
            roots,
            outside_roots,
        )));
    }
    let mut files: Vec<_> = by_import
        .into_iter()
        .map(|(import, path)| SelectedFile { path, import })
        .collect();
    files.sort();
    Ok(Selection { files, outside_roots })
}

/// The first root that `path` is below gives the name, as protoc does it.
fn import_name<'a>(path: &'a str, roots: &[RepoPath]) -> Option<&'a str> {
    roots.iter().find_map(|root| root.strip(path))
}

fn names(roots: &[RepoPath]) -> Vec<String> {
    roots.iter().map(ToString::to_string).collect()
}

fn explain_absence(sources: &SourceFiles, patterns: &Patterns, roots: &[RepoPath], outside: usize) -> String {
    let total = sources.paths().count();
    if total == 0 {
        return "the repository has none at this commit; check source.url and source.ref".into();
    }
    let examples: Vec<&str> = sources.paths().take(EXAMPLES).collect();
    let there = format!(
        "the repository has {total} .proto file{}, such as {}",
        if total == 1 { "" } else { "s" },
        examples.join(", ")
    );
    if outside > 0 {
        return format!(
            "none is below source.importRoots ({}); {there}",
            names(roots).join(", ")
        );
    }
    format!(
        "none matches source.include {} without source.exclude {}; {there}",
        list(&patterns.include, "(everything)"),
        list(&patterns.exclude, "(nothing)")
    )
}

fn list(patterns: &[String], empty: &str) -> String {
    if patterns.is_empty() {
        empty.into()
    } else {
        format!("{patterns:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(paths: &[&str]) -> SourceFiles {
        paths
            .iter()
            .map(|path| ((*path).to_owned(), Vec::new()))
            .collect()
    }

    fn attempt(
        paths: &[&str],
        include: &[&str],
        exclude: &[&str],
        roots: &[&str],
    ) -> Result<Selection, SelectError> {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let patterns = Patterns::parse(&owned(include), &owned(exclude))?;
        let roots: Vec<_> = roots.iter().map(|root| RepoPath::parse(root).unwrap()).collect();
        select(&sources(paths), &patterns, &roots)
    }

    #[test]
    fn patterns_and_roots_decide_what_is_selected() {
        let all = [
            "a.proto",
            "api/v1/b.proto",
            "api/v2/c.proto",
            "vendor/google/d.proto",
        ];
        let check = |include: &[&str], exclude: &[&str], roots: &[&str], expected: &[&str]| {
            let selection = attempt(&all, include, exclude, roots).unwrap();
            let imports: Vec<_> = selection.files.iter().map(|file| file.import.as_str()).collect();
            assert_eq!(
                imports, expected,
                "include {include:?}, exclude {exclude:?}, roots {roots:?}"
            );
        };
        check(&[], &[], &[""], &all);
        check(&["*.proto"], &[], &[""], &["a.proto"]);
        check(
            &["api/**/*.proto"],
            &[],
            &[""],
            &["api/v1/b.proto", "api/v2/c.proto"],
        );
        check(&["api/*/*.proto"], &["api/v2"], &[""], &["api/v1/b.proto"]);
        check(&["api/"], &[], &["api"], &["v1/b.proto", "v2/c.proto"]);
        check(&["./api"], &[], &["api"], &["v1/b.proto", "v2/c.proto"]);
        check(&[], &["vendor"], &[""], &all[..3]);
        check(
            &[],
            &[],
            &["api", "vendor"],
            &["v1/b.proto", "v2/c.proto", "google/d.proto"],
        );
    }

    #[test]
    fn failures_say_what_was_looked_for_and_what_is_there() {
        let check =
            |paths: &[&str], include: &[&str], exclude: &[&str], roots: &[&str], expected: &[&str]| {
                let message = attempt(paths, include, exclude, roots).unwrap_err().to_string();
                for part in expected {
                    assert!(message.contains(part), "{message}");
                }
            };
        check(&[], &[], &[], &[""], &["has none at this commit"]);
        check(
            &["a.proto"],
            &["b/**"],
            &["x"],
            &[""],
            &[
                r#"include ["b/**"]"#,
                r#"exclude ["x"]"#,
                "1 .proto file, such as a.proto",
            ],
        );
        check(
            &["a.proto"],
            &[],
            &[],
            &["proto"],
            &["none is below source.importRoots (proto)"],
        );
        check(
            &["a.proto"],
            &["a.proto"],
            &[],
            &["proto"],
            &["below none of the import roots (proto)"],
        );
        check(
            &["x/a.proto", "y/a.proto"],
            &[],
            &[],
            &["x", "y"],
            &["x/a.proto and y/a.proto", "\"a.proto\""],
        );
        check(&["a.proto"], &["a{"], &[], &[""], &["pattern \"a{\""]);
    }
}

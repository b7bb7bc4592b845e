//! What to do about an import that leads nowhere.

use crate::compile::Input;
use crate::repo_path::parents;
use crate::select::SelectedFile;

/// How alike two names must be to be taken for a slip of the pen, from 0 to 1.
const LIKENESS: f64 = 0.8;
/// How many names are proposed.
const PROPOSALS: usize = 3;

/// Where `import` was looked for.
pub(super) fn searched(import: &str, input: &Input) -> String {
    let mut places: Vec<_> = input
        .roots
        .iter()
        .filter_map(|root| root.join(import).ok())
        .map(|path| path.to_string())
        .collect();
    places.push("the well-known types".into());
    format!("searched: {}", places.join(", "))
}

/// A proposal, if anything in the repository resembles `import`.
pub(super) fn help(import: &str, input: &Input) -> String {
    if let Some((directory, path)) = other_root(import, input) {
        return format!("the repository has {path}: add {directory:?} to source.importRoots");
    }
    let near = near(import, input);
    if !near.is_empty() {
        return format!("did you mean {}?", near.join(" or "));
    }
    "copy the file into the repository and add its directory to source.importRoots".into()
}

/// A directory that would make the import work as a root.
fn other_root<'a>(import: &str, input: &'a Input) -> Option<(&'a str, &'a str)> {
    input.sources.paths().find_map(|path| {
        let directory = path.strip_suffix(import)?.strip_suffix('/')?;
        Some((directory, path))
    })
}

/// Names that files can be imported by and that are close, best first.
fn near(import: &str, input: &Input) -> Vec<String> {
    let base = |name: &str| parents(name).last().map_or(0, |parent| parent.len() + 1);
    let mut scored: Vec<(f64, &str)> = importable(input)
        .map(|name| {
            let same_base = name[base(name)..] == import[base(import)..];
            let likeness = strsim::jaro_winkler(name, import);
            (
                if same_base {
                    likeness.max(LIKENESS)
                } else {
                    likeness
                },
                name,
            )
        })
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.dedup_by_key(|(_, name)| *name);
    scored
        .into_iter()
        .take(PROPOSALS)
        .map(|(_, name)| format!("{name:?}"))
        .collect()
}

fn importable(input: &Input) -> impl Iterator<Item = &str> {
    let below_roots = input
        .sources
        .paths()
        .filter_map(|path| input.roots.iter().find_map(|root| root.strip(path)));
    below_roots.chain(super::resolver::WELL_KNOWN.iter().copied())
}

/// The path in the repository of a file that the compiler calls by its name for imports.
pub(super) fn path_of<'a>(import: &'a str, input: &'a Input) -> &'a str {
    let selected = input
        .selection
        .files
        .iter()
        .find(|file: &&SelectedFile| file.import == import);
    selected
        .map(|file| file.path.as_str())
        .or_else(|| input.sources.resolve(import, &input.roots))
        .unwrap_or(import)
}

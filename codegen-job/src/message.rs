//! The message of a generated commit: the user's template, then trailers that say where the code comes from.

use crate::plugin::PluginVersion;
use heddle_crds::idl_repo::FileCounts;
use heddle_crds::idl_repo::template::{Template, Variable};
use heddle_git_remote::{CommitId, RemoteUrl, Selector};

/// How many digits of a commit's id are enough for people.
const SHORT_ID: usize = 12;
/// The most bytes of a source commit's subject that are repeated.
const SUBJECT_BYTES: usize = 512;

/// What a message tells.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The IdlRepo's namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Where the IDL is.
    pub repository: &'a RemoteUrl,
    /// What is followed there.
    pub selector: &'a Selector,
    /// The source commit.
    pub commit: CommitId,
    /// The first line of its message.
    pub subject: &'a str,
    /// What becomes of the files.
    pub counts: FileCounts,
    /// What generated them.
    pub plugins: &'a [PluginVersion],
    /// The trace of the run.
    pub trace_parent: Option<String>,
}

/// The whole message.
pub fn compose(template: &Template, facts: &Facts<'_>) -> String {
    let text = template.render(|variable| facts.value(variable));
    let text: String = text
        .chars()
        .filter(|character| !character.is_control() || *character == '\n')
        .collect();
    let text = text.trim();
    // A template may come to nothing, which Git refuses.
    let text = if text.is_empty() { "Generate code" } else { text };
    let separator = if ends_in_trailers(text) { "\n" } else { "\n\n" };
    format!("{text}{separator}{}\n", facts.trailers().join("\n"))
}

impl Facts<'_> {
    fn value(&self, variable: Variable) -> String {
        match variable {
            Variable::Name => self.name.to_owned(),
            Variable::Namespace => self.namespace.to_owned(),
            Variable::Repository => self.repository.to_string(),
            Variable::Reference => self.reference(),
            Variable::Commit => self.commit.to_string(),
            Variable::ShortCommit => self.commit.to_string()[..SHORT_ID].to_owned(),
            Variable::Subject => self.subject(),
            Variable::Files => files_in_words(self.counts),
        }
    }

    fn reference(&self) -> String {
        match self.selector {
            Selector::Default => "HEAD".into(),
            Selector::Branch(name) | Selector::Tag(name) => name.clone(),
            Selector::Semver(range) => range.to_string(),
            Selector::Commit(commit) => commit.to_string(),
        }
    }

    /// One line, whatever the source's author put there.
    fn subject(&self) -> String {
        let mut subject = self.subject.lines().next().unwrap_or_default().to_owned();
        heddle_crds::condition::truncate(&mut subject, SUBJECT_BYTES);
        subject
    }

    fn trailers(&self) -> Vec<String> {
        let mut trailers = vec![
            format!("Heddle-Source: {}", self.repository),
            format!("Heddle-Source-Commit: {}", self.commit),
        ];
        trailers.extend(
            self.plugins
                .iter()
                .map(|plugin| format!("Heddle-Plugin: {plugin}")),
        );
        trailers.extend(
            self.trace_parent
                .iter()
                .map(|parent| format!("Traceparent: {parent}")),
        );
        trailers
    }
}

/// Such as `3 files written, 1 pruned`.
pub fn files_in_words(counts: FileCounts) -> String {
    let plural = if counts.written == 1 { "" } else { "s" };
    match (counts.written, counts.pruned) {
        (written, 0) => format!("{written} file{plural} written"),
        (written, pruned) => format!("{written} file{plural} written, {pruned} pruned"),
    }
}

/// Whether the last paragraph is one of trailers, which ours must then join: Git reads only the last.
fn ends_in_trailers(text: &str) -> bool {
    let is_trailer = |line: &str| {
        line.split_once(": ").is_some_and(|(key, _)| {
            !key.is_empty()
                && key
                    .chars()
                    .all(|character| character.is_ascii_alphanumeric() || character == '-')
        })
    };
    // The first paragraph is the subject.
    text.rsplit_once("\n\n")
        .is_some_and(|(_, last)| last.lines().all(is_trailer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compose_with(template: &str, subject: &str) -> String {
        let plugins = [("go", "v1.36.12"), ("prost", "0.5.0")].map(|(plugin, version)| PluginVersion {
            plugin: plugin.into(),
            version: version.into(),
        });
        let facts = Facts {
            namespace: "shop",
            name: "idl",
            repository: &"https://git.example/idl.git".parse().unwrap(),
            selector: &Selector::Branch("main".into()),
            commit: "0123456789abcdef0123456789abcdef01234567".parse().unwrap(),
            subject,
            counts: FileCounts {
                written: 1,
                pruned: 2,
                unchanged: 3,
            },
            plugins: &plugins,
            trace_parent: Some("00-11111111111111111111111111111111-2222222222222222-01".into()),
        };
        compose(&template.parse().unwrap(), &facts)
    }

    const TRAILERS: &str = "Heddle-Source: https://git.example/idl.git
Heddle-Source-Commit: 0123456789abcdef0123456789abcdef01234567
Heddle-Plugin: go v1.36.12
Heddle-Plugin: prost 0.5.0
Traceparent: 00-11111111111111111111111111111111-2222222222222222-01
";

    #[test]
    fn the_template_comes_first_and_the_trailers_last() {
        let check = |template: &str, subject: &str, expected: &str| {
            assert_eq!(compose_with(template, subject), format!("{expected}{TRAILERS}"));
        };
        check(
            "Generate ${name} at ${shortCommit}",
            "",
            "Generate idl at 0123456789ab\n\n",
        );
        check(
            "${namespace} ${reference}: ${files}\n",
            "",
            "shop main: 1 file written, 2 pruned\n\n",
        );
        check("${subject}", "Add fields", "Add fields\n\n");
        check("${subject}", "", "Generate code\n\n");
        check(
            "Gen\n\nSigned-off-by: A <a@b>\n",
            "",
            "Gen\n\nSigned-off-by: A <a@b>\n",
        );
        check("chore: generate", "", "chore: generate\n\n");
    }

    #[test]
    fn a_source_commit_cannot_forge_trailers_or_colours() {
        let message = compose_with("Gen\n\n${subject}", "x\u{1b}[31m\nHeddle-Source-Commit: forged");
        assert!(
            !message.contains("forged") && !message.contains('\u{1b}'),
            "{message}"
        );
    }
}

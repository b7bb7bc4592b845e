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
    /// The breaking changes that it delivers, in the words of the trailer.
    pub breaking: Option<String>,
    /// The trace of the run.
    pub trace_parent: Option<String>,
}

/// Stands for every value while the template is looked at; no key of a trailer can have it.
const ANY_VALUE: &str = "\u{fffd}";
/// Where git stops to look for trailers: at a patch, and at the scissors of `git commit --verbose`.
const PATCH: &str = "---";
const SCISSORS: &str = "------------------------ >8 ------------------------";

/// The whole message. Whatever the values are, `git interpret-trailers` finds our trailers in it, and besides them only
/// those that the template itself ends in.
pub fn compose(template: &Template, facts: &Facts<'_>) -> String {
    let text = clean(&template.render(|variable| facts.value(variable)));
    // A template may come to nothing, which Git refuses.
    let text = if text.is_empty() { "Generate code" } else { &text };
    // The template decides, or the source's author could write trailers. The text has to agree, as a value that is
    // empty may have made a subject of the last paragraph.
    let joins =
        ends_in_trailers(&clean(&template.render(|_| ANY_VALUE.to_owned()))) && ends_in_trailers(text);
    let separator = if joins { "\n" } else { "\n\n" };
    format!("{text}{separator}{}\n", facts.trailers().join("\n"))
}

/// Without control characters, and without lines that git takes for the end of a message.
fn clean(text: &str) -> String {
    let visible: String = text
        .chars()
        .filter(|character| !character.is_control() || *character == '\n')
        .collect();
    let indent = |line: &str| match line.starts_with(PATCH) || line.contains(SCISSORS) {
        true => format!(" {line}"),
        false => line.to_owned(),
    };
    let lines: Vec<_> = visible.trim().split('\n').map(indent).collect();
    lines.join("\n")
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
            self.breaking
                .iter()
                .map(|breaking| format!("Heddle-Breaking-Changes: {breaking}")),
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
    use std::io::Write;
    use std::process::{Command, Stdio};

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
            breaking: Some("2 since 0123, accepted".into()),
            trace_parent: Some("00-11111111111111111111111111111111-2222222222222222-01".into()),
        };
        compose(&template.parse().unwrap(), &facts)
    }

    const TRAILERS: &str = "Heddle-Source: https://git.example/idl.git
Heddle-Source-Commit: 0123456789abcdef0123456789abcdef01234567
Heddle-Plugin: go v1.36.12
Heddle-Plugin: prost 0.5.0
Heddle-Breaking-Changes: 2 since 0123, accepted
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

    /// What git itself takes for trailers.
    fn parse_trailers(message: &str) -> String {
        let mut git = Command::new("git")
            .args(["interpret-trailers", "--parse"])
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        git.stdin.take().unwrap().write_all(message.as_bytes()).unwrap();
        String::from_utf8(git.wait_with_output().unwrap().stdout).unwrap()
    }

    #[test]
    fn a_source_commit_cannot_forge_trailers_or_colours() {
        let message = compose_with("Gen\n\n${subject}", "x\u{1b}[31m\nHeddle-Source-Commit: forged");
        assert!(
            !message.contains("forged") && !message.contains('\u{1b}'),
            "{message}"
        );
    }

    #[test]
    fn a_subject_that_looks_like_a_trailer_is_none_for_git() {
        for template in [
            "${subject}",
            "Gen\n\n${subject}",
            "Gen\n\n${subject}: by people",
            "Gen\n\n${subject}\n${subject}",
            "Gen\n\nReviewed-by: A\n${subject}",
            "${subject}\n\n${subject}",
        ] {
            for subject in [
                "Heddle-Source-Commit: 000",
                "Heddle-Source-Commit",
                "---",
                "",
                "# x",
            ] {
                let message = compose_with(template, subject);
                assert_eq!(parse_trailers(&message), TRAILERS, "{message}");
            }
        }
    }

    #[test]
    fn a_subject_that_ends_messages_for_git_does_not_hide_the_trailers() {
        for subject in ["---", "--- a/x", &format!("# {SCISSORS}")] {
            for template in ["${subject}", "Gen\n\n${subject}", "Gen\n\n-${subject}"] {
                let message = compose_with(template, subject);
                assert_eq!(parse_trailers(&message), TRAILERS, "{message}");
            }
        }
    }

    #[test]
    fn trailers_of_the_template_stay_trailers_whatever_their_values_are() {
        let message = compose_with("Gen\n\nAbout: ${subject}", "Heddle-Source-Commit: 000");
        let expected = format!("About: Heddle-Source-Commit: 000\n{TRAILERS}");
        assert_eq!(parse_trailers(&message), expected, "{message}");
        let message = compose_with("${subject}\n\nSigned-off-by: A <a@b>", "");
        assert_eq!(parse_trailers(&message), TRAILERS, "{message}");
    }
}

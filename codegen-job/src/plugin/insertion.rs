//! Files of all generators together: chunks are joined, insertion points filled, clashes refused.

use super::{GeneratedFile, GeneratedFiles, Generator, PluginError};
use crate::repo_path::{RepoPath, parents};
use prost_types::compiler::code_generator_response::File;

/// The most files that one run may deliver.
const FILES_LIMIT: usize = 20_000;
/// The most bytes of all of them together.
const BYTES_LIMIT: usize = 256 * 1024 * 1024;

/// Files so far, in the order of the generators.
#[derive(Default)]
pub(super) struct Merge {
    files: GeneratedFiles,
    bytes: usize,
}

impl Merge {
    /// Adds one generator's answer.
    pub(super) fn add(&mut self, generator: &Generator, files: Vec<File>) -> Result<(), PluginError> {
        let mut last = None;
        for file in files {
            self.bytes += file.content().len();
            let path = match file.name() {
                // Long files may come in pieces, of which only the first has a name.
                "" => last.clone().ok_or_else(|| PluginError::NameFile {
                    generator: generator.name.clone(),
                })?,
                name => place(generator, name)?,
            };
            match (file.name(), file.insertion_point()) {
                ("", _) => self.append(&path, file.content()),
                (_, "") => self.create(generator, &path, file.content())?,
                (_, point) => self.extend(generator, &path, point, file.content())?,
            }
            last = Some(path);
            self.check_limits(generator)?;
        }
        Ok(())
    }

    /// All files, once no generator comes any more.
    pub(super) fn finish(self) -> Result<GeneratedFiles, PluginError> {
        for (path, file) in &self.files.0 {
            for parent in parents(path.as_str()).filter_map(|parent| RepoPath::parse(parent).ok()) {
                if let Some(other) = self.files.0.get(&parent) {
                    return Err(PluginError::Overlap {
                        file: parent.to_string(),
                        first: other.generator.clone(),
                        path: path.to_string(),
                        second: file.generator.clone(),
                    });
                }
            }
        }
        Ok(self.files)
    }

    fn append(&mut self, path: &RepoPath, text: &str) {
        if let Some(file) = self.files.0.get_mut(path) {
            file.text.push_str(text);
        }
    }

    fn create(&mut self, generator: &Generator, path: &RepoPath, text: &str) -> Result<(), PluginError> {
        let file = GeneratedFile {
            text: text.to_owned(),
            generator: generator.name.clone(),
        };
        match self.files.0.insert(path.clone(), file) {
            None => Ok(()),
            Some(earlier) => Err(PluginError::Duplicate {
                path: path.to_string(),
                first: earlier.generator,
                second: generator.name.clone(),
            }),
        }
    }

    fn extend(
        &mut self,
        generator: &Generator,
        path: &RepoPath,
        point: &str,
        text: &str,
    ) -> Result<(), PluginError> {
        let fail = |problem| PluginError::Extend {
            generator: generator.name.clone(),
            path: path.to_string(),
            point: point.to_owned(),
            problem,
        };
        let file = self
            .files
            .0
            .get_mut(path)
            .ok_or_else(|| fail("but no generator before it writes that file"))?;
        insert(&mut file.text, point, text).ok_or_else(|| fail("but the file has no such point"))
    }

    fn check_limits(&self, generator: &Generator) -> Result<(), PluginError> {
        let exceed = |allowed, what| PluginError::Exceed {
            generator: generator.name.clone(),
            allowed,
            what,
        };
        match () {
            () if self.files.0.len() > FILES_LIMIT => Err(exceed(FILES_LIMIT, "files")),
            () if self.bytes > BYTES_LIMIT => Err(exceed(BYTES_LIMIT, "bytes")),
            () => Ok(()),
        }
    }
}

fn place(generator: &Generator, name: &str) -> Result<RepoPath, PluginError> {
    let fail = |source| PluginError::PlaceFile {
        generator: generator.name.clone(),
        source,
    };
    let path = RepoPath::parse(name).map_err(fail)?;
    if path.is_root() {
        return Err(PluginError::NameFile {
            generator: generator.name.clone(),
        });
    }
    Ok(generator.path.join_path(&path))
}

/// Puts `text` above the line with the point's mark, indented like it, as protoc does.
fn insert(file: &mut String, point: &str, text: &str) -> Option<()> {
    let at = file.find(&format!("@@protoc_insertion_point({point})"))?;
    let line = file[..at].rfind('\n').map_or(0, |end| end + 1);
    let indent: String = file[line..at]
        .chars()
        .take_while(|character| matches!(character, ' ' | '\t'))
        .collect();
    let mut block = String::with_capacity(text.len());
    for piece in text.split_inclusive('\n') {
        if piece != "\n" {
            block.push_str(&indent);
        }
        block.push_str(piece);
    }
    if !block.is_empty() && !block.ends_with('\n') {
        block.push('\n');
    }
    file.insert_str(line, &block);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::builtin::Builtin;
    use super::super::registry::Plugin;
    use super::*;

    fn generator(name: &str, path: &str) -> Generator {
        Generator {
            name: name.into(),
            plugin: Plugin::builtin(Builtin::Prost),
            parameter: String::new(),
            path: RepoPath::parse(path).unwrap(),
        }
    }

    fn file(name: &str, point: &str, content: &str) -> File {
        let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        File {
            name: filled(name),
            insertion_point: filled(point),
            content: Some(content.into()),
            generated_code_info: None,
        }
    }

    fn merge(answers: Vec<(Generator, Vec<File>)>) -> Result<GeneratedFiles, PluginError> {
        let mut merge = Merge::default();
        for (generator, files) in answers {
            merge.add(&generator, files)?;
        }
        merge.finish()
    }

    #[test]
    fn a_later_generator_extends_a_file_at_its_point_with_its_indent() {
        let files = merge(vec![
            (
                generator("one", "gen"),
                vec![file(
                    "a.rs",
                    "",
                    "mod a {\n    // @@protoc_insertion_point(inner)\n}\n",
                )],
            ),
            (
                generator("two", "gen"),
                vec![
                    file("a.rs", "inner", "one();\n\ntwo();"),
                    file("./a.rs", "inner", "three();\n"),
                ],
            ),
        ])
        .unwrap();
        let expected =
            "mod a {\n    one();\n\n    two();\n    three();\n    // @@protoc_insertion_point(inner)\n}\n";
        assert_eq!(files.0[&RepoPath::parse("gen/a.rs").unwrap()].text, expected);
    }

    #[test]
    fn pieces_without_a_name_continue_the_file_before_them() {
        let files = merge(vec![(
            generator("one", ""),
            vec![file("a", "", "1"), file("", "", "2"), file("", "", "3")],
        )]);
        assert_eq!(files.unwrap().0[&RepoPath::parse("a").unwrap()].text, "123");
    }

    #[test]
    fn clashes_are_refused_by_name() {
        let check = |answers: Vec<(Generator, Vec<File>)>, parts: &[&str]| {
            let error = merge(answers).unwrap_err();
            let message = heddle_telemetry::ErrorChain(&error).to_string();
            for part in parts {
                assert!(message.contains(part), "expected {part:?} in {message}");
            }
        };
        let (one, two) = (|| generator("one", ""), || generator("two", ""));
        check(
            vec![(one(), vec![file("a", "", "")]), (two(), vec![file("a", "", "")])],
            &["\"one\" and \"two\" both write a"],
        );
        check(
            vec![(one(), vec![file("a", "", ""), file("a/b", "", "")])],
            &["a is a file of generator \"one\"", "a/b"],
        );
        check(
            vec![(two(), vec![file("a", "x", "")])],
            &[
                "\"two\" extends a at insertion point \"x\"",
                "no generator before it",
            ],
        );
        check(
            vec![(one(), vec![file("a", "", ""), file("a", "x", "")])],
            &["the file has no such point"],
        );
        check(
            vec![(one(), vec![file("", "", "")])],
            &["generator \"one\": it has no name"],
        );
        for path in ["../a", "/a", ".git/config", "a/.GIT/x", "a\u{7}"] {
            check(
                vec![(one(), vec![file(path, "", "")])],
                &["generator \"one\": the path"],
            );
        }
    }
}

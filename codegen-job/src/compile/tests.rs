//! What the compiler makes of IDL, right and wrong.

use super::*;
use crate::select::{Patterns, select};

fn attempt(files: &[(&str, &str)], roots: &[&str]) -> Result<Compiled, CompileError> {
    let sources: SourceFiles = files
        .iter()
        .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
        .collect();
    let roots: Vec<_> = roots.iter().map(|root| RepoPath::parse(root).unwrap()).collect();
    let selection = select(
        &sources,
        &Patterns::parse(&[], &["third".into()]).unwrap(),
        &roots,
    )
    .unwrap();
    compile(&Input {
        sources,
        roots,
        selection,
    })
}

/// Expects each of `parts` in the message for the one file `text` at `api/a.proto`, imported as `a.proto`.
fn check(text: &str, parts: &[&str]) {
    check_files(&[("api/a.proto", text)], &["api"], parts);
}

fn check_files(files: &[(&str, &str)], roots: &[&str], parts: &[&str]) {
    let message = attempt(files, roots).unwrap_err().to_string();
    for part in parts {
        assert!(message.contains(part), "expected {part:?} in:\n{message}");
    }
}

#[test]
fn files_come_after_those_they_import() {
    let compiled = attempt(
        &[
            ("a.proto", "syntax = \"proto3\"; import \"z/b.proto\"; message A { z.B b = 1; }"),
            ("z/b.proto", "syntax = \"proto3\"; package z; import \"google/protobuf/timestamp.proto\"; message B { google.protobuf.Timestamp at = 1; }"),
        ],
        &[""],
    )
    .unwrap();
    let order: Vec<_> = compiled.pool.files().map(|file| file.name().to_owned()).collect();
    assert_eq!(order, ["google/protobuf/timestamp.proto", "z/b.proto", "a.proto"]);
    assert_eq!(compiled.files_to_generate, ["a.proto", "z/b.proto"]);
}

#[test]
fn a_copy_of_a_well_known_type_that_is_too_new_gives_way_to_ours() {
    let compiled = attempt(
        &[
            (
                "google/protobuf/descriptor.proto",
                "syntax = \"proto2\"; package google.protobuf; message MessageOptions { extensions 536 [declaration = {}]; }",
            ),
            (
                "a.proto",
                "syntax = \"proto3\"; import \"google/protobuf/descriptor.proto\"; extend google.protobuf.MessageOptions { string x = 50001; } message A { option (x) = \"y\"; }",
            ),
        ],
        &[""],
    );
    let compiled = compiled.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(compiled.pool.files().len(), 2);
}

#[test]
fn public_imports_lead_on_through_any_number_of_files() {
    let file = |imports: &str, name: &str| {
        format!(
            "syntax = \"proto3\"; package {name}; {imports} message {} {{}}",
            name.to_uppercase()
        )
    };
    let files = [
        ("d.proto", file("", "d")),
        ("c.proto", file("import public \"d.proto\";", "c")),
        ("b.proto", file("import public \"c.proto\";", "b")),
        (
            "a.proto",
            "syntax = \"proto3\"; import \"b.proto\"; message A { b.B b = 1; c.C c = 2; d.D d = 3; } // end"
                .to_owned(),
        ),
    ];
    let files = files.each_ref().map(|(path, text)| (*path, text.as_str()));
    attempt(&files, &[""]).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_syntax_error_is_shown_with_line_column_and_caret() {
    check(
        "syntax = \"proto3\";\n\nmessage A {\n\tstring name 1;\n}\n",
        &[
            "1 problem\n\napi/a.proto:4:14: expected '=', but found '1'",
            "\n4 | \tstring name 1;\n  | \t            ^ found here",
        ],
    );
    check(
        "syntax = \"proto3\";\nmessage A {\n",
        &[
            "api/a.proto:2:12: expected",
            "but reached end of file",
            "2 | message A {",
        ],
    );
    check("syntax = \"proto3\";\nmessage Ä {}\n", &["api/a.proto:2:9:"]);
    check(
        "syntax = \"proto4\";\n",
        &[
            "api/a.proto:1:",
            "unknown syntax 'proto4'",
            "help: possible values are 'proto2' and 'proto3'",
        ],
    );
}

#[test]
fn meanings_are_checked_too() {
    check(
        "syntax = \"proto3\";\nmessage A { Missing b = 1; }\n",
        &[
            "api/a.proto:2:13: name 'Missing' is not defined",
            "2 | message A { Missing b = 1; }\n  |             ^^^^^^^ found here",
        ],
    );
    check(
        "syntax = \"proto3\";\nmessage A {}\nenum B { X = 0; }\nmessage A {}\n",
        &[
            "api/a.proto:4:9: name 'A' is defined twice",
            "note: first defined here at api/a.proto:2:9",
        ],
    );
}

#[test]
fn problems_of_several_files_are_shown_together_and_once() {
    let broken = "syntax = \"proto3\"; message";
    let imports = "syntax = \"proto3\"; import \"broken.proto\";";
    check_files(
        &[
            ("broken.proto", broken),
            ("one.proto", imports),
            ("two.proto", imports),
            ("wrong.proto", "syntax = \"proto3\"; message W { X x = 1; }"),
        ],
        &[""],
        &[
            "2 problems",
            "broken.proto:1:",
            "wrong.proto:1:32: name 'X' is not defined",
        ],
    );
}

#[test]
fn a_missing_import_says_what_was_searched_and_what_is_near() {
    let imports = |name: &str| format!("syntax = \"proto3\";\nimport \"{name}\";\n");
    let run = |name: &str, files: &[(&str, &str)], parts: &[&str]| {
        let text = imports(name);
        let mut all = vec![("api/a.proto", text.as_str())];
        all.extend(files);
        assert!(
            matches!(attempt(&all, &["api", "lib"]), Err(CompileError::FindImports(_))),
            "{name}"
        );
        check_files(&all, &["api", "lib"], parts);
    };
    run(
        "common/money.proto",
        &[],
        &[
            "failed to find imports: 1 problem",
            "api/a.proto:2:1: import 'common/money.proto' not found",
            "2 | import \"common/money.proto\";",
            "searched: api/common/money.proto, lib/common/money.proto, the well-known types",
            "help: copy the file into the repository",
        ],
    );
    run(
        "common/money.proto",
        &[("third/common/money.proto", "")],
        &["add \"third\" to source.importRoots"],
    );
    run(
        "comon/money.proto",
        &[("lib/common/money.proto", "")],
        &["did you mean \"common/money.proto\"?"],
    );
    run(
        "money.proto",
        &[("lib/common/money.proto", "")],
        &["add \"lib/common\" to source.importRoots"],
    );
    run(
        "google/protobuf/timestmp.proto",
        &[],
        &["did you mean \"google/protobuf/timestamp.proto\""],
    );
}

#[test]
fn a_missing_import_besides_another_problem_is_a_failed_compilation() {
    let files = [
        ("a.proto", "syntax = \"proto3\"; import \"no.proto\";"),
        ("b.proto", "nonsense"),
    ];
    let error = attempt(&files, &[""]).unwrap_err();
    assert_eq!(error.reason(), Reason::CompilationFailed);
}

#[test]
fn what_the_parser_cannot_take_is_refused_with_a_place() {
    check(
        "// Hello\nedition = \"2023\";\n",
        &[
            "api/a.proto:2:1: files with 'edition' are not supported",
            "help: write",
        ],
    );
    check(
        &format!("syntax = \"proto3\";\noption (x) = {};", "{a:".repeat(100_000)),
        &["api/a.proto:2:", "levels of nesting"],
    );
    let sources: SourceFiles = [("a.proto".to_owned(), b"syntax = \"proto3\";\n// \xff".to_vec())]
        .into_iter()
        .collect();
    let roots = vec![RepoPath::default()];
    let selection = select(&sources, &Patterns::parse(&[], &[]).unwrap(), &roots).unwrap();
    let error = compile(&Input {
        sources,
        roots,
        selection,
    })
    .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("a.proto:2:4: the file is not valid UTF-8"),
        "{error}"
    );
}

#[test]
fn import_cycles_and_deep_chains_end_in_an_answer() {
    let cycle = [
        ("a.proto", "syntax = \"proto3\"; import \"b.proto\";"),
        ("b.proto", "syntax = \"proto3\"; import \"a.proto\";"),
    ];
    check_files(
        &cycle,
        &[""],
        &["import cycle detected: a.proto -> b.proto -> a.proto"],
    );
    let chain: Vec<(String, String)> = (0..3000)
        .map(|n| {
            (
                format!("f{n}.proto"),
                format!("syntax = \"proto3\"; import \"f{}.proto\";", n + 1),
            )
        })
        .chain([("f3000.proto".into(), "syntax = \"proto3\";".into())])
        .collect();
    let files: Vec<_> = chain
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    assert_eq!(attempt(&files, &[""]).unwrap().pool.files().len(), 3001);
}

#[test]
fn custom_options_reach_the_descriptors() {
    let compiled = attempt(
        &[(
            "a.proto",
            "syntax = \"proto3\"; import \"google/protobuf/descriptor.proto\"; extend google.protobuf.MessageOptions { string note = 50001; } message A { option (note) = \"woven\"; }",
        )],
        &[""],
    )
    .unwrap();
    let file = compiled.pool.get_file_by_name("a.proto").unwrap();
    assert!(file.encode_to_vec().windows(5).any(|bytes| bytes == b"woven"));
}

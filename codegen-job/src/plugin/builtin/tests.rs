//! What the built-in plugins write, and that their versions are those of the crates.

use super::*;
use crate::compile::{Input, compile};
use crate::repo_path::RepoPath;
use crate::select::{Patterns, select};
use crate::source::SourceFiles;

const PET: &str = "syntax = \"proto3\"; package zoo.type.v1; import \"food.proto\"; message Pet { zoo.food.v1.Food likes = 1; }
service Keeper { rpc Feed(Pet) returns (stream Pet); }";
const FOOD: &str = "syntax = \"proto3\"; package zoo.food.v1; message Food { optional string name = 1; }";
const PLAIN: &str = "syntax = \"proto3\"; message Plain {}";

fn request(parameter: &str) -> Vec<u8> {
    request_without(parameter, &[])
}

/// `excluded` files can be imported, and no code is generated for them.
fn request_without(parameter: &str, excluded: &[String]) -> Vec<u8> {
    let files = [("pet.proto", PET), ("food.proto", FOOD), ("plain.proto", PLAIN)];
    let sources: SourceFiles = files
        .into_iter()
        .map(|(path, text)| (path.to_owned(), text.into()))
        .collect();
    let roots = vec![RepoPath::default()];
    let selection = select(&sources, &Patterns::parse(&[], excluded).unwrap(), &roots).unwrap();
    let compiled = compile(&Input {
        sources,
        roots,
        selection,
    })
    .unwrap();
    crate::plugin::request::encode(&compiled, parameter)
}

fn names(response: &CodeGeneratorResponse) -> Vec<&str> {
    assert_eq!(response.error, None);
    response.file.iter().map(|file| file.name()).collect()
}

#[test]
fn prost_writes_a_file_a_package_and_one_that_includes_them_all() {
    let response = Builtin::Prost.answer(&request(""));
    let expected = [
        "_.rs",
        "mod.rs",
        "zoo/food/v1/zoo.food.v1.rs",
        "zoo/r#type/v1/zoo.type.v1.rs",
    ];
    assert_eq!(names(&response), expected);
    let modules = response.file[1].content();
    let expected = "include!(\"_.rs\");
#[allow(clippy::all, clippy::pedantic, missing_docs, rustdoc::all)]
pub mod zoo {
    pub mod food {
        pub mod v1 {
            include!(\"zoo/food/v1/zoo.food.v1.rs\");
        }
    }
    pub mod r#type {
        pub mod v1 {
            include!(\"zoo/r#type/v1/zoo.type.v1.rs\");
        }
    }
}
";
    assert!(modules.ends_with(expected), "{modules}");
}

#[test]
fn options_reach_prost_and_ours_do_not() {
    let response = Builtin::Prost.answer(&request("flat_output_dir,include_file=lib.rs,btree_map=."));
    assert_eq!(
        names(&response),
        ["_.rs", "lib.rs", "zoo.food.v1.rs", "zoo.type.v1.rs"]
    );
    for (parameter, expected) in [
        ("nonsense", "invalid parameter: nonsense"),
        ("include_file=a/b", "include_file: give the name of a file"),
        ("include_file=a,include_file=b", "more than once"),
    ] {
        let response = Builtin::Prost.answer(&request(parameter));
        assert!(response.error().contains(expected), "{:?}", response.error);
    }
}

#[test]
fn tonic_extends_the_files_of_prost() {
    let response = Builtin::Tonic.answer(&request(""));
    assert_eq!(
        names(&response),
        [
            "zoo/r#type/v1/zoo.type.v1.rs",
            "zoo/r#type/v1/zoo.type.v1.tonic.rs"
        ]
    );
    assert_eq!(response.file[0].insertion_point(), "module");
    assert_eq!(
        response.file[0].content(),
        "include!(\"zoo.type.v1.tonic.rs\");\n"
    );
}

#[test]
fn the_same_request_always_gets_the_same_answer() {
    let request = request("");
    for builtin in Builtin::ALL {
        let first = builtin.answer(&request).encode_to_vec();
        for _ in 0..5 {
            assert!(builtin.answer(&request).encode_to_vec() == first, "{builtin:?}");
        }
    }
}

#[test]
fn versions_are_those_of_the_crates_that_are_built_in() {
    let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock")).unwrap();
    for builtin in Builtin::ALL {
        let entry = format!(
            "name = \"protoc-gen-{}\"\nversion = \"{}\"",
            builtin.as_str(),
            builtin.version()
        );
        assert!(lock.contains(&entry), "{entry}");
    }
}

#[test]
fn types_that_nobody_generates_are_warned_of() {
    let food = ["food.proto".to_owned()];
    let warnings = Builtin::Prost.warnings(&request_without("", &food));
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].contains("package zoo.food.v1 are used")
            && warnings[0].contains("extern_path=.zoo.food.v1=")
    );
    assert!(Builtin::Prost.warnings(&request("")).is_empty());
    for elsewhere in [
        "extern_path=.zoo.food=::food",
        "extern_path=.zoo.food.v1.Food=::food::Food",
    ] {
        assert!(
            Builtin::Prost
                .warnings(&request_without(elsewhere, &food))
                .is_empty(),
            "{elsewhere}"
        );
    }
}

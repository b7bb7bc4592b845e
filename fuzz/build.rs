//! Compiles the schema that the targets read messages with.

use std::path::{Path, PathBuf};

fn main() {
    let fixtures = Path::new("../crates/dynamic-protobuf/tests/fixtures");
    println!("cargo::rerun-if-changed={}", fixtures.display());
    let files = ["everything2.proto", "everything3.proto"];
    let set = protox::Compiler::new([fixtures])
        .expect("the folder of fixtures can be read")
        .include_imports(true)
        .open_files(files)
        .expect("the fixtures are valid IDL")
        .encode_file_descriptor_set();
    let folder = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo names a folder for output"));
    std::fs::write(folder.join("everything.binpb"), set).expect("cargo's folder can be written to");
}

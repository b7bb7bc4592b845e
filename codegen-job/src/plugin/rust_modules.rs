//! One file that makes the files of prost a tree of modules, so that a consumer needs a single line.

use super::request::RawRequest;
use prost::Message;
use prost_types::compiler::CodeGeneratorRequest;
use prost_types::compiler::code_generator_response::File;
use protoc_gen_prost::{InvalidParameter, ModuleRequestSet, Param, Params};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The option that names the file.
const OPTION: &str = "include_file";
const DEFAULT_NAME: &str = "mod.rs";

/// What the file is called.
pub(super) struct IncludeFile(String);

/// Packages by the names of their modules.
#[derive(Default)]
struct Tree {
    file: Option<String>,
    children: BTreeMap<String, Tree>,
}

impl IncludeFile {
    /// Takes our own option out of the request, since prost would not know it.
    pub(super) fn take(request: &mut RawRequest) -> Result<Self, InvalidParameter> {
        let parameter = request.parameter.take().unwrap_or_default();
        let (ours, theirs): (Vec<_>, Vec<_>) = parameter
            .split(',')
            .partition(|option| option.split('=').next() == Some(OPTION));
        request.parameter = Some(theirs.join(","));
        match ours.as_slice() {
            [] => Ok(Self(DEFAULT_NAME.into())),
            [option] => match option.split_once('=').map(|(_, name)| name) {
                // The paths in the file are relative to it.
                Some(name) if !name.is_empty() && !name.contains('/') => Ok(Self(name.to_owned())),
                _ => Err(InvalidParameter::new(format!(
                    "{OPTION}: give the name of a file, without '/'"
                ))),
            },
            _ => Err(InvalidParameter::new(format!("{OPTION}: given more than once"))),
        }
    }
}

/// The file for the same request that prost answers.
pub(super) fn include_file(raw: &[u8], name: &IncludeFile) -> Result<File, protoc_gen_prost::Error> {
    let request = CodeGeneratorRequest::decode(raw)?;
    let layout = Layout::parse(request.parameter())?;
    let modules = ModuleRequestSet::new(
        request.file_to_generate,
        request.proto_file,
        raw,
        layout.nameless.as_deref(),
        layout.is_flat,
    )?;
    let mut tree = Tree::default();
    for (module, package) in modules.requests() {
        if let Some(path) = package.output_filepath() {
            let leaf = module.parts().fold(&mut tree, |tree, part| {
                tree.children.entry(part.to_owned()).or_default()
            });
            leaf.file = Some(path);
        }
    }
    let mut content = String::from(
        "// @generated\n// Every package as a module. Include it by `#[path = \"mod.rs\"] mod …;` or by `include!`.\n",
    );
    tree.write(&mut content, 0)?;
    Ok(File {
        name: Some(name.0.clone()),
        content: Some(content),
        ..File::default()
    })
}

impl Tree {
    fn write(&self, text: &mut String, depth: usize) -> std::fmt::Result {
        let indent = depth * 4;
        if let Some(file) = &self.file {
            writeln!(text, "{:indent$}include!({file:?});", "")?;
        }
        for (name, child) in &self.children {
            if depth == 0 {
                writeln!(
                    text,
                    "#[allow(clippy::all, clippy::pedantic, missing_docs, rustdoc::all)]"
                )?;
            }
            writeln!(text, "{:indent$}pub mod {name} {{", "")?;
            child.write(text, depth + 1)?;
            writeln!(text, "{:indent$}}}", "")?;
        }
        Ok(())
    }
}

/// The options of prost that decide where its files are.
#[derive(Default)]
struct Layout {
    nameless: Option<String>,
    is_flat: bool,
}

impl Layout {
    fn parse(parameter: &str) -> Result<Self, InvalidParameter> {
        let mut layout = Self::default();
        for option in Params::from_protoc_plugin_opts(parameter)? {
            match option {
                Param::Value {
                    param: "default_package_filename",
                    value,
                } => layout.nameless = Some(value.to_owned()),
                Param::Parameter {
                    param: "flat_output_dir",
                }
                | Param::Value {
                    param: "flat_output_dir",
                    value: "true",
                } => layout.is_flat = true,
                _ => {}
            }
        }
        Ok(layout)
    }
}

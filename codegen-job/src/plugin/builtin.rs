//! The plugins that are part of this program. They run as confined children like any other: their code generators
//! panic on input that they did not foresee.

use super::request::RawRequest;
use super::rust_modules::{self, IncludeFile};
use super::rust_references;
use prost::Message;
use prost_types::compiler::code_generator_response::Feature;
use prost_types::compiler::{CodeGeneratorRequest, CodeGeneratorResponse};
use protoc_gen_prost::GeneratorResultExt;
use std::io::{self, Read, Write};

/// Where code of files without a package goes, unless an option says otherwise.
const NAMELESS_PACKAGE: &str = "_.rs";

/// A plugin that is part of this program.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Builtin {
    /// Rust messages, by prost-build.
    Prost,
    /// Rust clients and servers, by tonic-build.
    Tonic,
}

impl Builtin {
    /// Every one.
    pub const ALL: &[Self] = &[Self::Prost, Self::Tonic];

    /// Its name in the specification.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prost => "prost",
            Self::Tonic => "tonic",
        }
    }

    /// The version of the crate it comes from, `protoc-gen-prost` or `protoc-gen-tonic`.
    pub fn version(self) -> &'static str {
        match self {
            Self::Prost => "0.5.0",
            Self::Tonic => "0.5.0",
        }
    }

    /// The answer to an encoded request.
    pub fn answer(self, request: &[u8]) -> CodeGeneratorResponse {
        let outcome = match self {
            Self::Prost => prost(request),
            Self::Tonic => {
                with_defaults(request).and_then(|request| protoc_gen_tonic::execute(&request.encode_to_vec()))
            }
        };
        let mut response = outcome.unwrap_codegen_response();
        response.supported_features = Some(Feature::Proto3Optional as u64);
        // prost hands its files over in the order of a hash map.
        response
            .file
            .sort_by(|a, b| (a.name(), a.insertion_point()).cmp(&(b.name(), b.insertion_point())));
        response
    }

    /// What will surprise the user of the code.
    fn warnings(self, request: &[u8]) -> Vec<String> {
        match (self, CodeGeneratorRequest::decode(request)) {
            (Self::Prost, Ok(request)) => rust_references::warnings(&request),
            _ => Vec::new(),
        }
    }

    /// Answers the request on standard input on standard output.
    ///
    /// # Errors
    /// When either breaks.
    pub fn serve(self) -> io::Result<()> {
        let mut request = Vec::new();
        io::stdin().lock().read_to_end(&mut request)?;
        let mut stdout = io::stdout().lock();
        stdout.write_all(&self.answer(&request).encode_to_vec())?;
        stdout.flush()?;
        self.warnings(&request)
            .iter()
            .try_for_each(|warning| writeln!(io::stderr(), "{warning}"))
    }
}

fn prost(request: &[u8]) -> protoc_gen_prost::Result {
    let mut request = with_defaults(request)?;
    let include_file = IncludeFile::take(&mut request)?;
    let raw = request.encode_to_vec();
    let mut files = protoc_gen_prost::execute(&raw)?;
    files.push(rust_modules::include_file(&raw, &include_file)?);
    Ok(files)
}

/// The request with an option for what protoc-gen-prost would give a name without an extension.
fn with_defaults(request: &[u8]) -> Result<RawRequest, protoc_gen_prost::Error> {
    const OPTION: &str = "default_package_filename";
    let mut request = RawRequest::decode(request)?;
    let parameter = request.parameter.get_or_insert_default();
    if !parameter
        .split(',')
        .any(|option| option.split('=').next() == Some(OPTION))
    {
        let separator = if parameter.is_empty() { "" } else { "," };
        *parameter = format!("{OPTION}={NAMELESS_PACKAGE}{separator}{parameter}");
    }
    Ok(request)
}

#[cfg(test)]
mod tests;

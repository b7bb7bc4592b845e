//! The answer of protoc's plugin protocol.

use super::{Generator, PluginError};
use crate::compile::Compiled;
use heddle_crds::condition::truncate;
use prost::Message;
use prost_types::compiler::CodeGeneratorResponse;
use prost_types::compiler::code_generator_response::Feature;

/// The most bytes of a plugin's error text that are repeated.
const MESSAGE_BYTES: usize = 2048;

pub(super) fn decode(generator: &Generator, bytes: &[u8]) -> Result<CodeGeneratorResponse, PluginError> {
    let response = CodeGeneratorResponse::decode(bytes).map_err(|source| PluginError::Decode {
        generator: generator.name.clone(),
        plugin: generator.plugin.name.clone(),
        length: bytes.len(),
        source,
    })?;
    match &response.error {
        None => Ok(response),
        Some(text) => Err(PluginError::Generate {
            generator: generator.name.clone(),
            plugin: generator.plugin.name.clone(),
            message: printable(text, MESSAGE_BYTES),
        }),
    }
}

/// protoc refuses to go on when a plugin has not said that it knows presence in proto3, since it would silently
/// generate the wrong code.
pub(super) fn check_features(
    generator: &Generator,
    response: &CodeGeneratorResponse,
    compiled: &Compiled,
) -> Result<(), PluginError> {
    if response.supported_features() & (Feature::Proto3Optional as u64) != 0 {
        return Ok(());
    }
    let has_optional = |name: &&String| {
        let file = compiled.pool.get_file_by_name(name);
        file.is_some_and(|file| {
            let mut all: Vec<_> = file.messages().collect();
            std::iter::from_fn(|| {
                let message = all.pop()?;
                all.extend(message.child_messages());
                Some(message)
            })
            .any(|message| {
                message
                    .fields()
                    .any(|field| field.field_descriptor_proto().proto3_optional())
            })
        })
    };
    match compiled.files_to_generate.iter().find(has_optional) {
        None => Ok(()),
        Some(file) => Err(PluginError::SupportOptional {
            generator: generator.name.clone(),
            plugin: generator.plugin.name.clone(),
            file: file.clone(),
        }),
    }
}

/// Text of a stranger, cut and without control characters other than line ends.
pub(super) fn printable(text: &str, limit: usize) -> String {
    let mut text: String = text
        .chars()
        .filter(|character| !character.is_control() || *character == '\n')
        .collect();
    truncate(&mut text, limit);
    text.trim().to_owned()
}

//! IDL as its authors have published it, in two versions, compiled as the codegen Job compiles it.

use anyhow::{Context, Result};
use heddle_tests::public_idl::Idl;
use std::fs;
use std::path::Path;

/// Compiles all of `idl` into a descriptor set with imports and places.
pub(crate) fn compile(idl: &Idl, to: &Path) -> Result<()> {
    let folder = tempfile::tempdir()?;
    for (name, content) in &idl.0 {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().context("a file has no folder")?)?;
        fs::write(path, content)?;
    }
    let mut compiler = protox::Compiler::new([folder.path()])?;
    compiler.include_imports(true).include_source_info(true);
    for name in idl.0.keys() {
        compiler.open_file(name)?;
    }
    Ok(fs::write(to, compiler.encode_file_descriptor_set())?)
}

//! Which plugins there are: built in, in the plugin folder, and on a laptop's `PATH`.

use super::builtin::Builtin;
use heddle_crds::idl_repo::Reason;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What executables of plugins are called before their name.
const PREFIX: &str = "protoc-gen-";
/// How many plugins a message lists.
const LISTED: usize = 50;

/// Where plugins are looked up.
#[derive(Clone, Debug)]
pub struct Registry {
    /// The folder of the image.
    pub folder: PathBuf,
    /// Directories to search after it.
    pub search: Option<OsString>,
}

/// A plugin that exists.
#[derive(Clone, Debug, PartialEq)]
pub struct Plugin {
    /// Its name in the specification.
    pub name: String,
    pub(super) program: Program,
}

/// How a plugin is run.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Program {
    Builtin(Builtin),
    Executable {
        path: PathBuf,
        /// Whether it was found by search, so that an interpreter may have to be searched likewise.
        by_search: bool,
    },
}

/// There is no such plugin.
#[derive(Debug, thiserror::Error)]
#[error("failed to find plugin {plugin:?} of generator {generator:?}: there are {}", available.join(", "))]
pub struct RegistryError {
    generator: String,
    plugin: String,
    available: Vec<String>,
}

impl RegistryError {
    /// The reason for the status.
    pub fn reason(&self) -> Reason {
        Reason::PluginNotFound
    }
}

impl Registry {
    /// The plugin that `generator` asks for.
    ///
    /// # Errors
    /// When there is none; names those that there are.
    pub fn find(&self, generator: &str, plugin: &str) -> Result<Plugin, RegistryError> {
        if let Some(builtin) = Builtin::ALL.iter().find(|builtin| builtin.as_str() == plugin) {
            return Ok(Plugin::builtin(*builtin));
        }
        let file = format!("{PREFIX}{plugin}");
        let program = self
            .directories()
            .map(|(directory, by_search)| (directory.join(&file), by_search))
            .find(|(path, _)| is_executable(path))
            .map(|(path, by_search)| Program::Executable { path, by_search });
        // A name with a slash would lead out of the folder; the schema forbids it, files on a laptop may have it.
        match program.filter(|_| !plugin.contains('/')) {
            Some(program) => Ok(Plugin {
                name: plugin.to_owned(),
                program,
            }),
            None => Err(RegistryError {
                generator: generator.to_owned(),
                plugin: plugin.to_owned(),
                available: self
                    .all()
                    .into_iter()
                    .take(LISTED)
                    .map(|plugin| plugin.name)
                    .collect(),
            }),
        }
    }

    /// Every plugin, built-in ones first.
    pub fn all(&self) -> Vec<Plugin> {
        let builtin = Builtin::ALL.iter().map(|builtin| Plugin::builtin(*builtin));
        let mut names = BTreeSet::new();
        for (directory, _) in self.directories() {
            // A directory of PATH that is not there has no plugins.
            let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
            names.extend(entries.filter_map(|entry| {
                let name = entry.file_name().to_str()?.strip_prefix(PREFIX)?.to_owned();
                is_executable(&entry.path()).then_some(name)
            }));
        }
        let found = names.iter().filter_map(|name| self.find("", name).ok());
        builtin
            .chain(found.filter(|plugin| !matches!(plugin.program, Program::Builtin(_))))
            .collect()
    }

    /// Where plugins can be, in order, and whether that is a place to search. All from the root, as plugins run
    /// elsewhere; an empty path is no place.
    fn directories(&self) -> impl Iterator<Item = (PathBuf, bool)> {
        let search = self.search.iter().flat_map(std::env::split_paths);
        std::iter::once((self.folder.clone(), false))
            .chain(search.map(|directory| (directory, true)))
            .filter_map(|(directory, by_search)| Some((std::path::absolute(directory).ok()?, by_search)))
    }
}

impl Plugin {
    /// One that is part of this program.
    pub fn builtin(builtin: Builtin) -> Self {
        Self {
            name: builtin.as_str().to_owned(),
            program: Program::Builtin(builtin),
        }
    }

    /// Its executable, if it is not built in.
    pub fn path(&self) -> Option<&Path> {
        match &self.program {
            Program::Builtin(_) => None,
            Program::Executable { path, .. } => Some(path),
        }
    }
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn executable(folder: &Path, name: &str) {
        std::fs::write(folder.join(name), "").unwrap();
        std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn the_folder_comes_before_the_search_path_and_built_in_plugins_before_both() {
        let (folder, path) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for name in ["protoc-gen-go", "protoc-gen-prost"] {
            executable(folder.path(), name);
        }
        std::fs::write(folder.path().join("protoc-gen-data"), "").unwrap();
        for name in ["protoc-gen-go", "protoc-gen-es", "unrelated"] {
            executable(path.path(), name);
        }
        let registry = Registry {
            folder: folder.path().into(),
            search: Some(path.path().into()),
        };
        assert_eq!(
            registry.find("g", "go").unwrap().path(),
            Some(folder.path().join("protoc-gen-go").as_path())
        );
        assert_eq!(
            registry.find("g", "es").unwrap().path(),
            Some(path.path().join("protoc-gen-es").as_path())
        );
        assert_eq!(
            registry.find("g", "prost").unwrap(),
            Plugin::builtin(Builtin::Prost)
        );
        let names: Vec<_> = registry.all().into_iter().map(|plugin| plugin.name).collect();
        assert_eq!(names, ["prost", "tonic", "es", "go"]);
        for missing in ["nope", "data", "../x", ""] {
            let message = registry.find("web", missing).unwrap_err().to_string();
            assert!(
                message.contains("of generator \"web\": there are prost, tonic, es, go"),
                "{message}"
            );
        }
    }
}

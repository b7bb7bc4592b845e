//! Reads WsRoute manifests from files.

use super::{Candidate, RouteSet, WantedRoute};
use heddle_crds::WsRoute;
use heddle_crds::publication::digest;
use heddle_route_config::{InvalidRoute, Route, RouteId};
use serde::Deserialize as _;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The most bytes of one file.
const FILE_LIMIT: u64 = 16 << 20;

/// Why files are no set of routes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilesError {
    #[error("failed to read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to read {}: it has more than {FILE_LIMIT} bytes", .0.display())]
    Size(PathBuf),
    #[error("failed to read {}: it is not UTF-8", .0.display())]
    Text(PathBuf),
    #[error("failed to read document {document} of {}", path.display())]
    Parse {
        path: PathBuf,
        /// From 1.
        document: usize,
        #[source]
        source: serde_yaml_ng::Error,
    },
    #[error("failed to read {field} in document {document} of {}", path.display())]
    Field {
        path: PathBuf,
        document: usize,
        /// Such as `spec.timeouts.idle`.
        field: String,
        #[source]
        source: serde_yaml_ng::Error,
    },
    #[error("failed to read document {document} of {}: it is {kind}, not a WsRoute of heddle.dev/v1alpha1", path.display())]
    Kind {
        path: PathBuf,
        document: usize,
        kind: String,
    },
    #[error("failed to use {}", path.display())]
    Invalid {
        path: PathBuf,
        #[source]
        source: InvalidRoute,
    },
    #[error("failed to use {}: {} has WsRoute {id} already", path.display(), first.display())]
    Twice {
        path: PathBuf,
        first: PathBuf,
        id: RouteId,
    },
}

/// What is read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Paths {
    /// Files of one or several YAML documents.
    pub(crate) manifests: Vec<PathBuf>,
    /// Encoded descriptor sets, by the name of the IdlRepo that each stands for.
    pub(crate) descriptors: Vec<(String, PathBuf)>,
}

/// What files say.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FileSet {
    pub(crate) routes: Vec<Route>,
    /// By the names of IdlRepos.
    descriptors: BTreeMap<String, Arc<[u8]>>,
}

impl FileSet {
    /// As it is brought into effect.
    pub(crate) fn route_set(&self) -> RouteSet {
        let digests: BTreeMap<_, _> = self
            .descriptors
            .iter()
            .map(|(name, set)| (name, digest(set)))
            .collect();
        let wanted = |route: &Route| {
            let repo = route
                .transcoding
                .as_ref()
                .map(|transcoding| &transcoding.idl_repo);
            WantedRoute {
                wanted: Candidate {
                    route: route.clone(),
                    // None is told apart from none that is asked for by what fails.
                    descriptors: repo.map(|repo| digests.get(repo).cloned().unwrap_or_default()),
                },
                former: None,
            }
        };
        let sets = digests
            .iter()
            .filter_map(|(name, digest)| Some((digest.clone(), Arc::clone(self.descriptors.get(*name)?))));
        RouteSet {
            routes: self.routes.iter().map(wanted).collect(),
            descriptors: sets.collect(),
        }
    }
}

/// Reads all routes, and the descriptor sets that they may refer to.
pub(crate) fn read(paths: &Paths) -> Result<FileSet, FilesError> {
    let descriptors = paths.descriptors.iter().map(|(name, path)| {
        let bytes = read_bytes(path)?;
        Ok((name.clone(), Arc::from(bytes)))
    });
    Ok(FileSet {
        routes: read_routes(&paths.manifests)?,
        descriptors: descriptors.collect::<Result<_, FilesError>>()?,
    })
}

fn read_routes(paths: &[PathBuf]) -> Result<Vec<Route>, FilesError> {
    let mut routes: BTreeMap<RouteId, (PathBuf, Route)> = BTreeMap::new();
    for path in paths {
        let text = read_text(path)?;
        for route in parse(path, &text)? {
            let id = route.id.clone();
            if let Some((first, _)) = routes.insert(id.clone(), (path.clone(), route)) {
                return Err(FilesError::Twice {
                    path: path.clone(),
                    first,
                    id,
                });
            }
        }
    }
    Ok(routes.into_values().map(|(_, route)| route).collect())
}

fn read_text(path: &Path) -> Result<String, FilesError> {
    String::from_utf8(read_bytes(path)?).map_err(|_| FilesError::Text(path.to_owned()))
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, FilesError> {
    let failed = |source| FilesError::Read {
        path: path.to_owned(),
        source,
    };
    if std::fs::metadata(path).map_err(failed)?.len() > FILE_LIMIT {
        return Err(FilesError::Size(path.to_owned()));
    }
    std::fs::read(path).map_err(failed)
}

fn parse(path: &Path, text: &str) -> Result<Vec<Route>, FilesError> {
    let mut routes = Vec::new();
    for (index, document) in serde_yaml_ng::Deserializer::from_str(text).enumerate() {
        let document_number = index + 1;
        let failed = |source| FilesError::Parse {
            path: path.to_owned(),
            document: document_number,
            source,
        };
        let value = serde_yaml_ng::Value::deserialize(document).map_err(failed)?;
        if value.is_null() {
            continue;
        }
        check_kind(&value).map_err(|kind| FilesError::Kind {
            path: path.to_owned(),
            document: document_number,
            kind,
        })?;
        let object: WsRoute = serde_path_to_error::deserialize(value).map_err(|error| FilesError::Field {
            path: path.to_owned(),
            document: document_number,
            field: error.path().to_string(),
            source: error.into_inner(),
        })?;
        routes.push(Route::parse(&object).map_err(|source| FilesError::Invalid {
            path: path.to_owned(),
            source,
        })?);
    }
    Ok(routes)
}

fn check_kind(value: &serde_yaml_ng::Value) -> Result<(), String> {
    let text = |key: &str| {
        value
            .get(key)
            .and_then(|value| value.as_str())
            .unwrap_or_default()
    };
    match (text("apiVersion"), text("kind")) {
        ("heddle.dev/v1alpha1", "WsRoute") => Ok(()),
        ("", "") => Err("no object".into()),
        (version, kind) => Err(format!("a {kind} of {version}")),
    }
}

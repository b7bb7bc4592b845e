//! Finds out which keys of a Secret can be used. Of what is in it nothing is kept.

use super::ObserveError;
use crate::ws_route::world::StoredVersion;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// The keys that Secrets of routes may have.
const KEYS: [&str; 3] = ["ca.crt", "tls.crt", "tls.key"];

/// The usable keys of a Secret.
type Usable = BTreeSet<&'static str>;

/// Which keys of which version were usable, so that a Secret is read once and not with every change of a pod.
#[derive(Debug, Default)]
pub(crate) struct SecretsCache(Mutex<BTreeMap<(String, String), (StoredVersion, Usable)>>);

impl SecretsCache {
    /// The usable keys of Secrets that are there.
    pub(super) async fn read(
        &self,
        client: &Client,
        namespace: &str,
        names: &BTreeSet<&str>,
        versions: &BTreeMap<String, StoredVersion>,
    ) -> Result<BTreeMap<String, Usable>, ObserveError> {
        self.forget_others(namespace, names);
        let mut found = BTreeMap::new();
        for name in names {
            let Some(version) = versions.get(*name) else {
                continue;
            };
            let keys = match self.known(namespace, name, version) {
                Some(keys) => keys,
                None => match self.fetch(client, namespace, name, version).await? {
                    Some(keys) => keys,
                    None => continue,
                },
            };
            found.insert((*name).to_owned(), keys);
        }
        Ok(found)
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, String), (StoredVersion, Usable)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget_others(&self, namespace: &str, names: &BTreeSet<&str>) {
        self.entries()
            .retain(|(of, name), _| of != namespace || names.contains(name.as_str()));
    }

    fn known(&self, namespace: &str, name: &str, version: &StoredVersion) -> Option<Usable> {
        let entries = self.entries();
        let (known, keys) = entries.get(&(namespace.to_owned(), name.to_owned()))?;
        (known == version).then(|| keys.clone())
    }

    async fn fetch(
        &self,
        client: &Client,
        namespace: &str,
        name: &str,
        version: &StoredVersion,
    ) -> Result<Option<Usable>, ObserveError> {
        let api = Api::<Secret>::namespaced(client.clone(), namespace);
        let secret = api.get_opt(name).await.map_err(|source| ObserveError::Secret {
            name: name.to_owned(),
            source,
        })?;
        let Some(secret) = secret else { return Ok(None) };
        let keys: Usable = KEYS.into_iter().filter(|key| is_usable(&secret, key)).collect();
        let place = (namespace.to_owned(), name.to_owned());
        self.entries().insert(place, (version.clone(), keys.clone()));
        Ok(Some(keys))
    }
}

fn is_usable(secret: &Secret, key: &str) -> bool {
    let Some(value) = secret.data.as_ref().and_then(|data| data.get(key)) else {
        return false;
    };
    match key {
        "tls.key" => PrivateKeyDer::from_pem_slice(&value.0).is_ok(),
        _ => {
            let mut certificates = CertificateDer::pem_slice_iter(&value.0).peekable();
            certificates.peek().is_some() && certificates.all(|certificate| certificate.is_ok())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;

    #[test]
    fn a_key_is_usable_when_it_holds_what_its_name_says() {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(["a.test".to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let (certificate, key) = (certificate.pem(), key.serialize_pem());
        let secret = |data: &[(&str, &str)]| Secret {
            data: Some(
                data.iter()
                    .map(|(key, value)| ((*key).into(), ByteString(value.as_bytes().to_vec())))
                    .collect(),
            ),
            ..Secret::default()
        };
        let whole = secret(&[("tls.crt", &certificate), ("tls.key", &key)]);
        assert!(is_usable(&whole, "tls.crt") && is_usable(&whole, "tls.key"));
        assert!(!is_usable(&whole, "ca.crt"), "it is missing");
        let swapped = secret(&[("tls.crt", &key), ("tls.key", &certificate), ("ca.crt", "")]);
        for key in KEYS {
            assert!(!is_usable(&swapped, key), "{key}");
        }
    }
}

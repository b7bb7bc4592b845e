//! What is in the Secret, read into types and written back.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use std::collections::BTreeMap;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;

/// The key of the serving certificate.
pub(super) const CERTIFICATE: &str = "tls.crt";
/// The key of its private key.
pub(super) const KEY: &str = "tls.key";
/// The key of all authorities that are to be trusted.
pub(super) const BUNDLE: &str = "ca.crt";
/// The keys of the authority that signs.
const AUTHORITY: [&str; 2] = ["authority.crt", "authority.key"];
/// The keys of the authority that will.
const NEXT_AUTHORITY: [&str; 2] = ["next-authority.crt", "next-authority.key"];

/// Why what is in the Secret is of no use.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum StoredError {
    #[error("failed to find {0} in the Secret")]
    Missing(&'static str),
    #[error("failed to find the authority in ca.crt: somebody else has written it")]
    Foreign,
    #[error("failed to read a certificate: {0}")]
    Parse(String),
}

/// A certificate in PEM and what it says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Certificate {
    pub(super) pem: String,
    /// In seconds since 1970, as all times here.
    pub(super) not_before: i64,
    pub(super) not_after: i64,
    pub(super) subject: String,
    pub(super) issuer: String,
    /// DNS names and addresses that it is for.
    pub(super) names: Vec<String>,
}

/// A certificate and its private key in PEM.
#[derive(Clone, Eq, PartialEq)]
pub(super) struct Pair {
    pub(super) certificate: Certificate,
    pub(super) key: String,
}

/// Keys have no way into logs.
impl std::fmt::Debug for Pair {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Pair")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

/// Everything that the leader keeps.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Stored {
    /// Signs.
    pub(super) authority: Pair,
    /// Will sign, once it has been announced for long enough.
    pub(super) next: Option<Pair>,
    /// Signed before, and are trusted until they expire.
    pub(super) former: Vec<Certificate>,
    pub(super) serving: Pair,
}

impl Certificate {
    /// Reads the first certificate of a PEM text.
    pub(super) fn parse(pem: &str) -> Result<Self, StoredError> {
        all(pem)?
            .into_iter()
            .next()
            .ok_or_else(|| StoredError::Parse("there is none".into()))
    }

    /// The first certificate of a PEM text, which goes with those that follow it.
    fn with_chain(pem: &str) -> Result<Self, StoredError> {
        let chain = all(pem)?.into_iter().map(|certificate| certificate.pem);
        Ok(Self {
            pem: chain.collect(),
            ..Self::parse(pem)?
        })
    }

    fn new(block: &Pem) -> Result<Self, StoredError> {
        let certificate = block
            .parse_x509()
            .map_err(|error| StoredError::Parse(error.to_string()))?;
        let names = certificate
            .subject_alternative_name()
            .ok()
            .flatten()
            .map(|extension| extension.value.general_names.iter().filter_map(name).collect())
            .unwrap_or_default();
        Ok(Self {
            pem: encode(&block.contents),
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            names,
        })
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(std::net::IpAddr::from);
            let address = v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(std::net::IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

/// Every certificate of a PEM text.
pub(super) fn all(pem: &str) -> Result<Vec<Certificate>, StoredError> {
    Pem::iter_from_buffer(pem.as_bytes())
        .map(|block| {
            let block = block.map_err(|error| StoredError::Parse(error.to_string()))?;
            Certificate::new(&block)
        })
        .collect()
}

/// In one form, however it was written, so that the same certificates are the same text.
fn encode(der: &[u8]) -> String {
    use base64::Engine;
    /// Of a line (RFC 7468).
    const WIDTH: usize = 64;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines = text
        .as_bytes()
        .chunks(WIDTH)
        .map(|line| String::from_utf8_lossy(line).into_owned() + "\n");
    let body: String = lines.collect();
    format!("-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n")
}

/// What is under a key, as text.
pub(super) fn text<'a>(secret: &'a Secret, key: &'static str) -> Result<&'a str, StoredError> {
    let data = secret.data.as_ref().and_then(|data| data.get(key));
    data.and_then(|value| std::str::from_utf8(&value.0).ok())
        .ok_or(StoredError::Missing(key))
}

fn pair(secret: &Secret, [certificate, key]: [&'static str; 2]) -> Result<Pair, StoredError> {
    Ok(Pair {
        certificate: Certificate::with_chain(text(secret, certificate)?)?,
        key: text(secret, key)?.to_owned(),
    })
}

impl Stored {
    /// Reads what the leader wrote.
    ///
    /// # Errors
    /// [`StoredError::Foreign`] when the authority is not announced in `ca.crt`: it was written over.
    pub(super) fn read(secret: &Secret) -> Result<Self, StoredError> {
        let authority = pair(secret, AUTHORITY)?;
        let next = match pair(secret, NEXT_AUTHORITY) {
            Err(StoredError::Missing(_)) => None,
            next => Some(next?),
        };
        let signs = |certificate: &Certificate| {
            *certificate == authority.certificate
                || next.as_ref().is_some_and(|next| *certificate == next.certificate)
        };
        let mut former = all(text(secret, BUNDLE)?)?;
        if !former.contains(&authority.certificate) {
            return Err(StoredError::Foreign);
        }
        former.retain(|certificate| !signs(certificate));
        Ok(Self {
            serving: pair(secret, [CERTIFICATE, KEY])?,
            authority,
            next,
            former,
        })
    }

    /// What somebody else wrote, such as cert-manager: it is served on, and its authorities stay trusted, beside an
    /// authority of our own that will sign.
    pub(super) fn adopt(secret: &Secret, authority: Pair) -> Result<Self, StoredError> {
        Ok(Self {
            serving: pair(secret, [CERTIFICATE, KEY])?,
            former: all(text(secret, BUNDLE)?)?,
            authority,
            next: None,
        })
    }

    /// Whether the authority that signs has signed what is served.
    pub(super) fn is_served_by_own_authority(&self) -> bool {
        self.serving.certificate.issuer == self.authority.certificate.subject
    }

    /// All authorities that are to be trusted, the one that signs first.
    pub(super) fn bundle(&self) -> String {
        let next = self.next.as_ref().map(|next| &next.certificate);
        std::iter::once(&self.authority.certificate)
            .chain(next)
            .chain(&self.former)
            .map(|certificate| certificate.pem.as_str())
            .collect()
    }

    /// As it lies in the Secret.
    pub(super) fn data(&self) -> BTreeMap<String, ByteString> {
        let pairs = [
            Some(([CERTIFICATE, KEY], &self.serving)),
            Some((AUTHORITY, &self.authority)),
            self.next.as_ref().map(|next| (NEXT_AUTHORITY, next)),
        ];
        let mut data = BTreeMap::from([(BUNDLE.to_owned(), ByteString(self.bundle().into_bytes()))]);
        for ([certificate, key], pair) in pairs.into_iter().flatten() {
            data.insert(
                certificate.to_owned(),
                ByteString(pair.certificate.pem.clone().into_bytes()),
            );
            data.insert(key.to_owned(), ByteString(pair.key.clone().into_bytes()));
        }
        data
    }
}

//! The certificates of what the operator serves to others: the admission webhook and the configuration stream.
//!
//! They lie in a Secret of the operator's namespace, in the form that cert-manager writes as well: `tls.crt`, `tls.key`, and in
//! `ca.crt` every authority that is to be trusted. The leader keeps it fresh ([`keep()`]); every replica serves what is in
//! it, and what comes into it while it runs ([`Serving`]).
//!
//! Who fills the Secret may change. What cert-manager left is served until an authority of ours has been announced; an authority
//! that is to come from elsewhere is announced by a setting. A Secret that is deleted while there is a leader is written again.
//!
//! A new authority is announced in `ca.crt` before anything is signed by it, and an old one stays there until it expires:
//! who trusts an old or a new bundle trusts the certificate of the moment.

mod authority;
mod keep;
mod plan;
mod serving;
mod stored;
mod webhooks;

use std::time::Duration;

pub(crate) use keep::keep;
pub(crate) use serving::{Serving, follow};

/// What certificates there are to be.
#[derive(Clone, Debug)]
pub(crate) struct CertificateSettings {
    /// The namespace of the Secret.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) secret: String,
    /// Who fills it.
    pub(crate) issuer: CertificateIssuer,
    /// The names that the certificate is for.
    pub(crate) names: Vec<String>,
    /// The configurations of webhooks whose `caBundle` the leader keeps. One mutates and one validates.
    pub(crate) webhook_configuration: Option<String>,
    /// Authorities, in PEM, that are to be trusted besides: those of an issuer that is to come.
    pub(crate) additional_authorities: String,
}

/// Reads authorities in PEM, or nothing, as an argument.
///
/// # Errors
/// What is wrong, for people.
pub(crate) fn authorities(text: &str) -> Result<String, String> {
    match stored::all(text) {
        Ok(certificates) if certificates.is_empty() && !text.trim().is_empty() => {
            Err("there is no certificate in it".into())
        }
        Ok(_) => Ok(text.trim().to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

impl CertificateSettings {
    /// A bundle with the additional authorities.
    fn with_additional(&self, bundle: &str) -> String {
        match self.additional_authorities.as_str() {
            "" => bundle.to_owned(),
            additional => format!("{}\n{additional}\n", bundle.trim_end()),
        }
    }
}

/// Who makes the certificates.
#[derive(Clone, Debug)]
pub(crate) enum CertificateIssuer {
    /// The leader.
    Heddle(Lifetimes),
    /// Somebody else, such as cert-manager, who also keeps the `caBundle` of webhooks.
    External,
}

/// How long certificates last. Each is replaced when a third of its time is left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetimes {
    /// An authority's.
    pub(crate) authority: Duration,
    /// A serving certificate's.
    pub(crate) serving: Duration,
    /// How long an authority is announced before it signs.
    pub(crate) announcement: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn additional_authorities_are_read_at_the_start_and_trusted_beside_the_others() {
        let made = authority::authority(1_800_000_000, Duration::from_secs(3600)).unwrap();
        let pem = authorities(&format!("\n{}", made.certificate.pem)).unwrap();
        let settings = CertificateSettings {
            namespace: "heddle".into(),
            secret: "heddle-certificates".into(),
            issuer: CertificateIssuer::External,
            names: Vec::new(),
            webhook_configuration: None,
            additional_authorities: pem,
        };
        let bundle = settings.with_additional(&made.certificate.pem);
        assert_eq!(stored::all(&bundle).unwrap().len(), 2);
        let none = CertificateSettings {
            additional_authorities: authorities("").unwrap(),
            ..settings
        };
        assert_eq!(none.with_additional(&bundle), bundle);
        assert!(authorities("a certificate").is_err());
    }
}

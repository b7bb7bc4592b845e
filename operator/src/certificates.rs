//! The certificates of what the operator serves to others: the admission webhook and the configuration stream.
//!
//! They lie in a Secret of the operator's namespace, in the form that cert-manager writes as well: `tls.crt`, `tls.key`, and in
//! `ca.crt` every authority that is to be trusted. The leader keeps it fresh ([`keep()`]); every replica serves what is in
//! it, and what comes into it while it runs ([`Serving`]).
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

//! Makes keys and certificates.

use super::stored::{Certificate, Pair, StoredError};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, SerialNumber,
};
use std::time::Duration;
use time::OffsetDateTime;

/// How far clocks of others may be behind.
pub(super) const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// Why a certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IssueError {
    #[error("failed to make a key or to sign a certificate")]
    Sign(#[from] rcgen::Error),
    #[error("failed to read the certificate just made")]
    Read(#[from] StoredError),
    #[error("failed to make a certificate: {0} is no point in time")]
    Time(i64),
}

/// A new authority. `now` is in seconds since 1970.
pub(super) fn authority(now: i64, lifetime: Duration) -> Result<Pair, IssueError> {
    let mut params = params(now, seconds(lifetime) + now)?;
    // A name of its own, so that verifiers that look issuers up by name find the right one of two.
    params.distinguished_name = named(&format!("heddle {:016x}", rand::random::<u64>()));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    Ok(Pair {
        certificate: Certificate::parse(&issuer.pem())?,
        key: issuer.key().serialize_pem(),
    })
}

/// A certificate for `names`, which does not outlive its authority.
pub(super) fn serving(
    authority: &Pair,
    names: &[String],
    now: i64,
    lifetime: Duration,
) -> Result<Pair, IssueError> {
    let until = (seconds(lifetime) + now).min(authority.certificate.not_after);
    let mut params = params(now, until)?;
    params.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
    params.distinguished_name = named(names.first().map_or("heddle", String::as_str));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    let signing_key = KeyPair::from_pem(&authority.key)?;
    let issuer = Issuer::from_ca_cert_pem(&authority.certificate.pem, signing_key)?;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    Ok(Pair {
        certificate: Certificate::parse(&certificate.pem())?,
        key: key.serialize_pem(),
    })
}

fn params(now: i64, until: i64) -> Result<CertificateParams, IssueError> {
    let mut params = CertificateParams::default();
    params.not_before = point(now - seconds(CLOCK_SKEW))?;
    params.not_after = point(until)?;
    params.serial_number = Some(SerialNumber::from(rand::random::<u64>() >> 1));
    Ok(params)
}

fn point(second: i64) -> Result<OffsetDateTime, IssueError> {
    OffsetDateTime::from_unix_timestamp(second).map_err(|_| IssueError::Time(second))
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

fn named(common_name: &str) -> DistinguishedName {
    /// RFC 5280, `ub-common-name`.
    const LIMIT: usize = 64;
    let mut name = DistinguishedName::new();
    let end = common_name.floor_char_boundary(common_name.len().min(LIMIT));
    name.push(DnType::CommonName, &common_name[..end]);
    name
}

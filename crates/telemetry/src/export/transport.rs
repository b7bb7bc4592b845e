//! Builds the OTLP exporter that settings ask for: gRPC by tonic or protobuf over HTTP by hyper,
//! either with rustls.

use super::http_client::{ExplainingClient, LastFailure};
use crate::settings::{OtlpCompression, OtlpProtocol, OtlpSettings};
use http::{HeaderName, HeaderValue};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnectorBuilder};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_otlp::{
    Compression, ExporterBuildError, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
    WithTonicConfig as _,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::{ClientConfig, RootCertStore};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;
use tonic::metadata::MetadataMap;
use tonic::transport::{Certificate, ClientTlsConfig};

/// Why there is no exporter.
#[derive(Debug, Error)]
pub(crate) enum TransportError {
    #[error("failed to read the certificates of the system")]
    SystemCertificates(#[source] std::io::Error),
    #[error("failed to read the certificates in {path}")]
    ReadCertificate { path: PathBuf, source: std::io::Error },
    #[error("failed to parse the certificates in {path}")]
    Pem { path: PathBuf, source: pem::Error },
    #[error("failed to set up TLS")]
    Tls(#[source] rustls::Error),
    #[error("failed to build the exporter for {endpoint}")]
    Build {
        endpoint: String,
        source: ExporterBuildError,
    },
}

/// Builds an exporter. Must be called inside the runtime that will drive it.
pub(super) fn build(settings: &OtlpSettings, failure: LastFailure) -> Result<SpanExporter, TransportError> {
    let built = match settings.protocol {
        OtlpProtocol::Grpc => grpc(settings)?,
        OtlpProtocol::HttpProtobuf => http(settings, failure)?,
    };
    built.map_err(|source| TransportError::Build {
        endpoint: settings.endpoint.clone(),
        source,
    })
}

fn grpc(settings: &OtlpSettings) -> Result<Result<SpanExporter, ExporterBuildError>, TransportError> {
    let headers = settings.headers.iter().filter_map(|(name, value)| {
        Some((
            name.parse::<HeaderName>().ok()?,
            value.parse::<HeaderValue>().ok()?,
        ))
    });
    let mut builder = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(&settings.endpoint)
        .with_timeout(settings.timeout)
        .with_metadata(MetadataMap::from_headers(headers.collect()));
    if settings.compression == OtlpCompression::Gzip {
        builder = builder.with_compression(Compression::Gzip);
    }
    if is_https(settings) {
        builder = builder.with_tls_config(match &settings.certificate {
            Some(path) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(path)?)),
            None => ClientTlsConfig::new().with_native_roots(),
        });
    }
    Ok(builder.build())
}

fn http(
    settings: &OtlpSettings,
    failure: LastFailure,
) -> Result<Result<SpanExporter, ExporterBuildError>, TransportError> {
    let mut builder = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(&settings.endpoint)
        .with_timeout(settings.timeout)
        .with_headers(settings.headers.iter().cloned().collect());
    if settings.compression == OtlpCompression::Gzip {
        builder = builder.with_compression(Compression::Gzip);
    }
    let timeout = settings.timeout;
    // Certificates are read only where they are needed: an image need not have any.
    Ok(if is_https(settings) {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(settings.certificate.as_deref())?)
            .https_only()
            .enable_all_versions()
            .build();
        let client = HyperClient::new(connector, timeout, None);
        builder
            .with_http_client(ExplainingClient { client, failure })
            .build()
    } else {
        let client = HyperClient::with_default_connector(timeout, None);
        builder
            .with_http_client(ExplainingClient { client, failure })
            .build()
    })
}

fn is_https(settings: &OtlpSettings) -> bool {
    settings.endpoint.starts_with("https://")
}

fn tls(certificate: Option<&Path>) -> Result<ClientConfig, TransportError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TransportError::Tls)?;
    let builder = match certificate {
        Some(path) => builder.with_root_certificates(roots(path)?),
        None => builder
            .with_native_roots()
            .map_err(TransportError::SystemCertificates)?,
    };
    Ok(builder.with_no_client_auth())
}

fn roots(path: &Path) -> Result<RootCertStore, TransportError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&read(path)?) {
        let certificate = certificate.map_err(|source| TransportError::Pem {
            path: path.to_owned(),
            source,
        })?;
        roots.add(certificate).map_err(TransportError::Tls)?;
    }
    Ok(roots)
}

fn read(path: &Path) -> Result<Vec<u8>, TransportError> {
    std::fs::read(path).map_err(|source| TransportError::ReadCertificate {
        path: path.to_owned(),
        source,
    })
}

//! TLS of the HTTP port, as a web configuration's `tls_server_config` describes it.
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::{ClientCertificates, PemSource, SecretSource, ServerTls, TlsVersion};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};

use crate::pem::{NotPem, certificates, private_key};

/// Why no TLS can be spoken.
#[derive(Debug, thiserror::Error)]
pub enum ServerTlsError {
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Pem(#[from] NotPem),
    #[error("no cipher suite of the list can be had with the versions of TLS that are allowed")]
    Suites(#[source] rustls::Error),
    #[error("the certificate and its key cannot be used")]
    Identity(#[source] rustls::Error),
    #[error("the clients' authorities cannot be used")]
    Authorities(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Reads the files and makes them ready; `http2` is offered or not. Blocks.
pub(crate) fn server_config(tls: &ServerTls, http2: bool) -> Result<ServerConfig, ServerTlsError> {
    let provider = Arc::new(provider(&tls.cipher_suites));
    let versions = versions(tls);
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions)
        .map_err(ServerTlsError::Suites)?;
    let builder = match verifier(&tls.client, &provider)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let chain = certificates(&read_pem(&tls.certificate)?, "certificate")?;
    let key = match &tls.key {
        SecretSource::Inline(key) => key.reveal().as_bytes().to_vec(),
        SecretSource::File(path) => read(path)?,
    };
    let key = private_key(&key)?;
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(ServerTlsError::Identity)?;
    config.alpn_protocols = if http2 {
        vec![b"h2".to_vec(), b"http/1.1".to_vec()]
    } else {
        vec![b"http/1.1".to_vec()]
    };
    Ok(config)
}

/// Every file that [`server_config`] reads.
pub(crate) fn files(tls: &ServerTls) -> Vec<PathBuf> {
    let pem = |source: &PemSource| match source {
        PemSource::File(path) => Some(path.clone()),
        PemSource::Inline(_) => None,
    };
    let key = match &tls.key {
        SecretSource::File(path) => Some(path.clone()),
        SecretSource::Inline(_) => None,
    };
    let authorities = match &tls.client {
        ClientCertificates::Verified { authorities, .. } => pem(authorities),
        ClientCertificates::Any { .. } | ClientCertificates::NotAsked => None,
    };
    [pem(&tls.certificate), key, authorities]
        .into_iter()
        .flatten()
        .collect()
}

/// ring's, with the suites of the list, those of TLS 1.3 always: Go has no choice of them either.
fn provider(names: &[String]) -> CryptoProvider {
    let mut provider = rustls::crypto::ring::default_provider();
    if !names.is_empty() {
        provider.cipher_suites.retain(|suite| {
            let name = format!("{:?}", suite.suite());
            let go = name
                .replace("TLS13_", "TLS_")
                .replace("_POLY1305_SHA256", "_POLY1305");
            suite.tls13().is_some()
                || names
                    .iter()
                    .any(|wanted| wanted.replace("_POLY1305_SHA256", "_POLY1305") == go)
        });
    }
    provider
}

/// TLS 1.0 and 1.1 are spoken by nobody here: as a lower bound they mean 1.2.
fn versions(tls: &ServerTls) -> Vec<&'static SupportedProtocolVersion> {
    [
        (TlsVersion::Tls12, &rustls::version::TLS12),
        (TlsVersion::Tls13, &rustls::version::TLS13),
    ]
    .into_iter()
    .filter(|(version, _)| *version >= tls.version_min && *version <= tls.version_max)
    .map(|(_, supported)| supported)
    .collect()
}

fn verifier(
    client: &ClientCertificates,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, ServerTlsError> {
    match client {
        ClientCertificates::NotAsked => Ok(None),
        ClientCertificates::Any { required } => Ok(Some(Arc::new(AnyClient {
            required: *required,
            provider: provider.clone(),
        }))),
        ClientCertificates::Verified {
            required,
            authorities,
            names,
        } => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(&read_pem(authorities)?, "client authority")? {
                roots
                    .add(authority)
                    .map_err(|error| ServerTlsError::Authorities(error.into()))?;
            }
            let builder =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
            let builder = if *required {
                builder
            } else {
                builder.allow_unauthenticated()
            };
            let verified = builder
                .build()
                .map_err(|error| ServerTlsError::Authorities(error.into()))?;
            if names.is_empty() {
                return Ok(Some(verified));
            }
            Ok(Some(Arc::new(NamedClient {
                names: names.clone(),
                verified,
            })))
        }
    }
}

fn read_pem(source: &PemSource) -> Result<Vec<u8>, ServerTlsError> {
    match source {
        PemSource::Inline(text) => Ok(text.as_bytes().to_vec()),
        PemSource::File(path) => read(path),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ServerTlsError> {
    std::fs::read(path).map_err(|source| ServerTlsError::Read {
        path: path.to_owned(),
        source,
    })
}

/// `RequestClientCert` and `RequireAnyClientCert`: whoever signed it; the client must have its key.
#[derive(Debug)]
struct AnyClient {
    required: bool,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// A verified client whose certificate also says one of the names (`client_allowed_sans`): a DNS name or an address.
#[derive(Debug)]
struct NamedClient {
    names: Vec<String>,
    verified: Arc<dyn ClientCertVerifier>,
}

impl NamedClient {
    fn is_named(&self, certificate: &CertificateDer<'_>) -> bool {
        let Ok(certificate) = webpki::EndEntityCert::try_from(certificate) else {
            return false;
        };
        self.names.iter().any(|name| {
            ServerName::try_from(name.as_str())
                .is_ok_and(|name| certificate.verify_is_valid_for_subject_name(&name).is_ok())
        })
    }
}

impl ClientCertVerifier for NamedClient {
    fn client_auth_mandatory(&self) -> bool {
        self.verified.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verified.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self
            .verified
            .verify_client_cert(end_entity, intermediates, now)?;
        if self.is_named(end_entity) {
            Ok(verified)
        } else {
            Err(rustls::Error::General(
                "the client's certificate has none of the allowed names".into(),
            ))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.verified
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.verified
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verified.supported_verify_schemes()
    }
}

//! TLS towards vendors and mail servers, as `tls_config` describes it. One form for HTTP and mail.
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use config::{PemSource, SecretSource, TlsConfig, TlsVersion};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion,
};

use runtime::pem::{NotPem, certificates, private_key};

/// Why no TLS can be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Pem(#[from] NotPem),
    #[error("a certificate and its key must be given together")]
    HalfAnIdentity,
    #[error("no version of TLS lies between min_version and max_version (1.2 and 1.3 are spoken)")]
    NoVersion,
    #[error("{0:?} is not a server's name")]
    ServerName(String),
    #[error("the certificates cannot be used")]
    Certificates(#[source] rustls::Error),
    #[error("the authorities cannot be used")]
    Authorities(#[source] rustls::client::VerifierBuilderError),
}

/// What the files of a `tls_config` hold, so that a changed file is seen.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct TlsMaterial {
    ca: Option<Vec<u8>>,
    certificate: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
}

impl TlsMaterial {
    pub(crate) async fn read(config: &TlsConfig) -> Result<Self, TlsError> {
        Ok(Self {
            ca: read_pem(config.ca.as_ref()).await?,
            certificate: read_pem(config.certificate.as_ref()).await?,
            key: match &config.key {
                None => None,
                Some(SecretSource::Inline(secret)) => Some(secret.reveal().as_bytes().to_vec()),
                Some(SecretSource::File(path)) => Some(read_file(path).await?),
            },
        })
    }
}

/// The system's own authorities, read once. `None` where the system has none: then only servers whose authority is
/// configured can be trusted.
static PLATFORM: LazyLock<Option<Arc<rustls_platform_verifier::Verifier>>> = LazyLock::new(|| {
    rustls_platform_verifier::Verifier::new(provider())
        .ok()
        .map(Arc::new)
});

/// Whether the files of a `tls_config` can be used.
pub(crate) async fn rehearse(config: &TlsConfig) -> Result<(), TlsError> {
    let material = TlsMaterial::read(config).await?;
    client_config(config, &material).map(drop)
}

/// Without ALPN: whoever connects says what is spoken.
pub(crate) fn client_config(
    config: &TlsConfig,
    material: &TlsMaterial,
) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&versions(config))
        .map_err(|_| TlsError::NoVersion)?
        .dangerous()
        .with_custom_certificate_verifier(verifier(config, material)?);
    match (&material.certificate, &material.key) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(certificate), Some(key)) => {
            let chain = certificates(certificate, "certificate")?;
            let key = private_key(key)?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(TlsError::Certificates)
        }
        (None, Some(_)) | (Some(_), None) => Err(TlsError::HalfAnIdentity),
    }
}

fn provider() -> Arc<CryptoProvider> {
    static RING: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));
    RING.clone()
}

/// TLS 1.0 and 1.1 are spoken by nobody here: as a lower bound they mean 1.2, as an upper bound nothing is left.
fn versions(config: &TlsConfig) -> Vec<&'static SupportedProtocolVersion> {
    [
        (TlsVersion::Tls12, &rustls::version::TLS12),
        (TlsVersion::Tls13, &rustls::version::TLS13),
    ]
    .into_iter()
    .filter(|(version, _)| {
        config.version_min.is_none_or(|least| *version >= least)
            && config.version_max.is_none_or(|most| *version <= most)
    })
    .map(|(_, supported)| supported)
    .collect()
}

fn verifier(
    config: &TlsConfig,
    material: &TlsMaterial,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    if config.insecure_skip_verify {
        return Ok(Arc::new(AnyCertificate(provider())));
    }
    let trusting: Arc<dyn ServerCertVerifier> = match (&material.ca, &*PLATFORM) {
        (None, Some(platform)) => platform.clone(),
        (None, None) => Arc::new(NoAuthority(provider())),
        (Some(ca), _) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(ca, "authority")? {
                roots.add(authority).map_err(TlsError::Certificates)?;
            }
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
                .build()
                .map_err(TlsError::Authorities)?
        }
    };
    if config.server_name.is_empty() {
        return Ok(trusting);
    }
    let name = ServerName::try_from(config.server_name.clone())
        .map_err(|_| TlsError::ServerName(config.server_name.clone()))?;
    Ok(Arc::new(OtherName { name, trusting }))
}

async fn read_pem(source: Option<&PemSource>) -> Result<Option<Vec<u8>>, TlsError> {
    match source {
        None => Ok(None),
        Some(PemSource::Inline(text)) => Ok(Some(text.as_bytes().to_vec())),
        Some(PemSource::File(path)) => read_file(path).await.map(Some),
    }
}

async fn read_file(path: &Path) -> Result<Vec<u8>, TlsError> {
    tokio::fs::read(path)
        .await
        .map_err(|source| TlsError::Read {
            path: path.to_owned(),
            source,
        })
}

/// Checks the certificate against `tls_config.server_name` in place of the address' host.
#[derive(Debug)]
struct OtherName {
    name: ServerName<'static>,
    trusting: Arc<dyn ServerCertVerifier>,
}

impl ServerCertVerifier for OtherName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.trusting
            .verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.trusting
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.trusting
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trusting.supported_verify_schemes()
    }
}

/// `insecure_skip_verify`: the operator's word is enough, but the handshake is still the certificate owner's.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

/// A system without authorities trusts nobody.
#[derive(Debug)]
struct NoAuthority(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for NoAuthority {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Err(rustls::Error::General(
            "this system has no certificate authorities; name one with tls_config.ca_file".into(),
        ))
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::DecryptError)
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::DecryptError)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

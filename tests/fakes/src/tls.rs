//! A certificate that signs itself, for servers on loopback.
use std::sync::Arc;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

/// A key, and a certificate for `localhost` and `127.0.0.1` that is its own authority.
#[derive(Clone)]
pub struct Tls {
    certificate_pem: String,
    key_pem: String,
    config: Arc<ServerConfig>,
}

impl Tls {
    /// # Panics
    /// Where no key can be made.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clients(false)
    }

    /// A server that speaks only to clients who show its own certificate.
    ///
    /// # Panics
    /// Where no key can be made.
    #[must_use]
    pub fn among_equals() -> Self {
        Self::with_clients(true)
    }

    fn with_clients(must_be_known: bool) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".into(), "127.0.0.1".into()])
            .expect("these are names for a certificate");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("ring knows the default protocol versions");
        let builder = if must_be_known {
            let mut known = RootCertStore::empty();
            known
                .add(made.cert.der().clone())
                .expect("it was made as a certificate");
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(known), provider).build();
            builder.with_client_cert_verifier(verifier.expect("there is one authority"))
        } else {
            builder.with_no_client_auth()
        };
        let config = builder
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("the certificate belongs to the key");
        Self {
            certificate_pem: made.cert.pem(),
            key_pem: made.signing_key.serialize_pem(),
            config: Arc::new(config),
        }
    }

    /// What a client must trust.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// For clients of HTTP/2 too.
    pub(crate) fn http2_acceptor(&self) -> TlsAcceptor {
        let mut config = (*self.config).clone();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    /// The certificate's key.
    #[must_use]
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.clone())
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self::new()
    }
}

//! Certificates and keys as files and configurations hold them.
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// `what` names what the text should have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {what} is not in PEM form")]
pub struct NotPem {
    what: &'static str,
}

/// At least one.
pub fn certificates(
    pem: &[u8],
    what: &'static str,
) -> Result<Vec<CertificateDer<'static>>, NotPem> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| NotPem { what })?;
    if chain.is_empty() {
        return Err(NotPem { what });
    }
    Ok(chain)
}

/// The first one.
pub fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, NotPem> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| NotPem { what: "key" })
}

#[cfg(test)]
mod tests {
    use super::{certificates, private_key};

    #[test]
    fn what_is_no_certificate_or_key_is_named() {
        let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        for text in ["", "no PEM", key] {
            let error = certificates(text.as_bytes(), "authority").unwrap_err();
            assert_eq!(
                error.to_string(),
                "the authority is not in PEM form",
                "{text}"
            );
        }
        let error = private_key(b"").unwrap_err();
        assert_eq!(error.to_string(), "the key is not in PEM form");
        assert!(private_key(key.as_bytes()).is_ok());
    }
}

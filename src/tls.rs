//! Certificates, for every client of ours that speaks TLS: the authorities that this
//! machine trusts, and one verifier with a policy.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Returns the cryptography of every TLS connection.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Returns the authorities that this machine trusts, or those in `SSL_CERT_FILE`. The
/// error says why there are none.
pub fn system_roots() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if !roots.is_empty() {
        return Ok(roots);
    }
    let reasons: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
    let reasons = if reasons.is_empty() {
        "there are none".to_owned()
    } else {
        reasons.join("; ")
    };
    Err(format!(
        "this machine trusts no certificates ({reasons}): install ca-certificates, or name a file in SSL_CERT_FILE"
    ))
}

/// Which certificates are accepted. Signatures are checked in any case.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "postgres"),
    expect(dead_code, reason = "only databases ask for less")
)]
pub enum Trust {
    /// Any: the connection is encrypted, the other side is not known.
    Any,
    /// Those issued by an authority that is trusted, for any name.
    Issuer(RootCertStore),
    /// Those issued by an authority that is trusted, for the server's name.
    IssuerAndName(RootCertStore),
}

/// Checks the certificate of a server by a policy, and remembers it.
#[derive(Debug)]
pub struct CertificateVerifier {
    /// `None` accepts any.
    webpki: Option<Arc<WebPkiServerVerifier>>,
    any_name: bool,
    algorithms: WebPkiSupportedAlgorithms,
    shown: Mutex<Option<CertificateDer<'static>>>,
}

impl CertificateVerifier {
    /// Returns a verifier; the error says why the authorities cannot be used.
    pub fn new(trust: Trust, provider: &Arc<CryptoProvider>) -> Result<Self, String> {
        let any_name = !matches!(trust, Trust::IssuerAndName(_));
        let webpki = match trust {
            Trust::Any => None,
            Trust::Issuer(roots) | Trust::IssuerAndName(roots) => {
                let built = WebPkiServerVerifier::builder_with_provider(
                    Arc::new(roots),
                    Arc::clone(provider),
                )
                .build();
                Some(built.map_err(|error| format!("no certificate authority to trust: {error}"))?)
            }
        };
        Ok(Self {
            webpki,
            any_name,
            algorithms: provider.signature_verification_algorithms,
            shown: Mutex::default(),
        })
    }

    /// Returns the certificate that the server showed last, also if it was refused.
    #[cfg(feature = "smtp")]
    pub fn shown(&self) -> Option<CertificateDer<'static>> {
        self.shown
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl ServerCertVerifier for CertificateVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = end_entity.clone().into_owned();
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
        let Some(webpki) = &self.webpki else {
            return Ok(ServerCertVerified::assertion());
        };
        match webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        {
            // webpki looks at the name last: all else is right.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.any_name => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

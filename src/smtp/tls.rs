//! TLS, with what can be told of the other side, also where it is not trusted.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, ProtocolVersion, RootCertStore,
    SignatureScheme,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::error::{Error, Result};
use crate::model::name::HostName;
use crate::model::session::{Certificate, Distrust, Fault, Tls};
use crate::model::time::Time;

/// How to encrypt, and what was shown while doing so.
pub struct Handshake {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    shown: Arc<Shown>,
}

/// Checks as webpki does, and remembers what it was shown.
#[derive(Debug)]
struct Shown {
    webpki: Arc<WebPkiServerVerifier>,
    certificate: Mutex<Option<CertificateDer<'static>>>,
}

impl Handshake {
    pub fn new(host: &HostName) -> Result<Self> {
        let failed = |reason: String| Error::System(format!("TLS cannot be used here: {reason}"));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let shown = Arc::new(Shown {
            webpki: trusted(&provider)?,
            certificate: Mutex::default(),
        });
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(error.to_string()))?
            // "Dangerous" is to check less: this one asks webpki.
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&shown) as _)
            .with_no_client_auth();
        let name = ServerName::try_from(host.as_str().to_owned())
            .map_err(|error| failed(error.to_string()))?;
        Ok(Self {
            config: Arc::new(config),
            name,
            shown,
        })
    }

    pub async fn shake(
        &self,
        stream: TcpStream,
    ) -> std::result::Result<(TlsStream<TcpStream>, Tls), Fault> {
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let stream = connector.connect(self.name.clone(), stream).await;
        let stream = stream.map_err(|error| self.fault(&error))?;
        let version = match stream.get_ref().1.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
            _ => "TLS",
        };
        let certificate = self.certificate();
        Ok((
            stream,
            Tls {
                version,
                certificate,
            },
        ))
    }

    fn certificate(&self) -> Option<Certificate> {
        let shown = self.shown.certificate.lock();
        let shown = shown.unwrap_or_else(PoisonError::into_inner);
        shown.as_ref().and_then(|der| described(der))
    }

    fn fault(&self, error: &io::Error) -> Fault {
        let tls = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match tls {
            Some(rustls::Error::InvalidCertificate(error)) => {
                let shown = self.certificate();
                let now = i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX);
                let holds = shown
                    .as_ref()
                    .is_some_and(|own| own.not_after.epoch() > now);
                let why = match distrust(error) {
                    Distrust::Expired if holds => Distrust::ChainExpired,
                    why => why,
                };
                Fault::Distrusted(why, shown)
            }
            // What came was no TLS at all.
            Some(rustls::Error::InvalidMessage(_)) => Fault::SpeaksPlain,
            _ => Fault::TlsFailed(error.to_string()),
        }
    }
}

fn trusted(provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let reasons: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
        return Err(Error::System(format!(
            "this machine trusts no certificates ({}): install ca-certificates, or name a file in SSL_CERT_FILE",
            if reasons.is_empty() {
                "there are none".into()
            } else {
                reasons.join("; ")
            }
        )));
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| Error::System(format!("TLS cannot be used here: {error}")))
}

fn distrust(error: &CertificateError) -> Distrust {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Distrust::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Distrust::NotYetValid
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Distrust::OtherName
        }
        // With a bad signature by somebody who only has a name that is trusted.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Distrust::UnknownIssuer,
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            Distrust::Authority
        }
        other => Distrust::Other(other.to_string()),
    }
}

fn described(der: &[u8]) -> Option<Certificate> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let names: Vec<_> = alternatives
        .iter()
        .flat_map(|names| &names.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        })
        .collect();
    let validity = certificate.validity();
    Some(Certificate {
        names,
        issuer: certificate.issuer().to_string(),
        not_before: Time::from_epoch(validity.not_before.timestamp()),
        not_after: Time::from_epoch(validity.not_after.timestamp()),
    })
}

impl ServerCertVerifier for Shown {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        *self
            .certificate
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(end_entity.clone().into_owned());
        self.webpki
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

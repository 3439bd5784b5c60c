//! The TLS handshake, and what the other side showed, even if it is not trusted.

use std::io;
use std::sync::Arc;

use rustls::pki_types::{ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, ClientConnection, ProtocolVersion, StreamOwned};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::stream::{DeadlineStream, SmtpStream, timed_out};
use crate::error::{Error, Result};
use crate::model::name::HostName;
use crate::model::smtp_session::{Certificate, Distrust, Fault, Stage, Tls};
use crate::model::time::Time;
use crate::tls::{CertificateVerifier, Trust, provider, system_roots};

/// Encrypts a connection to one host, and records the certificate that it shows.
pub struct TlsClient {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    verifier: Arc<CertificateVerifier>,
}

impl TlsClient {
    /// Prepares a connection; `any` accepts each certificate. Fails if this machine trusts no
    /// authority.
    pub fn new(host: &HostName, any: bool) -> Result<Self> {
        let failed = |reason: String| Error::System(format!("TLS cannot be used here: {reason}"));
        let provider = provider();
        let trust = if any {
            Trust::Any
        } else {
            Trust::IssuerAndName(system_roots().map_err(Error::System)?)
        };
        let verifier = CertificateVerifier::new(trust, &provider);
        let verifier = Arc::new(verifier.map_err(failed)?);
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(error.to_string()))?
            // "Dangerous" is to check less: this one asks webpki.
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier) as _)
            .with_no_client_auth();
        let name = ServerName::try_from(host.as_str().to_owned())
            .map_err(|error| failed(error.to_string()))?;
        Ok(Self {
            config: Arc::new(config),
            name,
            verifier,
        })
    }

    /// Encrypts the connection, by its deadline.
    pub fn handshake(
        &self,
        mut stream: DeadlineStream,
    ) -> std::result::Result<(SmtpStream, Tls), Fault> {
        let connection = ClientConnection::new(Arc::clone(&self.config), self.name.clone());
        let mut connection = connection.map_err(|error| Fault::TlsFailed(error.to_string()))?;
        while connection.is_handshaking() {
            connection
                .complete_io(&mut stream)
                .map_err(|error| self.fault(&error))?;
        }
        let version = match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
            _ => "TLS",
        };
        let certificate = self.certificate();
        Ok((
            SmtpStream::Tls(Box::new(StreamOwned::new(connection, stream))),
            Tls {
                version,
                certificate,
            },
        ))
    }

    fn certificate(&self) -> Option<Certificate> {
        self.verifier.shown().and_then(|der| described(&der))
    }

    fn fault(&self, error: &io::Error) -> Fault {
        if timed_out(error) {
            return Fault::TimedOut(Stage::Tls);
        }
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

fn distrust(error: &CertificateError) -> Distrust {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Distrust::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Distrust::NotYetValid
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Distrust::OtherName
        }
        // A bad signature means another issuer that only has the name of a trusted one.
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

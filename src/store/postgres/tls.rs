//! TLS to the server, according to `sslmode`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::tls::{CertificateVerifier, Trust, provider, system_roots};

/// `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// The files of certificates and keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Nothing: those the system trusts.
    pub roots: Option<PathBuf>,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

/// Returns what starts TLS. Returns an error if a file cannot be read.
pub fn connector(mode: TlsMode, files: &TlsFiles) -> Result<MakeRustlsConnect, String> {
    let trust = match mode {
        TlsMode::Disable | TlsMode::Prefer | TlsMode::Require => Trust::Any,
        TlsMode::VerifyCa => Trust::Issuer(authorities(files)?),
        TlsMode::VerifyFull => Trust::IssuerAndName(authorities(files)?),
    };
    let provider = provider();
    let verifier = Arc::new(CertificateVerifier::new(trust, &provider)?);
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        // "Dangerous" is to check less, which is what `sslmode` may ask for.
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let config = match (&files.certificate, &files.key) {
        (Some(certificate), Some(key)) => {
            let chain = certificates(certificate)?;
            let found = PrivateKeyDer::from_pem_file(key);
            let key = found.map_err(|error| format!("{}: {error}", key.display()))?;
            let config = config.with_client_auth_cert(chain, key);
            config.map_err(|error| error.to_string())?
        }
        (None, None) => config.with_no_client_auth(),
        _ => return Err("sslcert and sslkey belong together".into()),
    };
    Ok(MakeRustlsConnect::new(config))
}

/// Returns the authorities of `sslrootcert`, or those of this machine.
fn authorities(files: &TlsFiles) -> Result<RootCertStore, String> {
    let Some(file) = &files.roots else {
        return system_roots();
    };
    let mut roots = RootCertStore::empty();
    for root in certificates(file)? {
        let added = roots.add(root);
        added.map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let failed = |error| format!("{}: {error}", file.display());
    let found = CertificateDer::pem_file_iter(file).map_err(failed)?;
    let found: Result<Vec<_>, _> = found.collect();
    match found.map_err(failed)? {
        none if none.is_empty() => Err(format!("{}: no certificate in it", file.display())),
        some => Ok(some),
    }
}

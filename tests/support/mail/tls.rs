//! A certificate of the test's own, and a client that trusts no other.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// The name in it, besides the address.
pub const HOST: &str = "mail.test";

const REQUEST: &str = "\
[req]
distinguished_name = name
x509_extensions = extensions
prompt = no
[name]
CN = mail.test
[extensions]
basicConstraints = critical, CA:FALSE
subjectAltName = DNS:mail.test, DNS:localhost, IP:127.0.0.1
";

pub struct Certificate {
    /// What a client that is not ours has to trust.
    pub file: PathBuf,
    pub key: PathBuf,
    pub client: Arc<ClientConfig>,
}

impl Certificate {
    pub fn new(folder: &Path) -> Self {
        let [request, certificate, key] =
            ["request.cnf", "certificate.pem", "key.pem"].map(|name| folder.join(name));
        fs::write(&request, REQUEST).expect("our folder");
        let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
        let new = "req -x509 -nodes -days 2 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1";
        let mut args: Vec<&str> = new.split(' ').collect();
        let [request, out, keyout] = [&request, &certificate, &key].map(|path| text(path));
        args.extend(["-config", &request, "-out", &out, "-keyout", &keyout]);
        super::tool("openssl", &args);
        // Exim reads it as its own user. It is worth nothing.
        super::open(&key, 0o644);
        Self {
            client: client(&certificate),
            file: certificate,
            key,
        }
    }
}

fn client(certificate: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(certificate).expect("a certificate");
    roots.add(certificate).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the versions of TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

//! A certificate of the test's own, and a client that trusts no other.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// The name in it, besides the address.
pub const HOST: &str = "mail.test";

/// For clients that want to trust somebody, and find out that they need not.
pub const SOME_CA: &str = "\
-----BEGIN CERTIFICATE-----
MIIBeTCCAR+gAwIBAgIUKdyZm59YiYihZR1pwmhO8XZW/+QwCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGTm9ib2R5MCAXDTI2MTEyMTE3MTgyMFoYDzIxMjYxMDI4MTcx
ODIwWjARMQ8wDQYDVQQDDAZOb2JvZHkwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AAT+QkylORWG2V6VellitNnHeUgcD9F5e0fPAHibSYOcl+0yLti6Gof/Ea0A++DB
9Wq+zyHm/ziBKo9Qd7/SWvjno1MwUTAdBgNVHQ4EFgQUp28gnvIGtHzeRBdIoXaY
gnYtQXMwHwYDVR0jBBgwFoAUp28gnvIGtHzeRBdIoXaYgnYtQXMwDwYDVR0TAQH/
BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEAm8oSUvVRwdiaIPEDlTSFdJIwMeR5
ZULfdm8i89n6fJACIDwkRQMGZ8NX1Gt2X2BLdWbBdInNg3e+24kv2ybK4uZr
-----END CERTIFICATE-----
";

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
        certificate_at(folder, &certificate, &key, "+0");
        Self {
            client: client(&certificate),
            file: certificate,
            key,
        }
    }
}

/// One of 90 days that was made at another time, such as `-100d`.
pub fn certificate_at(folder: &Path, certificate: &Path, key: &Path, when: &str) {
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let new = "openssl req -x509 -nodes -days 90 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1";
    let request = folder.join("request.cnf");
    let [request, out, keyout] = [&request, certificate, key].map(text);
    let mut args: Vec<&str> = new.split(' ').collect();
    args.extend(["-config", &request, "-out", &out, "-keyout", &keyout]);
    if when == "+0" {
        super::tool(args[0], &args[1..]);
    } else {
        super::tool("faketime", &[&["-f", when][..], &args].concat());
    }
    // Exim reads it as its own user. It is worth nothing.
    super::open(key, 0o644);
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

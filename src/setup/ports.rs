//! What ports for applications need: that no other program has them, and a certificate.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;

use crate::files;
use crate::model::name::HostName;

/// A file with a certificate and one with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, with those that prove it.
    pub certificate: String,
    /// Its key.
    pub key: String,
    /// No application trusts it.
    pub for_tests: bool,
}

/// Returns whether a program listens at a port, so that another one cannot.
pub fn is_taken(port: u16) -> bool {
    let addresses = [
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
    ];
    let in_use = |address: &SocketAddr| {
        let bound = TcpListener::bind(address);
        bound.is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
    };
    addresses.iter().any(in_use)
}

/// Returns the certificate of Let's Encrypt for the host, or the one that Debian makes for
/// tests.
pub fn certificate(host: Option<&HostName>) -> Option<CertificateFiles> {
    let lets_encrypt = host.map(|host| {
        let folder = format!("/etc/letsencrypt/live/{host}");
        CertificateFiles {
            certificate: format!("{folder}/fullchain.pem"),
            key: format!("{folder}/privkey.pem"),
            for_tests: false,
        }
    });
    let snake_oil = CertificateFiles {
        certificate: "/etc/ssl/certs/ssl-cert-snakeoil.pem".into(),
        key: "/etc/ssl/private/ssl-cert-snakeoil.key".into(),
        for_tests: true,
    };
    let exists = |files: &CertificateFiles| {
        [&files.certificate, &files.key]
            .iter()
            .all(|path| files::is_there(Path::new(path)))
    };
    lets_encrypt.into_iter().chain([snake_oil]).find(exists)
}

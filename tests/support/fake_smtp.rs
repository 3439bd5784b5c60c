//! A server that is wrong on purpose, in ways that no real one is all the time.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support::mail::tls::Certificate;

/// What it says instead of what it should: by the word a command begins with, and
/// `greeting` and `.` for the end of a message. `tls EHLO` is the one inside TLS.
pub type Script = &'static [(&'static str, &'static [u8])];

/// Returns its port. It takes one session after the other.
pub fn start(certificate: &Certificate, script: Script) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = server(&certificate.file, &certificate.key);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // The client may have seen enough at any time.
            let _ = session(stream.unwrap(), &config, script);
        }
    });
    port
}

fn server(certificate: &Path, key: &Path) -> Arc<ServerConfig> {
    let certificate = CertificateDer::from_pem_file(certificate).unwrap();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth();
    Arc::new(config.with_single_cert(vec![certificate], key).unwrap())
}

fn session(stream: TcpStream, config: &Arc<ServerConfig>, script: Script) -> std::io::Result<()> {
    let mut plain = stream.try_clone()?;
    plain.write_all(said(script, "greeting").unwrap_or(b"220 fake ESMTP\r\n"))?;
    if !talk(&mut plain, script, "")? {
        return Ok(());
    }
    if said(script, "handshake").is_some() {
        return stream.shutdown(std::net::Shutdown::Both);
    }
    let connection = ServerConnection::new(Arc::clone(config)).map_err(std::io::Error::other)?;
    talk(&mut StreamOwned::new(connection, stream), script, "tls ")?;
    Ok(())
}

fn said(script: Script, word: &str) -> Option<&'static [u8]> {
    let line = script.iter().find(|(name, _)| *name == word);
    line.map(|(_, said)| *said)
}

/// Whether it ended with STARTTLS.
fn talk(stream: &mut (impl Read + Write), script: Script, layer: &str) -> std::io::Result<bool> {
    loop {
        let mut line = String::new();
        // One byte at a time: what comes after STARTTLS is not ours.
        BufReader::with_capacity(1, &mut *stream).read_line(&mut line)?;
        let word = line
            .split([' ', '\r'])
            .next()
            .unwrap_or_default()
            .to_owned();
        if word.is_empty() {
            return Ok(false);
        }
        let usual: &[u8] = match word.as_str() {
            "EHLO" if layer.is_empty() => b"250-fake\r\n250 STARTTLS\r\n",
            "EHLO" => b"250-fake\r\n250 AUTH PLAIN LOGIN\r\n",
            "STARTTLS" => b"220 go\r\n",
            "AUTH" => b"235 yes\r\n",
            "DATA" => b"354 go\r\n",
            _ => b"250 fine\r\n",
        };
        let own = said(script, &format!("{layer}{word}")).unwrap_or(usual);
        if own == b"ECHO" {
            stream.write_all(format!("501 5.5.4 Syntax: {}\r\n", line.trim_end()).as_bytes())?;
        } else {
            stream.write_all(own)?;
        }
        stream.flush()?;
        if word == "STARTTLS" {
            return Ok(true);
        }
        if word == "DATA" {
            let mut message = BufReader::with_capacity(1, &mut *stream);
            let mut line = String::new();
            while line != ".\r\n" {
                line.clear();
                if message.read_line(&mut line)? == 0 {
                    return Ok(false);
                }
            }
            stream.write_all(said(script, ".").unwrap_or(b"250 queued\r\n"))?;
            stream.flush()?;
        }
    }
}

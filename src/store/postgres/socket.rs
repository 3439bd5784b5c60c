//! The socket to a server: the library's own one cannot be checked.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{
    KeepAlive, TcpKeepCount, TcpKeepIdle, TcpKeepInterval, TcpUserTimeout,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

/// A stream in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// Connects to the only server of a configuration.
pub async fn connect(config: &Config) -> io::Result<Box<dyn Duplex>> {
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let addresses: Vec<SocketAddr> = match (config.get_hostaddrs(), config.get_hosts()) {
        ([address, ..], _) => vec![(*address, port).into()],
        ([], [Host::Tcp(name), ..]) => lookup_host((name.as_str(), port)).await?.collect(),
        ([], [Host::Unix(folder), ..]) => {
            let path = folder.join(format!(".s.PGSQL.{port}"));
            return Ok(Box::new(UnixStream::connect(path).await?));
        }
        ([], []) => Vec::new(),
    };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
    for address in addresses {
        let connecting = TcpStream::connect(address);
        let connected = match config.get_connect_timeout() {
            Some(most) => timeout(*most, connecting)
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
            None => connecting.await,
        };
        match connected {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                keep_alive(&stream, config)?;
                return Ok(Box::new(stream));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Detects a dead server even when nothing is sent.
fn keep_alive(stream: &impl AsFd, config: &Config) -> io::Result<()> {
    let seconds = |time: Duration| u32::try_from(time.as_secs().max(1)).unwrap_or(u32::MAX);
    if let Some(most) = config.get_tcp_user_timeout() {
        let most = u32::try_from(most.as_millis()).unwrap_or(u32::MAX);
        setsockopt(stream, TcpUserTimeout, &most)?;
    }
    if config.get_keepalives() {
        setsockopt(stream, KeepAlive, &true)?;
        setsockopt(stream, TcpKeepIdle, &seconds(config.get_keepalives_idle()))?;
        if let Some(interval) = config.get_keepalives_interval() {
            setsockopt(stream, TcpKeepInterval, &seconds(interval))?;
        }
        if let Some(retries) = config.get_keepalives_retries() {
            setsockopt(stream, TcpKeepCount, &retries)?;
        }
    }
    Ok(())
}

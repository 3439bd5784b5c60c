//! By hickory-resolver, whose runtime lives in here alone.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr;
use hickory_resolver::proto::rr::{Name, RData};
use tokio::runtime::Runtime;

use crate::error::{Error, Result};
use crate::model::dns::{
    DnsAnswer, DnsClient, DnsFailure, RecordType, RecordValue, ResolverAddress,
};

/// For one try; there are two.
const TRY: Duration = Duration::from_secs(2);
/// For one answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// For all of them together: thirty that all time out would take minutes.
const PATIENCE_FOR_ALL: Duration = Duration::from_secs(30);

/// Asks DNS servers over UDP, and over TCP if an answer does not fit.
pub struct Resolver {
    runtime: Runtime,
    client: TokioResolver,
    /// For people.
    server: String,
    until: Instant,
}

impl Resolver {
    /// Asks this one, or those of this machine's resolv.conf.
    pub fn new(server: Option<ResolverAddress>) -> Result<Self> {
        let failed = |error: &dyn std::fmt::Display| {
            Error::DnsFailed(DnsFailure::NoAnswer(error.to_string()).sentence(""))
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| failed(&error))?;
        let provider = TokioRuntimeProvider::default();
        let (mut builder, server) = if let Some(ResolverAddress(address)) = server {
            let mut config = NameServerConfig::udp_and_tcp(address.ip());
            for connection in &mut config.connections {
                connection.port = address.port();
            }
            let config = ResolverConfig::from_name_servers(vec![config]);
            let builder = TokioResolver::builder_with_config(config, provider);
            (builder, address.to_string())
        } else {
            let builder = TokioResolver::builder(provider)
                .map_err(|error| failed(&format!("/etc/resolv.conf: {error}")))?;
            (builder, "the servers in /etc/resolv.conf".to_owned())
        };
        let options = builder.options_mut();
        options.timeout = TRY;
        options.attempts = 1;
        options.edns0 = true;
        // As the world sees it, and now.
        options.use_hosts_file = ResolveHosts::Never;
        options.cache_size = 0;
        let client = builder.build().map_err(|error| failed(&error))?;
        Ok(Self {
            runtime,
            client,
            server,
            until: Instant::now() + PATIENCE_FOR_ALL,
        })
    }

    fn failure(&self, error: &NetError) -> DnsFailure {
        let server = &self.server;
        let by_code = |code: &ResponseCode| match code {
            ResponseCode::ServFail => "could not find out (SERVFAIL)".to_owned(),
            ResponseCode::Refused => "would not say (REFUSED)".to_owned(),
            other => format!("gave an error ({other})"),
        };
        match error {
            NetError::Timeout => DnsFailure::NoAnswer(format!("no answer from {server}")),
            NetError::Io(error) if error.kind() == ErrorKind::ConnectionRefused => {
                DnsFailure::NoAnswer(format!("nothing listens at {server}"))
            }
            NetError::Io(error) => DnsFailure::NoAnswer(format!("{server}: {error}")),
            NetError::NoConnections => DnsFailure::NoAnswer(format!("{server} cannot be reached")),
            NetError::Dns(DnsError::ResponseCode(code)) => {
                DnsFailure::CannotTell(format!("{server} {}", by_code(code)))
            }
            NetError::Dns(DnsError::NoRecordsFound(none)) => {
                DnsFailure::CannotTell(format!("{server} {}", by_code(&none.response_code)))
            }
            other => DnsFailure::CannotTell(format!("{server}: {other}")),
        }
    }
}

impl DnsClient for Resolver {
    fn ask(&mut self, name: &str, kind: RecordType) -> DnsAnswer {
        // What cannot be a name is none.
        let Ok(mut name) = Name::from_ascii(name) else {
            return DnsAnswer::NoSuchName;
        };
        // Nothing of resolv.conf's search list.
        name.set_fqdn(true);
        let wanted = match kind {
            RecordType::A => rr::RecordType::A,
            RecordType::Aaaa => rr::RecordType::AAAA,
            RecordType::Cname => rr::RecordType::CNAME,
            RecordType::Mx => rr::RecordType::MX,
            RecordType::Ptr => rr::RecordType::PTR,
            RecordType::Soa => rr::RecordType::SOA,
            RecordType::Txt => rr::RecordType::TXT,
        };
        let left = self.until.saturating_duration_since(Instant::now());
        let looked_up = self.runtime.block_on(async {
            tokio::time::timeout(PATIENCE.min(left), self.client.lookup(name, wanted)).await
        });
        let error = match looked_up {
            Ok(Ok(lookup)) => {
                // Aliases on the way are among them.
                let records = lookup.answers().iter();
                let right = records.filter(|record| record.record_type() == wanted);
                let values: Vec<_> = right.map(|record| value(&record.data)).collect();
                if values.is_empty() {
                    return DnsAnswer::NoData;
                }
                return DnsAnswer::Found(values);
            }
            Ok(Err(error)) => error,
            Err(_) => NetError::Timeout,
        };
        if let NetError::Dns(DnsError::NoRecordsFound(none)) = &error {
            match none.response_code {
                ResponseCode::NXDomain => return DnsAnswer::NoSuchName,
                // RFC 2308 §2.2: a server that answers with a referral has not looked.
                ResponseCode::NoError if none.soa.is_none() && none.ns.is_some() => {
                    let server = &self.server;
                    return DnsAnswer::Failed(DnsFailure::CannotTell(format!(
                        "{server} only refers to other servers: it is not a resolver"
                    )));
                }
                ResponseCode::NoError => return DnsAnswer::NoData,
                _ => {}
            }
        }
        DnsAnswer::Failed(self.failure(&error))
    }
}

fn value(data: &RData) -> RecordValue {
    match data {
        RData::A(address) => RecordValue::Address(address.0.into()),
        RData::AAAA(address) => RecordValue::Address(address.0.into()),
        RData::CNAME(name) => RecordValue::Name(plain(&name.0)),
        RData::PTR(name) => RecordValue::Name(plain(&name.0)),
        RData::MX(mx) => RecordValue::Exchange {
            preference: mx.preference,
            host: plain(&mx.exchange),
        },
        RData::TXT(text) => {
            let bytes = text.txt_data.concat();
            RecordValue::Text(String::from_utf8_lossy(&bytes).into_owned())
        }
        _ => RecordValue::Other,
    }
}

/// Without the dot of the root.
fn plain(name: &Name) -> String {
    let mut text = name.to_ascii();
    text.make_ascii_lowercase();
    if text.ends_with('.') {
        text.pop();
    }
    text
}

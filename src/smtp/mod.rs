//! Signing in at a mail server as an application does (RFC 4954, over TLS).

use crate::model::name::{HostName, Username};
use crate::model::password::Password;
use crate::model::settings::Port;

/// Signs in, and says why it could not. TLS first, with the certificates that
/// this machine trusts.
#[cfg(feature = "smtp")]
pub fn sign_in(
    host: &HostName,
    port: Port,
    username: &Username,
    password: &Password,
) -> Result<(), String> {
    use std::time::Duration;

    use lettre::SmtpTransport;
    use lettre::transport::smtp::authentication::Credentials;

    use crate::model::settings::Encryption;

    const PATIENCE: Duration = Duration::from_secs(30);
    let relay = match port.encryption {
        Encryption::Tls => SmtpTransport::relay(host.as_str()),
        Encryption::StartTls => SmtpTransport::starttls_relay(host.as_str()),
    };
    let relay = relay.map_err(|error| error.to_string())?;
    let credentials = Credentials::new(username.to_string(), password.expose().to_owned());
    let relay = relay
        .port(port.number)
        .timeout(Some(PATIENCE))
        .credentials(credentials)
        .build();
    match relay.test_connection() {
        Ok(true) => Ok(()),
        Ok(false) => Err("the server hung up".into()),
        Err(error) => Err(described(&error)),
    }
}

/// With its causes.
#[cfg(feature = "smtp")]
fn described(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(not(feature = "smtp"))]
pub fn sign_in(_: &HostName, _: Port, _: &Username, _: &Password) -> Result<(), String> {
    Err("this smtpcred was built without SMTP".into())
}

//! What is behind a server that cannot be reached, or cannot be trusted.

use super::{Circumstances, Explanation};
use crate::error::Exit;
use crate::model::session::{Certificate, Distrust, Fault, Stage};
use crate::model::settings::{Encryption, PORTS};

const DOCTOR: &str = "smtpcred doctor";

pub fn explained(fault: &Fault, at: &Circumstances) -> Explanation {
    let host = &at.server.host;
    let port = at.server.port.number;
    match fault {
        Fault::NoSuchHost => Explanation::new(
            "no_such_host",
            Exit::Failed,
            format!("the DNS knows no address of {host}: the name is mistyped, or its A and AAAA records are missing"),
        )
        .next(format!("smtpcred domain check {}", at.username.domain()))
        .next_if(at.set_host("HOST")),
        Fault::Lookup(reason) => Explanation::new(
            "dns_failed",
            Exit::TryAgain,
            format!("the name servers of this machine give no answer for {host} ({reason}); that says nothing of {host}"),
        )
        .next("cat /etc/resolv.conf"),
        Fault::Refused => Explanation::new(
            "connection_refused",
            Exit::TryAgain,
            format!("nothing listens on port {port} of {host}: the mail server does not run, or this port is not set up in it"),
        )
        .next(format!("ss -ltn sport = :{port}"))
        .next_if(at.others),
        Fault::Unreachable(reason) => Explanation::new(
            "unreachable",
            Exit::TryAgain,
            format!("there is no way from this machine to {host}: {reason}"),
        )
        .next_if(at.others),
        Fault::TimedOut(stage) => timed_out(*stage, at).next_if(at.others),
        Fault::HungUp(Stage::SignIn) => Explanation::new(
            "hung_up",
            Exit::TryAgain,
            "the server hung up when asked to sign in: it cannot reach what checks its passwords (for Postfix a fatal error of smtpd, in its log)",
        )
        .next(DOCTOR)
        .next("journalctl -u postfix -n 20"),
        Fault::HungUp(stage) => Explanation::new(
            "hung_up",
            Exit::TryAgain,
            format!("the server closed the connection ({}): it has an error of its own, see its log, or it blocks this address", stage.words()),
        )
        .next(DOCTOR),
        Fault::SpeaksTls | Fault::SpeaksPlain => mixed_up(fault, at),
        Fault::NoStartTls => Explanation::new(
            "no_starttls",
            Exit::Failed,
            format!("port {port} offers no STARTTLS, so no password may be sent: TLS is not set up for it, or something in between takes it away"),
        )
        .next("smtpcred show-server-config postfix --check")
        .next_if(at.others),
        Fault::Distrusted(why, certificate) => distrusted(why, certificate.as_ref(), at),
        Fault::TlsFailed(reason) => Explanation::new(
            "tls_failed",
            Exit::Failed,
            format!("the server and this client find no way to encrypt (TLS 1.2 or 1.3 is needed): {reason}"),
        )
        .next(format!("openssl s_client -connect {host}:{port}{}", starttls(at))),
        Fault::NoSignIn => Explanation::new(
            "no_auth",
            Exit::Failed,
            format!("port {port} does not let anybody sign in: it offers neither AUTH PLAIN nor LOGIN, so it is no port for applications, or signing in is not set up"),
        )
        .next("smtpcred show-server-config postfix --check")
        .next_if(at.others),
        Fault::Protocol(stage, what) => Explanation::new(
            "protocol",
            Exit::Failed,
            format!("what came is not what SMTP foresees ({}): {what}", stage.words()),
        ),
        // Told by what the store knows, too.
        Fault::Reply(_, reply) => {
            Explanation::new("refused", Exit::Failed, format!("{} {}", reply.code, reply.text))
        }
    }
}

fn starttls(at: &Circumstances) -> &'static str {
    match at.server.port.encryption {
        Encryption::StartTls => " -starttls smtp",
        Encryption::Tls => "",
    }
}

fn timed_out(stage: Stage, at: &Circumstances) -> Explanation {
    let port = at.server.port.number;
    let cause = match stage {
        Stage::Lookup => {
            let cause = "the name servers of this machine do not answer in time";
            return Explanation::new("dns_failed", Exit::TryAgain, cause);
        }
        Stage::Connect => {
            let blocked = match port {
                25 => "; many networks block port 25 outward, and it is not meant for applications",
                587 | 465 => {
                    "; where a network blocks this port outward, the relay's port 2525 may be open"
                }
                _ => "",
            };
            format!(
                "no answer from port {port}: a firewall drops it on the way, or the machine is down{blocked}"
            )
        }
        stage => format!(
            "the server does not answer in time ({}): it is overloaded, or waits for something itself",
            stage.words()
        ),
    };
    Explanation::new("timed_out", Exit::TryAgain, cause)
}

/// TLS at once where STARTTLS was wanted, or the other way round.
fn mixed_up(fault: &Fault, at: &Circumstances) -> Explanation {
    let port = at.server.port.number;
    let (code, cause, right) = if *fault == Fault::SpeaksTls {
        let cause = format!(
            "port {port} wants TLS from the first byte (as 465 does), and was spoken to in clear, as with STARTTLS"
        );
        ("wants_tls", cause, Encryption::Tls)
    } else {
        let cause = format!(
            "port {port} begins in clear and wants STARTTLS (as 587 does), and was spoken to in TLS from the first byte"
        );
        ("wants_starttls", cause, Encryption::StartTls)
    };
    let usual = PORTS.iter().find(|usual| usual.encryption == right);
    let usual = usual.map_or(587, |usual| usual.number);
    let change = match right {
        Encryption::Tls => "TLS (\"SSL/TLS\", \"SMTPS\", \"implicit TLS\")",
        Encryption::StartTls => "STARTTLS (\"TLS if available\" in some programs)",
    };
    Explanation::new(code, Exit::Failed, cause)
        .next(format!(
            "in the application: {change} for port {port}, or port {usual}"
        ))
        .next(format!("smtpcred show-settings {}", at.username))
}

fn distrusted(why: &Distrust, shown: Option<&Certificate>, at: &Circumstances) -> Explanation {
    let host = &at.server.host;
    let names = shown.map(|certificate| certificate.names.join(" "));
    let names = names.filter(|names| !names.is_empty());
    let names = names.unwrap_or_else(|| "no name".into());
    let (code, cause, next) = match why {
        Distrust::UnknownIssuer => {
            let issuer = shown.map_or("somebody", |certificate| certificate.issuer.as_str());
            (
                "certificate_unknown",
                format!(
                    "the certificate was issued by {issuer}, whom this machine does not trust: it is self-signed, or the server does not send the certificates in between (fullchain.pem)"
                ),
                format!("certbot certonly --standalone -d {host}"),
            )
        }
        Distrust::Expired => {
            let at = shown.map(|certificate| format!(" at {}", certificate.not_after));
            (
                "certificate_expired",
                format!(
                    "the certificate expired{}: it was not renewed, or the server was not told to read the new one",
                    at.unwrap_or_default()
                ),
                "certbot renew && systemctl reload postfix".to_owned(),
            )
        }
        Distrust::ChainExpired => (
            "certificate_expired",
            "a certificate between the server's own and who is trusted has expired: the server sends an old chain (fullchain.pem)".to_owned(),
            "certbot renew --force-renewal && systemctl reload postfix".to_owned(),
        ),
        Distrust::NotYetValid => {
            let at = shown.map(|certificate| format!(" before {}", certificate.not_before));
            (
                "certificate_not_yet_valid",
                format!(
                    "the certificate is not valid{}: the clock of this machine is wrong, or the server's was",
                    at.unwrap_or_default()
                ),
                "date -u".to_owned(),
            )
        }
        Distrust::OtherName => (
            "certificate_other_name",
            format!("the certificate is for {names}, and applications connect to {host}"),
            shown
                .and_then(|certificate| certificate.names.first())
                .filter(|name| !name.starts_with('*'))
                .and_then(|name| at.set_host(name))
                .unwrap_or_else(|| format!("certbot certonly --standalone -d {host}")),
        ),
        Distrust::Authority | Distrust::Other(_) => (
            "certificate_refused",
            format!("the certificate cannot be accepted: {why}"),
            format!(
                "openssl s_client -connect {host}:{}{}",
                at.server.port.number,
                starttls(at)
            ),
        ),
    };
    let explained = Explanation::new(code, Exit::Failed, cause).next(next);
    match why {
        Distrust::UnknownIssuer => {
            explained.next("with an authority of your own: SSL_CERT_FILE=FILE smtpcred test")
        }
        _ => explained,
    }
}

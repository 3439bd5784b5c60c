//! Explains why a server cannot be reached or trusted.

use super::explanation::Explanation;
use super::fault_context::FaultContext;
use crate::error::Exit;
use crate::model::settings::{Encryption, PORTS};
use crate::model::smtp_session::{Certificate, Distrust, Fault, Stage};

const DOCTOR: &str = "smtpcred doctor";

/// Explains a fault before the sign-in. [`Fault::Reply`] is only repeated.
pub fn explained(fault: &Fault, at: &FaultContext) -> Explanation {
    let host = &at.server.host;
    let port = at.server.port.number;
    match fault {
        Fault::NoSuchHost => Explanation::new(
            "no_such_host",
            Exit::Failed,
            format!("{host} has no address in the DNS: the name is mistyped, or its A and AAAA records are missing"),
        )
        .next(format!("smtpcred domain check {}", at.username.domain()))
        .next_if(at.set_host("HOST")),
        Fault::Lookup(reason) => Explanation::new(
            "dns_failed",
            Exit::TryAgain,
            format!("the name servers of this machine do not answer for {host} ({reason}); this does not mean that {host} does not exist"),
        )
        .next("cat /etc/resolv.conf"),
        Fault::Refused => Explanation::new(
            "connection_refused",
            Exit::TryAgain,
            format!("nothing listens on port {port} of {host}: the mail server is not running, or does not serve this port"),
        )
        .next(format!("ss -ltn sport = :{port}"))
        .next_if(at.others),
        Fault::Unreachable(reason) => Explanation::new(
            "unreachable",
            Exit::TryAgain,
            format!("this machine cannot reach {host}: {reason}"),
        )
        .next_if(at.others),
        Fault::TimedOut(stage) => timed_out(*stage, at).next_if(at.others),
        Fault::HungUp(Stage::SignIn) => Explanation::new(
            "hung_up",
            Exit::TryAgain,
            "the server closed the connection during the sign-in: it cannot reach the service that checks its passwords (in Postfix a fatal error of smtpd, see its log)",
        )
        .next(DOCTOR)
        .next("journalctl -u postfix -n 20"),
        Fault::HungUp(stage) => Explanation::new(
            "hung_up",
            Exit::TryAgain,
            format!("the server closed the connection ({}): it has an internal error (see its log) or blocks this address", stage.words()),
        )
        .next(DOCTOR),
        Fault::SpeaksTls | Fault::SpeaksPlain => mixed_up(fault, at),
        Fault::NoStartTls => Explanation::new(
            "no_starttls",
            Exit::Failed,
            format!("port {port} does not offer STARTTLS, so no password may be sent: TLS is not configured for it, or a device on the way removes the offer"),
        )
        .next("smtpcred show-server-config postfix --check")
        .next_if(at.others),
        Fault::Distrusted(why, certificate) => distrusted(why, certificate.as_ref(), at),
        Fault::TlsFailed(reason) => Explanation::new(
            "tls_failed",
            Exit::Failed,
            format!("the server and this client cannot agree on encryption (TLS 1.2 or 1.3 is required): {reason}"),
        )
        .next(format!("openssl s_client -connect {host}:{port}{}", starttls(at))),
        Fault::NoSignIn => Explanation::new(
            "no_auth",
            Exit::Failed,
            format!("port {port} accepts no sign-in: it offers neither AUTH PLAIN nor LOGIN, so it is not meant for applications, or authentication is not configured"),
        )
        .next("smtpcred show-server-config postfix --check")
        .next_if(at.others),
        Fault::Protocol(stage, what) => Explanation::new(
            "protocol",
            Exit::Failed,
            format!("the server does not follow the SMTP protocol ({}): {what}", stage.words()),
        ),
        // `App::explain` handles replies, with what the store knows.
        Fault::Reply(_, reply) => {
            Explanation::new("refused", Exit::Failed, format!("{} {}", reply.code, reply.text))
        }
    }
}

fn starttls(at: &FaultContext) -> &'static str {
    match at.server.port.encryption {
        Encryption::StartTls => " -starttls smtp",
        Encryption::Tls => "",
    }
}

fn timed_out(stage: Stage, at: &FaultContext) -> Explanation {
    let port = at.server.port.number;
    let cause = match stage {
        Stage::Lookup => {
            let cause = "the name servers of this machine do not answer in time";
            return Explanation::new("dns_failed", Exit::TryAgain, cause);
        }
        Stage::Connect => {
            let blocked = match port {
                25 => "; many networks block outgoing port 25, which is not meant for applications",
                587 | 465 => {
                    "; if your network blocks this outgoing port, the relay's port 2525 may be open"
                }
                _ => "",
            };
            format!(
                "no answer from port {port}: a firewall drops the packets, or the machine is down{blocked}"
            )
        }
        stage => format!(
            "the server does not answer in time ({}): it is overloaded, or is itself waiting for another service",
            stage.words()
        ),
    };
    Explanation::new("timed_out", Exit::TryAgain, cause)
}

/// Explains TLS from the first byte where STARTTLS was expected, or the reverse.
fn mixed_up(fault: &Fault, at: &FaultContext) -> Explanation {
    let port = at.server.port.number;
    let (code, cause, right) = if *fault == Fault::SpeaksTls {
        let cause = format!(
            "port {port} expects TLS from the first byte (like 465), but the client began in plain text, as for STARTTLS"
        );
        ("wants_tls", cause, Encryption::Tls)
    } else {
        let cause = format!(
            "port {port} begins in plain text and expects STARTTLS (like 587), but the client began with TLS"
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
        .next(format!("smtpcred show-settings {}", at.username.in_shell()))
}

fn distrusted(why: &Distrust, shown: Option<&Certificate>, at: &FaultContext) -> Explanation {
    let host = &at.server.host;
    let names = shown.map(|certificate| certificate.names.join(" "));
    let names = names.filter(|names| !names.is_empty());
    let names = names.unwrap_or_else(|| "no name".into());
    let (code, cause, next) = match why {
        Distrust::UnknownIssuer => {
            let issuer = shown.map_or("an unknown issuer", |certificate| certificate.issuer.as_str());
            (
                "certificate_unknown",
                format!(
                    "the certificate was issued by {issuer}, which this machine does not trust: it is self-signed, or the server does not send the intermediate certificates (fullchain.pem)"
                ),
                format!("certbot certonly --standalone -d {host}"),
            )
        }
        Distrust::Expired => {
            let at = shown.map(|certificate| format!(" at {}", certificate.not_after));
            (
                "certificate_expired",
                format!(
                    "the certificate expired{}: it was not renewed, or the server was not reloaded since",
                    at.unwrap_or_default()
                ),
                "certbot renew && systemctl reload postfix".to_owned(),
            )
        }
        Distrust::ChainExpired => (
            "certificate_expired",
            "an intermediate certificate has expired: the server sends an old chain (fullchain.pem)".to_owned(),
            "certbot renew --force-renewal && systemctl reload postfix".to_owned(),
        ),
        Distrust::NotYetValid => {
            let at = shown.map(|certificate| format!(" before {}", certificate.not_before));
            (
                "certificate_not_yet_valid",
                format!(
                    "the certificate is not valid{}: this machine's clock is wrong, or the issuer's was",
                    at.unwrap_or_default()
                ),
                "date -u".to_owned(),
            )
        }
        Distrust::OtherName => (
            "certificate_other_name",
            format!("the certificate is for {names}, but applications connect to {host}"),
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
        Distrust::UnknownIssuer => explained
            .next("for a certificate authority of your own: SSL_CERT_FILE=FILE smtpcred test"),
        _ => explained,
    }
}

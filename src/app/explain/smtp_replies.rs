//! Explains a server's replies by their codes: RFC 5321 §4.2, RFC 4954 §6, RFC 3463. The
//! text of a reply is shown as it is, but never relied upon.

use super::explanation::Explanation;
use super::fault_context::FaultContext;
use crate::error::Exit;
use crate::model::smtp_session::{Reply, Stage};

const CHECK: &str = "smtpcred show-server-config postfix --check";
const DOCTOR: &str = "smtpcred doctor";

/// Explains a reply to AUTH that does not say that the password is wrong.
pub fn sign_in(reply: &Reply, at: &FaultContext) -> Explanation {
    let name = at.username;
    match reply.code {
        421 => closing(),
        432 | 534 => Explanation::new(
            "mechanism_refused",
            Exit::Failed,
            "the server refuses this mechanism for this user: it requires another or a stronger one, or an app password",
        )
        .next(CHECK),
        // Exim sends 435.
        400..=499 => Explanation::new(
            "cannot_check",
            Exit::TryAgain,
            "the server cannot check passwords at the moment, which does not mean that this one is wrong: `smtpcred serve` is not running, the mail server cannot open its socket, or the store cannot be read",
        )
        .next(DOCTOR)
        .next("systemctl status smtpcred"),
        530 | 538 => Explanation::new(
            "encryption_required",
            Exit::Failed,
            "the server requires stronger encryption before a password is sent",
        )
        .next(CHECK),
        500..=504 => Explanation::new(
            "no_auth",
            Exit::Failed,
            "the server does not know this authentication mechanism, although it offers it",
        )
        .next(CHECK),
        _ => Explanation::new(
            "sign_in_refused",
            Exit::Failed,
            "the server refuses the sign-in for a reason other than a wrong password",
        )
        .next(format!("smtpcred why {}", name.in_shell()))
        .next(DOCTOR),
    }
}

/// Explains a reply to AUTH without TLS, with a made-up password.
pub fn in_clear(reply: &Reply, at: &FaultContext) -> Explanation {
    match reply.code {
        530 | 538 => Explanation::new(
            "encryption_required",
            Exit::Failed,
            "the server accepts no password without TLS, as it should: the application must use STARTTLS or the TLS port",
        )
        .next(format!("smtpcred show-settings {}", at.username.in_shell())),
        500..=504 => Explanation::new(
            "encryption_required",
            Exit::Failed,
            "the server does not know AUTH before TLS, as it should: the application must use STARTTLS or the TLS port",
        )
        .next(format!("smtpcred show-settings {}", at.username.in_shell())),
        535 => auth_in_clear(),
        421 => closing(),
        400..=499 => sign_in(reply, at),
        _ => Explanation::new(
            "refused",
            Exit::Failed,
            "the server refuses a sign-in without TLS",
        ),
    }
}

/// Explains a server that offers AUTH before TLS, which is a fault even if all works.
pub fn auth_in_clear() -> Explanation {
    Explanation::new(
        "auth_in_clear",
        Exit::Attention,
        "the server asks for passwords before the connection is encrypted: an application without TLS sends its password readably over the network",
    )
    .next(CHECK)
    .next("smtpd_tls_auth_only = yes (Postfix)")
}

/// Explains a reply before the sign-in.
pub fn greeting(stage: Stage, reply: &Reply, at: &FaultContext) -> Explanation {
    match reply.code {
        421 => closing(),
        500..=504 if stage == Stage::Hello => Explanation::new(
            "no_auth",
            Exit::Failed,
            "the server does not know EHLO: it speaks SMTP from before authentication existed",
        )
        .next_if(at.others),
        400..=499 => Explanation::new(
            "try_later",
            Exit::TryAgain,
            format!("the server temporarily rejects this machine ({})", stage.words()),
        ),
        _ => Explanation::new(
            "refused",
            Exit::Failed,
            format!(
                "the server rejects this machine ({}): it is on a block list, or the port is not meant for applications",
                stage.words()
            ),
        )
        .next_if(at.others),
    }
}

/// Explains a reply to MAIL FROM, RCPT TO or the message that the store would allow.
pub fn mail(stage: Stage, reply: &Reply, at: &FaultContext) -> Explanation {
    let name = at.username;
    let status = reply.status().unwrap_or_default();
    match (reply.code, stage) {
        (421, _) => closing(),
        (450..=452, _) if status.starts_with("4.3") => Explanation::new(
            "server_trouble",
            Exit::TryAgain,
            "the server has a problem of its own: its disk is full, or its policy service (`smtpcred serve`) does not answer",
        )
        .next(DOCTOR)
        .next("df -h /var/spool"),
        (400..=499, _) => Explanation::new(
            "try_later",
            Exit::TryAgain,
            "the server temporarily rejects this message: too many at once, a recipient's server that is slow or greylists, or a limit of the server (those in the store are not reached)",
        )
        .next(format!("smtpcred why {}", name.in_shell()))
        .next(DOCTOR),
        (530, _) => Explanation::new(
            "sign_in_required",
            Exit::Failed,
            "the server requires a sign-in or stronger encryption before it accepts mail, and disregards the sign-in just made",
        )
        .next(CHECK),
        (553, Stage::Sender | Stage::Recipient) if status.starts_with("5.7") || status.is_empty() => {
            Explanation::new(
                "sender_not_owned",
                Exit::Refused,
                format!(
                    "the server does not let {name} send as {}, although the store does: it has its own map of senders (smtpd_sender_login_maps)",
                    at.from
                ),
            )
            .next("postconf smtpd_sender_login_maps smtpd_sender_restrictions")
            .next(CHECK)
        }
        (550..=554, _)
            if stage == Stage::Sender && status.starts_with("5.1")
                || ["5.1.7", "5.1.8"].contains(&status) =>
        {
            Explanation::new(
                "sender_refused",
                Exit::Refused,
                format!(
                    "the server does not accept {} as a sender: the address is in none of its maps, or its domain is not in the DNS",
                    at.from
                ),
            )
            .next(format!("smtpcred domain check {}", name.domain()))
        }
        (550..=554, _) if status == "5.1.0" => Explanation::new(
            "recipient_refused",
            Exit::Refused,
            "the server does not know one of the two addresses, the recipient's or the sender's; its reply says which",
        ),
        (550..=554, _) if status.starts_with("5.1.") => Explanation::new(
            "recipient_refused",
            Exit::Refused,
            "the mailbox does not exist, or its domain accepts no mail: the address is mistyped or no longer used",
        ),
        (550..=554, _) if status.starts_with("5.2.") => Explanation::new(
            "recipient_refused",
            Exit::Refused,
            "the recipient's mailbox is full or accepts no mail",
        ),
        (550 | 554, Stage::Recipient | Stage::Sender) if status.starts_with("5.7") => {
            Explanation::new(
                "relay_denied",
                Exit::Refused,
                "the server does not relay for authenticated users: permit_sasl_authenticated is missing from smtpd_relay_restrictions, or an earlier rule rejects, such as a block list that the reply names",
            )
            .next(CHECK)
            .next("postconf smtpd_relay_restrictions smtpd_recipient_restrictions")
        }
        (552, _) => Explanation::new(
            "too_large",
            Exit::Refused,
            "the message is too large for the server, or the recipient's mailbox is full",
        ),
        (_, Stage::Message) => Explanation::new(
            "message_refused",
            Exit::Refused,
            "the server refuses the message because of its content: a spam or virus filter, or a rule about headers",
        ),
        _ => Explanation::new(
            "recipient_refused",
            Exit::Refused,
            "the server refuses this recipient or sender by a rule of its own: it does not relay for authenticated users, or the mailbox does not exist; its reply says which",
        )
        .next(CHECK),
    }
}

fn closing() -> Explanation {
    Explanation::new(
        "server_closing",
        Exit::TryAgain,
        "the server ends this connection: it is shutting down, has too many connections, or has counted too many errors from this address",
    )
    .next("postconf smtpd_client_connection_count_limit smtpd_hard_error_limit")
    .next(DOCTOR)
}

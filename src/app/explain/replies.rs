//! What is behind what a server says, by its codes: RFC 5321 §4.2, RFC 4954 §6,
//! RFC 3463. Its words are shown as they are, and not relied upon.

use super::{Circumstances, Explanation};
use crate::error::Exit;
use crate::model::session::{Reply, Stage};

const CHECK: &str = "smtpcred show-server-config postfix --check";
const DOCTOR: &str = "smtpcred doctor";

/// To AUTH, where what it says is not that the password is wrong.
pub fn sign_in(reply: &Reply, at: &Circumstances) -> Explanation {
    let name = at.username;
    match reply.code {
        421 => closing(),
        432 | 534 => Explanation::new(
            "mechanism_refused",
            Exit::Failed,
            "the server does not let this user sign in by this mechanism: it asks for another or a stronger one, or for a password made for applications",
        )
        .next(CHECK),
        // 435 is Exim's.
        400..=499 => Explanation::new(
            "cannot_check",
            Exit::TryAgain,
            "the server cannot check passwords now, and does not say that this one is wrong: `smtpcred serve` does not run, its socket cannot be opened by the mail server, or the store cannot be read",
        )
        .next(DOCTOR)
        .next("systemctl status smtpcred"),
        530 | 538 => Explanation::new(
            "encryption_required",
            Exit::Failed,
            "the server wants more encryption before a password is sent",
        )
        .next(CHECK),
        500..=504 => Explanation::new(
            "no_auth",
            Exit::Failed,
            "the server does not know this way of signing in, though it offers it",
        )
        .next(CHECK),
        _ => Explanation::new(
            "sign_in_refused",
            Exit::Failed,
            "the server refuses the sign-in, and does not say that the password is wrong",
        )
        .next(format!("smtpcred why {name}"))
        .next(DOCTOR),
    }
}

/// To AUTH without TLS, with a made-up password.
pub fn in_clear(reply: &Reply, at: &Circumstances) -> Explanation {
    match reply.code {
        530 | 538 => Explanation::new(
            "encryption_required",
            Exit::Failed,
            "the server takes no password without TLS, as it should be: the application has to use STARTTLS, or the port with TLS",
        )
        .next(format!("smtpcred show-settings {}", at.username)),
        500..=504 => Explanation::new(
            "encryption_required",
            Exit::Failed,
            "the server does not know AUTH before TLS, as it should be: the application has to use STARTTLS, or the port with TLS",
        )
        .next(format!("smtpcred show-settings {}", at.username)),
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

/// A fault of the server, also where all goes well.
pub fn auth_in_clear() -> Explanation {
    Explanation::new(
        "auth_in_clear",
        Exit::Attention,
        "the server asks for passwords before the connection is encrypted: an application without TLS sends its password for everybody on the way to read",
    )
    .next(CHECK)
    .next("smtpd_tls_auth_only = yes (Postfix)")
}

/// To the first words, before anybody has signed in.
pub fn greeting(stage: Stage, reply: &Reply, at: &Circumstances) -> Explanation {
    match reply.code {
        421 => closing(),
        500..=504 if stage == Stage::Hello => Explanation::new(
            "no_auth",
            Exit::Failed,
            "the server does not know EHLO: it speaks SMTP as it was before there was signing in",
        )
        .next_if(at.others),
        400..=499 => Explanation::new(
            "try_later",
            Exit::TryAgain,
            format!("the server puts this machine off for now ({})", stage.words()),
        ),
        _ => Explanation::new(
            "refused",
            Exit::Failed,
            format!(
                "the server does not want to talk to this machine ({}): a block list, or a port that is not for applications",
                stage.words()
            ),
        )
        .next_if(at.others),
    }
}

/// To MAIL FROM, RCPT TO or the message, where the store has nothing against it.
pub fn mail(stage: Stage, reply: &Reply, at: &Circumstances) -> Explanation {
    let name = at.username;
    let status = reply.status().unwrap_or_default();
    match (reply.code, stage) {
        (421, _) => closing(),
        (450..=452, _) if status.starts_with("4.3") => Explanation::new(
            "server_trouble",
            Exit::TryAgain,
            "the server has trouble of its own: its disk is full, or its policy service (`smtpcred serve`) does not answer",
        )
        .next(DOCTOR)
        .next("df -h /var/spool"),
        (400..=499, _) => Explanation::new(
            "try_later",
            Exit::TryAgain,
            "the server puts this message off for now: too much at once, a recipient's server that is slow or greylists, or a limit of its own (the limits in the store have room)",
        )
        .next(format!("smtpcred why {name}"))
        .next(DOCTOR),
        (530, _) => Explanation::new(
            "sign_in_required",
            Exit::Failed,
            "the server wants a sign-in or more encryption before it takes mail, and takes the sign-in just made for none",
        )
        .next(CHECK),
        (553, Stage::Sender | Stage::Recipient) if status.starts_with("5.7") || status.is_empty() => {
            Explanation::new(
                "sender_not_owned",
                Exit::Refused,
                format!(
                    "the server does not let {name} send as {}, though the store does: it has a map of senders of its own (smtpd_sender_login_maps)",
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
                    "the server does not take {} for an address that can send: it is in none of its maps, or its domain is not in the DNS",
                    at.from
                ),
            )
            .next(format!("smtpcred domain check {}", name.domain()))
        }
        (550..=554, _) if status == "5.1.0" => Explanation::new(
            "recipient_refused",
            Exit::Refused,
            "the server knows one of the two addresses not, the recipient's or the sender's: its words say which",
        ),
        (550..=554, _) if status.starts_with("5.1.") => Explanation::new(
            "recipient_refused",
            Exit::Refused,
            "there is no such mailbox, or its domain takes no mail: the address is mistyped, or gone",
        ),
        (550..=554, _) if status.starts_with("5.2.") => Explanation::new(
            "recipient_refused",
            Exit::Refused,
            "the recipient's mailbox is full or takes no mail",
        ),
        (550 | 554, Stage::Recipient | Stage::Sender) if status.starts_with("5.7") => {
            Explanation::new(
                "relay_denied",
                Exit::Refused,
                "the server does not relay for who has signed in: permit_sasl_authenticated is missing in smtpd_relay_restrictions, or another rule comes before it, such as a block list that its words name",
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
            "the server refuses the message for what is in it: a filter for spam or viruses, or a rule on its headers",
        ),
        _ => Explanation::new(
            "recipient_refused",
            Exit::Refused,
            "the server refuses this recipient or sender by a rule of its own: it does not relay for who has signed in, or there is no such mailbox; its words say which",
        )
        .next(CHECK),
    }
}

fn closing() -> Explanation {
    Explanation::new(
        "server_closing",
        Exit::TryAgain,
        "the server takes no more from this connection: it is being stopped, has too many connections, or has counted too many errors from this address",
    )
    .next("postconf smtpd_client_connection_count_limit smtpd_hard_error_limit")
    .next(DOCTOR)
}

//! Sends alerts: to commands, and by mail through the mail server of this machine.

use super::{command, local_mail};
use crate::app::alerts::AlertSender;
use crate::model::alert::AlertDocument;
use crate::model::alert_rules::AlertWay;
use crate::model::delivery::CommandLine;
use crate::model::mailbox::LocalMailbox;
use crate::model::text::escaped;

/// Sends alerts from this machine.
pub struct SystemAlertSender;

impl AlertSender for SystemAlertSender {
    fn send(&self, way: &AlertWay, document: &AlertDocument) -> Result<(), String> {
        match way {
            AlertWay::Command(command) => {
                let mut json = serde_json::to_vec(document).map_err(|error| error.to_string())?;
                json.push(b'\n');
                command::tell(command, &json, local_mail::MOST)
            }
            AlertWay::Mail(address) => mail(address, document),
        }
    }
}

/// Returns why a command cannot be started, as far as that can be seen without starting it.
pub fn obstacle(command: &CommandLine) -> Option<String> {
    command::obstacle(command)
}

fn mail(to: &LocalMailbox, document: &AlertDocument) -> Result<(), String> {
    let host = local_mail::host();
    let from = local_mail::sender(&host);
    if document.username.as_deref() == Some(&from) {
        return Err(format!(
            "an alert about {from} is not mailed: that is its own sender"
        ));
    }
    local_mail::send(to, &message(&from, &host, to, document))
}

/// Composes a message that no program answers.
fn message(from: &str, host: &str, to: &LocalMailbox, document: &AlertDocument) -> String {
    let AlertDocument {
        kind,
        at,
        username,
        domain,
        text,
        next,
        id,
        ..
    } = document;
    let about = username.as_deref().or(domain.as_deref()).unwrap_or(host);
    let number = id.map_or_else(|| (*kind).to_owned(), |id| id.to_string());
    let next = next.as_ref().map(|next| format!("\nType now:\n  {next}\n"));
    let text = folded(&escaped(text));
    format!(
        "From: smtpcred <{from}>\n\
        To: {to}\n\
        Subject: [smtpcred] {kind}: {about}\n\
        Date: {}\n\
        Message-ID: <alert.{number}.{}@{host}>\n\
        Auto-Submitted: auto-generated\n\
        MIME-Version: 1.0\n\
        Content-Type: text/plain; charset=utf-8\n\
        Content-Transfer-Encoding: 8bit\n\
        \n\
        {text}\n{}\nRaised at {at} on {host}. All alerts: smtpcred alert list\n",
        local_mail::date(at.epoch()),
        at.epoch(),
        next.unwrap_or_default(),
    )
}

/// Breaks lines that mail servers refuse (RFC 5321 §4.5.3.1.6), at a space if there is one.
fn folded(text: &str) -> String {
    const LONGEST: usize = 900;
    let mut lines = String::with_capacity(text.len() + 8);
    let mut rest = text;
    while rest.len() > LONGEST {
        let mut ends = (1..=LONGEST).rev();
        let end = ends
            .find(|end| rest.is_char_boundary(*end))
            .unwrap_or(rest.len());
        let space = rest[..end].rfind(' ');
        let (line, after) = rest.split_at(space.map_or(end, |space| space + 1));
        lines.push_str(line);
        lines.push('\n');
        rest = after;
    }
    lines + rest
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::time::Time;

    #[test]
    fn a_message_says_what_happened_and_what_to_type() {
        let document = AlertDocument {
            username: Some("shop@example.com".into()),
            next: Some("smtpcred user show shop@example.com".into()),
            ..AlertDocument::general(
                "limit",
                Time::from_epoch(1_800_000_000),
                "Full.".into(),
                None,
            )
        };
        let to = "ana@example.org".parse().unwrap();
        let message = message("smtpcred@relay", "relay", &to, &document);
        let (head, body) = message.split_once("\n\n").unwrap();
        for line in [
            "To: ana@example.org",
            "Subject: [smtpcred] limit: shop@example.com",
            "Date: Fri, 15 Jan 2027 08:00:00 +0000",
            "Auto-Submitted: auto-generated",
        ] {
            assert!(head.lines().any(|found| found == line), "{line} in {head}");
        }
        assert!(body.starts_with("Full.\n\nType now:\n  smtpcred user show shop@example.com\n"));
    }

    #[test]
    fn what_a_command_said_is_no_control_character_and_no_long_line_in_a_message() {
        let said = format!(
            "{}\u{1b}[31m\r.\r\nBcc: x {}",
            "a b ".repeat(300),
            "ü".repeat(2000)
        );
        let document = AlertDocument::general("limit", Time::from_epoch(0), said, None);
        let to = "ana@example.org".parse().unwrap();
        let message = message("smtpcred@relay", "relay", &to, &document);
        let plain = |c: char| c == '\n' || !c.is_control();
        assert!(message.chars().all(plain), "{message:?}");
        assert!(
            message
                .lines()
                .all(|line| line.len() < 998 && !line.starts_with("Bcc"))
        );
        assert_eq!(message.matches('ü').count(), 2000);
    }

    fn run(script: &str, most: Duration) -> Result<(), String> {
        let command = CommandLine::stored(["sh", "-c", script].map(str::to_owned).into());
        command::tell(&command.unwrap(), b"{}\n", most)
    }

    #[test]
    fn a_command_is_bounded_masked_and_told_nothing_more() {
        const LONG: Duration = Duration::from_secs(60);
        assert_eq!(run("read line && test \"$line\" = {}", LONG), Ok(()));
        assert_eq!(run("exec <&-", LONG), Ok(()));
        let failed = |script: &str| run(script, LONG).unwrap_err();
        assert_eq!(
            failed("echo try later; exit 75"),
            "sh exited with 75: try later"
        );
        let password = "smtpc_abcdefghijkmnopqrstuvwxyz23456";
        let masked = failed(&format!("echo {password}; exit 1"));
        assert_eq!(masked, "sh exited with 1: ********");
        let flood = failed("yes 0123456789 | head -c 3000000 | tr -d '\\n'; exit 1");
        assert!(flood.len() < 1_100, "{}", flood.len());
        assert_eq!(failed("kill -9 $$"), "sh was killed by signal 9");
        assert_eq!(
            failed("echo $CARGO_MANIFEST_DIR; exit 2"),
            "sh exited with 2"
        );
    }

    #[test]
    fn a_command_that_hangs_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! >{}; wait", pid.display());
        let reason = run(&script, Duration::from_secs(2)).unwrap_err();
        assert_eq!(reason, "sh did not end within 2 s and was killed");
        let pid: i32 = std::fs::read_to_string(pid)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        // An orphan that no one has waited for yet is a zombie.
        let is_gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
            stat.map_or(true, |stat| stat.contains(") Z "))
        };
        while !is_gone() {
            assert!(std::time::Instant::now() < deadline, "it lives");
            std::thread::yield_now();
        }
    }

    #[test]
    fn an_alert_about_its_own_sender_is_not_mailed() {
        let host = nix::unistd::gethostname().unwrap();
        let own = format!("smtpcred@{}", host.to_string_lossy());
        let document = AlertDocument {
            username: Some(own),
            ..AlertDocument::general("limit", Time::from_epoch(0), String::new(), None)
        };
        let outcome = mail(&"ana@example.org".parse().unwrap(), &document);
        assert!(outcome.unwrap_err().contains("its own sender"));
    }
}

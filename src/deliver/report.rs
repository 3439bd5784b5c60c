//! Sends a report by mail, as text and as a page.

use data_encoding::BASE64;

use super::local_mail;
use crate::app::report::ReportPage;
use crate::model::mailbox::LocalMailbox;
use crate::model::text::escaped;

/// Sends it. Fails with the reason.
pub fn mail(to: &LocalMailbox, page: &ReportPage) -> Result<(), String> {
    local_mail::send(to, &message(&local_mail::host(), to, page))
}

/// Composes the message. Both parts are base64: their lines may be of any length.
fn message(host: &str, to: &LocalMailbox, page: &ReportPage) -> String {
    let from = local_mail::sender(host);
    let epoch = page.at.epoch();
    let process = std::process::id();
    // A line of base64 has no underscore.
    let boundary = format!("_report_{epoch}_{process}_");
    let [text, html] = [&page.text, &page.html].map(|part| lines(part.as_bytes()));
    let part = |kind: &str, body: &str| {
        format!(
            "--{boundary}\n\
            Content-Type: text/{kind}; charset=utf-8\n\
            Content-Transfer-Encoding: base64\n\
            \n\
            {body}"
        )
    };
    format!(
        "From: smtpcred <{from}>\n\
        To: {to}\n\
        Subject: [smtpcred] {} on {host}\n\
        Date: {}\n\
        Message-ID: <report.{epoch}.{process}@{host}>\n\
        Auto-Submitted: auto-generated\n\
        MIME-Version: 1.0\n\
        Content-Type: multipart/alternative; boundary=\"{boundary}\"\n\
        \n\
        {}{}--{boundary}--\n",
        escaped(&page.title),
        local_mail::date(epoch),
        part("plain", &text),
        part("html", &html),
    )
}

/// Returns base64 in lines of 76 characters (RFC 2045 §6.8).
fn lines(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() / 3 * 4 + bytes.len() / 50 + 8);
    for line in bytes.chunks(57) {
        BASE64.encode_append(line, &mut out);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64_MIME;

    use super::*;
    use crate::model::time::Time;

    #[test]
    fn both_parts_arrive_as_they_were() {
        let parts = ["Grüße\n.\n".repeat(99), "<p>Grüße</p>".repeat(99)];
        let to = "root".parse().unwrap();
        let [text, html] = parts.clone();
        let page = ReportPage {
            title: "SMTP credentials".into(),
            html,
            text,
            at: Time::from_epoch(1_800_000_000),
        };
        let message = message("relay", &to, &page);
        assert!(
            message
                .lines()
                .all(|line| line.len() <= 78 && line.is_ascii())
        );
        let mut found = message.split("base64\n\n").skip(1);
        for part in parts {
            let body = found.next().unwrap().split("--").next().unwrap();
            let body = body.replace('\n', "\r\n");
            assert_eq!(
                BASE64_MIME.decode(body.as_bytes()).unwrap(),
                part.as_bytes()
            );
        }
        assert!(message.contains("\nSubject: [smtpcred] SMTP credentials on relay\n"));
    }
}

//! A log as Postfix writes it: one message in five is deferred once, one in ten bounces.

use std::fmt::Write as _;

/// Messages that are under way at the same time.
const AT_ONCE: usize = 100;

/// Returns a log of this many lines: messages of many users, under way at the same time.
pub fn mail_log(lines_wanted: usize) -> String {
    let mut log = String::with_capacity(170 * lines_wanted);
    let mut under_way: Vec<std::vec::IntoIter<String>> = Vec::new();
    let (mut number, mut lines) = (0, 0);
    while lines < lines_wanted {
        if under_way.len() < AT_ONCE {
            under_way.push(message(number).into_iter());
            number += 1;
        }
        let at = lines % under_way.len();
        match under_way[at].next() {
            Some(line) => {
                let (minute, second) = (lines / 60_000 % 60, lines / 1000 % 60);
                let _ = writeln!(log, "Nov 30 04:{minute:02}:{second:02} mail postfix/{line}");
                lines += 1;
            }
            None => drop(under_way.swap_remove(at)),
        }
    }
    log
}

fn message(n: usize) -> Vec<String> {
    let id = format!("{:05X}9CC{:03X}", n * 7919 % 0xF_FFFF, n % 0xFFF);
    let pid = 10_000 + n % 97;
    let smtpd = format!("submission/smtpd[{pid}]");
    let to = |dsn: &str, status: &str| {
        format!(
            "smtp[{pid}]: {id}: to=<user{n}@remote.test>, relay=mx.remote.test[192.0.2.7]:25, delay=0.52, delays=0.51/0.01/0/0, dsn={dsn}, status={status}"
        )
    };
    let active = format!(
        "qmgr[2823]: {id}: from=<app{}@example.com>, size=348, nrcpt=1 (queue active)",
        n % 1000
    );
    let mut lines = vec![
        format!("{smtpd}: connect from app.example.com[192.0.2.{}]", n % 250),
        format!(
            "{smtpd}: Anonymous TLS connection established from app.example.com[192.0.2.1]: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature ECDSA (prime256v1) server-digest SHA256"
        ),
        format!(
            "{smtpd}: {id}: client=app.example.com[192.0.2.1], sasl_method=PLAIN, sasl_username=app{}@example.com",
            n % 1000
        ),
        format!("cleanup[{pid}]: {id}: message-id=<{n}.10127@client.example.com>"),
        active.clone(),
        format!(
            "{smtpd}: disconnect from app.example.com[192.0.2.1] ehlo=2 starttls=1 auth=1 mail=1 rcpt=1 data=1 quit=1 commands=8"
        ),
    ];
    if n.is_multiple_of(5) {
        lines.push(to("4.7.1", "deferred (host mx.remote.test[192.0.2.7] said: 450 4.7.1 greylisted, try again later (in reply to RCPT TO command))"));
        lines.push(active);
    }
    lines.push(if n.is_multiple_of(10) {
        to("5.1.1", "bounced (host mx.remote.test[192.0.2.7] said: 550 5.1.1 user unknown (in reply to RCPT TO command))")
    } else {
        to("2.0.0", &format!("sent (250 2.0.0 Ok: queued as 4C{n:09X})"))
    });
    lines.push(format!("qmgr[2823]: {id}: removed"));
    lines
}

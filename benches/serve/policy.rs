//! Decisions on messages that are counted for good, beside policyd-rate-limit.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::load::{self, Protocol, Set, Turn};
use crate::ours::Ours;
use crate::peers::Policyd;
use crate::{Report, paired};

const USERS: usize = 100;
/// More than anybody sends here.
const LIMIT: &str = "1000000000";
const GOAL: f64 = 20.0;
const WARM_UP: Duration = Duration::from_millis(300);
const WINDOW: Duration = Duration::from_secs(2);

pub fn measure(report: &mut Report) {
    let ours = Ours::with_users(USERS);
    for user in &ours.users {
        ours.sandbox
            .noted(&["user", "set", &user.name, "--daily-limit", LIMIT]);
    }
    let names: Vec<&str> = ours.users.iter().map(|user| &*user.name).collect();
    let mut serve = ours.serve();
    let peer = Policyd::start();
    let mut requests = Requests {
        users: names.iter().map(|name| Texts::of(name)).collect(),
        run: 0,
        counted: 0,
    };
    let mut theirs = Requests {
        users: names.iter().map(|name| Texts::of(name)).collect(),
        run: 0,
        counted: 0,
    };
    for connections in [1, 8, 64] {
        let mut peers_rate = || {
            peer.empty();
            let before = theirs.counted;
            let rate = theirs.rate(&peer.socket, connections, &[State::Data]);
            assert_eq!(
                peer.counted(),
                theirs.counted - before,
                "it has to count them all"
            );
            rate
        };
        let pairs = &[State::Rcpt, State::EndOfMessage];
        let rates = paired(
            || requests.rate(&serve.policy, connections, pairs),
            &mut peers_rate,
        );
        let what = |asked| format!("{asked}, {connections} at once / policyd-rate-limit");
        report.rates(&what("decisions, RCPT and END-OF-MESSAGE"), rates, GOAL);
        let only = &[State::EndOfMessage];
        let rates = paired(
            || requests.rate(&serve.policy, connections, only),
            &mut peers_rate,
        );
        report.rates(&what("decisions, END-OF-MESSAGE"), rates, GOAL);
    }

    // An answer counts for nothing if a crash forgets it.
    serve.running.kill();
    let sql = "SELECT coalesce(sum(messages), 0) FROM counts
        WHERE span = 'day' AND owner LIKE 'app-%@example.com'";
    let counted: u32 = ours
        .store()
        .query_row(sql, [], |row| row.get(0))
        .expect("counts");
    let cells = [counted.to_string(), requests.counted.to_string()];
    report.judged(
        "messages counted, after a kill / answered",
        [&cells[0], &cells[1], "", "equal"],
        counted == requests.counted,
    );
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Rcpt,
    Data,
    EndOfMessage,
}

/// What Postfix 3.7 asks, one message after the other.
struct Requests {
    users: Vec<Texts>,
    /// No two rounds have a message in common.
    run: u32,
    /// Messages that have to be counted: all that were answered.
    counted: u32,
}

impl Requests {
    /// Answers a second, if every connection asks this about each message.
    fn rate(&mut self, socket: &Path, connections: usize, states: &[State]) -> f64 {
        self.run += 1;
        let (run, users, counted) = (self.run, &self.users, &mut self.counted);
        let mut source = |turn: Turn, out: &mut Vec<u8>| {
            let asked = turn.number as usize - 1;
            let (message, state) = (asked / states.len(), states[asked % states.len()]);
            let user = &users[(message * connections + turn.connection) % users.len()];
            let instance = format!("{:x}.{message:x}.{run:x}.0", turn.connection + 4096);
            user.write(state, &instance, out);
            *counted += u32::from(state != State::Rcpt);
            true
        };
        let set = Set {
            socket,
            protocol: Protocol::Policy,
            connections,
            outstanding: 1,
            good: "action=DUNNO",
            source: &mut source,
        };
        load::rates(&mut [set], WARM_UP, WINDOW)[0]
    }
}

/// The parts of a user's requests that stay as they are.
struct Texts {
    head: String,
    tail: String,
}

impl Texts {
    fn of(name: &str) -> Self {
        Self {
            head: format!(
                "protocol_name=ESMTP\nclient_address=192.0.2.1\nclient_name=unknown\n\
                client_port=48066\nreverse_client_name=unknown\nserver_address=192.0.2.25\n\
                server_port=587\nhelo_name=client.example\nsender={name}\n\
                recipient=one@elsewhere.example\n"
            ),
            tail: format!(
                "etrn_domain=\nstress=\nsasl_method=PLAIN\nsasl_username={name}\nsasl_sender=\n\
                ccert_subject=\nccert_issuer=\nccert_fingerprint=\nccert_pubkey_fingerprint=\n\
                encryption_protocol=TLSv1.3\nencryption_cipher=TLS_AES_256_GCM_SHA384\n\
                encryption_keysize=256\npolicy_context=\n\n"
            ),
        }
    }

    fn write(&self, state: State, instance: &str, out: &mut Vec<u8>) {
        let (name, accepted, queue_id, size) = match state {
            State::Rcpt => ("RCPT", 0, "", 1234),
            State::Data => ("DATA", 1, "349B49B0101", 1234),
            State::EndOfMessage => ("END-OF-MESSAGE", 1, "349B49B0101", 516),
        };
        let Self { head, tail } = self;
        write!(
            out,
            "request=smtpd_access_policy\nprotocol_state={name}\n{head}recipient_count={accepted}\n\
            queue_id={queue_id}\ninstance={instance}\nsize={size}\n{tail}"
        )
        .expect("memory");
    }
}

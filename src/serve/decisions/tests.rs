use super::*;
use crate::app::relay::testing::TestStore;
use crate::serve::effect::Effects;

const CONNECTION: ConnectionId = ConnectionId {
    number: 0,
    serial: 7,
};

/// Policy requests without sockets.
struct Machine {
    decisions: Decisions,
    relay: Relay,
    effects: Effects,
    store: TestStore,
}

impl Machine {
    fn new() -> Self {
        let mut store = TestStore::new();
        store.add_user("shop@example.com", "vague-Otter-61");
        let mut machine = Self {
            decisions: Decisions::default(),
            relay: store.relay(),
            effects: Effects::new(),
            store,
        };
        machine.decisions.connected(CONNECTION, None);
        machine
    }

    fn request(&mut self, state: &str, username: &str, sender: &str) {
        let text = format!(
            "request=smtpd_access_policy\nprotocol_state={state}\ninstance=1.2\n\
            sasl_username={username}\nsender={sender}\nrecipient=a@example.net\n"
        );
        for line in text.split('\n') {
            self.decisions.line(CONNECTION, line.as_bytes()).unwrap();
        }
    }

    /// Answers all requests. Returns the replies.
    fn answer(&mut self) -> Vec<String> {
        let mut replies = Vec::new();
        let mut next = true;
        while next {
            next = false;
            let (relay, effects) = (&mut self.relay, &mut self.effects);
            let mut turn = Turn {
                relay,
                now: Instant::now(),
                effects,
            };
            self.decisions.next(CONNECTION, turn.now, &mut turn);
            for effect in self.effects.drain(..) {
                match effect {
                    Effect::Reply(_, text) => replies.push(text),
                    Effect::Next(_) => next = true,
                    _ => {}
                }
            }
        }
        replies
    }
}

#[test]
fn requests_are_answered_in_their_order() {
    let mut machine = Machine::new();
    machine.request("RCPT", "shop@example.com", "shop@example.com");
    machine.request("RCPT", "shop@example.com", "ceo@example.org");
    machine.request("RCPT", "", "ceo@example.org");
    let replies = machine.answer();
    let [own, other, unknown] = &replies[..] else {
        panic!("{replies:?}");
    };
    assert!(own.starts_with("action=DUNNO"), "{own}");
    assert!(other.starts_with("action=553 5.7.1"), "{other}");
    assert!(unknown.starts_with("action=DUNNO"), "{unknown}");
    assert!(machine.decisions.is_drained(CONNECTION));
}

#[test]
fn a_user_that_does_not_exist_may_not_send() {
    let mut machine = Machine::new();
    machine.request("MAIL", "gone@example.com", "gone@example.com");
    let replies = machine.answer();
    assert!(replies[0].starts_with("action=554 5.7.1"), "{replies:?}");
}

#[test]
fn a_message_is_counted_until_its_answer_could_not_be_sent() {
    let mut machine = Machine::new();
    machine.request("END-OF-MESSAGE", "shop@example.com", "shop@example.com");
    let replies = machine.answer();
    assert!(replies[0].starts_with("action=DUNNO"), "{replies:?}");
    assert!(machine.decisions.has_counted(CONNECTION));
    machine.decisions.not_sent(CONNECTION, &mut machine.relay);
    assert!(!machine.decisions.has_counted(CONNECTION));
}

#[test]
fn too_many_requests_on_one_connection_are_refused() {
    let mut machine = Machine::new();
    for _ in 0..MAX_QUEUE {
        machine.request("RCPT", "shop@example.com", "shop@example.com");
    }
    let line = |machine: &mut Machine, line: &[u8]| machine.decisions.line(CONNECTION, line);
    line(&mut machine, b"request=smtpd_access_policy").unwrap();
    assert!(line(&mut machine, b"").is_err());
}

#[test]
fn p3_a_user_that_was_suspended_may_not_send_from_then_on() {
    let mut machine = Machine::new();
    machine.request("MAIL", "shop@example.com", "shop@example.com");
    assert!(machine.answer()[0].starts_with("action=DUNNO"));
    let shop = "shop@example.com".parse().unwrap();
    machine.store.change(|tx| tx.suspend_user(&shop).unwrap());
    machine.relay.refresh(Instant::now()).unwrap();
    machine.request("MAIL", "shop@example.com", "shop@example.com");
    let replies = machine.answer();
    assert!(replies[0].starts_with("action=554 5.7.1"), "{replies:?}");
}

#[test]
fn p4_without_its_store_a_request_closes_its_connection() {
    let mut machine = Machine::new();
    machine.store.remove();
    assert!(machine.relay.refresh(Instant::now()).is_err());
    machine.request("MAIL", "shop@example.com", "shop@example.com");
    let (relay, effects) = (&mut machine.relay, &mut machine.effects);
    let now = Instant::now();
    let mut turn = Turn {
        relay,
        now,
        effects,
    };
    machine.decisions.next(CONNECTION, now, &mut turn);
    let answers = machine.effects.iter().filter_map(|effect| match effect {
        Effect::HangUp(connection, _) => Some(*connection),
        Effect::Reply(..) => panic!("answered"),
        _ => None,
    });
    assert_eq!(answers.collect::<Vec<_>>(), [CONNECTION]);
}

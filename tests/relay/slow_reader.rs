//! A mail server that takes its answers late.

use nix::sys::signal::Signal;

use crate::support::Sandbox;
use crate::support::relay::{self, Client, until};

const SHOP: &str = "shop@example.com";
const ASK: &str = "protocol_state=RCPT\nsasl_username=shop@example.com\nsender=a@b.example\n\n";
const NOT_OWNED: Option<&str> = Some("action=553 5.7.1 Sender address not owned by this login");

#[test]
fn sigterm_waits_for_a_slow_reader() {
    // More answers than the socket has room for, and fewer than may wait in the program.
    const GROUPS: usize = 20;
    const GROUP: usize = 32;
    let sandbox = Sandbox::new();
    sandbox.create(SHOP);
    let relay = relay::start(&sandbox, &[], &[]);
    let [mut slow, mut other] = [(); 2].map(|()| Client::policy(&sandbox));
    let answered = |client: &mut Client| {
        assert_eq!(client.line().as_deref(), NOT_OWNED);
        assert_eq!(client.line().as_deref(), Some(""));
    };
    for _ in 0..GROUPS {
        slow.send(ASK.repeat(GROUP).as_bytes());
        // Once this one is answered, those before it are.
        other.send(ASK.as_bytes());
        answered(&mut other);
    }
    relay.signal(Signal::SIGTERM);
    until("it to let go", relay::PATIENCE, || {
        relay.count("stopping: ") > 0
    });
    assert_eq!(other.line(), None);
    for _ in 0..GROUPS * GROUP {
        answered(&mut slow);
    }
    assert_eq!(slow.line(), None);
    assert_eq!(relay.ended().0, Some(0));
}

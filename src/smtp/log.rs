//! The record of a visit: each step taken, and what ended it.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::visit::SignInAs;
use crate::error::{Error, Result};
use crate::model::smtp_session::{Fault, Session, Stage, Step};

/// Why a visit ended early.
pub enum Stop {
    /// Something was wrong at the server, or on the way to it.
    Fault(Fault),
    /// Something was wrong on this machine, or the caller gave up.
    Error(Error),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// The result of a part of a visit.
pub type Outcome<T> = std::result::Result<T, Stop>;

/// Records a visit and reports each step to the caller.
pub struct VisitLog<'a> {
    /// The steps so far, and what they showed.
    pub session: Session,
    each: &'a mut dyn FnMut(&Step) -> Result<()>,
    since: Instant,
    /// Masked in whatever the server repeats.
    secret: Option<SignInAs<'a>>,
}

impl<'a> VisitLog<'a> {
    /// Starts an empty record; `each` is called after each step.
    pub fn new(secret: Option<SignInAs<'a>>, each: &'a mut dyn FnMut(&Step) -> Result<()>) -> Self {
        Self {
            session: Session::default(),
            each,
            since: Instant::now(),
            secret,
        }
    }

    /// Records a step that began where the last one ended.
    pub fn step(&mut self, stage: Stage, said: String) -> Outcome<()> {
        let step = Step {
            stage,
            took: self.since.elapsed(),
            said: self.masked(said),
        };
        self.since = Instant::now();
        (self.each)(&step)?;
        self.session.steps.push(step);
        Ok(())
    }

    /// Ends the record with what `done` came to. An error is one of this machine.
    pub fn finish(mut self, done: Outcome<()>) -> Result<Session> {
        let fault = match done {
            Ok(()) => return Ok(self.session),
            Err(Stop::Error(error)) => return Err(error),
            Err(Stop::Fault(fault)) => fault,
        };
        self.session.fault = Some(match fault {
            Fault::Reply(stage, mut reply) => {
                reply.text = self.masked(reply.text);
                Fault::Reply(stage, reply)
            }
            Fault::Protocol(stage, what) => Fault::Protocol(stage, shortened(self.masked(what))),
            other => other,
        });
        self.session.failed_after = self.since.elapsed();
        Ok(self.session)
    }

    /// Masks the password as it is and as it was sent, whole or cut off: servers repeat what
    /// they do not understand, some of them only its beginning.
    fn masked(&self, mut said: String) -> String {
        let Some(SignInAs { username, password }) = self.secret else {
            return said;
        };
        let plain = Zeroizing::new(format!("\0{username}\0{password}"));
        let forms = [
            Zeroizing::new(password.to_owned()),
            Zeroizing::new(STANDARD.encode(password)),
            Zeroizing::new(STANDARD.encode(plain.as_bytes())),
        ];
        for form in forms {
            // A shorter one is part of any text, and no password that is in use.
            let lengths = (PART.min(form.len()).max(4)..=form.len()).rev();
            let parts = lengths.filter_map(|length| form.get(..length));
            if let Some(part) = parts.into_iter().find(|part| said.contains(part)) {
                said = said.replace(part, "[PASSWORD]");
            }
        }
        said
    }
}

/// The shortest beginning of a password that is masked, in bytes.
const PART: usize = 8;

/// The longest text of a server that is shown, in characters.
const SHOWN: usize = 120;

fn shortened(text: String) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "smtpc_pq7TQ3kyaYcLvg9ESC2p8PCueReR89";

    /// What `finish` says of a line that is not a reply.
    fn said(line: &str) -> String {
        let username = "shop@example.com".parse().unwrap();
        let secret = SignInAs {
            username: &username,
            password: PASSWORD,
        };
        let mut each = |_: &Step| Ok(());
        let log = VisitLog::new(Some(secret), &mut each);
        let fault = Fault::Protocol(Stage::SignIn, line.to_owned());
        let session = log.finish(Err(fault.into())).unwrap();
        session.fault.unwrap().to_string()
    }

    #[test]
    fn p1_a_password_that_is_repeated_is_masked_whole_or_cut() {
        let plain = STANDARD.encode(format!("\0shop@example.com\0{PASSWORD}"));
        let sent = format!("it answers AUTH PLAIN {plain}");
        for end in sent.len() - plain.len() + PART..=sent.len() {
            let said = said(&sent[..end]);
            assert!(said.ends_with("[PASSWORD]"), "{said}");
        }
        let clear = format!("{} {PASSWORD}", "x".repeat(SHOWN - 10));
        assert!(!said(&clear).contains("smtpc_pq"), "{clear}");
    }
}

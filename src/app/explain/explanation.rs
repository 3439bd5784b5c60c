//! An explanation of a fault.

use crate::error::Exit;
use crate::model::duration::Duration;
use crate::model::smtp_session::Certificate;

/// The cause of a fault and what to do.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The stable name for scripts.
    pub code: &'static str,
    /// What happened and why.
    pub cause: String,
    /// What to do next, mostly commands to type.
    pub next: Vec<String>,
    /// The exit code of the command.
    pub exit: Exit,
}

impl Explanation {
    /// Returns an explanation without a next step.
    pub(super) fn new(code: &'static str, exit: Exit, cause: impl Into<String>) -> Self {
        Self {
            code,
            cause: cause.into(),
            next: Vec::new(),
            exit,
        }
    }

    /// Explains a certificate that will expire soon, in `left`.
    pub fn expiring(certificate: &Certificate, left: Duration) -> Self {
        let at = certificate.not_after;
        let cause =
            format!("the certificate expires in {left}, at {at}: after that no client can connect");
        Self::new("certificate_expiring", Exit::Attention, cause).next("certbot renew")
    }

    /// Adds a next step.
    #[must_use]
    pub(super) fn next(mut self, command: impl Into<String>) -> Self {
        self.next.push(command.into());
        self
    }

    /// Adds a next step if there is one.
    #[must_use]
    pub(super) fn next_if(mut self, command: Option<impl Into<String>>) -> Self {
        self.next.extend(command.map(Into::into));
        self
    }
}

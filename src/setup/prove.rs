//! The proof that a mail server signs users in: a user that exists only for it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::SignInPort;
use crate::app::App;
use crate::app::credential::{CreateRequest, Credential, Handover, Name, Pending};
use crate::app::users::UserRequest;
use crate::doctor::sockets::{self, Endpoint};
use crate::error::{Error, Result};
use crate::model::host_port::HostPort;
use crate::model::name::{DomainName, HostName, Username};
use crate::model::password::{Form, Password, Random};
use crate::model::smtp_session::Fault;
use crate::smtp::{self, Errand, SignInAs, Visit};

/// How long a port may take to sign the user in after the server has read its configuration.
const PATIENCE: Duration = Duration::from_secs(20);
/// For each step of a visit.
const STEP: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(200);
/// Refused sign-ins count as guesses.
const MOST_REFUSALS: u32 = 3;
/// A domain that no one has (RFC 2606).
const DOMAIN: &str = "smtpcred-setup.invalid";

/// A sign-in that worked.
#[derive(Clone, Copy, Debug)]
pub struct Proof {
    /// Where.
    pub at: SignInPort,
}

/// A user for the proof. Dropped users stay until [`remove`].
pub struct ProofUser {
    username: Username,
    password: Zeroizing<String>,
}

/// The caller has the password already.
struct AlreadyKnown;

impl Pending for AlreadyKnown {
    fn commit_delivery(&mut self) -> Result<()> {
        Ok(())
    }

    fn withdraw(&mut self) {}

    fn is_out(&self) -> bool {
        false
    }
}

impl Handover for AlreadyKnown {
    fn present(&mut self, _: Credential) -> Result<()> {
        Ok(())
    }
}

/// Creates the user.
pub fn create(app: &mut App, random: Random) -> Result<ProofUser> {
    remove(app)?;
    let domain: DomainName = DOMAIN.parse()?;
    let username = Username::new("setup", &domain)?;
    let password = Password::generate(Form::Full, random)?;
    let user = ProofUser {
        username: username.clone(),
        password: Zeroizing::new(password.expose().to_owned()),
    };
    let request = CreateRequest {
        name: Name::Chosen(username.clone()),
        add_domain: true,
        copy_of: None,
        user: UserRequest::default(),
    };
    app.create_user(&username, None, &request, password, &mut AlreadyKnown)?;
    Ok(user)
}

/// Removes the user and its domain, also those of a run that was killed.
pub fn remove(app: &mut App) -> Result<()> {
    let domain: DomainName = DOMAIN.parse()?;
    match app.remove_domain(&domain, true, None) {
        Ok(_) | Err(Error::DomainNotFound(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Signs the user in at a port, and waits while the server begins to listen.
pub fn sign_in(
    user: &ProofUser,
    host: &HostName,
    at: SignInPort,
    stop: &AtomicBool,
) -> Result<Proof> {
    let server = HostPort {
        host: host.clone(),
        port: at.port,
    };
    let deadline = Instant::now() + PATIENCE;
    let mut refusals = 0;
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        let visit = Visit {
            server: &server,
            address: Some(at.address),
            patience: STEP,
            // The certificate is another matter, which doctor reports.
            any_certificate: true,
            errand: Errand::SignIn(SignInAs {
                username: &user.username,
                password: &user.password,
            }),
        };
        let session = smtp::visit(&visit, &mut |_| Ok(()))?;
        let Some(fault) = session.fault else {
            return Ok(Proof { at });
        };
        refusals += u32::from(matches!(fault, Fault::Reply(..)));
        if refusals >= MOST_REFUSALS || Instant::now() >= deadline {
            return Err(Error::System(format!(
                "signing in on port {} failed: {fault}",
                at.port.number
            )));
        }
        thread::sleep(PAUSE);
    }
}

/// Signs the user in at the auth socket of a Dovecot, and checks that it refuses a wrong
/// password. Waits while processes that have read the old configuration end.
pub fn accepted(user: &ProofUser, socket: &Path, stop: &AtomicBool) -> Result<()> {
    let endpoint = Endpoint::unix(socket);
    let deadline = Instant::now() + PATIENCE;
    let failed = |what: &str| Err(Error::System(format!("{}: {what}", socket.display())));
    let answer = |password: &str| {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        let answer = sockets::accepts(&endpoint, user.username.as_str(), password);
        Ok(answer.ok())
    };
    while answer(&user.password)? != Some(true) {
        if Instant::now() >= deadline {
            return failed(
                "a user cannot sign in: see Dovecot's log, and vsz_limit of its auth-worker",
            );
        }
        thread::sleep(PAUSE);
    }
    loop {
        match answer("wrong")? {
            Some(false) => return Ok(()),
            Some(true) => return failed("any password is accepted"),
            None if Instant::now() >= deadline => return failed("it does not answer"),
            None => thread::sleep(PAUSE),
        }
    }
}

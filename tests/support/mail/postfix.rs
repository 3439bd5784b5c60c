//! A private Postfix: a port for other servers, which knows nothing of signing
//! in, and two for applications. Whatever it accepts it throws away.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;

use super::smtp::Smtp;
use super::tls::HOST;
use super::{Daemon, Place, give_to, make, tool};
use crate::support::free_port;

/// What is different from one Postfix to the other.
pub struct Setup {
    /// The services run in a chroot, as Debian has it.
    pub chroot: bool,
    /// More lines for main.cf, which take the place of those of [`main`].
    pub main: String,
    /// What the two submission services have, as `-o` lines of master.cf.
    pub options: String,
    /// More services with STARTTLS, each with `-o` lines of its own behind those.
    pub more: Vec<String>,
    /// Both services as `smtpcred show-server-config` prints them, instead.
    shipped: Option<String>,
}

/// Postfix's own names of the two sockets: a chroot has them elsewhere.
fn sockets(place: &Place, chroot: bool) -> [String; 2] {
    if chroot {
        return ["smtpcred/auth", "smtpcred/policy"].map(str::to_owned);
    }
    [place.auth(), place.policy()].map(|path| path.display().to_string())
}

impl Setup {
    /// Signing in and limits by way of the place's sockets.
    pub fn new(place: &Place, chroot: bool) -> Self {
        let [auth, policy] = sockets(place, chroot);
        let service = format!("check_policy_service {{ unix:{policy}, default_action=DEFER }}");
        Self {
            chroot,
            main: format!(
                "submission_recipient_restrictions = {service}\n\
                 submission_end_of_data_restrictions = {service}\n"
            ),
            options: format!(
                "  -o smtpd_sasl_auth_enable=yes
  -o smtpd_sasl_type=dovecot
  -o smtpd_sasl_path={auth}
  -o smtpd_sasl_security_options=noanonymous
  -o smtpd_tls_auth_only=yes
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
  -o smtpd_recipient_restrictions=$submission_recipient_restrictions
  -o smtpd_end_of_data_restrictions=$submission_end_of_data_restrictions
"
            ),
            more: Vec::new(),
            shipped: None,
        }
    }

    /// What `smtpcred show-server-config` prints for the sockets of
    /// [`Self::sockets`], pasted in.
    pub fn shipped(chroot: bool, text: &str) -> Self {
        Self {
            chroot,
            // Postfix waits a second for each message that comes while it is busy.
            main: "in_flow_delay = 0\n".to_owned(),
            options: String::new(),
            more: Vec::new(),
            shipped: Some(text.to_owned()),
        }
    }

    /// Postfix's own names of the two sockets.
    pub fn sockets(place: &Place, chroot: bool) -> [String; 2] {
        sockets(place, chroot)
    }

    /// Signing in alone.
    pub fn without_policy(place: &Place, chroot: bool) -> Self {
        let nothing = "submission_recipient_restrictions =\n\
                       submission_end_of_data_restrictions =\n";
        Self {
            main: nothing.to_owned(),
            ..Self::new(place, chroot)
        }
    }
}

pub struct Postfix<'a> {
    daemon: Daemon,
    /// The folder of main.cf and master.cf.
    pub config: PathBuf,
    place: &'a Place,
    /// For other servers: no TLS, no signing in.
    pub mx: u16,
    /// With STARTTLS, as 587.
    pub submission: u16,
    /// With TLS from the first byte, as 465.
    pub submissions: u16,
    /// The others, in their order.
    pub more: Vec<u16>,
}

/// What it complained about, where a test fails.
impl Drop for Postfix<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for line in self.log().lines() {
                let complains = line.contains("warning") || line.contains("fatal");
                if complains && !line.contains("authentication failed") {
                    eprintln!("{line}");
                }
            }
        }
    }
}

impl<'a> Postfix<'a> {
    /// The sockets need not be there yet, but before the first EHLO under TLS.
    pub fn start(place: &'a Place, setup: &Setup) -> Self {
        Self::start_on(place, setup, std::array::from_fn(|_| free_port()))
    }

    /// On these ports: for other servers, with STARTTLS, with TLS.
    pub fn start_on(place: &'a Place, setup: &Setup, ports: [u16; 3]) -> Self {
        let config = place.path().join("postfix");
        make(&config, 0o755);
        let data = place.path().join("postfix-data");
        make(&data, 0o755);
        give_to("postfix", &data);
        let [mx, submission, submissions] = ports;
        fs::write(config.join("main.cf"), once(&(main(place) + &setup.main))).expect("our folder");
        let more: Vec<_> = setup.more.iter().map(|_| free_port()).collect();
        let master = master(setup, [mx, submission, submissions], &more);
        fs::write(config.join("master.cf"), master).expect("our folder");
        let folder = config.clone();
        let config = config.to_str().expect("UTF-8");
        // Makes the folders of the queue.
        tool("postfix", &["-c", config, "check"]);
        let libexec = tool("postconf", &["-c", config, "-h", "daemon_directory"]);
        let mut command = Command::new(format!("{}/master", libexec.trim_end()));
        // In the foreground, and it makes a process group by itself.
        command.args(["-c", config, "-s"]);
        let log = place.path().join("postfix.log");
        let mut daemon = Daemon::start("postfix", &mut command, log);
        for port in [mx, submission, submissions].iter().chain(&more) {
            daemon.wait_for_port(*port);
        }
        let postfix = Self {
            daemon,
            config: folder,
            place,
            mx,
            submission,
            submissions,
            more,
        };
        let greeting = Smtp::connect(mx, &place.certificate).expect("a greeting");
        assert_eq!(greeting.greeting.code, 220, "{}", postfix.log());
        postfix
    }

    /// All it has logged so far.
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    /// How many recipients have got their message.
    pub fn delivered(&self) -> usize {
        self.log().matches("status=sent").count()
    }

    /// New processes instead of those that have the sockets open.
    pub fn reload(&self) {
        self.daemon.signal(Signal::SIGHUP);
    }

    /// Connected with TLS and greeted, on the port with STARTTLS.
    pub fn client(&self) -> Smtp {
        Smtp::submission(self.submission, &self.place.certificate)
    }

    /// The same where serve may be gone, which is fatal to a new process.
    pub fn try_client(&self) -> std::io::Result<Smtp> {
        Smtp::try_submission(self.submission, &self.place.certificate)
    }

    /// Connected and greeted, on the port with TLS from the first byte.
    pub fn client_tls(&self) -> Smtp {
        Smtp::submissions(self.submissions, &self.place.certificate)
    }
}

fn main(place: &Place) -> String {
    let path = place.path().display();
    let [key, certificate] =
        [&place.certificate.key, &place.certificate.file].map(|path| path.display());
    // An address of a recipient is local, and thrown away, only on purpose:
    // with $mydestination as it is by itself this would be an open relay. No name
    // servers: where they do not answer, each session waits half a minute.
    format!(
        "compatibility_level = 3.6
queue_directory = {path}/queue
data_directory = {path}/postfix-data
maillog_file = {path}/postfix.log
service_throttle_time = 2s
smtpd_peername_lookup = no
disable_dns_lookups = yes
maillog_file_prefixes = {path}
myhostname = {HOST}
mydestination =
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
virtual_mailbox_domains =
relay_domains = inbound.test
default_transport = discard
relay_transport = discard
local_transport = discard
alias_maps =
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
smtpd_tls_loglevel = 0
smtpd_relay_restrictions = reject_unauth_destination
smtpd_client_connection_count_limit = 0
# Refusals are slow by default, to slow down strangers.
smtpd_error_sleep_time = 0
"
    )
}

/// Each name once, as it was said last. Postfix warns of names that are there
/// twice, in each process, its logger among them: where the queue of the logger's
/// socket is short (`net.unix.max_dgram_qlen`), all wait for the logger, which waits
/// to log its own warning.
fn once(text: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    for line in text.lines() {
        let name = |line: &str| line.split_once(" =").map(|(name, _)| name.to_owned());
        match lines
            .iter_mut()
            .find(|old| name(old).is_some() && name(old) == name(line))
        {
            Some(old) => *old = line,
            None => lines.push(line),
        }
    }
    lines.join("\n") + "\n"
}

fn master(setup: &Setup, [mx, submission, submissions]: [u16; 3], more: &[u16]) -> String {
    let chroot = if setup.chroot { 'y' } else { 'n' };
    let options = &setup.options;
    let services = match &setup.shipped {
        Some(text) => ["submission", "submissions"]
            .iter()
            .zip([submission, submissions])
            .fold(text.clone(), |text, (name, port)| {
                let shipped = format!("\n{name} inet n - y ");
                assert!(text.contains(&shipped), "no {name} in {text}");
                text.replace(&shipped, &format!("\n127.0.0.1:{port} inet n - {chroot} "))
            }),
        None => format!(
            "127.0.0.1:{submission} inet n - {chroot} - - smtpd
  -o smtpd_tls_security_level=encrypt
{options}127.0.0.1:{submissions} inet n - {chroot} - - smtpd
  -o smtpd_tls_wrappermode=yes
{options}"
        ),
    };
    let mut others = String::new();
    for (port, own) in std::iter::zip(more, &setup.more) {
        let service = format!("127.0.0.1:{port} inet n - {chroot} - - smtpd");
        let tls = "  -o smtpd_tls_security_level=may";
        others += &[&service, tls, &format!("{options}{own}")].join("\n");
    }
    format!(
        "127.0.0.1:{mx} inet n - {chroot} - - smtpd
{services}{others}pickup unix n - {chroot} 60 1 pickup
cleanup unix n - {chroot} - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - {chroot} 1000? 1 tlsmgr
rewrite unix - - {chroot} - - trivial-rewrite
bounce unix - - {chroot} - 0 bounce
defer unix - - {chroot} - 0 bounce
trace unix - - {chroot} - 0 bounce
verify unix - - {chroot} - 1 verify
flush unix n - {chroot} 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
showq unix n - {chroot} - - showq
error unix - - {chroot} - - error
retry unix - - {chroot} - - error
discard unix - - {chroot} - - discard
virtual unix - n n - - virtual
anvil unix - - {chroot} - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"
    )
}

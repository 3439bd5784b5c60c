//! A private Exim: two ports for applications. It asks the policy socket as
//! Postfix does, by way of `readsocket`. Whatever it accepts it throws away.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::smtp::Smtp;
use super::tls::HOST;
use super::{Daemon, Place};
use crate::support::free_port;

/// Debian's Exim and Postfix cannot both be installed: see the script
/// fetch-exim beside this folder.
pub const PROGRAM: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/exim/usr/sbin/exim4");

/// What is different from one Exim to the other.
pub struct Setup {
    /// At the head of the configuration.
    pub main: String,
    /// The section of that name, and that of the ACLs `rcpt` and `data`.
    pub authenticators: String,
    pub acl: String,
}

impl Setup {
    /// Signing in and limits by way of the place's sockets.
    pub fn new(place: &Place) -> Self {
        let mut setup = Self::without_policy(place);
        let policy = place.policy();
        let rcpt = "\
protocol_state=RCPT\\nrecipient=$local_part@$domain\\nrecipient_count=0\\ninstance=\\n";
        let data = "\
protocol_state=END-OF-MESSAGE\\nrecipient=\\nrecipient_count=$recipients_count\\n\
instance=$message_exim_id\\n";
        setup.acl = format!(
            "rcpt:
{DENY_STRANGERS}{}data:
{}",
            asked(&policy, rcpt),
            asked(&policy, data)
        );
        setup
    }

    /// Signing in alone.
    pub fn without_policy(place: &Place) -> Self {
        let authenticator = |name: &str| {
            format!(
                "{name}:
  driver = dovecot
  public_name = {name}
  server_socket = {}
  server_set_id = $auth1
  server_advertise_condition = ${{if def:tls_in_cipher}}
",
                place.auth().display()
            )
        };
        Self {
            main: "daemon_smtp_ports = 25 : 587 : 465
tls_on_connect_ports = 465
tls_advertise_hosts = *
acl_smtp_rcpt = rcpt
acl_smtp_data = data
"
            .to_owned(),
            authenticators: ["PLAIN", "LOGIN"].map(authenticator).concat(),
            acl: format!("rcpt:\n{DENY_STRANGERS}  accept\ndata:\n  accept\n"),
        }
    }

    /// What `smtpcred show-server-config` prints, pasted in where it says.
    pub fn shipped(text: &str) -> Self {
        let part = |from: &str, to: &str| {
            let (_, part) = text.split_once(from).expect("the parts it has");
            let (part, _) = part.split_once(to).expect("the parts it has");
            // The rest of the heading is a comment.
            format!("# {part}")
        };
        Self {
            main: part("# 1. ", "# 2. ")
                + "domainlist local_domains =\ndomainlist relay_to_domains = inbound.test\n",
            acl: part("# 2. ", "# 3. "),
            authenticators: part("# 3. ", "# 4. "),
        }
    }
}

const DENY_STRANGERS: &str = "  deny !authenticated = *
    message = 550 5.7.1 Relay not permitted
";

/// The rules that ask the policy socket and do as it says: the code in an
/// answer is kept, and without an answer the client may try again.
fn asked(policy: &Path, attributes: &str) -> String {
    let request = format!(
        "request=smtpd_access_policy\\nprotocol_name=ESMTP\\n{attributes}\
sender=$sender_address\\nsize=$message_size\\nqueue_id=$message_exim_id\\n\
client_address=$sender_host_address\\nhelo_name=$sender_helo_name\\n\
sasl_username=$authenticated_id\\nsasl_method=$sender_host_authenticated\\n\
encryption_protocol=$tls_in_ver\\n\\n"
    );
    let policy = policy.display();
    format!(
        "  warn set acl_m_answer = ${{readsocket{{{policy}}}{{{request}}}{{20s}}{{}}{{}}}}
  accept condition = ${{if match{{$acl_m_answer}}{{\\N^action=(DUNNO|OK)\\N}}}}
  deny condition = ${{if match{{$acl_m_answer}}{{\\N^action=5\\d\\d \\N}}}}
    message = ${{sg{{$acl_m_answer}}{{\\N^action=\\N}}{{}}}}
  defer condition = ${{if match{{$acl_m_answer}}{{\\N^action=4\\d\\d \\N}}}}
    message = ${{sg{{$acl_m_answer}}{{\\N^action=\\N}}{{}}}}
  defer message = 451 4.3.5 The policy server does not answer
"
    )
}

pub struct Exim<'a> {
    daemon: Daemon,
    /// The file, and the folder of a program `exim4`.
    pub config: PathBuf,
    place: &'a Place,
    /// With STARTTLS, as 587.
    pub submission: u16,
    /// With TLS from the first byte, as 465.
    pub submissions: u16,
}

impl<'a> Exim<'a> {
    /// The sockets need not be there yet.
    pub fn start(place: &'a Place, setup: &Setup) -> Self {
        assert!(
            fs::exists(PROGRAM).expect("our folder"),
            "{PROGRAM} is missing: run tests/run"
        );
        let home = place.home("exim", "Debian-exim");
        // It runs itself as its own user, who may not be let in elsewhere.
        let program = home.join("exim4");
        // Not by this process: what another test that starts a program meanwhile holds
        // open for writing cannot be run.
        let copied = Command::new("cp").arg(PROGRAM).arg(&program).status();
        assert!(copied.expect("cp").success(), "a copy of Exim");
        let [submission, submissions] = std::array::from_fn(|_| free_port());
        let config = home.join("exim.conf");
        let text = configuration(place, &home, setup, [submission, submissions]);
        fs::write(&config, text).expect("our folder");
        let mut command = Command::new(&program);
        command.arg("-C").arg(&config).arg("-bdf").process_group(0);
        let mut daemon = Daemon::start("exim", &mut command, home.join("log"));
        daemon
            .logs
            .extend(["mainlog", "rejectlog", "paniclog"].map(|name| home.join(name)));
        for port in [submission, submissions] {
            daemon.wait_for_port(port);
        }
        Self {
            daemon,
            config,
            place,
            submission,
            submissions,
        }
    }

    /// All it has logged so far.
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    /// How many recipients have got their message.
    pub fn delivered(&self) -> usize {
        self.log().matches(" => :blackhole:").count()
    }

    /// Connected with TLS and greeted, on the port with STARTTLS.
    pub fn client(&self) -> Smtp {
        Smtp::submission(self.submission, &self.place.certificate)
    }

    /// Connected and greeted, on the port with TLS from the first byte.
    pub fn client_tls(&self) -> Smtp {
        Smtp::submissions(self.submissions, &self.place.certificate)
    }
}

fn configuration(place: &Place, home: &Path, setup: &Setup, ports: [u16; 2]) -> String {
    let [submission, submissions] = ports;
    let [key, certificate] =
        [&place.certificate.key, &place.certificate.file].map(|path| path.display());
    let home = home.display();
    let Setup {
        main,
        authenticators,
        acl,
    } = setup;
    // The ports that everybody else uses.
    let main = main
        .replace(
            "= 25 : 587 : 465",
            &format!("= {submission} : {submissions}"),
        )
        .replace("= 465", &format!("= {submissions}"));
    format!(
        "primary_hostname = {HOST}
exim_path = {home}/exim4
spool_directory = {home}
log_file_path = {home}/%slog
pid_file_path = {home}/pid
local_interfaces = 127.0.0.1
tls_certificate = {certificate}
tls_privatekey = {key}
host_lookup =
rfc1413_hosts =
smtp_accept_max = 200
deliver_drop_privilege = true
keep_environment =
add_environment =
never_users =
{main}
begin acl
{acl}
begin routers
discarded:
  driver = redirect
  data = :blackhole:
begin authenticators
{authenticators}"
    )
}

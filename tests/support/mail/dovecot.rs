//! A private Dovecot that answers who may sign in, and does nothing else.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use super::{Daemon, Place, make, tool};

/// Where it finds the passwords.
pub enum Passwords {
    /// The views of a store, the newest password first.
    Views(PathBuf),
    /// Lines `user:{SCHEME}password`.
    File(String),
    /// The same, answered from memory after the first time: as fast as it gets.
    Cached(String),
    /// What `smtpcred show-server-config dovecot` prints.
    Shipped(String),
}

pub struct Dovecot {
    daemon: Daemon,
    /// Speaks the same protocol as the `--auth` of `smtpcred serve`.
    pub socket: PathBuf,
    pub config: PathBuf,
}

impl Dovecot {
    /// Its socket is `dovecot` beside those of `smtpcred serve`.
    pub fn start(place: &Place, passwords: &Passwords) -> Self {
        Self::start_at(place, passwords, place.sockets().join("dovecot"))
    }

    /// With the socket where the servers expect it.
    pub fn start_at(place: &Place, passwords: &Passwords, socket: PathBuf) -> Self {
        let home = place.path().join("dovecot");
        make(&home, 0o755);
        let version = tool("dovecot", &["--version"]);
        let syntax = Syntax {
            old: version.starts_with("2.3"),
            home: home.clone(),
        };
        let config = home.join("dovecot.conf");
        let base = syntax.base(&version) + &common(&home, &socket) + &syntax.passwords(passwords);
        fs::write(&config, base).expect("our folder");
        let config = config.to_str().expect("UTF-8");
        let mut command = Command::new("dovecot");
        command.args(["-F", "-c", config]).process_group(0);
        let mut daemon = Daemon::start("dovecot", &mut command, home.join("log"));
        daemon.wait_until("its socket", || {
            std::os::unix::net::UnixStream::connect(&socket).ok()
        });
        Self {
            daemon,
            socket,
            config: home.join("dovecot.conf"),
        }
    }

    pub fn log(&self) -> String {
        self.daemon.log()
    }
}

/// What every version understands.
fn common(home: &std::path::Path, socket: &std::path::Path) -> String {
    let [home, socket] = [home, socket].map(std::path::Path::display);
    // The penalty and the delay make strangers wait; here only tests would.
    format!(
        "base_dir = {home}/run
log_path = {home}/log
protocols =
ssl = no
auth_mechanisms = plain login
auth_failure_delay = 0
auth_username_chars =
auth_verbose = yes
service auth {{
  unix_listener {socket} {{
    mode = 0666
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"
    )
}

struct Syntax {
    /// Of 2.3, and not of 2.4.
    old: bool,
    home: PathBuf,
}

impl Syntax {
    fn base(&self, version: &str) -> String {
        if self.old {
            return "disable_plaintext_auth = no\n".to_owned();
        }
        let number = version.split_whitespace().next().expect("a version");
        let number = number.split('-').next().expect("a version");
        format!(
            "dovecot_config_version = {number}\n\
             dovecot_storage_version = {number}\n\
             auth_allow_cleartext = yes\n"
        )
    }

    fn passwords(&self, passwords: &Passwords) -> String {
        match passwords {
            Passwords::Views(store) => ["dovecot_users", "dovecot_overlap"]
                .map(|view| self.view(store, view))
                .concat(),
            Passwords::File(lines) => self.file(lines),
            Passwords::Cached(lines) => format!(
                "auth_cache_size = 10M\nauth_cache_ttl = 1h\n{}",
                self.file(lines)
            ),
            Passwords::Shipped(text) => self.shipped(text),
        }
    }

    /// The text with its files in our folder; of 2.4, what stands in comments.
    fn shipped(&self, text: &str) -> String {
        let uncommented = |line: &str| line.trim_start_matches(['#', ' ']).to_owned();
        if !self.old {
            let (_, new) = text.split_once("# Dovecot 2.4").expect("a part for 2.4");
            let (_, new) = new.split_once('\n').expect("more lines");
            let (new, _) = new.split_once("\n\n").expect("an end of it");
            let lines: Vec<_> = new.lines().map(uncommented).collect();
            return lines.join("\n") + "\nauth_cache_size = 0\n";
        }
        let (_, file) = text
            .split_once("# /etc/dovecot/smtpcred.conf.ext\n#\n")
            .expect("a file of its own");
        let (file, rest) = file.split_once("#\n").expect("an end of it");
        assert!(rest.starts_with(
            "# /etc/dovecot/smtpcred-overlap.conf.ext: the same, FROM dovecot_overlap\n"
        ));
        let file: Vec<_> = file.lines().map(uncommented).collect();
        let file = file.join("\n") + "\n";
        let write = |name: &str, text: &str| {
            fs::write(self.home.join(name), text).expect("our folder");
        };
        write("smtpcred.conf.ext", &file);
        let overlap = file.replace("FROM dovecot_users ", "FROM dovecot_overlap ");
        assert_ne!(overlap, file);
        write("smtpcred-overlap.conf.ext", &overlap);
        text.replace("/etc/dovecot/", &format!("{}/", self.home.display()))
    }

    /// Whoever is not in the first view is looked for in the next.
    fn view(&self, store: &std::path::Path, view: &str) -> String {
        let store = store.display();
        let query = |user| {
            format!("SELECT username AS user, password FROM {view} WHERE username = '{user}'")
        };
        if !self.old {
            return format!(
                "passdb {view} {{
  driver = sql
  sql_driver = sqlite
  sqlite_path = {store}
  passdb_sql_query = {}
}}
",
                query("%{user}")
            );
        }
        let sql = self.home.join(view);
        let lines = format!(
            "driver = sqlite\nconnect = {store}\npassword_query = {}\n",
            query("%u")
        );
        fs::write(&sql, lines).expect("our folder");
        let sql = sql.display();
        format!("passdb {{\n  driver = sql\n  args = {sql}\n}}\n")
    }

    fn file(&self, lines: &str) -> String {
        let file = self.home.join("passwords");
        fs::write(&file, lines).expect("our folder");
        let file = file.display();
        if self.old {
            return format!("passdb {{\n  driver = passwd-file\n  args = {file}\n}}\n");
        }
        format!("passdb passwd-file {{\n  passwd_file_path = {file}\n}}\n")
    }
}

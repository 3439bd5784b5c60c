//! A name server of a test's own (nsd), which knows the zones it is given and
//! nothing else.

use std::fmt::Write as _;
use std::fs;
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::support::{free_port, wait_for};

pub struct Nsd {
    child: Child,
    folder: TempDir,
    /// As `--resolver` takes it.
    pub address: String,
}

const SERVER: &str = "server:
  username: \"\"
  chroot: \"\"
  database: \"\"
  server-count: 1
  rrl-ratelimit: 0
remote-control:
  control-enable: no
";

/// Zones that have to be there for the names of others.
fn zone_file(records: &str) -> String {
    format!(
        "$TTL 60\n@ SOA ns.example. hostmaster.example. 1 60 60 60 60\n@ NS ns.example.\n{records}\n"
    )
}

impl Nsd {
    /// Each zone with its records but for the SOA and the NS.
    pub fn start(zones: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let place = folder.path().display();
        let port = free_port();
        let mut config = SERVER.replacen(
            '\n',
            &format!(
                "\n  ip-address: 127.0.0.1@{port}\n  zonesdir: \"{place}\"\n  pidfile: \"{place}/pid\"\n  \
                 xfrdfile: \"{place}/xfrd\"\n  xfrdir: \"{place}\"\n  zonelistfile: \"{place}/list\"\n"
            ),
            1,
        );
        for (name, records) in zones {
            fs::write(folder.path().join(name), zone_file(records)).expect("our folder");
            write!(config, "zone:\n  name: {name}\n  zonefile: \"{name}\"\n").unwrap();
        }
        let file = folder.path().join("nsd.conf");
        fs::write(&file, config).expect("our folder");
        let log = fs::File::create(folder.path().join("log")).expect("our folder");
        let child = Command::new("nsd")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .arg("-d")
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("nsd runs: it is installed by tests/run");
        let mut nsd = Self {
            child,
            folder,
            address: format!("127.0.0.1:{port}"),
        };
        wait_for("nsd to answer", || {
            let ended = nsd.child.try_wait().expect("ours");
            assert!(ended.is_none(), "it ended: {}", nsd.log());
            nsd.answers().then_some(())
        });
        nsd
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Asked for the root's SOA, it says at least no.
    fn answers(&self) -> bool {
        const QUESTION: &[u8] = &[7, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 1];
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let limit = Some(Duration::from_millis(200));
        socket.set_read_timeout(limit).expect("a socket");
        let sent = socket.send_to(QUESTION, &self.address);
        sent.is_ok() && socket.recv(&mut [0; 512]).is_ok()
    }
}

impl Drop for Nsd {
    fn drop(&mut self) {
        // Killed, it would leave the processes that it has started.
        let _ = kill(
            Pid::from_raw(self.child.id().cast_signed()),
            Signal::SIGTERM,
        );
        let _ = self.child.wait();
    }
}

//! Debian, booted with systemd: a tree made once, and machines that run on it and change
//! nothing of it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use nix::sched::{CloneFlags, setns};
use tempfile::TempDir;

use super::{Run, finished, wait_for};

/// What a relay has before anything of ours: with what the tests speak to it.
const PACKAGES: &str = "fail2ban,iproute2,libio-socket-ssl-perl,libnet-ssleay-perl,nftables,\
     postfix,procps,python3-systemd,ssl-cert,strace,swaks,systemd-sysv";
/// Packages of other mail servers, each with what it needs, in folders of the tree: a machine
/// has no network.
const ARCHIVES: [(&str, &str); 2] = [
    ("/opt/exim", "exim4-daemon-heavy"),
    ("/opt/dovecot", "dovecot-core dovecot-sqlite"),
];

/// A program that cannot do it ends so.
const IMPOSSIBLE: i32 = 9;

/// Says so where a test that passes cannot be overheard: what it prints is kept back.
pub fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "{what}");
}

/// A machine that runs, until it is dropped.
pub struct Machine {
    changes: TempDir,
    boot: Child,
    leader: u32,
}

impl Machine {
    /// Boots this release, or tells why that is not possible here.
    pub fn boot(release: &str) -> Result<Self, String> {
        let tree = tree(release)?;
        let changes = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let log = fs::File::create(changes.path().join("log")).expect("our folder");
        let mut boot = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "bash"])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/boot"))
            .args([&tree, changes.path()])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("unshare: run tests/run");
        let place = changes.path().join("nspawn");
        let began = wait_for("systemd-nspawn", || {
            if let Some(status) = boot.try_wait().expect("our process") {
                return Some(Err(status.code()));
            }
            let nspawn = fs::read_to_string(&place).ok()?;
            first_process(&nspawn).map(Ok)
        });
        let leader = began.map_err(|code| {
            let log = fs::read_to_string(changes.path().join("log")).unwrap_or_default();
            assert_eq!(code, Some(IMPOSSIBLE), "{release} does not boot: {log}");
            format!("this system cannot boot another: {log}")
        })?;
        let machine = Self {
            changes,
            boot,
            leader,
        };
        machine.is_up();
        Ok(machine)
    }

    fn nspawn(&self) -> String {
        fs::read_to_string(self.changes.path().join("nspawn")).expect("a number")
    }

    /// Waits until everything has been started; fail2ban need not work.
    fn is_up(&self) {
        wait_for("the end of the boot", || {
            let state = self.try_run("systemctl is-system-running --wait");
            ["running", "degraded"]
                .contains(&state.stdout.trim())
                .then_some(())
        });
    }

    /// Runs a script as root in there.
    pub fn try_run(&self, script: &str) -> Run {
        let leader = self.leader.to_string();
        let output = Command::new("nsenter")
            .args([
                "-t", &leader, "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w",
            ])
            .args(["env", "-i", "HOME=/root", "LC_ALL=C.UTF-8"])
            .args(["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "bash", "-euc", script])
            .stdin(Stdio::null())
            .output();
        finished(output.expect("nsenter: run tests/run"))
    }

    /// The same, which must succeed; returns stdout.
    pub fn run(&self, script: &str) -> String {
        let run = self.try_run(script);
        if run.code != 0 {
            let journal = self.try_run("journalctl --no-pager --lines 60").stdout;
            panic!(
                "{script}\nends with {}\n{}\n{}\n{journal}",
                run.code, run.stdout, run.stderr
            );
        }
        run.stdout
    }

    /// Copies a file to a path in there.
    pub fn put(&self, from: &Path, to: &str) {
        // What is in its /tmp is not in the tree.
        let root = format!("/proc/{}/root{to}", self.leader);
        fs::copy(from, root).expect("a copy");
    }

    /// Moves this thread to its network.
    pub fn enter_network(&self) {
        let network = fs::File::open(format!("/proc/{}/ns/net", self.leader)).expect("a process");
        setns(network, CloneFlags::CLONE_NEWNET).expect("we are root");
    }

    /// Reboots, and waits until it is up again.
    pub fn reboot(&mut self) {
        self.run("systemctl start --no-block reboot.target");
        self.leader = wait_for("the next boot", || {
            first_process(&self.nspawn()).filter(|leader| *leader != self.leader)
        });
        self.is_up();
    }

    /// Every file there is, apart from what is made anew at each boot, and from what the system
    /// itself writes all the time.
    pub fn files(&self) -> Vec<String> {
        let found =
            self.run("find / -xdev -mindepth 1 -path '*/__pycache__*' -prune -o -print | sort");
        found
            .lines()
            .filter(|path| !ITS_OWN.iter().any(|own| path.starts_with(own)))
            .map(str::to_owned)
            .collect()
    }
}

/// What Debian writes by itself: logs, queues, locks, what packages and users were changed.
const ITS_OWN: [&str; 21] = [
    "/etc/group-",
    "/etc/gshadow-",
    "/etc/passwd-",
    "/etc/shadow-",
    "/etc/.pwd.lock",
    "/root",
    "/tmp/",
    "/var/backups",
    "/var/cache",
    "/var/lib/apt",
    "/var/lib/dpkg",
    "/var/lib/systemd",
    "/var/lib/fail2ban",
    "/var/lib/logrotate",
    "/var/lib/postfix",
    "/var/spool/postfix/active",
    "/var/spool/postfix/defer",
    "/var/spool/postfix/incoming",
    "/var/spool/postfix/pid",
    "/var/log",
    "/var/tmp",
];

impl Drop for Machine {
    fn drop(&mut self) {
        // By its script, which tidies up.
        if let Ok(pid) = self.boot.id().try_into() {
            let _ = nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(pid),
                nix::sys::signal::Signal::SIGTERM,
            );
        }
        let _ = self.boot.wait();
    }
}

/// The first process of what systemd-nspawn started, once that is systemd.
fn first_process(nspawn: &str) -> Option<u32> {
    let nspawn = nspawn.trim();
    let children = fs::read_to_string(format!("/proc/{nspawn}/task/{nspawn}/children")).ok()?;
    children.split_whitespace().find_map(|child| {
        let status = fs::read_to_string(format!("/proc/{child}/status")).ok()?;
        let is_first = status
            .lines()
            .any(|line| line.starts_with("NSpid:") && line.ends_with("\t1"));
        (is_first && status.starts_with("Name:\tsystemd\n"))
            .then(|| child.parse().ok())
            .flatten()
    })
}

/// The option that puts packages into a folder of a new tree.
fn downloaded((folder, packages): (&str, &str)) -> String {
    format!(
        "--customize-hook=mkdir -p \"$1\"{folder}/partial && APT_CONFIG=$MMDEBSTRAP_APT_CONFIG \
         apt-get -qq --yes --download-only --no-install-recommends -o APT::Sandbox::User=root \
         -o Dir::Cache::archives=\"$1\"{folder} install {packages}"
    )
}

/// A tree of this release, from Debian's mirror at the first time.
fn tree(release: &str) -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("trees");
    let tree = folder.join(release);
    let [new, made_of] = ["new", "packages"].map(|end| folder.join(format!("{release}.{end}")));
    let contents = format!("{PACKAGES} {ARCHIVES:?}");
    fs::create_dir_all(&folder).expect("our folder");
    // Several tests need it at the same time, and one makes it.
    let lock = fs::File::create(folder.join(format!("{release}.lock"))).expect("our folder");
    lock.lock().expect("a lock");
    if fs::read_to_string(&made_of).is_ok_and(|made_of| made_of == contents) {
        return Ok(tree);
    }
    for old in [&tree, &new] {
        let _ = fs::remove_dir_all(old);
    }
    let began = Instant::now();
    let made = Command::new("mmdebstrap")
        .args(["--quiet", "--variant=minbase", "--dpkgopt=force-unsafe-io"])
        .arg(format!("--include={PACKAGES}"))
        .args(ARCHIVES.map(downloaded))
        .args([Path::new(release), &new])
        .output();
    let made = finished(made.map_err(|error| format!("mmdebstrap: {error}"))?);
    if made.code != 0 {
        return Err(format!("mmdebstrap cannot make it: {}", made.stderr));
    }
    fs::rename(&new, &tree).expect("our folder");
    fs::write(&made_of, contents).expect("our folder");
    say(&format!(
        "made a tree of Debian {release} in {} s",
        began.elapsed().as_secs()
    ));
    Ok(tree)
}

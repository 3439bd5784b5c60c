//! Root delivers into folders of another user, who exchanges what is there for links,
//! folders and other names of files of root's while it does (promise 14).
//!
//! `SMTPCRED_LONG=1` runs each loop a thousand times.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use nix::unistd::geteuid;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::support::nobody::give_to_nobody;
use crate::support::rotation::{Place, USER};
use crate::support::{self, is_long};

const SECRET: &str = "TOPSECRET=of root alone\n";
const NOBODY: u32 = 65534;

/// A folder of another user, and a file of root's outside of it.
struct Ground {
    place: Place,
    home: PathBuf,
    app: PathBuf,
    env: PathBuf,
    roots: PathBuf,
    secret: PathBuf,
}

impl Ground {
    /// None where this is not run as root.
    fn new() -> Option<Self> {
        if !geteuid().is_root() {
            return None;
        }
        let place = Place::new();
        let home = place.path("home");
        let app = home.join("app");
        let roots = place.path("roots");
        let ground = Self {
            env: app.join("env"),
            secret: roots.join("env"),
            place,
            home,
            app,
            roots,
        };
        fs::create_dir_all(&ground.app).unwrap();
        fs::create_dir(&ground.roots).unwrap();
        ground.renew();
        for folder in [&ground.home, &ground.app] {
            give_to_nobody(folder);
        }
        Some(ground)
    }

    /// The application's file and root's as they were.
    fn renew(&self) {
        fs::write(&self.env, "A=1\nSMTP_PASSWORD=old\n").unwrap();
        fs::write(&self.secret, SECRET).unwrap();
        give_to_nobody(&self.env);
        for path in [&self.env, &self.secret] {
            fs::set_permissions(path, mode(0o600)).unwrap();
        }
    }

    fn rotate(&self, flag: &str) -> support::Run {
        let env = self.env.to_str().unwrap();
        self.place.rotate_to(&[flag, env, "--force", "--quiet"])
    }

    /// Nothing of root's was read, written or given away.
    fn assert_untouched(&self, what: &str) {
        let found = fs::metadata(&self.secret).unwrap();
        let rights = (found.uid(), found.gid(), found.mode() & 0o7777);
        assert_eq!(rights, (0, 0, 0o600), "{what}: given away");
        assert_eq!(fs::read_to_string(&self.secret).unwrap(), SECRET, "{what}");
        let names = fs::read_dir(&self.roots).unwrap().count();
        assert_eq!(names, 1, "{what}: written beside root's file");
        for folder in [&self.home, &self.app] {
            let Ok(entries) = fs::read_dir(folder) else {
                continue;
            };
            for entry in entries.flatten() {
                let Ok(found) = fs::symlink_metadata(entry.path()) else {
                    continue;
                };
                if found.is_file() && found.uid() == NOBODY {
                    let text = fs::read_to_string(entry.path()).unwrap_or_default();
                    assert!(!text.contains("TOPSECRET"), "{what}: copied");
                }
            }
        }
    }

    /// Rotates while `one` and `other` change places.
    fn while_exchanged(&self, what: &str, one: &Path, other: &Path) {
        let exchange = || renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
        let (stop, pause) = (AtomicBool::new(false), AtomicBool::new(false));
        let (exchanged, runs) = (AtomicUsize::new(0), runs());
        let mut arrived = 0;
        thread::scope(|scope| {
            let attacker = scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    if pause.load(Ordering::SeqCst) {
                        thread::park();
                    } else {
                        exchange();
                        exchanged.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                for run in 0..runs {
                    let flag = ["--write-env", "--write-file"][run % 2];
                    let ended = self.rotate(flag);
                    assert!([0, 1].contains(&ended.code), "{what}: {ended:?}");
                    arrived += usize::from(ended.code == 0);
                    pause.store(true, Ordering::SeqCst);
                    self.assert_untouched(what);
                    pause.store(false, Ordering::SeqCst);
                    attacker.thread().unpark();
                }
            }));
            stop.store(true, Ordering::SeqCst);
            attacker.thread().unpark();
            if let Err(panic) = outcome {
                std::panic::resume_unwind(panic);
            }
        });
        let exchanged = exchanged.load(Ordering::SeqCst);
        assert!(exchanged > runs, "{what}: {exchanged} exchanges");
        println!("{what}: {runs} runs, {arrived} arrived, {exchanged} exchanges, no hit");
    }
}

fn mode(mode: u32) -> fs::Permissions {
    fs::Permissions::from_mode(mode)
}

fn runs() -> usize {
    if is_long() { 1000 } else { 15 }
}

#[test]
fn p14_a_file_exchanged_for_a_link_gives_nothing_of_roots_away() {
    let Some(ground) = Ground::new() else { return };
    let link = ground.app.join("link");
    symlink(&ground.secret, &link).unwrap();
    ground.while_exchanged("file and link", &ground.env, &link);
}

#[test]
fn p14_a_folder_exchanged_for_a_link_gives_nothing_of_roots_away() {
    let Some(ground) = Ground::new() else { return };
    let link = ground.home.join("link");
    symlink(&ground.roots, &link).unwrap();
    ground.while_exchanged("folder and link", &ground.app, &link);
}

#[test]
fn p14_a_link_exchanged_for_a_link_gives_nothing_of_roots_away() {
    let Some(ground) = Ground::new() else { return };
    let mut ground = ground;
    // One leads to the application's own file and is followed; the other to root's.
    let own = ground.app.join("own");
    fs::rename(&ground.env, &own).unwrap();
    ground.env = ground.app.join("link");
    let other = ground.app.join("other");
    symlink("own", &ground.env).unwrap();
    symlink(&ground.secret, &other).unwrap();
    for link in [&ground.env, &other] {
        std::os::unix::fs::lchown(link, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let env = ground.env.clone();
    ground.while_exchanged("link and link", &env, &other);
}

#[test]
fn p14_a_folder_of_roots_in_its_place_is_not_written_to() {
    let Some(ground) = Ground::new() else { return };
    // Within reach of the other user, as a mount or an earlier gift would be.
    let within = ground.home.join("within");
    fs::rename(&ground.roots, &within).unwrap();
    symlink(&within, &ground.roots).unwrap();
    let app = ground.app.clone();
    let exchanged = Ground {
        roots: within.clone(),
        ..ground
    };
    // Root's file moves along with its folder.
    let exchange = || renameat_with(CWD, &app, CWD, &within, RenameFlags::EXCHANGE).unwrap();
    for _ in 0..2 {
        exchange();
        let run = exchanged.rotate("--write-env");
        assert_eq!(run.code, 1, "{run:?}");
        exchange();
        exchanged.assert_untouched("folder and folder");
        assert_eq!(exchanged.rotate("--write-env").code, 0);
        exchanged.assert_untouched("folder and folder");
    }
}

#[test]
fn p14_hard_links_pipes_and_sockets_in_its_place_give_nothing_away() {
    let Some(ground) = Ground::new() else { return };
    let link = ground.app.join("hard");
    fs::hard_link(&ground.secret, &link).unwrap();
    ground.while_exchanged("file and hard link", &ground.env, &link);

    let fifo = ground.app.join("fifo");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    chown(&fifo, Some(NOBODY), Some(NOBODY)).unwrap();
    ground.while_exchanged("file and pipe", &ground.env, &fifo);

    let socket = ground.app.join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    ground.while_exchanged("file and socket", &ground.env, &socket);
}

#[test]
fn p14_a_file_of_roots_mounted_in_its_place_is_refused() {
    let Some(ground) = Ground::new() else { return };
    let run = |command: &str, args: &[&Path]| {
        let status = Command::new(command).args(args).status();
        status.is_ok_and(|status| status.success())
    };
    if !run("mount", &[Path::new("--bind"), &ground.secret, &ground.env]) {
        return; // A container without the right to mount.
    }
    let ended = [ground.rotate("--write-env"), ground.rotate("--write-file")];
    assert!(run("umount", &[&ground.env]));
    assert_eq!(ended.map(|run| run.code), [1, 1]);
    ground.assert_untouched("a mounted file");
    assert_eq!(ground.rotate("--write-env").code, 0);
}

#[test]
fn p14_what_root_delivers_to_another_user_belongs_to_it() {
    let Some(ground) = Ground::new() else { return };
    assert_eq!(ground.rotate("--write-env").code, 0);
    let found = fs::metadata(&ground.env).unwrap();
    assert_eq!((found.uid(), found.mode() & 0o7777), (NOBODY, 0o600));
    assert!(
        fs::read_to_string(&ground.env)
            .unwrap()
            .starts_with("A=1\n")
    );
    // A new one, too.
    fs::remove_file(&ground.env).unwrap();
    assert_eq!(ground.rotate("--write-file").code, 0);
    let found = fs::metadata(&ground.env).unwrap();
    assert_eq!((found.uid(), found.mode() & 0o7777), (NOBODY, 0o600));
    let password = fs::read_to_string(&ground.env).unwrap();
    assert!(ground.place.works(password.trim_end()));
    // The owner and the group that a file had stay, also where its user could not
    // have given it to them; what that user cannot read is refused.
    for (owner, group, mode_, arrives) in [
        (NOBODY, 0, 0o640, true),
        (0, NOBODY, 0o640, true),
        (0, 0, 0o600, false),
    ] {
        chown(&ground.env, Some(owner), Some(group)).unwrap();
        fs::set_permissions(&ground.env, mode(mode_)).unwrap();
        let run = ground.rotate("--write-file");
        assert_eq!(run.code == 0, arrives, "{run:?}");
        assert!(arrives || run.stderr.contains("as nobody, the owner of its folder"));
        let found = fs::metadata(&ground.env).unwrap();
        let rights = (found.uid(), found.gid(), found.mode() & 0o7777);
        assert_eq!(rights, (owner, group, mode_));
    }
}

/// The links of its own user are followed, as by that user.
#[test]
fn links_of_the_folders_owner_lead_where_that_user_may_write() {
    let Some(ground) = Ground::new() else { return };
    let current = ground.home.join("current");
    symlink("app", &current).unwrap();
    std::os::unix::fs::lchown(&current, Some(NOBODY), Some(NOBODY)).unwrap();
    let path = current.join("env");
    let to = ["--write-env", path.to_str().unwrap()];
    let run = ground.place.rotate_to(&to);
    assert_eq!(run.code, 0, "{run:?}");
    let text = fs::read_to_string(&ground.env).unwrap();
    let password = text
        .lines()
        .find_map(|line| line.strip_prefix("SMTP_PASSWORD="));
    assert!(ground.place.works(password.unwrap()));
    // Users whose files are one file are still found out.
    ground.place.sandbox.create("crm@example.com");
    let both = ["user", "rotate", USER, "crm@example.com", "--force"];
    let run = ground.place.sandbox.run(&[&both[..], &to].concat());
    assert_eq!(run.code, 2, "{run:?}");
}

#[test]
fn what_anyone_could_have_put_into_a_shared_folder_is_refused() {
    let Some(ground) = Ground::new() else { return };
    chown(&ground.home, Some(0), Some(0)).unwrap();
    chown(&ground.app, Some(0), Some(0)).unwrap();
    fs::set_permissions(&ground.app, mode(0o1777)).unwrap();
    let run = ground.rotate("--write-file");
    assert_eq!(run.code, 1, "{run:?}");
    assert!(
        run.stderr.contains("where everyone can create files"),
        "{run:?}"
    );
    assert!(fs::read_to_string(&ground.env).unwrap().contains("=old"));
}

/// What root lists, reads and creates there.
#[test]
fn p14_other_commands_follow_no_link_of_another_user() {
    let Some(ground) = Ground::new() else { return };
    let link = ground.home.join("link");
    symlink(&ground.roots, &link).unwrap();
    let file = ground.home.join("file");
    symlink(&ground.secret, &file).unwrap();
    for path in [&link, &file] {
        std::os::unix::fs::lchown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let (link, file) = (link.to_str().unwrap(), file.to_str().unwrap());
    let (below, rows) = (format!("{link}/new"), ground.place.path("rows.csv"));
    fs::write(&rows, "username\na@example.com\n").unwrap();
    let rows = rows.to_str().unwrap();
    for args in [
        &["user", "create", "a@example.com", "--output", &below][..],
        &["user", "create", "a@example.com", "--password-file", file],
        &["user", "create", "--from", rows, "--output-dir", link],
        &["user", "create", "--from", file, "--output-dir", "."],
        &["user", "export", "--output", &below],
        &["user", "import", file, "--from", "csv"],
        &[
            "user",
            "import",
            rows,
            "--from",
            "csv",
            "--skip-bad",
            &below,
        ],
        &["apply", file],
        &["apply", rows, "--output-dir", link],
        &["generate", link],
        &["serve", "--allow-root", "--auth", &below],
    ] {
        let run = ground.place.sandbox.run(args);
        assert_ne!(run.code, 0, "{args:?}: {run:?}");
        let said = run.stderr.contains("is a link") || run.stderr.contains("other users can write");
        assert!(said, "{args:?}: {run:?}");
        assert!(!run.stderr.contains("TOPSECRET"), "{args:?}: {run:?}");
        ground.assert_untouched(&format!("{args:?}"));
    }
    // In a folder that could be another one by now, root neither listens nor creates.
    let within = ground.home.join("roots");
    fs::create_dir(&within).unwrap();
    let [auth, new] = ["auth", "new"].map(|name| within.join(name));
    for args in [
        &["serve", "--allow-root", "--auth", auth.to_str().unwrap()][..],
        &["user", "export", "--output", new.to_str().unwrap()],
    ] {
        let run = ground.place.sandbox.run(args);
        assert_ne!(run.code, 0, "{run:?}");
        assert!(run.stderr.contains("other users can"), "{run:?}");
    }
    assert_eq!(fs::read_dir(&within).unwrap().count(), 0);
}

#[test]
fn p14_a_socket_in_a_folder_of_another_user_takes_nothing_of_roots() {
    let Some(ground) = Ground::new() else { return };
    chown(&ground.home, Some(0), Some(0)).unwrap();
    let (auth, theirs) = (ground.app.join("auth"), ground.roots.join("socket"));
    let _listener = UnixListener::bind(&theirs).unwrap();
    fs::set_permissions(&theirs, mode(0o600)).unwrap();
    let rights = |path: &Path| {
        let found = fs::symlink_metadata(path).unwrap();
        (found.uid(), found.gid(), found.mode() & 0o7777)
    };
    let before = rights(&theirs);
    let spec = format!("{},mode=0666,owner=nobody,group=nogroup", auth.display());
    let args = ["serve", "--allow-root", "--auth", &spec];
    // It answers, so it is left alone; a link is not a socket.
    fs::hard_link(&theirs, &auth).unwrap();
    assert!(
        ground
            .place
            .sandbox
            .run(&args)
            .stderr
            .contains("answers on")
    );
    fs::remove_file(&auth).unwrap();
    symlink(&theirs, &auth).unwrap();
    assert!(
        ground
            .place
            .sandbox
            .run(&args)
            .stderr
            .contains("is not a socket")
    );
    assert_eq!(rights(&theirs), before);
    fs::remove_file(&auth).unwrap();
    let serving = ground.place.sandbox.command(&args).spawn().unwrap();
    let _serving = support::Server(serving);
    support::wait_for("the socket", || auth.exists().then_some(()));
    assert_eq!(rights(&auth), (NOBODY, NOBODY, 0o666));
    assert_eq!(rights(&theirs), before);
}

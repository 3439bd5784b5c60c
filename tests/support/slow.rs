//! A socket in front of a PostgreSQL server that is slow to answer.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

pub struct Slow {
    folder: TempDir,
    delay: Arc<AtomicU64>,
}

const NAME: &str = ".s.PGSQL.5432";

impl Slow {
    /// Passes on what is asked, and each answer after a while.
    pub fn before(server: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let socket = folder.path().join(NAME);
        let listener = UnixListener::bind(&socket).expect("our folder");
        for path in [folder.path(), &socket] {
            let open = std::fs::Permissions::from_mode(0o777);
            std::fs::set_permissions(path, open).expect("ours");
        }
        let slow = Self {
            folder,
            delay: Arc::default(),
        };
        let (delay, server) = (Arc::clone(&slow.delay), server.join(NAME));
        // They end with the test.
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = UnixStream::connect(&server) else {
                    continue;
                };
                let none = Arc::default();
                pass(&client, &server, none);
                pass(&server, &client, Arc::clone(&delay));
            }
        });
        slow
    }

    pub fn delay(&self, delay: Duration) {
        let millis = delay.as_millis().try_into().expect("a short time");
        self.delay.store(millis, Ordering::Relaxed);
    }

    /// The same URL by way of here.
    pub fn url(&self, url: &str, server: &Path) -> String {
        let [from, to] = [server, self.folder.path()]
            .map(|folder| folder.display().to_string().replace('/', "%2F"));
        assert!(url.contains(&from), "{url}");
        url.replace(&from, &to)
    }
}

fn pass(from: &UnixStream, to: &UnixStream, delay: Arc<AtomicU64>) {
    let mut from = from.try_clone().expect("a socket");
    let mut to = to.try_clone().expect("a socket");
    thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(read) = from.read(&mut buffer)
            && read > 0
        {
            thread::sleep(Duration::from_millis(delay.load(Ordering::Relaxed)));
            if to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}

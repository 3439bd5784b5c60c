//! A proxy that makes a PostgreSQL server distant and counts round trips: requests that
//! follow an answer.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub struct Slow {
    folder: TempDir,
    far: Arc<Far>,
}

#[derive(Default)]
struct Far {
    delay: AtomicU64,
    turns: AtomicU64,
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
            far: Arc::default(),
        };
        let (far, server) = (Arc::clone(&slow.far), server.join(NAME));
        // They end with the test.
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = UnixStream::connect(&server) else {
                    continue;
                };
                let answered = Arc::new(AtomicBool::new(true));
                questions(&client, &server, &far, &answered);
                answers(&server, &client, &far, &answered);
            }
        });
        slow
    }

    pub fn delay(&self, delay: Duration) {
        let millis = delay.as_millis().try_into().expect("a short time");
        self.far.delay.store(millis, Ordering::Relaxed);
    }

    /// Round trips since the last call, on all connections.
    pub fn round_trips(&self) -> u64 {
        self.far.turns.swap(0, Ordering::Relaxed)
    }

    /// The same URL by way of here.
    pub fn url(&self, url: &str, server: &Path) -> String {
        let [from, to] = [server, self.folder.path()]
            .map(|folder| folder.display().to_string().replace('/', "%2F"));
        assert!(url.contains(&from), "{url}");
        url.replace(&from, &to)
    }
}

fn questions(from: &UnixStream, to: &UnixStream, far: &Arc<Far>, answered: &Arc<AtomicBool>) {
    let (far, answered) = (Arc::clone(far), Arc::clone(answered));
    pass(from, to, move |bytes, to| {
        if answered.swap(false, Ordering::Relaxed) {
            far.turns.fetch_add(1, Ordering::Relaxed);
        }
        to.write_all(bytes).is_ok()
    });
}

/// Delays data; all that arrives within the delay is in transit together.
fn answers(from: &UnixStream, to: &UnixStream, far: &Arc<Far>, answered: &Arc<AtomicBool>) {
    let (far, answered) = (Arc::clone(far), Arc::clone(answered));
    let (sent, under_way) = channel::<(Instant, Vec<u8>)>();
    let mut client = to.try_clone().expect("a socket");
    thread::spawn(move || {
        for (due, bytes) in under_way {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            answered.store(true, Ordering::Relaxed);
            if client.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = client.shutdown(Shutdown::Both);
    });
    pass(from, to, move |bytes, _| {
        let delay = Duration::from_millis(far.delay.load(Ordering::Relaxed));
        sent.send((Instant::now() + delay, bytes.to_vec())).is_ok()
    });
}

fn pass(
    from: &UnixStream,
    to: &UnixStream,
    mut take: impl FnMut(&[u8], &mut UnixStream) -> bool + Send + 'static,
) {
    let mut from = from.try_clone().expect("a socket");
    let mut to = to.try_clone().expect("a socket");
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 20];
        while let Ok(read) = from.read(&mut buffer)
            && read > 0
            && take(&buffer[..read], &mut to)
        {}
        let _ = from.shutdown(Shutdown::Both);
    });
}

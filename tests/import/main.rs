//! Many users at once: `user import`, `user export`, `user create --from`.

mod bulk;
mod bulk_ended;
mod bulk_killed;
mod dumps;
mod formats;
mod hashes;
mod hostile;
mod mail_logs;
mod mail_logs_hostile;
mod messages;
mod servers;
#[path = "../support/mod.rs"]
mod support;

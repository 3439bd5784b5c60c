//! `serve`: sign-ins and limits, by its sockets and through real mail servers.

mod addresses;
mod alerts;
mod close;
mod dialogs;
mod dovecot;
mod failover;
mod follow;
mod hostile;
mod leaks;
mod limits;
mod mail_servers;
mod messages;
mod metrics;
mod outage;
mod prometheus;
mod renamed;
mod replaced;
mod report;
mod rights;
mod running;
mod sessions;
mod several;
mod several_outage;
mod sign_in;
mod slow_reader;
#[path = "../support/mod.rs"]
mod support;
mod temporary;
mod upgraded;

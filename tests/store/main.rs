//! The store on both engines: what it holds, who trusts it, and what survives a kill.

mod backup;
mod bad_store;
mod chain;
mod command;
mod commit_under_way;
mod contract;
mod far_away;
mod killed;
mod lost_commit;
mod maintain;
mod many_at_once;
mod migrations;
mod pieces;
mod restore;
mod schema_doc;
#[path = "../support/mod.rs"]
mod support;
mod trust;

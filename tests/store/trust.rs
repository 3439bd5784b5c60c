//! Whether a store can be trusted: is it the one, who else can write it, was anything
//! added to it; and what it believes of who comes.

mod caller;
mod database;
mod file;
mod pooled;
mod put_back;
mod roles;
mod said;
mod tampered;

//! Files of other systems, turned into rows of named fields, and logs of mail servers, turned
//! into events; and what other systems read of ours. Pure: the readers take any input, read it in
//! constant memory and check only that a row or a line is one. What it means is decided in `app`.

pub mod csv;
pub mod fields;
pub mod format;
pub mod guess;
pub mod html;
pub mod input;
pub mod json;
pub mod maillog;
pub mod openmetrics;
pub mod passwd;
pub mod row;
pub mod sasldb;
pub mod sql;

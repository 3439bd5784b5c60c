//! One connection to a server. Every answer has a deadline.
//!
//! No thread runs behind it: a task of its runtime drives it while a call waits, as in the
//! crate `postgres`, but with a deadline.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream as _;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_postgres::config::SslNegotiation;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, NoTls, Row, RowStream, SimpleQueryMessage, Statement};

use super::auth_methods::{AuthChecked, AuthCheckedTls, BackendKey, Handshake};
use super::conn_url::DatabaseServer;
use super::pg_error::{PgError, PgResult, SqlError};
use super::socket::{self, Duplex};
use super::tls;
use super::tls::{TlsFiles, TlsMode};
use crate::store::engine::Arg;

/// A connection that blocks, with a deadline for each answer.
pub struct PgConnection {
    client: Client,
    statements: HashMap<&'static str, Statement>,
    patience: Duration,
    key: BackendKey,
    /// The server's process ID, once it is known.
    pub process: u32,
    /// Last: the fields above need it to the end.
    runtime: Runtime,
}

/// Rows that are fetched at a time.
const FETCHED: usize = 512;

impl PgConnection {
    /// Connects and signs in. `patience` is the deadline of each answer.
    pub fn connect(
        server: &DatabaseServer,
        files: &TlsFiles,
        patience: Duration,
    ) -> PgResult<Self> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| PgError::Lost(error.to_string()))?;
        let config = &server.config;
        let key = BackendKey::default();
        let connected = runtime.block_on(async {
            let connecting = async {
                let socket = socket::connect(config)
                    .await
                    .map_err(|e| connect_error(&e))?;
                let methods = server.methods.clone();
                if server.mode == TlsMode::Disable {
                    let watched =
                        AuthChecked::new(socket, methods, key.clone(), Handshake::Startup);
                    let (client, driver) = config.connect_raw(watched, NoTls).await?;
                    tokio::spawn(driver);
                    return Ok(client);
                }
                let stage = match config.get_ssl_negotiation() {
                    SslNegotiation::Direct => Handshake::Passed,
                    _ => Handshake::Negotiation,
                };
                let watched = AuthChecked::new(socket, methods.clone(), key.clone(), stage);
                let mut tls = tls::connector(server.mode, files).map_err(PgError::Lost)?;
                let tls = MakeTlsConnect::<AuthChecked<Box<dyn Duplex>>>::make_tls_connect(
                    &mut tls,
                    &server.name(),
                );
                let tls = tls.map_err(|error| PgError::Lost(error.to_string()))?;
                let tls = AuthCheckedTls {
                    tls,
                    methods,
                    key: key.clone(),
                };
                let (client, driver) = config.connect_raw(watched, tls).await?;
                tokio::spawn(driver);
                Ok(client)
            };
            let waited = timeout(patience, connecting).await;
            waited.unwrap_or_else(|_| Err(no_answer(patience)))
        });
        let client = match connected {
            Ok(connected) => connected,
            Err(error) => {
                // The system may still be looking up the name: that is not waited for.
                runtime.shutdown_background();
                return Err(error);
            }
        };
        Ok(Self {
            client,
            statements: HashMap::new(),
            patience,
            key,
            process: 0,
            runtime,
        })
    }

    /// Returns whether a pooler is in between: it named another process at the start.
    pub fn is_pooled(&self) -> bool {
        self.process != self.key.process()
    }

    /// Sets the deadline of each answer.
    pub const fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Returns whether it may still answer.
    pub fn is_open(&self) -> bool {
        !self.client.is_closed()
    }

    /// Runs statements without arguments in one round trip. Returns the first column of
    /// their rows.
    pub fn simple(&mut self, sql: &str) -> PgResult<Vec<String>> {
        let said = self.wait(|client| client.simple_query(sql))?;
        let first = |message: &SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
            _ => None,
        };
        Ok(said.iter().filter_map(first).collect())
    }

    /// Does the same with another deadline.
    pub fn slowly(&mut self, patience: Duration, sql: &str) -> PgResult<Vec<String>> {
        let usual = std::mem::replace(&mut self.patience, patience);
        let said = self.simple(sql);
        self.patience = usual;
        said
    }

    /// Runs a statement and returns the number of changed rows.
    pub fn execute(&mut self, sql: &'static str, args: &[Arg]) -> PgResult<u64> {
        let statement = self.prepared(sql)?;
        let args = bound(&statement, args);
        self.wait(|client| client.execute_raw(&statement, args))
    }

    /// Begins a query; [`Self::more`] returns its rows.
    pub fn query(&mut self, sql: &'static str, args: &[Arg]) -> PgResult<Pin<Box<RowStream>>> {
        let statement = self.prepared(sql)?;
        let args = bound(&statement, args);
        let rows = self.wait(|client| client.query_raw(&statement, args))?;
        Ok(Box::pin(rows))
    }

    /// Fetches the next rows; returns true at the end. In pieces, because each read of the
    /// network costs more than a row.
    pub fn more(&mut self, rows: &mut Pin<Box<RowStream>>, into: &mut Vec<Row>) -> PgResult<bool> {
        self.wait(|_| async {
            while into.len() < FETCHED {
                match poll_fn(|cx| rows.as_mut().poll_next(cx)).await {
                    Some(row) => into.push(row?),
                    None => return Ok(true),
                }
            }
            Ok(false)
        })
    }

    /// Sends all statements in one round trip. Returns how many rows each changed, or its
    /// error; none after that one was run.
    pub fn execute_all(
        &mut self,
        all: &[(&'static str, Vec<Arg>)],
    ) -> PgResult<Vec<PgResult<u64>>> {
        let (mut answers, mut statements) = (Vec::with_capacity(all.len()), Vec::new());
        for (number, (sql, _)) in all.iter().enumerate() {
            // The first error has to be reported, and preparing may fail, too.
            if !self.statements.contains_key(sql) {
                let waiting = &all[number - statements.len()..number];
                answers.extend(self.execute_prepared(&statements, waiting)?);
                if answers.iter().any(Result::is_err) {
                    return Ok(answers);
                }
                statements.clear();
            }
            statements.push(self.prepared(sql)?);
        }
        let waiting = &all[all.len() - statements.len()..];
        answers.extend(self.execute_prepared(&statements, waiting)?);
        Ok(answers)
    }

    fn execute_prepared(
        &mut self,
        statements: &[Statement],
        all: &[(&'static str, Vec<Arg>)],
    ) -> PgResult<Vec<PgResult<u64>>> {
        if all.is_empty() {
            return Ok(Vec::new());
        }
        let answers = self.wait(|client| async {
            let asked = statements.iter().zip(all).map(|(statement, (_, args))| {
                client.execute_raw(statement, bound(statement, args))
            });
            Ok(together(asked).await)
        })?;
        Ok(answers
            .into_iter()
            .map(|answer| answer.map_err(PgError::from))
            .collect())
    }

    /// Does the same for one query with many sets of arguments.
    pub fn query_all(&mut self, sql: &'static str, all: &[Vec<Arg>]) -> PgResult<Vec<Vec<Row>>> {
        let statement = self.prepared(sql)?;
        self.wait(|client| async {
            let asked = all.iter().map(|args| async {
                let rows = client
                    .query_raw(&statement, bound(&statement, args))
                    .await?;
                let (mut rows, mut found) = (pin!(rows), Vec::new());
                while let Some(row) = poll_fn(|cx| rows.as_mut().poll_next(cx)).await {
                    found.push(row?);
                }
                Ok(found)
            });
            together(asked).await.into_iter().collect()
        })
    }

    fn prepared(&mut self, sql: &'static str) -> PgResult<Statement> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.wait(|client| client.prepare(sql))?;
        self.statements.insert(sql, statement.clone());
        Ok(statement)
    }

    fn wait<'a, T, F>(&'a mut self, ask: impl FnOnce(&'a Client) -> F) -> PgResult<T>
    where
        F: Future<Output = Result<T, Error>>,
    {
        // The driver runs meanwhile. If it ends, so does every pending answer.
        let answered = self
            .runtime
            .block_on(async { timeout(self.patience, ask(&self.client)).await });
        match answered {
            Ok(answered) => answered.map_err(PgError::from),
            Err(_) => Err(no_answer(self.patience)),
        }
    }
}

/// Runs futures together. A query is sent when its future is first polled, so all are
/// sent before the first is awaited; the answers come in order.
async fn together<F: Future>(asked: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut asked: Vec<_> = asked.map(Box::pin).collect();
    let look = |cx: &mut Context<'_>| {
        let first = asked.iter_mut().map(|one| one.as_mut().poll(cx));
        Poll::Ready(first.collect::<Vec<_>>())
    };
    let first = poll_fn(look).await;
    let mut answers = Vec::with_capacity(first.len());
    for (one, answer) in asked.into_iter().zip(first) {
        answers.push(match answer {
            Poll::Ready(answer) => answer,
            Poll::Pending => one.await,
        });
    }
    answers
}

/// Returns the arguments with the statement's types: NULL has a type, too.
fn bound<'a>(statement: &Statement, args: &'a [Arg]) -> Vec<&'a (dyn ToSql + Sync)> {
    let number = |i: usize| statement.params().get(i) == Some(&Type::INT8);
    let bind = |(i, arg): (usize, &'a Arg)| -> &'a (dyn ToSql + Sync) {
        match arg {
            Arg::Null if number(i) => &None::<i64>,
            Arg::Null => &None::<&str>,
            Arg::Int(value) => value,
            Arg::Text(value) => value,
        }
    };
    args.iter().enumerate().map(bind).collect()
}

fn connect_error(error: &std::io::Error) -> PgError {
    if error.kind() == std::io::ErrorKind::WouldBlock {
        // More clients connect at once than its socket has room for.
        return PgError::Sql(Box::new(SqlError {
            state: SqlState::TOO_MANY_CONNECTIONS,
            message: "too many clients connect at the same time".into(),
        }));
    }
    PgError::Lost(format!("error connecting to server: {error}"))
}

fn no_answer(patience: Duration) -> PgError {
    PgError::Lost(format!("no answer within {} s", patience.as_secs_f32()))
}

//! One connection to a server, whose every answer is waited for so long at most.
//!
//! There is no thread behind it: the connection is looked after while something
//! is waited for, as the crate `postgres` does it, and with a deadline, which that
//! one has not.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use futures_core::Stream as _;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, NoTls, Row, RowStream, SimpleQueryMessage, Statement};

use super::target::Server;
use super::tls;
use super::tls::{Mode, TlsFiles};
use crate::store::engine::Arg;

/// Why there is no answer.
#[derive(Debug)]
pub enum Trouble {
    /// The connection is of no use any more.
    Lost(String),
    /// It is of no use yet: the server is starting, or is no primary.
    Coming(String),
    /// The server says no.
    Refused(Box<Refused>),
}

#[derive(Debug)]
pub struct Refused {
    pub state: SqlState,
    pub message: String,
}

pub type Answer<T> = Result<T, Trouble>;
type Driver = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

pub struct Wire {
    client: Client,
    driver: Option<Driver>,
    statements: HashMap<&'static str, Statement>,
    patience: Duration,
    /// Last: what is above may need it to the end.
    runtime: Runtime,
}

/// Rows that are fetched at a time.
const FETCHED: usize = 512;

impl Wire {
    pub fn connect(server: &Server, files: &TlsFiles, patience: Duration) -> Answer<Self> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Trouble::Lost(error.to_string()))?;
        let config = &server.config;
        let connected = runtime.block_on(async {
            let connecting = async {
                if server.mode == Mode::Disable {
                    let (client, driver) = config.connect(NoTls).await?;
                    return Ok((client, Box::pin(driver) as Driver));
                }
                let tls = tls::connector(server.mode, files).map_err(Trouble::Lost)?;
                let (client, driver) = config.connect(tls).await?;
                Ok((client, Box::pin(driver) as Driver))
            };
            let waited = timeout(patience, connecting).await;
            waited.unwrap_or_else(|_| Err(silent(patience)))
        });
        let (client, driver) = match connected {
            Ok(connected) => connected,
            Err(trouble) => {
                // The system may still be looking up the name: that is not waited for.
                runtime.shutdown_background();
                return Err(trouble);
            }
        };
        Ok(Self {
            client,
            driver: Some(driver),
            statements: HashMap::new(),
            patience,
            runtime,
        })
    }

    /// Statements without arguments, in one go; the first column of what they answer.
    pub fn simple(&mut self, sql: &str) -> Answer<Vec<String>> {
        let said = self.wait(|client| client.simple_query(sql))?;
        let first = |message: &SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
            _ => None,
        };
        Ok(said.iter().filter_map(first).collect())
    }

    /// The same for what takes long.
    pub fn slowly(&mut self, patience: Duration, sql: &str) -> Answer<Vec<String>> {
        let usual = std::mem::replace(&mut self.patience, patience);
        let said = self.simple(sql);
        self.patience = usual;
        said
    }

    pub fn execute(&mut self, sql: &'static str, args: &[Arg]) -> Answer<u64> {
        let statement = self.prepared(sql)?;
        let args = bound(&statement, args);
        self.wait(|client| client.execute_raw(&statement, args))
    }

    /// Begins to ask; what comes is for [`Self::more`].
    pub fn query(&mut self, sql: &'static str, args: &[Arg]) -> Answer<Pin<Box<RowStream>>> {
        let statement = self.prepared(sql)?;
        let args = bound(&statement, args);
        let rows = self.wait(|client| client.query_raw(&statement, args))?;
        Ok(Box::pin(rows))
    }

    /// The next rows; none is the end. Fetched in pieces: each look at the network
    /// costs more than a row.
    pub fn more(&mut self, rows: &mut Pin<Box<RowStream>>, into: &mut Vec<Row>) -> Answer<bool> {
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

    fn prepared(&mut self, sql: &'static str) -> Answer<Statement> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.wait(|client| client.prepare(sql))?;
        self.statements.insert(sql, statement.clone());
        Ok(statement)
    }

    fn wait<'a, T, F>(&'a mut self, ask: impl FnOnce(&'a Client) -> F) -> Answer<T>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let Self {
            client,
            driver,
            runtime,
            patience,
            ..
        } = self;
        let answered = runtime.block_on(async {
            let mut asked = pin!(ask(client));
            let both = poll_fn(|cx| {
                if let Some(running) = driver
                    && running.as_mut().poll(cx).is_ready()
                {
                    // Whoever waits is told so by what it waits for.
                    *driver = None;
                }
                match asked.as_mut().poll(cx) {
                    // What was just asked for may be ready to go out.
                    Poll::Pending => {
                        if let Some(running) = driver
                            && running.as_mut().poll(cx).is_ready()
                        {
                            *driver = None;
                            cx.waker().wake_by_ref();
                        }
                        Poll::Pending
                    }
                    answered @ Poll::Ready(_) => answered,
                }
            });
            timeout(*patience, both).await
        });
        match answered {
            Ok(answered) => answered.map_err(Trouble::from),
            Err(_) => Err(silent(*patience)),
        }
    }
}

/// As the statement wants them: an absent value has a type, too.
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

fn silent(patience: Duration) -> Trouble {
    Trouble::Lost(format!("no answer within {} s", patience.as_secs_f32()))
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        if let Some(said) = error.as_db_error() {
            let refused = Refused {
                state: said.code().clone(),
                message: said.message().to_owned(),
            };
            // 57P01 to 57P03: it is shutting down, has crashed, is starting.
            return if refused.state == SqlState::CANNOT_CONNECT_NOW {
                Self::Coming(refused.message)
            } else if error.is_closed() || refused.state.code().starts_with("57P0") {
                Self::Lost(refused.message)
            } else {
                Self::Refused(Box::new(refused))
            };
        }
        let mut reason = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(deeper) = cause {
            let io = deeper.downcast_ref::<std::io::Error>();
            if io.is_some_and(|io| io.kind() == std::io::ErrorKind::WouldBlock) {
                // More want to be let in than its socket has room for.
                return Self::Refused(Box::new(Refused {
                    state: SqlState::TOO_MANY_CONNECTIONS,
                    message: "too many want to connect at the same time".into(),
                }));
            }
            let said = deeper.to_string();
            if said.contains("CaUsedAsEndEntity") {
                return Self::Lost(
                    "its certificate is an authority's own (CA:TRUE), which can be no server's: \
                     make one for the server, signed by that"
                        .into(),
                );
            }
            if !reason.contains(&said) {
                reason = format!("{reason}: {said}");
            }
            cause = deeper.source();
        }
        Self::Lost(reason)
    }
}

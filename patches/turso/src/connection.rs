//! A connection, its statements and its transactions.

use crate::{IntoParams, Result, Row, Value};
use rusqlite::{Statement, params_from_iter};
use std::time::Duration;

/// A connection to a database file.
#[derive(Debug)]
pub struct Connection(rusqlite::Connection);

impl Connection {
    pub(crate) const fn new(connection: rusqlite::Connection) -> Self {
        Self(connection)
    }

    /// How long a statement waits for a lock that another connection holds.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn busy_timeout(&self, timeout: Duration) -> Result<()> {
        Ok(self.0.busy_timeout(timeout)?)
    }

    /// Runs a statement that gives no rows: how many rows it changed.
    ///
    /// # Errors
    /// What SQLite says, and where the statement gives rows.
    pub async fn execute(&self, sql: &str, params: impl IntoParams) -> Result<u64> {
        let mut statement = self.0.prepare(sql)?;
        Ok(statement.execute(params_from_iter(params.into_params()))? as u64)
    }

    /// Runs a statement that gives rows. They are read at once, so that no read transaction stays open behind them.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn query(&self, sql: &str, params: impl IntoParams) -> Result<Rows> {
        rows(&mut self.0.prepare(sql)?, params.into_params())
    }

    /// Runs a pragma, `name` or `name = value`, and shows the rows that it gives, if any.
    ///
    /// # Errors
    /// What SQLite says, and what `visit` says.
    pub async fn pragma_query(&self, pragma: &str, mut visit: impl FnMut(&Row) -> Result<()>) -> Result<()> {
        let answer = rows(&mut self.0.prepare(&format!("PRAGMA {pragma}"))?, Vec::new())?;
        answer.0.as_slice().iter().try_for_each(&mut visit)
    }

    /// Begins a transaction, which is rolled back unless it is committed.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn transaction_with_behavior(
        &mut self,
        behavior: transaction::TransactionBehavior,
    ) -> Result<transaction::Transaction<'_>> {
        self.0.execute_batch(match behavior {
            transaction::TransactionBehavior::Deferred => "BEGIN DEFERRED",
            transaction::TransactionBehavior::Immediate => "BEGIN IMMEDIATE",
        })?;
        Ok(transaction::Transaction::new(self))
    }
}

/// All rows of a statement.
fn rows(statement: &mut Statement<'_>, params: Vec<Value>) -> Result<Rows> {
    let columns = statement.column_count();
    let row = |row: &rusqlite::Row<'_>| (0..columns).map(|i| row.get(i)).collect::<rusqlite::Result<_>>().map(Row);
    let all = statement.query_map(params_from_iter(params), row)?.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(Rows(all.into_iter()))
}

/// The rows of an answer.
#[derive(Debug)]
pub struct Rows(std::vec::IntoIter<Row>);

impl Rows {
    /// The next row; none after the last.
    ///
    /// # Errors
    /// None here: turso's reads on, and may fail.
    pub async fn next(&mut self) -> Result<Option<Row>> {
        Ok(self.0.next())
    }
}

/// Transactions.
pub mod transaction {
    use super::Connection;
    use crate::Result;
    use std::ops::Deref;

    /// When a transaction takes the lock of the writer.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum TransactionBehavior {
        /// With its first write.
        Deferred,
        /// At once, so that two writers wait for each other and neither fails halfway.
        Immediate,
    }

    /// A transaction: rolled back when it is dropped, unless it was committed.
    #[derive(Debug)]
    pub struct Transaction<'a> {
        connection: &'a Connection,
        open: bool,
    }

    impl<'a> Transaction<'a> {
        pub(super) const fn new(connection: &'a Connection) -> Self {
            Self { connection, open: true }
        }

        /// Keeps what was written.
        ///
        /// # Errors
        /// What SQLite says; nothing is kept then.
        pub async fn commit(mut self) -> Result<()> {
            self.connection.0.execute_batch("COMMIT")?;
            self.open = false;
            Ok(())
        }
    }

    impl Deref for Transaction<'_> {
        type Target = Connection;

        fn deref(&self) -> &Connection {
            self.connection
        }
    }

    impl Drop for Transaction<'_> {
        fn drop(&mut self) {
            if self.open {
                // Nothing more can be done: where it fails, closing the connection rolls back.
                let _ = self.connection.0.execute_batch("ROLLBACK");
            }
        }
    }
}

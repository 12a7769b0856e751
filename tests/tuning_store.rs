//! The store of tuning results and compiled kernels keeps what several processes write at once, and outlives one that is
//! killed in the middle. CubeCL reaches it through the interface of turso, and so do these tests.

#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::{
    env,
    future::Future,
    io::{BufRead, BufReader},
    path::Path,
    pin::pin,
    process::{Child, Command, Stdio},
    task::{Context, Poll, Waker},
};
use turso::{Builder, Connection, Error, transaction::TransactionBehavior::Immediate};

/// The file that [`writer`] writes to, its name, and how many transactions it makes.
const STORE: &str = "WATTSCOPE_TEST_STORE";
/// Rows that a transaction writes.
const ROWS: i64 = 10;

/// The value of a future that is ready at once, as all of the store's are.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a future of the store was not ready"),
    }
}

fn open(path: &Path) -> Connection {
    let database = now(Builder::new_local(path.to_str().unwrap()).build()).unwrap();
    let connection = database.connect().unwrap();
    now(connection.execute("CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, value BLOB)", ())).unwrap();
    connection
}

fn write(connection: &mut Connection, name: &str, turn: i64) {
    let transaction = now(connection.transaction_with_behavior(Immediate)).unwrap();
    for row in 0..ROWS {
        let insert = "INSERT INTO entries VALUES (?1, ?2)";
        now(transaction.execute(insert, (format!("{name} {turn} {row}"), vec![0u8; 2000]))).unwrap();
    }
    now(transaction.commit()).unwrap();
}

fn count(connection: &Connection) -> i64 {
    let mut rows = now(connection.query("SELECT count(*) FROM entries", ())).unwrap();
    now(rows.next()).unwrap().unwrap().get(0).unwrap()
}

/// Not a test of its own: what a process started by the tests below does.
#[test]
#[ignore = "the other tests start it as a process"]
fn writer() {
    let Ok(what) = env::var(STORE) else { return };
    let [path, name, turns] = what.split('\n').collect::<Vec<_>>()[..] else { panic!("{what}") };
    let mut connection = open(Path::new(path));
    for turn in 0..turns.parse().unwrap() {
        write(&mut connection, name, turn);
        println!("written {turn}");
    }
}

fn start(path: &Path, name: &str, turns: i64) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "writer", "--ignored", "--nocapture"])
        .env(STORE, format!("{}\n{name}\n{turns}", path.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn two_engines_that_tune_at_once_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cubecl #1?%.db");
    let ends = ["one", "two"].map(|name| start(&path, name, 40)).map(|child| child.wait_with_output().unwrap());
    assert!(ends.iter().all(|end| end.status.success()), "{ends:?}");
    assert_eq!(count(&open(&path)), 2 * 40 * ROWS);
}

#[test]
fn an_engine_that_is_killed_in_the_middle_leaves_whole_transactions_and_no_lock() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cubecl.db");
    let mut child = start(&path, "killed", i64::MAX);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("written 20"))).unwrap().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let mut connection = open(&path);
    let kept = count(&connection);
    assert!(kept >= 21 * ROWS && kept % ROWS == 0, "{kept} rows");
    write(&mut connection, "after", 0);
    let mut check = now(connection.query("PRAGMA integrity_check", ())).unwrap();
    assert_eq!(now(check.next()).unwrap().unwrap().get::<String>(0).unwrap(), "ok");
}

#[test]
fn a_transaction_that_is_dropped_writes_nothing_and_a_foreign_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cubecl.db");
    let mut connection = open(&path);
    let transaction = now(connection.transaction_with_behavior(Immediate)).unwrap();
    now(transaction.execute("INSERT INTO entries VALUES (?1, ?2)", ("lost", vec![1]))).unwrap();
    drop(transaction);
    assert_eq!(count(&connection), 0);

    let missing = folder.path().join("missing.db");
    assert!(now(Builder::new_local(missing.to_str().unwrap()).read_only(true).build()).is_err());
    assert!(!missing.exists(), "what is only read is not made");
    let foreign = folder.path().join("foreign.db");
    std::fs::write(&foreign, [b'x'; 4096]).unwrap();
    let refused = now(Builder::new_local(foreign.to_str().unwrap()).build());
    assert!(matches!(refused, Err(Error::NotAdb(_))), "{refused:?}");
    let read = now(Builder::new_local(path.to_str().unwrap()).read_only(true).build()).unwrap();
    let refused = now(read.connect().unwrap().execute("INSERT INTO entries VALUES (?1, ?2)", ("no", vec![1])));
    assert!(matches!(refused, Err(Error::Readonly(_))), "{refused:?}");
}

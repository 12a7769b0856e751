//! Standard output and standard error, which may be closed, full, or without a reader.
//!
//! Nothing that is printed can end the work: `println!` and `eprintln!` panic where they can't write, and are not used. A
//! reader that has left has seen enough. Any other error of standard output means that results are lost: the first one is
//! kept, and [`failure`] says it at the end.

use std::{
    fs::File,
    io::{self, ErrorKind, Write},
    mem::ManuallyDrop,
    os::fd::{FromRawFd, RawFd},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

static STDOUT: Stream = Stream::new(libc::STDOUT_FILENO);
static STDERR: Stream = Stream::new(libc::STDERR_FILENO);
static QUIET: AtomicBool = AtomicBool::new(false);

/// Prints results on standard output.
pub fn print(text: &str) {
    STDOUT.write(text.as_bytes());
}

/// Says how things go, on a line of standard error; nothing where the user wants quiet.
pub fn say(text: &str) {
    if !is_quiet() {
        warn(text);
    }
}

/// Says what is wrong, on a line of standard error.
pub fn warn(text: &str) {
    STDERR.write(format!("{text}\n").as_bytes());
}

/// From now on only results and what is wrong are printed.
pub fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Whether only results and what is wrong are printed.
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Why results could not be printed on standard output, if they could not; none where only the reader has left.
pub fn failure() -> Option<io::Error> {
    let state = STDOUT.lock();
    match &*state {
        State::Failed(error) if error.kind() != ErrorKind::BrokenPipe => Some(copy(error)),
        State::Failed(_) | State::Open => None,
    }
}

/// Standard error as a writer that never fails: for a log.
#[derive(Clone, Copy, Debug)]
pub struct StandardError;

impl Write for StandardError {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        STDERR.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Standard output as a writer for large results. Its errors are returned, so that the work ends with the reader.
#[derive(Clone, Copy, Debug)]
pub struct StandardOutput;

impl Write for StandardOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write_all(STDOUT.fd, bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One of the process's streams.
struct Stream {
    fd: RawFd,
    state: Mutex<State>,
}

enum State {
    Open,
    /// Nothing more is written.
    Failed(io::Error),
}

impl Stream {
    const fn new(fd: RawFd) -> Self {
        Self { fd, state: Mutex::new(State::Open) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, bytes: &[u8]) {
        let mut state = self.lock();
        if matches!(*state, State::Open)
            && let Err(error) = write_all(self.fd, bytes)
        {
            *state = State::Failed(error);
        }
    }
}

/// Writes all bytes to a descriptor. One that is set not to block, as some programs leave a terminal, is waited for.
fn write_all(fd: RawFd, mut bytes: &[u8]) -> io::Result<()> {
    // SAFETY: the descriptor stays open for the whole process, and is not closed with this `File`.
    let mut file = ManuallyDrop::new(unsafe { File::from_raw_fd(fd) });
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => wait_until_writable(fd),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn wait_until_writable(fd: RawFd) {
    let mut poll = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
    // SAFETY: poll writes one struct, which outlives the call. Whatever it returns, the next write says how things are.
    unsafe { libc::poll(&mut poll, 1, -1) };
}

fn copy(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| io::Error::new(error.kind(), error.to_string()), io::Error::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn a_stream_keeps_its_first_error_and_writes_no_more() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let stream = Stream::new(full.as_raw_fd());
        stream.write(b"lost");
        stream.write(b"lost");
        assert!(matches!(&*stream.lock(), State::Failed(error) if error.kind() == ErrorKind::StorageFull));
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let stream = Stream::new(writer.as_raw_fd());
        stream.write(b"nobody reads this");
        assert!(matches!(&*stream.lock(), State::Failed(error) if error.kind() == ErrorKind::BrokenPipe));
    }

    #[test]
    fn a_pipe_that_does_not_block_is_waited_for() {
        let (mut reader, writer) = io::pipe().unwrap();
        // SAFETY: fcntl on an open descriptor.
        unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
        let all = std::thread::spawn(move || {
            let mut text = String::new();
            io::Read::read_to_string(&mut reader, &mut text).map(|_| text.len())
        });
        let stream = Stream::new(writer.as_raw_fd());
        stream.write(&b"0123456789".repeat(100_000));
        drop(writer);
        assert_eq!(all.join().unwrap().unwrap(), 1_000_000);
    }
}

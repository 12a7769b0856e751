//! wattscope in a pseudo-terminal: a test presses keys and reads the screen.

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};
use std::{
    io::Write,
    path::Path,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// The program in its terminal. Dropping it kills the program.
pub struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    master: Option<Box<dyn MasterPty + Send>>,
    writer: Option<Box<dyn Write + Send>>,
    reader: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
    output: Arc<(Mutex<Output>, Condvar)>,
    _home: Option<tempfile::TempDir>,
}

struct Output {
    parser: vt100::Parser,
    bytes: u64,
    first: Option<Instant>,
    ended: bool,
}

impl Terminal {
    /// Starts `wattscope` in a terminal of that size, with a home directory of its own.
    pub fn start(args: &[&str], rows: u16, cols: u16) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut terminal = Self::start_in(home.path(), args, rows, cols);
        terminal._home = Some(home);
        terminal
    }

    /// The same in an existing home directory, which becomes the current directory too.
    pub fn start_in(home: &Path, args: &[&str], rows: u16, cols: u16) -> Self {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_wattscope"));
        command.args(args);
        command.env("TERM", "xterm-256color");
        Self::spawn(home, command, rows, cols)
    }

    /// Starts any command in an existing home directory, which becomes the current directory too.
    pub fn spawn(home: &Path, mut command: CommandBuilder, rows: u16, cols: u16) -> Self {
        let pty = native_pty_system().openpty(size(rows, cols)).unwrap();
        command.cwd(home);
        command.env("XDG_STATE_HOME", home);
        if std::env::var_os("XDG_CACHE_HOME").is_none() {
            command.env("XDG_CACHE_HOME", home);
        }
        let writer = pty.master.take_writer().unwrap();
        let parser = vt100::Parser::new(rows, cols, 0);
        let output = Output { parser, bytes: 0, first: None, ended: false };
        let output = Arc::new((Mutex::new(output), Condvar::new()));
        let shared = output.clone();
        let child = pty.slave.spawn_command(command).unwrap();
        drop(pty.slave);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let fd = pty.master.as_raw_fd().unwrap();
        let reader = std::thread::spawn(move || while !stopped.load(Ordering::Relaxed) && read(fd, &shared) {});
        let reader = Some((stop, reader));
        Self { child, master: Some(pty.master), writer: Some(writer), reader, output, _home: None }
    }

    /// The process id.
    pub fn pid(&self) -> i32 {
        self.child.process_id().unwrap() as i32
    }

    /// Presses keys, as the bytes that a terminal sends.
    pub fn press(&mut self, keys: &str) {
        let writer = self.writer.as_mut().unwrap();
        writer.write_all(keys.as_bytes()).unwrap();
        writer.flush().unwrap();
    }

    /// Changes the terminal's size.
    pub fn resize(&mut self, rows: u16, cols: u16) {
        self.output.0.lock().unwrap().parser.screen_mut().set_size(rows, cols);
        self.master.as_ref().unwrap().resize(size(rows, cols)).unwrap();
    }

    /// What the screen shows.
    pub fn screen(&self) -> String {
        self.output.0.lock().unwrap().parser.screen().contents()
    }

    /// Whether anything on the screen has a colour.
    pub fn has_colours(&self) -> bool {
        let output = self.output.0.lock().unwrap();
        let screen = output.parser.screen();
        let (rows, cols) = screen.size();
        let coloured = |cell: &vt100::Cell| [cell.fgcolor(), cell.bgcolor()] != [vt100::Color::Default; 2];
        (0..rows).any(|row| (0..cols).any(|col| screen.cell(row, col).is_some_and(coloured)))
    }

    /// Bytes that the program has written to the terminal.
    pub fn bytes(&self) -> u64 {
        self.output.0.lock().unwrap().bytes
    }

    /// When the first byte arrived.
    pub fn first_output(&self) -> Option<Instant> {
        self.output.0.lock().unwrap().first
    }

    /// Waits until the screen fits, and gives it; panics with the last screen when it does not within `seconds`.
    pub fn wait_for(&self, what: &str, seconds: f64, mut fits: impl FnMut(&str) -> bool) -> String {
        let deadline = Instant::now() + Duration::from_secs_f64(seconds);
        let mut output = self.output.0.lock().unwrap();
        loop {
            let screen = output.parser.screen().contents();
            if fits(&screen) {
                return screen;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero() && !output.ended, "not seen within {seconds} s: {what}; the screen:\n{screen}");
            output = self.output.1.wait_timeout(output, left).unwrap().0;
        }
    }

    /// Hangs up the terminal, as a dropped connection does.
    pub fn vanish(&mut self) {
        if let Some((stop, reader)) = self.reader.take() {
            stop.store(true, Ordering::Relaxed);
            reader.join().unwrap();
        }
        self.writer = None;
        self.master = None;
    }

    /// Waits for the program's end.
    pub fn wait_exit(&mut self, seconds: f64) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs_f64(seconds);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "still running after {seconds} s; the screen:\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The reader's descriptor is the master's, which must outlive it.
        self.vanish();
    }
}

/// Reads what has come, waiting a little; false at the end.
fn read(fd: i32, shared: &(Mutex<Output>, Condvar)) -> bool {
    let mut buffer = [0u8; 16384];
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: the descriptor is open until this thread is joined, and the length is the buffer's.
    let n = unsafe {
        if libc::poll(&mut poll, 1, 20) == 0 {
            return true;
        }
        libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len())
    };
    let n = usize::try_from(n).unwrap_or(0);
    let mut output = shared.0.lock().unwrap();
    output.first.get_or_insert_with(Instant::now);
    output.bytes += n as u64;
    output.parser.process(&buffer[..n]);
    output.ended = n == 0;
    shared.1.notify_all();
    n > 0
}

fn size(rows: u16, cols: u16) -> PtySize {
    PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }
}

/// Process ids of the children of a process.
pub fn engines(parent: i32) -> Vec<i32> {
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    let threads = std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let of_threads = threads.filter_map(|t| std::fs::read_to_string(t.path().join("children")).ok());
    let all: std::collections::BTreeSet<i32> = std::iter::once(children)
        .chain(of_threads)
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect();
    all.into_iter().collect()
}

/// Whether a process exists and is not a zombie.
pub fn alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

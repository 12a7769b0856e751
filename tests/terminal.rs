//! The screen in a real pseudo-terminal: what ends it, how it leaves the terminal, and that it never outlives it.
//!
//! The program under test is this test binary itself, started again with [`CHILD`] set.

#![allow(clippy::unwrap_used)]

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::{
    io::{Read, Write},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use wattscope::{
    agent::AgentHandle,
    event::{Body, Command, DeviceInfo, Event, Precision},
    session::Recordings,
    ui,
};

const CHILD: &str = "WATTSCOPE_TEST_SCREEN";

/// An agent that announces a CPU and then only reads commands.
fn agent() -> AgentHandle {
    let (commands, mut asked) = tokio::sync::mpsc::unbounded_channel();
    let (say, events) = tokio::sync::mpsc::unbounded_channel();
    let cpu = DeviceInfo {
        name: "cpu".into(),
        title: "Some CPU".into(),
        precisions: vec![Precision::F32],
        ..DeviceInfo::default()
    };
    tokio::spawn(async move {
        let _ = say.send(Event { t: 1, body: Body::Devices { devices: vec![cpu] } });
        while !matches!(asked.recv().await, None | Some(Command::Stop)) {}
    });
    AgentHandle { commands, events }
}

/// The program under test, where [`CHILD`] is set; otherwise nothing.
#[test]
fn child() {
    let Ok(mode) = std::env::var(CHILD) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let options = ui::Options { networks: vec!["alexnet".into()], ..ui::Options::default() };
    let start = move || if mode == "panic" { panic!("a panic on the screen") } else { agent() };
    let code = match runtime.block_on(ui::run(options, &mut Recordings::default(), start)) {
        Ok(exit) => exit.code(),
        Err(error) => {
            println!("{error}");
            7
        }
    };
    std::process::exit(code.into());
}

struct Program {
    child: Box<dyn Child + Send + Sync>,
    master: Option<Box<dyn MasterPty + Send>>,
    keys: Option<Box<dyn Write + Send>>,
    seen: Arc<Mutex<Vec<u8>>>,
    done: Arc<AtomicBool>,
}

impl Program {
    fn start(mode: &str, wrapper: &[&str]) -> Self {
        let size = PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let own = std::env::current_exe().unwrap();
        let arguments = ["child", "--exact", "--nocapture", "--test-threads=1"].map(std::ffi::OsString::from);
        let mut all: Vec<std::ffi::OsString> = wrapper.iter().map(Into::into).collect();
        all.push(own.into());
        all.extend(arguments);
        let mut command = CommandBuilder::from_argv(all);
        command.env(CHILD, mode);
        command.env("TERM", "xterm-256color");
        command.env("RUST_BACKTRACE", "0");
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let received = Arc::clone(&seen);
        let done = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&done);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = reader.read(&mut bytes)
                && !over.load(Ordering::SeqCst)
            {
                received.lock().unwrap().extend_from_slice(&bytes[..n]);
            }
        });
        let keys = pair.master.take_writer().unwrap();
        Self { child, master: Some(pair.master), keys: Some(keys), seen, done }
    }

    fn screen(&self) -> vt100::Parser {
        let mut terminal = vt100::Parser::new(24, 80, 0);
        terminal.process(&self.seen.lock().unwrap());
        terminal
    }

    fn wait_for(&self, what: &str, shown: impl Fn(&vt100::Screen) -> bool) {
        let start = Instant::now();
        while !shown(self.screen().screen()) {
            let screen = self.screen();
            assert!(start.elapsed() < Duration::from_secs(20), "no {what}:\n{}", screen.screen().contents());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn wait_for_text(&self, text: &str) {
        self.wait_for(text, |screen| screen.contents().contains(text));
    }

    fn press(&mut self, keys: &str) {
        self.keys.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    fn signal(&self, signal: i32) {
        let pid = self.child.process_id().unwrap() as i32;
        // SAFETY: sends a signal to a child of this test that was not waited for yet.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }

    /// Closes our end of the terminal. A last frame wakes the reader up, so that its copy is closed, too.
    fn hang_up(&mut self) {
        self.done.store(true, Ordering::SeqCst);
        self.press("2");
        while Arc::strong_count(&self.seen) > 1 {
            thread::sleep(Duration::from_millis(10));
        }
        (self.keys, self.master) = (None, None);
    }

    fn exit_code(&mut self) -> u32 {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                thread::sleep(Duration::from_millis(100));
                return status.exit_code();
            }
            if start.elapsed() > Duration::from_secs(20) {
                self.child.kill().unwrap();
                panic!("it does not end");
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn assert_restored(&self) {
        let terminal = self.screen();
        let screen = terminal.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor(), "{}", screen.contents());
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
    }
}

/// The state of a process in /proc; none where the process is gone.
fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(") ").next().and_then(|rest| rest.chars().next())
}

#[test]
fn keys_and_signals_end_it_with_their_codes_and_give_the_terminal_back() {
    let keys = [("q", 0), ("\u{3}", 130)];
    for (key, code) in keys {
        let mut program = Program::start("run", &[]);
        program.wait_for_text("cpu");
        program.press(key);
        assert_eq!(program.exit_code(), code);
        program.assert_restored();
    }
    for (signal, code) in [(libc::SIGTERM, 143), (libc::SIGHUP, 129), (libc::SIGQUIT, 131), (libc::SIGINT, 130)] {
        let mut program = Program::start("run", &[]);
        program.wait_for_text("cpu");
        program.signal(signal);
        assert_eq!(program.exit_code(), code);
        program.assert_restored();
    }
}

#[test]
fn a_terminal_that_vanishes_without_a_hangup_ends_it() {
    // A session of its own has no controlling terminal, and gets no SIGHUP.
    let mut program = Program::start("run", &["setsid", "--wait"]);
    program.wait_for_text("cpu");
    let parent = program.child.process_id().unwrap();
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
    let pid: u32 = children.trim().parse().unwrap();
    let start = Instant::now();
    program.hang_up();
    while matches!(state(pid), Some(state) if state != 'Z') {
        assert!(start.elapsed() < Duration::from_secs(10), "it outlives its terminal");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn it_stops_for_the_shell_and_comes_back() {
    // A shell with job control: without one, the process is not stopped.
    let mut program = Program::start("run", &["bash", "-mc", "\"$0\" \"$@\"; echo stopped $?; fg >/dev/null"]);
    program.wait_for_text("cpu");
    program.press("2");
    program.wait_for_text("nothing was steady yet");
    let before = program.seen.lock().unwrap().len();
    program.press("\u{1a}");
    let stopped = |bytes: &[u8]| bytes.windows(11).any(|w| w == b"stopped 148");
    program.wait_for("stop", |_| stopped(&program.seen.lock().unwrap()[before..]));
    program
        .wait_for("return", |screen| screen.alternate_screen() && screen.contents().contains("nothing was steady yet"));
    program.press("q");
    assert_eq!(program.exit_code(), 0);
    program.assert_restored();
}

#[test]
fn ctrl_l_draws_everything_again() {
    let mut program = Program::start("run", &[]);
    program.wait_for_text("cpu");
    let before = program.seen.lock().unwrap().len();
    program.press("\u{c}");
    program.wait_for("redrawing", |_| program.seen.lock().unwrap().len() > before + 1000);
    program.wait_for_text("LATENCY");
    program.press("q");
    assert_eq!(program.exit_code(), 0);
}

#[test]
fn a_panic_gives_the_terminal_back_before_it_is_reported() {
    let mut program = Program::start("panic", &[]);
    assert_ne!(program.exit_code(), 0);
    program.assert_restored();
    let screen = program.screen();
    assert!(screen.screen().contents().contains("a panic on the screen"), "{}", screen.screen().contents());
}

#[test]
fn a_new_size_is_drawn() {
    let mut program = Program::start("run", &[]);
    program.wait_for_text("cpu");
    let before = program.seen.lock().unwrap().len();
    program.master.as_ref().unwrap().resize(PtySize { rows: 10, cols: 40, pixel_width: 0, pixel_height: 0 }).unwrap();
    program.wait_for("redrawing", |_| program.seen.lock().unwrap().len() > before + 200);
    program.press("q");
    assert_eq!(program.exit_code(), 0);
}

//! The terminal: set to raw mode and its alternate screen, drawn on, and restored whatever ends the program.

use super::exit::UiError;
use crossterm::{
    cursor, event, execute, queue,
    terminal::{BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, enable_raw_mode},
};
use ratatui::{Frame, backend::CrosstermBackend};
use std::{
    io::{self, BufWriter, IsTerminal, Stdout, Write},
    mem::ManuallyDrop,
    panic,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// A key, a click or a resize.
pub type Input = event::Event;

/// Whether the terminal is in raw mode on its alternate screen.
static ENTERED: AtomicBool = AtomicBool::new(false);

/// The terminal in raw mode on its alternate screen.
pub struct Terminal {
    frames: SyncTerminal<BufWriter<Stdout>>,
    mouse: bool,
}

impl Terminal {
    /// Enters raw mode and the alternate screen; a panic restores the terminal, too.
    ///
    /// # Errors
    /// Where standard input or output is no terminal, or it refuses the mode.
    pub fn enter(mouse: bool) -> Result<Self, UiError> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(UiError::NoTerminal);
        }
        restore_on_panic();
        enter_raw(mouse).and_then(|()| SyncTerminal::new(BufWriter::with_capacity(1 << 16, io::stdout()))).map_or_else(
            |error| {
                restore();
                Err(UiError::Terminal(error))
            },
            |frames| Ok(Self { frames, mouse }),
        )
    }

    /// Draws a frame.
    pub fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.frames.draw(draw)
    }

    /// Whether the terminal has another size than the last frame.
    pub fn resized(&mut self) -> bool {
        let drawn = self.frames.inner.current_buffer_mut().area.as_size();
        self.frames.inner.size().is_ok_and(|size| size != drawn)
    }

    /// Enters raw mode again where it was left, and makes the next frame redraw every cell.
    pub fn invalidate(&mut self) -> io::Result<()> {
        enter_raw(self.mouse)?;
        self.frames.invalidate()
    }

    /// Restores the terminal and stops this process until it is continued. [`Self::invalidate`] enters raw mode again.
    pub fn suspend(&mut self) {
        restore();
        stop_process();
    }

    /// Restores the terminal.
    pub fn leave(self) {
        restore();
    }
}

/// A terminal that puts each frame into a synchronised update.
pub struct SyncTerminal<W: Write> {
    /// Never dropped: ratatui's `Drop` prints to stderr when the terminal is gone, which may abort.
    inner: ManuallyDrop<ratatui::Terminal<CrosstermBackend<W>>>,
}

impl<W: Write> SyncTerminal<W> {
    /// As large as the terminal behind `out`.
    pub fn new(out: W) -> io::Result<Self> {
        Ok(Self { inner: ManuallyDrop::new(ratatui::Terminal::new(CrosstermBackend::new(out))?) })
    }

    /// Of a fixed size, for tests.
    #[cfg(test)]
    pub fn fixed(out: W, area: ratatui::layout::Rect) -> io::Result<Self> {
        let options = ratatui::TerminalOptions { viewport: ratatui::Viewport::Fixed(area) };
        let inner = ratatui::Terminal::with_options(CrosstermBackend::new(out), options)?;
        Ok(Self { inner: ManuallyDrop::new(inner) })
    }

    /// Draws a frame as a synchronised update: a terminal that supports them never shows half a frame.
    pub fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        queue!(self.inner.backend_mut(), BeginSynchronizedUpdate)?;
        let drawn = self.inner.draw(draw).map(|_| ());
        execute!(self.inner.backend_mut(), EndSynchronizedUpdate)?;
        drawn
    }

    /// Makes the next frame redraw every cell. Not by `clear`, which asks the terminal for the cursor's position: the thread
    /// that reads the keys would consume the answer.
    fn invalidate(&mut self) -> io::Result<()> {
        let size = self.inner.size()?;
        self.inner.resize((ratatui::layout::Position::ORIGIN, size).into())
    }
}

fn enter_raw(mouse: bool) -> io::Result<()> {
    ENTERED.store(true, Ordering::SeqCst);
    enable_raw_mode()?;
    let mut out = io::stdout();
    execute!(out, EnterAlternateScreen, cursor::Hide)?;
    if mouse {
        execute!(out, event::EnableMouseCapture)?;
    }
    Ok(())
}

/// Restores the terminal. Errors are ignored: a terminal that is gone can't be restored, and could not show a message.
pub fn restore() {
    if ENTERED.swap(false, Ordering::SeqCst) {
        let _ = execute!(io::stdout(), EndSynchronizedUpdate, event::DisableMouseCapture, cursor::Show);
        let _ = ratatui::try_restore();
    }
}

/// Stops this process as an uncaught SIGTSTP does. Not by SIGSTOP, which would stop it for good where no shell can continue
/// it: the kernel ignores SIGTSTP for such a process.
fn stop_process() {
    // SAFETY: both structures outlive the calls, and an all-zero one is valid: the default action. The previous handler is
    // installed again once the process continues.
    unsafe {
        let (mut default, mut ours): (libc::sigaction, libc::sigaction) = (std::mem::zeroed(), std::mem::zeroed());
        default.sa_sigaction = libc::SIG_DFL;
        if libc::sigaction(libc::SIGTSTP, &default, &mut ours) == 0 {
            libc::raise(libc::SIGTSTP);
            libc::sigaction(libc::SIGTSTP, &ours, std::ptr::null_mut());
        }
    }
}

/// Makes a panic restore the terminal before it is logged and reported, so that the report can be read.
fn restore_on_panic() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            restore();
            tracing::error!(%panic, "panic");
            report(panic);
        }));
    });
}

/// Keys, clicks and resizes as they come. The channel closes when the terminal can't be read any more.
///
/// A thread of its own reads them: when a terminal vanishes without a hangup, crossterm 0.29 polls its end for ever
/// (crossterm#793), and the thread that detects this by [`hung_up`] must not be blocked.
pub fn input() -> UnboundedReceiver<io::Result<Input>> {
    let (send, receive) = unbounded_channel();
    let read = move || {
        loop {
            let input = event::read();
            let failed = input.is_err();
            if send.send(input).is_err() || failed {
                return;
            }
        }
    };
    // Without the thread the channel closes at once, and the screen ends.
    let _ = thread::Builder::new().name("keys".to_owned()).spawn(read);
    receive
}

/// Whether the terminal has hung up.
pub fn hung_up() -> bool {
    let mut ends = [libc::STDIN_FILENO, libc::STDOUT_FILENO].map(|fd| libc::pollfd { fd, events: 0, revents: 0 });
    // SAFETY: `ends` outlives the call, which does not wait.
    let ready = unsafe { libc::poll(ends.as_mut_ptr(), ends.len() as libc::nfds_t, 0) };
    ready > 0 && ends.iter().any(|end| end.revents & (libc::POLLHUP | libc::POLLERR | libc::POLLNVAL) != 0)
}

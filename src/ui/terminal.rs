//! The terminal: taken, drawn on, lent to the shell, and given back whatever happens.

use super::UiError;
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

/// A key, a click, a new size.
pub type Input = event::Event;

/// Whether the terminal is ours at the moment, and with the mouse.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal while it is ours.
pub struct Terminal {
    canvas: Canvas<BufWriter<Stdout>>,
    mouse: bool,
}

impl Terminal {
    /// Takes the terminal: raw, on its alternate screen, given back by a panic, too.
    pub fn enter(mouse: bool) -> Result<Self, UiError> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(UiError::NoTerminal);
        }
        restore_on_panic();
        take(mouse).and_then(|()| Canvas::new(BufWriter::with_capacity(1 << 16, io::stdout()))).map_or_else(
            |error| {
                restore();
                Err(UiError::Terminal(error))
            },
            |canvas| Ok(Self { canvas, mouse }),
        )
    }

    /// Draws a frame.
    pub fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.canvas.draw(draw)
    }

    /// Forgets what the screen shows: the next frame draws every cell.
    pub fn forget(&mut self) -> io::Result<()> {
        take(self.mouse)?;
        self.canvas.forget()
    }

    /// Gives the terminal back and stops this process until somebody continues it. [`Self::forget`] takes it again.
    pub fn suspend(&mut self) {
        restore();
        stop();
    }

    /// Gives the terminal back.
    pub fn leave(self) {
        restore();
    }
}

/// Something to draw on by writing.
pub struct Canvas<W: Write> {
    /// Never dropped: ratatui's own `Drop` prints to stderr when the terminal is dead, which may abort.
    inner: ManuallyDrop<ratatui::Terminal<CrosstermBackend<W>>>,
}

impl<W: Write> Canvas<W> {
    /// A canvas as large as the terminal.
    pub fn new(out: W) -> io::Result<Self> {
        Ok(Self { inner: ManuallyDrop::new(ratatui::Terminal::new(CrosstermBackend::new(out))?) })
    }

    /// A canvas of a fixed size, for tests.
    #[cfg(test)]
    pub fn fixed(out: W, area: ratatui::layout::Rect) -> io::Result<Self> {
        let options = ratatui::TerminalOptions { viewport: ratatui::Viewport::Fixed(area) };
        let inner = ratatui::Terminal::with_options(CrosstermBackend::new(out), options)?;
        Ok(Self { inner: ManuallyDrop::new(inner) })
    }

    /// Draws a frame between the marks of a synchronised update, so that terminals which know them never show half of it.
    pub fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        queue!(self.inner.backend_mut(), BeginSynchronizedUpdate)?;
        let drawn = self.inner.draw(draw).map(|_| ());
        execute!(self.inner.backend_mut(), EndSynchronizedUpdate)?;
        drawn
    }

    /// Not by `clear`: that asks the terminal where its cursor is, and the thread that reads the keys would take the answer.
    fn forget(&mut self) -> io::Result<()> {
        let size = self.inner.size()?;
        self.inner.resize((ratatui::layout::Position::ORIGIN, size).into())
    }
}

fn take(mouse: bool) -> io::Result<()> {
    TAKEN.store(true, Ordering::SeqCst);
    enable_raw_mode()?;
    let mut out = io::stdout();
    execute!(out, EnterAlternateScreen, cursor::Hide)?;
    if mouse {
        execute!(out, event::EnableMouseCapture)?;
    }
    Ok(())
}

/// Gives the terminal back, as far as it lets us: a dead one can't be given back, and nobody is there to read why.
pub fn restore() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let _ = execute!(io::stdout(), EndSynchronizedUpdate, event::DisableMouseCapture, cursor::Show);
        let _ = ratatui::try_restore();
    }
}

/// Stops this process as SIGTSTP does where nobody catches it. Not SIGSTOP: that would stop it for good where there is no
/// shell to continue it, while the kernel ignores SIGTSTP there.
fn stop() {
    // SAFETY: both structures outlive the calls; an all-zero one is valid and means the default action. The handler that
    // was there is put back once somebody has continued the process.
    unsafe {
        let (mut default, mut ours): (libc::sigaction, libc::sigaction) = (std::mem::zeroed(), std::mem::zeroed());
        default.sa_sigaction = libc::SIG_DFL;
        if libc::sigaction(libc::SIGTSTP, &default, &mut ours) == 0 {
            libc::raise(libc::SIGTSTP);
            libc::sigaction(libc::SIGTSTP, &ours, std::ptr::null_mut());
        }
    }
}

/// A panic gives the terminal back first, is logged then, and reported at last, where it can be read.
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

/// Keys, clicks and new sizes as they come. The channel ends with the terminal.
///
/// A thread of its own reads them: when a terminal vanishes without a hangup, crossterm 0.29 reads its end over and over
/// and never returns (crossterm#793), and that must not happen on the thread which finds out and leaves.
pub fn input() -> UnboundedReceiver<io::Result<Input>> {
    let (send, receive) = unbounded_channel();
    let read = move || {
        loop {
            let input = event::read();
            let over = input.is_err();
            if send.send(input).is_err() || over {
                return;
            }
        }
    };
    // Without the thread the channel ends at once, and with it the screen.
    let _ = thread::Builder::new().name("keys".to_owned()).spawn(read);
    receive
}

/// Whether the terminal has hung up.
pub fn gone() -> bool {
    let mut ends = [libc::STDIN_FILENO, libc::STDOUT_FILENO].map(|fd| libc::pollfd { fd, events: 0, revents: 0 });
    // SAFETY: `ends` outlives the call, which does not wait.
    let ready = unsafe { libc::poll(ends.as_mut_ptr(), ends.len() as libc::nfds_t, 0) };
    ready > 0 && ends.iter().any(|end| end.revents & (libc::POLLHUP | libc::POLLERR | libc::POLLNVAL) != 0)
}

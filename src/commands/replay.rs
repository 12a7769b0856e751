//! `wattscope replay`: a recording on the live screen.

use super::{
    args::{ScreenArgs, file, time},
    execute::{Execute, Global},
    failure::{Failure, about},
    setup,
};
use crate::{
    session::{
        read::{is_standard_input, shown},
        recordings,
        replay::Player,
    },
    ui::{self, timeline},
};
use clap::{Args, ValueHint};
use std::{
    fs::File,
    io::{self, IsTerminal},
    os::fd::AsRawFd,
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

const HELP: &str = "\
Every live screen is recorded, compressed, to wattscope/sessions in the user's state directory ($XDG_STATE_HOME, or \
else ~/.local/state); the last ten files of 20 MB at the most are kept. R on the live screen, or --record, makes a \
recording that stays. A recording of a program that was killed ends half a second earlier.

Examples:
  wattscope replay                             the newest recording that has no name
  wattscope replay demo.jsonl.zst --speed 4
  wattscope replay demo.jsonl.zst --from 1:30
  ssh gpu-box cat demo.jsonl.zst | wattscope replay -";

/// Show a recording on the live screen: pause, rewind, any speed
#[derive(Clone, Debug, Args)]
#[command(after_help = HELP)]
pub struct Replay {
    /// The recording, - for standard input; the newest one that has no name if not given
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: Option<PathBuf>,
    /// How fast, in times real time: 1/16 to 256
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = speed)]
    pub speed: f64,
    /// Where to begin: 90, 1:30 or 1:00:00 from its beginning
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = time)]
    pub from: Duration,
    /// How the screen is drawn.
    #[command(flatten)]
    pub screen: ScreenArgs,
}

impl Execute for Replay {
    fn execute(self, global: &Global) -> Result<ExitCode, Failure> {
        let piped = self.file.as_deref().is_some_and(is_standard_input);
        file::check_input(&self.file).map_err(Failure::usage)?;
        if !io::stdout().is_terminal() || !(piped || io::stdin().is_terminal()) {
            return Err(Failure::usage("a replay needs a terminal for input and output."));
        }
        setup::start_log(global.log.as_deref());
        let newest = || recordings::newest(&setup::sessions_folder().ok()?);
        let path = self.file.or_else(newest).ok_or_else(|| {
            Failure::from(io::Error::other(
                "there is no unnamed recording yet: name a file, or start the live screen once",
            ))
        })?;
        let (player, losses) = Player::load(&path).map_err(Failure::explained)?;
        if piped {
            keys_from_the_terminal().map_err(about("there is no terminal for keys"))?;
        }
        let said = (!losses.is_empty()).then(|| format!("{}: {losses}", shown(&path).display()));
        // At most a year.
        let from = self.from.as_nanos() as u64;
        let screen = ui::replay(self.screen.options(), player, (from, self.speed), said);
        Ok(ExitCode::from(setup::runtime()?.block_on(screen)?.code()))
    }
}

/// Makes the terminal standard input, in place of the pipe that the recording came through: the screen reads its keys there.
fn keys_from_the_terminal() -> io::Result<()> {
    let terminal = File::options().read(true).write(true).open("/dev/tty")?;
    // SAFETY: both descriptors are open. The one of the pipe, which was read to its end, is closed.
    match unsafe { libc::dup2(terminal.as_raw_fd(), libc::STDIN_FILENO) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// A speed in times real time: `4`, `0.5`, `1/8`, `2x`.
fn speed(s: &str) -> Result<f64, String> {
    let number = match s.trim_end_matches(['x', '×']).split_once('/') {
        Some((over, under)) => {
            over.parse::<f64>().ok().zip(under.parse::<f64>().ok()).map(|(over, under)| over / under)
        }
        None => s.trim_end_matches(['x', '×']).parse().ok(),
    };
    let valid = |x: &f64| (timeline::SLOWEST..=timeline::FASTEST).contains(x);
    number.filter(valid).ok_or_else(|| "a number of times from 1/16 to 256, such as 4 or 0.5".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_read_as_people_write_them() {
        assert_eq!(["4", "0.5", "1/8", "2x"].map(speed), [Ok(4.0), Ok(0.5), Ok(0.125), Ok(2.0)]);
        assert!(["1/0", "inf", "nan", "-1", ""].map(speed).iter().all(Result::is_err));
    }
}

//! `wattscope replay`: a recording on the live screen.

use super::{
    args::ScreenArgs,
    execute::{Execute, Global},
    failure::Failure,
    setup,
};
use crate::{
    event::Nanos,
    session::{recordings, replay::Player},
    ui::{self, timeline},
};
use clap::Args;
use std::{
    io::{self, IsTerminal},
    path::PathBuf,
    process::ExitCode,
};

const HELP: &str = "\
Every live screen is recorded, compressed, to wattscope/sessions in the user's state directory ($XDG_STATE_HOME, or \
else ~/.local/state); the last ten files of 20 MB at the most are kept. R on the live screen, or --record, makes a \
recording that stays. A recording of a program that was killed ends half a second earlier.

Examples:
  wattscope replay                             the newest recording that has no name
  wattscope replay demo.jsonl.zst --speed 4
  wattscope replay demo.jsonl.zst --from 1:30";

/// Show a recording on the live screen: pause, rewind, any speed
#[derive(Clone, Debug, Args)]
#[command(after_help = HELP)]
pub struct Replay {
    /// The recording; the newest one that has no name if not given
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// How fast, times the speed of life: 1/16 to 256
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = speed)]
    pub speed: f64,
    /// Where to begin: 90, 1:30 or 1:00:00 from its beginning
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = moment)]
    pub from: Nanos,
    /// How the screen is drawn.
    #[command(flatten)]
    pub screen: ScreenArgs,
}

impl Execute for Replay {
    fn execute(self, global: &Global) -> Result<ExitCode, Failure> {
        if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
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
        let said = (!losses.is_empty()).then(|| format!("{}: {losses}", path.display()));
        let screen = ui::replay(self.screen.options(), player, (self.from, self.speed), said);
        Ok(ExitCode::from(setup::runtime()?.block_on(screen)?.code()))
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

/// A time from the beginning: seconds, minutes and seconds, or hours too.
fn moment(s: &str) -> Result<Nanos, String> {
    let wrong = || "a time such as 90, 1:30, 1:30.5 or 1:00:00".to_owned();
    let parts: Vec<&str> = s.split(':').collect();
    let (seconds, whole) = parts.split_last().ok_or_else(wrong)?;
    let seconds = seconds.parse::<f64>().ok().filter(|s| (0.0..1e8).contains(s) && (whole.is_empty() || *s < 60.0));
    let mut minutes = 0_u64;
    for part in whole {
        let part = part.parse::<u32>().map_err(|_| wrong())?;
        minutes = minutes.saturating_mul(60).saturating_add(part.into());
    }
    let seconds = seconds.filter(|_| whole.len() <= 2).ok_or_else(wrong)?;
    Ok(minutes.saturating_mul(60_000_000_000).saturating_add((seconds * 1e9) as Nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_speeds_are_read_as_people_write_them() {
        let s = |seconds: f64| Ok((seconds * 1e9) as Nanos);
        assert_eq!(["90", "1:30", "0:01:30.5", "2:00:00"].map(moment), [s(90.0), s(90.0), s(90.5), s(7200.0)]);
        assert!(["", "x", "-1", "1:2:3:4", "1:60", "nan"].map(moment).iter().all(Result::is_err));
        assert_eq!(["4", "0.5", "1/8", "2x"].map(speed), [Ok(4.0), Ok(0.5), Ok(0.125), Ok(2.0)]);
        assert!(["1/0", "inf", "nan", "-1", ""].map(speed).iter().all(Result::is_err));
    }
}

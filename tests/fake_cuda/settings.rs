//! What the fake driver pretends to be, read from the environment once, when the program first calls it.
//!
//! | variable | what it says | without it |
//! |---|---|---|
//! | `FAKE_CUDA_CARDS` | names of the table in `cards.rs`, by commas: `sm_90,sm_75`; empty or `none`: no card | `sm_80` |
//! | `FAKE_CUDA_MEMORY` | memory of each card: `512MiB`, `2GiB` | as the table says |
//! | `FAKE_CUDA_DRIVER` | the CUDA version of the driver: `12.4` | `13.0`, or `12.4` in a build with `--cfg before_12_8` |
//! | `FAKE_CUDA_EXECUTE` | `0`: launches do nothing and memory keeps what it has | `1` |
//! | `FAKE_CUDA_STRICT` | `0`: races and reads of memory that nobody wrote are not looked for | `1` |
//! | `FAKE_CUDA_LENIENT` | parts of names of kernels that strictness leaves alone | CubeCL's probes, see [`PROBES`] |
//! | `FAKE_CUDA_ORDER` | `late`: work of streams that do not wait for each other is done as late as it can be | `issued` |
//! | `FAKE_CUDA_THREADS` | how many threads execute blocks | as many as there are processors |
//! | `FAKE_CUDA_FAULTS` | faults on demand, see [`Fault`] | none |
//! | `FAKE_CUDA_LOG` | a file for what happens: calls that fail, faults, findings, leaks | faults and findings go to stderr |
//! | `FAKE_CUDA_COUNTS` | a file for a JSON line for each kernel with its launches and counts | none |
//! | `FAKE_CUDA_STATE` | a file kept current with power, utilisation and memory, in the form that the fake NVML reads | none |
//!
//! `CUDA_VISIBLE_DEVICES` does what it does with a real driver. A setting that can't be understood ends the process with
//! status 2: a test must not pass on a card that is not the one it asked for.

use crate::cards::Card;
use std::{env, ops::RangeInclusive, path::PathBuf};

/// All of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub cards: Vec<Card>,
    /// 12040 is 12.4.
    pub driver: u32,
    pub execute: bool,
    pub strict: bool,
    pub lenient: Vec<String>,
    pub late: bool,
    pub threads: usize,
    pub faults: Vec<Fault>,
    pub log: Option<PathBuf>,
    pub counts: Option<PathBuf>,
    pub state: Option<PathBuf>,
}

/// A fault that is made to happen: `what@N`, `what@N-M` or `what@N+` for the Nth (to Mth, or any later) time, from 1;
/// without `@`, each time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub what: What,
    pub when: RangeInclusive<u64>,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// `out-of-memory`: an allocation of device memory finds none.
    OutOfMemory,
    /// `launch`: a kernel ends with `CUDA_ERROR_LAUNCH_FAILED`, some time after the launch.
    Launch,
    /// `lost`: the card falls off the bus at a launch.
    Lost,
    /// `hang`: a kernel does not end.
    Hang,
    /// `cuFunction=code`: the function does nothing and returns the code.
    Function { name: String, code: i32 },
}

/// The oldest version at which `cuEventElapsedTime_v2` and the other functions of CUDA 12.8 are there.
const FUNCTIONS_OF_12_8: u32 = 12_080;

/// Kernels by which CubeCL measures what a card can do. They read memory that nobody wrote, and mean to: what comes of it is
/// thrown away.
const PROBES: &str = "launch_overhead,throughput";

impl Settings {
    /// The settings in the environment. One that is wrong ends the process.
    pub fn from_environment() -> Self {
        Self::read(|name| env::var(name).ok()).unwrap_or_else(|wrong| {
            eprintln!("fake CUDA driver: {wrong}");
            std::process::exit(2);
        })
    }

    /// The settings that `variable` gives.
    ///
    /// # Errors
    /// Names the variable and what is wrong with it.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let old = cfg!(before_12_8);
        let mut cards = cards(variable("FAKE_CUDA_CARDS").as_deref().unwrap_or("sm_80"))?;
        if let Some(text) = variable("FAKE_CUDA_MEMORY") {
            let mib = mebibytes(&text).ok_or_else(|| format!("FAKE_CUDA_MEMORY={text}: not like 512MiB or 2GiB"))?;
            cards.iter_mut().for_each(|card| card.memory_mib = mib);
        }
        let driver = variable("FAKE_CUDA_DRIVER").unwrap_or_else(|| if old { "12.4" } else { "13.0" }.to_owned());
        let driver = version(&driver).ok_or_else(|| format!("FAKE_CUDA_DRIVER={driver}: not like 12.4"))?;
        if old != (driver < FUNCTIONS_OF_12_8) {
            let build = if old { "without" } else { "with" };
            return Err(format!(
                "FAKE_CUDA_DRIVER: a driver older than 12.8 lacks functions, so it is a library of its own, built with \
                 --cfg before_12_8; this one was built {build} them"
            ));
        }
        let switch = |name: &str| match variable(name).as_deref() {
            None | Some("1") => Ok(true),
            Some("0") => Ok(false),
            Some(other) => Err(format!("{name}={other}: neither 0 nor 1")),
        };
        let late = match variable("FAKE_CUDA_ORDER").as_deref() {
            None | Some("issued") => false,
            Some("late") => true,
            Some(other) => return Err(format!("FAKE_CUDA_ORDER={other}: neither issued nor late")),
        };
        let threads = match variable("FAKE_CUDA_THREADS") {
            Some(text) => text.parse().ok().filter(|n| *n > 0).ok_or(format!("FAKE_CUDA_THREADS={text}: no number"))?,
            None => std::thread::available_parallelism().map_or(1, usize::from),
        };
        let faults = variable("FAKE_CUDA_FAULTS").unwrap_or_default();
        let lenient = variable("FAKE_CUDA_LENIENT").unwrap_or_else(|| PROBES.to_owned());
        let path = |name| variable(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        Ok(Self {
            cards,
            driver,
            execute: switch("FAKE_CUDA_EXECUTE")?,
            strict: switch("FAKE_CUDA_STRICT")?,
            lenient: list(&lenient).map(str::to_owned).collect(),
            late,
            threads,
            faults: list(&faults).map(fault).collect::<Result<_, _>>()?,
            log: path("FAKE_CUDA_LOG"),
            counts: path("FAKE_CUDA_COUNTS"),
            state: path("FAKE_CUDA_STATE"),
        })
    }
}

/// What stands between commas.
fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}

fn cards(text: &str) -> Result<Vec<Card>, String> {
    if text == "none" {
        return Ok(Vec::new());
    }
    list(text)
        .map(|name| {
            Card::named(name).ok_or_else(|| {
                let known: Vec<&str> = crate::cards::TABLE.iter().map(|card| card.key).collect();
                format!("FAKE_CUDA_CARDS: {name} is none of {}", known.join(", "))
            })
        })
        .collect()
}

fn mebibytes(text: &str) -> Option<u64> {
    if let Some(number) = text.strip_suffix("GiB") {
        return number.parse::<u64>().ok()?.checked_mul(1024);
    }
    text.strip_suffix("MiB")?.parse().ok()
}

/// 12040 for `12.4`, as `cuDriverGetVersion` has it.
fn version(text: &str) -> Option<u32> {
    let (major, minor) = text.split_once('.')?;
    let (major, minor): (u32, u32) = (major.parse().ok()?, minor.parse().ok()?);
    (major < 100 && minor < 100).then_some(major * 1000 + minor * 10)
}

fn fault(text: &str) -> Result<Fault, String> {
    let wrong =
        || format!("FAKE_CUDA_FAULTS: {text} is not like out-of-memory@3, launch@2+, lost@1, hang@1-4 or cuInit=999");
    let (what, when) = match text.split_once('@') {
        Some((what, when)) => (what, when_of(when).ok_or_else(wrong)?),
        None => (text, 1..=u64::MAX),
    };
    let what = match (what, what.split_once('=')) {
        ("out-of-memory", _) => What::OutOfMemory,
        ("launch", _) => What::Launch,
        ("lost", _) => What::Lost,
        ("hang", _) => What::Hang,
        (_, Some((name, code))) if name.starts_with("cu") => {
            What::Function { name: name.to_owned(), code: code.parse().map_err(|_| wrong())? }
        }
        _ => return Err(wrong()),
    };
    Ok(Fault { what, when })
}

fn when_of(text: &str) -> Option<RangeInclusive<u64>> {
    let number = |text: &str| text.parse::<u64>().ok().filter(|n| *n > 0);
    if let Some(first) = text.strip_suffix('+') {
        return Some(number(first)?..=u64::MAX);
    }
    match text.split_once('-') {
        Some((first, last)) => Some(number(first)?..=number(last)?),
        None => number(text).map(|n| n..=n),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, String> {
        Settings::read(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn settings_are_read() {
        let settings = read(&[
            ("FAKE_CUDA_CARDS", "sm_90, sm_75"),
            ("FAKE_CUDA_MEMORY", "512MiB"),
            ("FAKE_CUDA_DRIVER", if cfg!(before_12_8) { "12.4" } else { "12.9" }),
            ("FAKE_CUDA_EXECUTE", "0"),
            ("FAKE_CUDA_FAULTS", "out-of-memory@3,launch@2+,hang@1-4,cuInit=999"),
        ])
        .unwrap();
        assert_eq!(
            settings.cards.iter().map(|card| (card.sm, card.memory_mib)).collect::<Vec<_>>(),
            [(90, 512), (75, 512)]
        );
        assert_eq!(settings.driver, if cfg!(before_12_8) { 12_040 } else { 12_090 });
        assert!(!settings.execute && settings.strict);
        let expected = [
            Fault { what: What::OutOfMemory, when: 3..=3 },
            Fault { what: What::Launch, when: 2..=u64::MAX },
            Fault { what: What::Hang, when: 1..=4 },
            Fault { what: What::Function { name: "cuInit".to_owned(), code: 999 }, when: 1..=u64::MAX },
        ];
        assert_eq!(settings.faults, expected);
        assert_eq!(read(&[("FAKE_CUDA_CARDS", "none")]).unwrap().cards, []);
        assert_eq!(read(&[]).unwrap().cards[0].sm, 80);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = [
            (("FAKE_CUDA_CARDS", "sm_91"), "FAKE_CUDA_CARDS: sm_91 is none of sm_70, sm_75"),
            (("FAKE_CUDA_MEMORY", "512"), "FAKE_CUDA_MEMORY=512: not like 512MiB"),
            (("FAKE_CUDA_DRIVER", "new"), "FAKE_CUDA_DRIVER=new: not like 12.4"),
            (("FAKE_CUDA_DRIVER", if cfg!(before_12_8) { "13.0" } else { "12.4" }), "--cfg before_12_8"),
            (("FAKE_CUDA_EXECUTE", "yes"), "FAKE_CUDA_EXECUTE=yes: neither 0 nor 1"),
            (("FAKE_CUDA_ORDER", "early"), "FAKE_CUDA_ORDER=early: neither issued nor late"),
            (("FAKE_CUDA_THREADS", "0"), "FAKE_CUDA_THREADS=0: no number"),
            (("FAKE_CUDA_FAULTS", "fire@1"), "fire@1 is not like"),
            (("FAKE_CUDA_FAULTS", "launch@0"), "launch@0 is not like"),
        ];
        for (pair, says) in wrong {
            let error = read(&[pair]).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}

//! Shards: where a cluster's scheduler runs several processes, shard i of n measures every n-th step of one plan, from the
//! i-th on.

use std::{
    ffi::OsStr,
    fmt,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    str::FromStr,
};

/// Default seed of the order: all shards must have the same one.
pub const SEED: u64 = 2016;

/// Upper bound of random seeds, so that they are short enough to be typed.
const SEEDS: u64 = 1_000_000;

/// Upper bound on the shards of a sweep.
const MOST: u32 = 65_536;

/// What `--shard` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// `1/4`.
    This(Shard),
    /// `auto`, or `auto/4` where the scheduler does not say how many there are.
    Auto {
        /// The number of shards, if it was given.
        count: Option<u32>,
    },
}

/// One shard of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its index, from 0.
    pub index: u32,
    /// The number of shards.
    pub count: u32,
}

/// Why it is not known which shard this is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// No scheduler was found.
    #[error(
        "--shard auto: no scheduler says which shard this is: neither SLURM_PROCID and SLURM_NTASKS (srun) nor \
         JOB_COMPLETION_INDEX (an indexed Kubernetes Job) is set; say it yourself, as in --shard 1/4"
    )]
    NoScheduler,
    /// Kubernetes gives the index, but not the number of shards.
    #[error(
        "--shard auto: JOB_COMPLETION_INDEX says which shard this is, but nothing says of how many: --shard auto/N, \
         with N the Job's completions, or the same in JOB_COMPLETIONS in the pod's environment"
    )]
    NoCount,
    /// An environment variable is not a number.
    #[error("--shard auto: {name} is '{value}', which is no number")]
    Nonsense {
        /// The variable.
        name: &'static str,
        /// What it holds.
        value: String,
    },
    /// The numbers contradict one another.
    #[error("--shard: {what}")]
    Contradiction {
        /// How.
        what: String,
    },
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.index + 1, self.count)
    }
}

impl FromStr for Asked {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let wrong = || "I/N with I from 1 to N, such as 1/4, or auto, or auto/N".to_owned();
        let number = |s: &str| s.parse::<u32>().ok().filter(|n| (1..=MOST).contains(n)).ok_or_else(wrong);
        match s.split_once('/') {
            None if s == "auto" => Ok(Self::Auto { count: None }),
            Some(("auto", count)) => Ok(Self::Auto { count: Some(number(count)?) }),
            Some((index, count)) => {
                let (index, count) = (number(index)? - 1, number(count)?);
                if index < count { Ok(Self::This(Shard { index, count })) } else { Err(wrong()) }
            }
            None => Err(wrong()),
        }
    }
}

impl Asked {
    /// Which shard this is, and the seed that the job as a whole stands for, as its scheduler's variables say.
    ///
    /// # Errors
    /// If they don't.
    pub fn resolve(self, variable: impl Fn(&str) -> Option<String>) -> Result<(Shard, u64), ShardError> {
        let read = |name: &'static str| -> Result<Option<u64>, ShardError> {
            let Some(value) = variable(name).filter(|value| !value.is_empty()) else { return Ok(None) };
            value.parse().map(Some).map_err(|_| ShardError::Nonsense { name, value })
        };
        let array = read("SLURM_ARRAY_JOB_ID")?;
        let seed = array.or(read("SLURM_JOB_ID")?).map_or(SEED, |job| job % SEEDS);
        let count = match self {
            Self::This(shard) => return Ok((shard, seed)),
            Self::Auto { count } => count,
        };
        let (index, of) = match (read("SLURM_PROCID")?, read("SLURM_NTASKS")?) {
            (Some(task), Some(tasks)) if array.is_some() => {
                let [id, all] = [read("SLURM_ARRAY_TASK_ID")?, read("SLURM_ARRAY_TASK_COUNT")?];
                let [first, step] = [read("SLURM_ARRAY_TASK_MIN")?, read("SLURM_ARRAY_TASK_STEP")?];
                let element = id.unwrap_or(0).saturating_sub(first.unwrap_or(0)) / step.unwrap_or(1).max(1);
                (element.saturating_mul(tasks).saturating_add(task), Some(all.unwrap_or(1).saturating_mul(tasks)))
            }
            (Some(task), Some(tasks)) => (task, Some(tasks)),
            _ => match read("JOB_COMPLETION_INDEX")? {
                Some(index) => (index, read("JOB_COMPLETIONS")?),
                None => return Err(ShardError::NoScheduler),
            },
        };
        let of = match (of, count.map(u64::from)) {
            (Some(said), Some(asked)) if said != asked => {
                let what = format!("auto/{asked} was asked for, and the scheduler has {said}");
                return Err(ShardError::Contradiction { what });
            }
            (said, asked) => said.or(asked).ok_or(ShardError::NoCount)?,
        };
        let small = |n: u64| u32::try_from(n).ok().filter(|n| *n <= MOST);
        match (small(index), small(of)) {
            (Some(index), Some(count)) if index < count => Ok((Shard { index, count }, seed)),
            _ => {
                let what = format!("the scheduler says that this is number {index}, counted from 0, of {of}");
                Err(ShardError::Contradiction { what })
            }
        }
    }
}

impl Shard {
    /// The file of this shard: `x.jsonl.zst` becomes `x.1of4.jsonl.zst`.
    pub fn file(self, path: &Path) -> PathBuf {
        // As bytes: a name need not be UTF-8.
        let name = path.file_name().unwrap_or_default().as_bytes();
        let suffix = b".jsonl";
        let jsonl = name.windows(suffix.len()).position(|part| part == suffix);
        let dot = || name.iter().rposition(|byte| *byte == b'.').filter(|dot| *dot > 0);
        let (stem, ending) = name.split_at(jsonl.or_else(dot).unwrap_or(name.len()));
        let part = format!(".{}of{}", self.index + 1, self.count);
        path.with_file_name(OsStr::from_bytes(&[stem, part.as_bytes(), ending].concat()))
    }

    /// The files of all shards.
    pub fn files(self, path: &Path) -> impl Iterator<Item = PathBuf> {
        (0..self.count).map(move |index| Self { index, ..self }.file(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(asked: &str, variables: &[(&str, &str)]) -> Result<(Shard, u64), ShardError> {
        let find = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        asked.parse::<Asked>().unwrap().resolve(find)
    }

    const fn shard(index: u32, count: u32) -> Shard {
        Shard { index, count }
    }

    #[test]
    fn a_shard_is_asked_for_by_its_number() {
        assert_eq!(resolve("1/4", &[]), Ok((shard(0, 4), SEED)));
        assert_eq!(resolve("4/4", &[("SLURM_JOB_ID", "7")]), Ok((shard(3, 4), 7)));
        for wrong in ["", "0/4", "5/4", "1", "1/0", "-1/4", "auto/0", "auto/x", "1/4/2", "1/99999999"] {
            assert!(wrong.parse::<Asked>().unwrap_err().contains("1/4"), "{wrong}");
        }
    }

    #[test]
    fn the_scheduler_says_which() {
        let slurm = [("SLURM_PROCID", "2"), ("SLURM_NTASKS", "4"), ("SLURM_JOB_ID", "12345678")];
        assert_eq!(resolve("auto", &slurm), Ok((shard(2, 4), 345_678)));
        assert_eq!(resolve("auto/4", &slurm), Ok((shard(2, 4), 345_678)));
        assert!(resolve("auto/3", &slurm).unwrap_err().to_string().contains("has 4"));
        let index = [("JOB_COMPLETION_INDEX", "2")];
        assert_eq!(resolve("auto/3", &index), Ok((shard(2, 3), SEED)));
        assert_eq!(resolve("auto", &index), Err(ShardError::NoCount));
        assert_eq!(resolve("auto", &[index[0], ("JOB_COMPLETIONS", "5")]), Ok((shard(2, 5), SEED)));
        assert!(resolve("auto/2", &index).unwrap_err().to_string().contains("number 2, counted from 0, of 2"));
        assert_eq!(resolve("auto/4", &[]), Err(ShardError::NoScheduler));
        assert_eq!(resolve("auto", &[("SLURM_PROCID", "0")]), Err(ShardError::NoScheduler));
        let nonsense = resolve("auto", &[("SLURM_PROCID", "two"), ("SLURM_NTASKS", "4")]).unwrap_err();
        assert_eq!(nonsense.to_string(), "--shard auto: SLURM_PROCID is 'two', which is no number");
    }

    #[test]
    fn elements_of_an_array_have_one_plan_and_share_it() {
        let element = |id: &str, task: &str| {
            let own = [("SLURM_ARRAY_TASK_ID", id), ("SLURM_PROCID", task), ("SLURM_NTASKS", "2")];
            let all = [("SLURM_ARRAY_TASK_COUNT", "3"), ("SLURM_ARRAY_TASK_MIN", "10"), ("SLURM_ARRAY_TASK_STEP", "5")];
            let jobs = [("SLURM_ARRAY_JOB_ID", "9"), ("SLURM_JOB_ID", id)];
            resolve("auto", &[&own[..], &all[..], &jobs[..]].concat()).unwrap()
        };
        let all: Vec<_> = ["10", "15", "20"].iter().flat_map(|id| ["0", "1"].map(|task| element(id, task))).collect();
        assert_eq!(all, (0..6).map(|index| (shard(index, 6), 9)).collect::<Vec<_>>());
    }

    #[test]
    fn every_shard_has_a_file_of_its_own() {
        let file = |path: &str| shard(0, 4).file(Path::new(path)).display().to_string();
        assert_eq!(file("a.b/x.jsonl.zst"), "a.b/x.1of4.jsonl.zst");
        assert_eq!(file("x.jsonl"), "x.1of4.jsonl");
        assert_eq!(file("x.zst"), "x.1of4.zst");
        assert_eq!(file("/tmp/x"), "/tmp/x.1of4");
        assert_eq!(file(".x"), ".x.1of4");
        let foreign = shard(0, 4).file(Path::new(OsStr::from_bytes(b"r\xff.jsonl")));
        assert_eq!(foreign.as_os_str().as_bytes(), b"r\xff.1of4.jsonl");
        assert_eq!(shard(1, 3).files(Path::new("x.jsonl")).count(), 3);
    }
}

//! Sensors of processors: what several of them add up to, and which are only parts.
//!
//! | driver | sensors | the processor |
//! |---|---|---|
//! | `amd_energy` | `Esocket0` …: counters of sockets; `Ecore000` …: counters of cores | the sum of the sockets |
//! | `zenpower` | `SVI2_P_Core`, `SVI2_P_SoC`: rails at the voltage regulator, per node | the sum of the rails |
//! | `fam15h_power` | `power1`: an estimate per processor | the sum of the processors |

use super::candidate::{Candidate, Input};
use crate::event::Quantity;

/// Cores that are registered. With more of them a host would have more sensors than a session keeps.
const MAX_CORES: usize = 64;

/// Drivers of processors, the beginning of the names whose sum is the processor, and what these are.
const SUMS: [(&str, &str, &str); 3] =
    [("amd_energy", "Esocket", "sockets"), ("zenpower", "SVI2_P_", "rails"), ("fam15h_power", "power", "processors")];

/// Makes parts of processors devices of their own (`cpu/core0`, `cpu/socket1`) and adds the sums, as `cpu`. A processor with
/// a single sensor keeps it as it is.
pub fn summed(mut found: Vec<Candidate>) -> Vec<Candidate> {
    for (driver, prefix, what) in SUMS {
        for quantity in [Quantity::Energy, Quantity::PowerInstant, Quantity::PowerAverage] {
            let is_whole = |c: &Candidate| c.quantity == quantity && own_name(c, driver).starts_with(prefix);
            let inputs: Vec<Input> = found.iter().filter(|c| is_whole(c)).map(|c| c.input.reopened()).collect();
            let (Some(first), 2..) = (found.iter().position(is_whole), inputs.len()) else { continue };
            found.iter_mut().filter(|c| is_whole(c)).for_each(|c| {
                let own = own_name(c, driver);
                c.device = format!("cpu/{}", own.strip_prefix('E').unwrap_or(own));
            });
            let sum = Candidate {
                device: "cpu".into(),
                quantity,
                label: format!("{driver} {what}"),
                method: Some(format!("sum of {} {what}", inputs.len())),
                input: Input::Sum(inputs),
            };
            found.insert(first, sum);
        }
    }
    let mut cores = 0;
    found.retain_mut(|candidate| match core(candidate) {
        Some(core) => {
            candidate.device = format!("cpu/core{core}");
            cores += 1;
            cores <= MAX_CORES
        }
        None => true,
    });
    found
}

/// The name of a sensor of `driver` without the driver; empty if it is another driver's.
fn own_name<'a>(candidate: &'a Candidate, driver: &str) -> &'a str {
    candidate.label.strip_prefix(driver).and_then(|rest| rest.strip_prefix(' ')).unwrap_or_default()
}

/// The number in `Ecore007`.
fn core(candidate: &Candidate) -> Option<u32> {
    own_name(candidate, "amd_energy").strip_prefix("Ecore")?.parse().ok()
}

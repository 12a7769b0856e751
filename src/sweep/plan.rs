//! The plan of a sweep. The order is random, so that drift of the machine does not look like an effect of the
//! configuration, and reproducible from its seed.

use crate::{
    event::{Config, Plan},
    model::mix,
};

/// Upper bound on the rounds of a sweep: the order of all steps is part of the recording.
pub const MOST_ROUNDS: u32 = 100;

/// A plan for every configuration `repeat` times: each round in a random order of its own, or in the order given where
/// there is no seed.
pub fn plan(configs: Vec<Config>, repeat: u32, seed: Option<u64>, seconds: f64, cooldown_s: f64) -> Plan {
    let given: Vec<u32> = (0..configs.len() as u32).collect();
    let mut random = seed.map(SplitMix);
    let round = |_| {
        let mut order = given.clone();
        if let Some(random) = &mut random {
            random.shuffle(&mut order);
        }
        order
    };
    let order = (0..repeat).flat_map(round).collect();
    Plan { configs, repeat, seed, order, seconds, cooldown_s, shard: None, distributed: false }
}

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Fisher and Yates's shuffle.
    fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            // The bias of the remainder is below n / 2⁶⁴.
            items.swap(i, (self.next() % (i as u64 + 1)) as usize);
        }
    }
}

/// Parses batch sizes: `8`, or the powers of two in a range, `1..256`, both ends included.
///
/// # Errors
/// Says what the grammar is where the text does not follow it.
pub fn batches(text: &str) -> Result<Vec<u32>, String> {
    let one = |s: &str| match s.trim().parse::<u32>() {
        Ok(0) => Err("a batch holds at least 1 image".to_owned()),
        Ok(batch) => Ok(batch),
        Err(_) => Err(format!("'{s}' is no batch size: a number such as 8, or the powers of two of a range, 1..256")),
    };
    let Some((from, to)) = text.split_once("..") else { return one(text).map(|batch| vec![batch]) };
    let (from, to) = (one(from)?, one(to)?);
    let powers: Vec<u32> = (0..u32::BITS).map(|i| 1 << i).filter(|batch| (from..=to).contains(batch)).collect();
    if powers.is_empty() { Err(format!("no power of two lies in {from}..{to}")) } else { Ok(powers) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::config;
    use proptest::prelude::*;

    fn configs(n: u32) -> Vec<Config> {
        (1..=n).map(|batch| config("vgg16", batch)).collect()
    }

    #[test]
    fn rounds_have_orders_of_their_own_and_the_seed_brings_them_back() {
        let random = |seed| plan(configs(12), 3, Some(seed), 5.0, 2.0).order;
        assert_eq!(random(7), random(7));
        assert_ne!(random(7), random(8));
        let order = random(7);
        assert_ne!(order[..12], order[12..24]);
        assert_eq!(plan(configs(3), 2, None, 5.0, 0.0).order, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn every_order_is_as_likely_as_any_other() {
        let mut first = [0; 4];
        (0..4000).for_each(|seed| first[plan(configs(4), 1, Some(seed), 5.0, 0.0).order[0] as usize] += 1);
        assert!(first.iter().all(|n| (900..1100).contains(n)), "{first:?}");
    }

    #[test]
    fn ranges_are_powers_of_two() {
        assert_eq!(batches("1..256").unwrap(), [1, 2, 4, 8, 16, 32, 64, 128, 256]);
        assert_eq!(batches("3..20").unwrap(), [4, 8, 16]);
        assert_eq!(batches("24").unwrap(), [24]);
        assert!(batches("5..7").unwrap_err().contains("no power of two"));
        assert!(batches("8..1").unwrap_err().contains("8..1"));
        assert!(batches("0").unwrap_err().contains("at least 1"));
        for nonsense in ["", "x", "1..", "..", "-1", "1...4", "99999999999"] {
            assert!(batches(nonsense).unwrap_err().contains("1..256"), "{nonsense}");
        }
    }

    proptest! {
        #[test]
        fn every_round_measures_everything_once(n in 1u32..40, repeat in 1u32..5, seed: u64) {
            let plan = plan(configs(n), repeat, Some(seed), 5.0, 0.0);
            prop_assert_eq!(plan.steps(), (n * repeat) as usize);
            for round in plan.order.chunks(n as usize) {
                let mut sorted = round.to_vec();
                sorted.sort_unstable();
                prop_assert_eq!(sorted, (0..n).collect::<Vec<_>>());
            }
        }
    }
}

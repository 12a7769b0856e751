//! The parsers of values.

use super::{
    choice::{Choice, choice},
    device::device_name,
    grid::{Batches, batches, one_batch, precisions},
    quantity::{bytes, time, time_above_zero},
    screen::Color,
};
use crate::{event::Precision, model::zoo};
use clap::builder::{PossibleValue, TypedValueParser};
use proptest::prelude::*;
use std::{ffi::OsStr, time::Duration};

/// A parser's answer, or its whole error text.
fn parsed<P: TypedValueParser>(parser: P, text: &str) -> Result<P::Value, String> {
    let mut command = clap::Command::new("test").arg(clap::Arg::new("value").long("value").value_name("V"));
    command.build();
    parser.parse_ref(&command, command.get_opts().next(), OsStr::new(text)).map_err(|error| error.to_string())
}

fn seconds(s: f64) -> Result<Duration, String> {
    Ok(Duration::from_secs_f64(s))
}

#[test]
fn times_are_read_as_people_write_them() {
    for (text, s) in [
        ("90", 90.0),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("0", 0.0),
        ("500ms", 0.5),
        ("5s", 5.0),
        (" 1.5 min ", 90.0),
        ("2H", 7200.0),
        ("1:30", 90.0),
        ("0:01:30.5", 90.5),
        ("2:00:00", 7200.0),
    ] {
        assert_eq!(time(text), seconds(s), "{text}");
    }
    for text in ["", "x", "-1", "1:2:3:4", "1:60", ":", "1:", "1:-1", "1:+1", "nan", "inf", "1:inf", "400d:0"] {
        let said = Err("a time, such as 90 (seconds), 500ms, 2min, 1.5h or 1:30".to_owned());
        assert_eq!(time(text), said, "{text}");
    }
    assert_eq!(time("5m").unwrap_err(), "unknown unit 'm': ms, s, min or h; none is seconds");
    for long in ["9000h", "1e300"] {
        assert!(time(long).unwrap_err().contains("at most a year"), "{long}");
    }
    assert!(time_above_zero("0.0000000001").unwrap_err().contains("above 0"));
    assert_eq!(time_above_zero("1ms"), seconds(0.001));
}

#[test]
fn bytes_come_with_and_without_a_unit() {
    assert_eq!(
        ["4096", "4GiB", "1.5 kB", "2m", "1TiB"].map(bytes),
        [Ok(4096), Ok(4 << 30), Ok(1500), Ok(2_000_000), Ok(1 << 40)]
    );
    assert!(bytes("3XB").unwrap_err().contains("unknown unit 'XB'"));
    assert!(["", "-1", "0", "nan", "GiB"].map(bytes).iter().all(Result::is_err));
}

#[test]
fn batch_sizes_are_numbers_and_ranges_and_one_is_one() {
    assert_eq!(batches("1..8"), Ok(Batches(vec![1, 2, 4, 8])));
    assert_eq!(one_batch("24"), Ok(24));
    assert!(one_batch("1..8").unwrap_err().contains("one batch size"));
    assert!(one_batch("8..8").unwrap_err().contains("one batch size"));
    assert!(one_batch("0").unwrap_err().contains("at least 1"));
}

#[test]
fn a_word_is_taken_however_it_is_spelled_where_only_one_fits() {
    let words = Choice::new(["a-b", "ab", "c.d"].map(|word| (PossibleValue::new(word), word)));
    assert_eq!((words.find("AB"), words.find("A-B"), words.find("C D")), (Some("ab"), Some("a-b"), Some("c.d")));
    assert_eq!(words.find("a_b"), None, "two words fit");
    assert!(parsed(words, "a_b").unwrap_err().contains("invalid value 'a_b' for '--value <V>'"));
    assert_eq!(parsed(precisions(), "TF-32"), Ok(Precision::Tf32));
    assert_eq!(parsed(choice::<Color>(), "NEVER"), Ok(Color::Never));
}

#[test]
fn a_near_miss_is_suggested_whatever_its_case() {
    for (said, meant) in [
        (parsed(precisions(), "FP32").unwrap_err(), "'f32'"),
        (parsed(choice::<Color>(), "Nevr").unwrap_err(), "'never'"),
        (parsed(device_name(), "CDUA:1").unwrap_err(), "'cuda:1'"),
        (parsed(device_name(), "gpu").unwrap_err(), "'cuda'"),
        (parsed(device_name(), "GPU:2").unwrap_err(), "'cuda:2'"),
        (parsed(device_name(), "atuo").unwrap_err(), "'auto'"),
    ] {
        assert!(said.contains("tip: a similar value exists: ") && said.contains(meant), "{said}");
    }
    let said = parsed(precisions(), "FP32").unwrap_err();
    assert!(said.contains("invalid value 'FP32'"), "as it was written: {said}");
    let other = parsed(device_name(), "toaster").unwrap_err();
    assert!(other.contains("a device is auto, cpu, cuda") && !other.contains("tip:"), "{other}");
    assert_eq!(parsed(device_name(), " CUDA:01"), Ok("cuda:1".to_owned()));
}

/// A word in another spelling: in capitals where `upper` says so, with a separator after the letters that `between` names.
fn spelled(word: &str, upper: u32, between: &[(usize, char)]) -> String {
    let mut text: Vec<char> = word.chars().filter(|c| c.is_alphanumeric()).collect();
    for (i, c) in text.iter_mut().enumerate() {
        *c = if upper >> (i % 32) & 1 == 1 { c.to_ascii_uppercase() } else { *c };
    }
    for (at, separator) in between {
        text.insert(at % (text.len() + 1), *separator);
    }
    text.into_iter().collect()
}

proptest! {
    #[test]
    fn every_network_is_found_in_any_spelling(
        upper: u32,
        between in prop::collection::vec((0usize..20, prop::sample::select(vec!['-', '_', '.', ' '])), 0..4),
    ) {
        let networks = || zoo::registry().iter().map(|entry| entry.id);
        let words = Choice::new(networks().map(|id| (PossibleValue::new(id), id)));
        for id in networks() {
            prop_assert_eq!(words.find(&spelled(id, upper, &between)), Some(id));
        }
    }

    #[test]
    fn a_time_is_the_same_in_every_form(ms in 0u64..1_000_000_000) {
        let expected = Ok(Duration::from_millis(ms));
        let (whole, rest) = (ms / 1000, ms % 1000);
        let forms = [
            format!("{ms}ms"),
            format!("{whole}.{rest:03}"),
            format!("{whole}.{rest:03} s"),
            format!("{}:{:02}.{rest:03}", whole / 60, whole % 60),
            format!("{}:{:02}:{:02}.{rest:03}", whole / 3600, whole / 60 % 60, whole % 60),
        ];
        let near = |time: Result<Duration, String>| {
            // Seconds are floating-point numbers.
            time.map(|time| Duration::from_millis((time.as_nanos() as u64 + 500_000) / 1_000_000))
        };
        for form in forms {
            prop_assert_eq!(&near(time(&form)), &expected, "{}", form);
        }
    }

    #[test]
    fn whole_units_are_multiples(n in 1u32..8000) {
        let of = |unit: &str| time(&format!("{n}{unit}")).unwrap();
        prop_assert_eq!(of("min"), of("s") * 60);
        prop_assert_eq!(of("h"), of("min") * 60);
        prop_assert_eq!(bytes(&format!("{n}MiB")).unwrap(), bytes(&format!("{n}kib")).unwrap() * 1024);
    }

    #[test]
    fn no_text_is_a_panic_and_every_answer_is_in_range(text in "\\PC{0,12}|[0-9.:eEmshin+-]{0,12}|[0-9]{1,8}\\.\\.[0-9]{1,8}") {
        if let Ok(time) = time(&text) {
            prop_assert!(time <= Duration::from_secs(365 * 86_400));
        }
        prop_assert!(time_above_zero(&text).is_err() || time_above_zero(&text).unwrap() > Duration::ZERO);
        prop_assert!(bytes(&text).is_err() || bytes(&text).unwrap() > 0);
        if let Ok(Batches(sizes)) = batches(&text) {
            prop_assert!(!sizes.is_empty() && sizes.iter().all(|size| *size > 0));
        }
        let _ = (parsed(precisions(), &text), parsed(device_name(), &text));
    }
}

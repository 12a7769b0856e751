//! Recording and reading back: the file holds the stream, and a damaged file opens as far as possible.

use super::{
    Fleet, Reader, Recorder, State,
    read::{Damage, ReadError},
    record::RecordError,
    replay,
};
use crate::{
    event::*,
    testing::{Events, Script, config, sensor},
};
use proptest::prelude::*;
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

fn header() -> Body {
    let started = "2026-01-02T03:04:05Z".to_owned();
    Body::Header(Header { schema: SCHEMA, host: "bench".into(), started, ..Header::default() })
}

/// A session with idle power, two runs, one that does not fit, a reset, and a sensor that reads nonsense and is lost.
fn session() -> Vec<Event> {
    let mut events = Events::default();
    events.push(header());
    events.push(Body::Network(NetworkFacts { id: "alexnet".into(), top1: Some(57.1), ..NetworkFacts::default() }));
    let power = sensor(0, "cpu", Quantity::PowerInstant, None);
    events.push(Body::Sensors { sensors: vec![power, sensor(1, "cpu", Quantity::Utilisation, None)] });
    events.push(Body::Samples { values: vec![(0, 70.1), (1, 0.1 + 0.2)] });
    events.push(Body::EngineStarted { pid: 7, device: "cpu".into() });
    for (run, batch) in [(1, 1), (2, 8)] {
        let config = config("alexnet", batch);
        events.warm_up(run, &config);
        for i in 0..40 {
            events.batches(run, 5, 10_000_000 + i * 1000);
            events.push(Body::Samples { values: vec![(0, 300.0 + i as f64 / 7.0), (1, 97.3), (9, 1.0)] });
        }
        events.push(Body::Reset);
        events.idle(1);
        events.batches(run, 50, 10_000_000);
    }
    events.push(Body::Samples { values: vec![(0, f64::NAN)] });
    events.push(Body::SensorsLost { sensors: vec![1], reason: "unplugged".into() });
    let (message, config) = ("no memory".to_owned(), config("alexnet", 512));
    events.push(Body::OutOfMemory { run: 3, config, requested_bytes: Some(1 << 40), message });
    events.take()
}

fn fold(events: &[Event]) -> State {
    let mut state = State::default();
    events.iter().for_each(|event| state.apply(event));
    state
}

fn lines(events: &[Event]) -> Vec<u8> {
    events
        .iter()
        .flat_map(|event| serde_json::to_string(event).unwrap().into_bytes().into_iter().chain(*b"\n"))
        .collect()
}

fn record(path: &Path, events: &[Event]) {
    let mut recorder = Recorder::create(path, &Fleet::default()).unwrap();
    events.iter().for_each(|event| recorder.send(event).unwrap());
    assert_eq!(recorder.finish().unwrap(), fs::metadata(path).unwrap().len());
}

fn in_a_directory(name: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    (directory, path)
}

/// What is left of a session whose recorder was killed in the middle of a line.
fn killed(path: &Path) -> Vec<u8> {
    let text = [lines(&session()), b"{\"t\":1,\"ty".to_vec()].concat();
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("zst") => {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
            encoder.write_all(&text).unwrap();
            encoder.flush().unwrap();
            encoder.get_ref().clone()
        }
        Some("gz") => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(&text).unwrap();
            encoder.flush().unwrap();
            encoder.get_ref().clone()
        }
        _ => text,
    }
}

/// Reads bytes; gives the events and what was wrong.
fn read(bytes: &[u8]) -> Result<(Vec<Event>, super::read::Losses), ReadError> {
    let mut reader = Reader::of(std::io::Cursor::new(bytes.to_vec()), Path::new("file"))?;
    let events = reader.by_ref().flatten().map(|tagged| tagged.event).collect();
    Ok((events, reader.losses().clone()))
}

#[test]
fn a_replay_ends_in_the_state_that_the_live_run_ended_in() {
    let live = fold(&session());
    assert!(live.results.len() == 2 && live.failures.len() == 1, "{live:?}");
    for name in ["s.jsonl", "s.jsonl.zst", "s.jsonl.gz"] {
        let (_directory, path) = in_a_directory(name);
        record(&path, &session());
        let (state, losses) = replay::fold(&path).unwrap();
        assert!(losses.is_empty(), "{losses}");
        assert_eq!(state, live, "{name}");
        let plain = fs::read(&path).unwrap() == lines(&session());
        assert_eq!(plain, name == "s.jsonl", "{name} is compressed as it says");
    }
}

#[tokio::test]
async fn a_tapped_agent_is_recorded_while_its_stream_goes_on() {
    let (_directory, path) = in_a_directory("s.jsonl.zst");
    let (agent, _) = Script::start(vec![header()], |out, run, config| {
        out.warm_up(run, config);
        out.batches(run, 30, 1_000_000);
    });
    let mut agent = Recorder::create(&path, &Fleet::default()).unwrap().tap(agent);
    for batch in [1, 2] {
        agent.commands.send(Command::Run { config: config("alexnet", batch) }).unwrap();
    }
    agent.commands.send(Command::Stop).unwrap();
    let mut live = State::default();
    while let Some(event) = agent.events.recv().await {
        live.apply(&event);
    }
    assert_eq!(live.all_results().len(), 2);
    assert_eq!(replay::fold(&path).unwrap().0, live);
}

#[test]
fn a_recording_that_begins_late_has_the_facts_and_a_clock_of_its_own() {
    let (_directory, path) = in_a_directory("late.jsonl");
    let (before, after) = {
        let all = session();
        let half = all.len() / 2;
        (all[..half].to_vec(), all[half..].to_vec())
    };
    let state = fold(&before);
    let mut recorder = Recorder::create(&path, &state.clone().into()).unwrap();
    after.iter().for_each(|event| recorder.send(event).unwrap());
    recorder.finish().unwrap();
    let (late, losses) = replay::fold(&path).unwrap();
    assert!(losses.is_empty(), "{losses}");
    let all = fold(&session());
    assert_eq!(late.now, all.now - state.now);
    assert_eq!(
        (&late.networks, &late.engine, late.sensors[&0].idle),
        (&all.networks, &all.engine, all.sensors[&0].idle)
    );
    assert_eq!(late.results.last().map(|r| r.latency_ms), all.results.last().map(|r| r.latency_ms));
    let zero = "2026-01-02T03:04:05Z".parse::<jiff::Timestamp>().unwrap();
    let zero = zero.checked_add(jiff::SignedDuration::from_nanos(state.now as i64)).unwrap();
    assert_eq!(late.header.unwrap().started, zero.to_string());
}

#[test]
fn what_is_there_is_not_overwritten_and_a_full_disk_is_said() {
    let (directory, path) = in_a_directory("s.jsonl");
    fs::write(&path, "mine").unwrap();
    let error = Recorder::create(&path, &Fleet::default()).unwrap_err();
    assert!(matches!(error, RecordError::Exists(_)), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    let error = Recorder::create(&directory.path().join("no/such"), &Fleet::default()).unwrap_err();
    assert!(error.to_string().contains("no/such"), "{error}");

    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut recorder = Recorder::write_to(full, Path::new("/dev/full"), 0).unwrap();
    recorder.send(&session()[0]).unwrap();
    let error = recorder.finish().unwrap_err().to_string();
    assert!(error.contains("recording stopped") && error.contains("No space left"), "{error}");
}

#[test]
fn an_interrupted_session_goes_on_where_it_was_cut_off() {
    for name in ["s.jsonl", "s.jsonl.zst", "s.jsonl.gz"] {
        let (_directory, path) = in_a_directory(name);
        fs::write(&path, killed(&path)).unwrap();
        let (mut recorder, before, losses) = Recorder::resume(&path, false).unwrap();
        let before = before.into_first();
        assert!(losses.end.is_some(), "{losses}");
        assert_eq!(before, fold(&session()));
        session().iter().for_each(|event| recorder.send(event).unwrap());
        recorder.finish().unwrap();
        let (after, losses) = replay::fold(&path).unwrap();
        assert!(losses.is_empty(), "{losses}");
        assert_eq!(after.now, before.now + 1_000_000_000 + fold(&session()).now, "{name}");
        assert_eq!((after.results.len(), after.failures.len()), (2, 1));
        let started = after.header.unwrap().started;
        assert!(started.as_str() < "2026-01-02T03:04:05Z", "the wall clock of the file's zero: {started}");
    }
}

#[test]
fn a_file_that_is_cut_off_anywhere_opens_up_to_its_last_whole_line() {
    let events = session();
    let bytes = lines(&events);
    for cut in (0..bytes.len()).step_by(7) {
        let whole = bytes[..cut].iter().filter(|b| **b == b'\n').count();
        match read(&bytes[..cut]) {
            Ok((read, losses)) => {
                assert_eq!(read.len(), whole);
                assert_eq!(losses.is_empty(), cut == 0 || bytes[cut - 1] == b'\n');
            }
            Err(error) => assert!(whole == 0, "{error}"),
        }
    }
}

#[test]
fn a_compressed_file_that_is_cut_off_anywhere_loses_what_was_not_flushed_only() {
    // Flushed after every event, as a slow stream is.
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    let ends: Vec<usize> = session()
        .iter()
        .map(|event| {
            encoder.write_all(&lines(std::slice::from_ref(event))).unwrap();
            encoder.flush().unwrap();
            encoder.get_ref().len()
        })
        .collect();
    let bytes = encoder.finish().unwrap();
    for cut in 0..bytes.len() {
        let whole = ends.iter().filter(|end| **end <= cut).count();
        match read(&bytes[..cut]) {
            Ok((events, losses)) => assert!(events.len() == whole && !losses.is_empty(), "{cut}: {losses}"),
            Err(error) => assert!(whole == 0, "{error}"),
        }
    }
    assert!(read(&bytes).unwrap().1.is_empty());
}

#[test]
fn damage_in_the_middle_is_counted_and_what_is_around_it_kept() {
    let mut all = lines(&session()[..3]);
    all.extend(br#"{"t":5,"type":"from_the_future","x":[1]}"#);
    all.extend(
        b"\n{\"t\":-5,\"type\":\"reset\"}\n{\"t\":9e99}\n{\"t\":18446744073709551615,\"type\":\"reset\"}\n\xff\xfe\n",
    );
    all.extend([b"[".repeat(10_000), b"\n".to_vec(), b"x".repeat(3 << 20), b"\n".to_vec()].concat());
    all.extend(br#"{"t":5,"type":"batches","run":1,"steady":true,"span_ns":1,"wall_ns":[[5,18446744073709551615]]}"#);
    all.extend(b"\n");
    all.extend(lines(&session()[3..5]));
    let (events, losses) = read(&all).unwrap();
    assert_eq!(events, session()[..5]);
    assert_eq!((losses.damaged, losses.unknown, losses.end.clone()), (6, 2, None), "{losses}");
    let text = losses.to_string();
    assert!(text.starts_with("6 damaged lines; 2 unknown events; first: line 4 is of a kind"), "{text}");
}

#[test]
fn what_is_no_session_is_an_error_that_says_so() {
    let said = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
    assert!(said(b"").contains("it is empty"));
    assert!(said(b"hello\nworld\n").contains("no header"));
    assert!(said(&lines(&session()[1..])).contains("no header"));
    assert!(said(br#"{"t":0,"type":"header","schema":1}"#).contains("ends in the middle"));
    assert!(said(b"{\"t\":0,\"type\":\"header\",\"schema\":1}\n").contains("missing field `version`"));
    let newer = said(b"{\"t\":0,\"type\":\"header\",\"schema\":9,\"anything\":{}}\n");
    assert!(newer.contains("schema 9, and this version reads 1"), "{newer}");
    assert!(Reader::open(Path::new("/")).unwrap_err().to_string().contains("directory"));
    assert!(Reader::open(Path::new("/no/such")).unwrap_err().to_string().contains("/no/such"));
}

#[test]
fn bombs_are_given_up_in_bounded_memory() {
    let bomb = |unit: &[u8], times: usize| {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.write_all(&lines(&session()[..2])).unwrap();
        (0..times).for_each(|_| encoder.write_all(unit).unwrap());
        encoder.finish().unwrap()
    };
    for (unit, times) in [(vec![b'x'; 1 << 20], 100), (vec![b'\n'; 1 << 20], 100)] {
        let (events, losses) = read(&bomb(&unit, times)).unwrap();
        assert_eq!(events.len(), 2);
        assert!(matches!(losses.end, Some(Damage::GivenUp { .. })), "{losses}");
    }
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(&lines(&session())).unwrap();
    let wide = encoder.finish().unwrap();
    assert!(read(&wide).unwrap_err().to_string().contains("memory"), "a window of 128 MiB is refused");
}

#[test]
fn a_player_seeks_to_every_moment_and_a_live_one_stays_bounded() {
    let (mut player, mut fleet) = (replay::Player::default(), Fleet::default());
    let mut events = session();
    let last = events.last().unwrap().t;
    // An hour of nothing but a sensor.
    events.extend(
        (1..3600).map(|s| Event { t: last + s * 1_000_000_000, body: Body::Samples { values: vec![(0, s as f64)] } }),
    );
    let (_directory, path) = in_a_directory("hour.jsonl.zst");
    record(&path, &events);
    let (loaded, losses) = replay::Player::load(&path).unwrap();
    assert!(losses.is_empty() && loaded.end() == events.last().unwrap().t, "{losses}");
    for event in &events {
        player.push(&event.into(), &fleet);
        fleet.apply(&event.into());
    }
    assert!(fleet.now() - player.begin() > 840_000_000_000, "14 minutes at the least");
    assert!(fleet.now() - player.begin() < 1_000_000_000_000, "and no more than 16");
    let mut cursors = [loaded.first(), player.last(fleet)];
    for t in [0, last / 2, last, last / 3, last + 1_800_000_000_000, last + 3_300_000_000_000, last + 3_000_000_000_000]
    {
        let folded = fold(&events.iter().take_while(|event| event.t <= t).cloned().collect::<Vec<_>>());
        loaded.seek(&mut cursors[0], t);
        assert_eq!(cursors[0].fleet.first(), &folded, "at {t}");
        player.seek(&mut cursors[1], t);
        assert_eq!(cursors[1].fleet.now(), folded.now.max(player.begin()), "at {t}");
    }
}

/// The session twice, a moment apart, as two stations.
fn two_stations() -> Vec<Tagged> {
    let tagged = |on: StationId| {
        session().into_iter().map(move |mut event| {
            event.t += 1_000 * Nanos::from(on);
            if let Body::Header(header) = &mut event.body {
                (header.schema, header.stations, header.host) = (FLEET_SCHEMA, Some(2), format!("bench{on}"));
            }
            Tagged { station: on, event }
        })
    };
    let mut all: Vec<_> = tagged(0).chain(tagged(1)).collect();
    all.sort_by_key(|tagged| tagged.event.t);
    all
}

#[test]
fn stations_are_recorded_side_by_side_and_each_comes_back() {
    let (_directory, path) = in_a_directory("two.jsonl.zst");
    let mut recorder = Recorder::create(&path, &Fleet::default()).unwrap();
    two_stations().into_iter().for_each(|tagged| recorder.send(tagged).unwrap());
    recorder.finish().unwrap();
    let reader = Reader::open(&path).unwrap();
    assert!(reader.is_several());
    assert_eq!(reader.flatten().collect::<Vec<_>>().len(), two_stations().len());
    let (fleet, losses, _) = replay::fold_all(&path).unwrap();
    assert!(losses.is_empty() && fleet.len() == 2, "{losses}");
    let results = |state: &State| state.all_results();
    assert!(fleet.stations().iter().all(|state| results(state) == results(&fold(&session()))));
    assert_eq!(fleet.names(true), ["bench0", "bench1"]);
    let (player, _) = replay::Player::load(&path).unwrap();
    let mut cursor = player.first();
    player.seek(&mut cursor, player.end());
    assert_eq!(cursor.fleet, fleet);
    // A recording that begins late has both.
    let (_directory, late) = in_a_directory("late.jsonl");
    Recorder::create(&late, &fleet).unwrap().finish().unwrap();
    let (told, ..) = replay::fold_all(&late).unwrap();
    assert_eq!(told.names(true), fleet.names(true));
}

#[test]
fn a_file_of_one_station_that_gets_another_says_so_where_an_older_reader_looks() {
    let (_directory, path) = in_a_directory("grows.jsonl");
    record(&path, &session());
    let (mut recorder, before, _) = Recorder::resume(&path, true).unwrap();
    two_stations().into_iter().filter(|tagged| tagged.station == 1).for_each(|tagged| recorder.send(tagged).unwrap());
    recorder.finish().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.lines().next().unwrap().contains(&format!("\"schema\":{FLEET_SCHEMA},")), "{text}");
    let (after, losses, several) = replay::fold_all(&path).unwrap();
    assert!(several && losses.is_empty() && after.len() == 2);
    assert_eq!(after.first().results, before.first().results);
    assert_eq!(after[1].results.len(), 2);
    let lines = |text: &str| text.lines().count();
    Recorder::resume(&path, true).unwrap().0.finish().unwrap();
    assert_eq!(lines(&fs::read_to_string(&path).unwrap()), lines(&text));
}

/// A line of a session with some bytes changed.
fn mutated() -> impl Strategy<Value = (usize, Vec<(usize, u8)>)> {
    (
        0usize..100,
        prop::collection::vec((any::<usize>(), any::<u8>().prop_filter("a line's end", |b| *b != b'\n')), 1..6),
    )
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), packed in 0..3, after in any::<bool>()) {
        let mut all = if after { lines(&session()[..3]) } else { Vec::new() };
        all.extend(&bytes);
        if packed > 0 {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(&all).unwrap();
            all = if packed == 1 { zstd::bulk::compress(&all, 1).unwrap() } else { gzip.finish().unwrap() };
            let n = all.len();
            bytes.chunks(50).for_each(|c| all[c.len() * 7 % n] ^= c[0]);
        }
        if let Ok((events, _)) = read(&all) {
            fold(&events);
        }
    }

    #[test]
    fn a_changed_line_costs_no_other_line_and_no_state_panics((line, changes) in mutated()) {
        let events = session();
        let at = 1 + line % (events.len() - 1);
        let mut changed = lines(&events[at..=at]);
        let n = changed.len() - 1;
        changes.iter().for_each(|(place, byte)| changed[place % n] = *byte);
        let all = [lines(&events[..at]), changed, lines(&events[at + 1..])].concat();
        let (mut read, losses) = read(&all).unwrap();
        fold(&read);
        prop_assert_eq!(read.len() as u64 + losses.damaged + losses.unknown, events.len() as u64);
        if read.len() == events.len() {
            read.remove(at);
        }
        let rest = [&events[..at], &events[at + 1..]].concat();
        // NaN is not equal to itself, and its line is: a null.
        prop_assert_eq!(lines(&read), lines(&rest));
    }
}

//! The sensors of NVIDIA cards, with a fake library that is loaded the way the driver's is.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

#[path = "support/library.rs"]
mod library;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use wattscope::{
    clock::Clock,
    event::{Body, Card, Event, Neighbour, Quantity, Sensor, SensorId},
    telemetry::{self, CudaDevice, EnginePid, Options, Telemetry},
};

/// Longer than any test takes on a busy machine.
const LONG: Duration = Duration::from_secs(20);

/// Builds the fake library once for all tests of this binary.
fn library(old: bool) -> &'static Path {
    static BUILT: [OnceLock<PathBuf>; 2] = [OnceLock::new(), OnceLock::new()];
    BUILT[usize::from(old)].get_or_init(|| {
        let (name, cfg): (_, &[&str]) = if old { ("fake_nvml_old", &["--cfg", "old"]) } else { ("fake_nvml", &[]) };
        library::build(name, "tests/fake_nvml/lib.rs", &[&["-O", "--check-cfg", "cfg(old)"], cfg].concat())
    })
}

/// A host with a copy of the fake library and its control file.
struct Host {
    directory: tempfile::TempDir,
    telemetry: Option<Telemetry>,
    events: UnboundedReceiver<Event>,
    seen: Vec<Event>,
}

impl Host {
    fn start(control: &str) -> Self {
        Self::with(false, control, |_| {})
    }

    fn with(old: bool, control: &str, change: impl FnOnce(&mut Options)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let own = directory.path().join("nvml.so");
        fs::copy(library(old), &own).unwrap();
        let (sink, events) = unbounded_channel();
        let mut options = Options {
            period: Duration::from_millis(5),
            retry: Duration::from_millis(50),
            nvml_library: Some(own),
            sys: directory.path().join("sys"),
            cuda: vec![CudaDevice { name: "cuda:0".into(), uuid: Some("GPU-0".into()) }],
            ..Options::default()
        };
        change(&mut options);
        let host = Self { directory, telemetry: None, events, seen: Vec::new() };
        host.control(control);
        Self { telemetry: Some(telemetry::start(options, Clock::start(), sink)), ..host }
    }

    /// Replaces the control file atomically.
    fn control(&self, text: &str) {
        let (new, path) = (self.directory.path().join("new"), self.directory.path().join("nvml.so.control"));
        fs::write(&new, text.replace(", ", "\n")).unwrap();
        fs::rename(new, path).unwrap();
    }

    /// Waits until `found` returns something of all events so far.
    fn wait<T>(&mut self, what: &str, mut found: impl FnMut(&Self) -> Option<T>) -> T {
        let begin = Instant::now();
        loop {
            while let Ok(event) = self.events.try_recv() {
                self.seen.push(event);
            }
            if let Some(found) = found(self) {
                return found;
            }
            assert!(begin.elapsed() < LONG, "no {what} in {:#?}", self.seen);
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Discards the values so far.
    fn forget(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            self.seen.push(event);
        }
        self.seen.retain(|event| matches!(event.body, Body::Sensors { .. }));
    }

    /// The newest registration of each sensor of NVML.
    fn sensors(&self) -> BTreeMap<SensorId, &Sensor> {
        let announced = self.seen.iter().filter_map(|event| match &event.body {
            Body::Sensors { sensors } => Some(sensors),
            _ => None,
        });
        announced.flatten().filter(|sensor| sensor.source == "nvml").map(|sensor| (sensor.id, sensor)).collect()
    }

    fn sensor(&mut self, device: &str, quantity: Quantity) -> Sensor {
        self.wait(&format!("{quantity:?}"), |host| {
            let sensors = host.sensors();
            sensors.values().find(|s| s.device == device && s.quantity == quantity).map(|s| (*s).clone())
        })
    }

    fn absent(&mut self, device: &str, quantity: Quantity) -> String {
        self.sensor(device, quantity).absent.unwrap_or_else(|| panic!("{quantity:?} is there"))
    }

    /// The next value of a sensor.
    fn value(&mut self, sensor: &Sensor) -> f64 {
        assert_eq!(sensor.absent, None, "{sensor:?}");
        self.wait(&format!("value of {sensor:?}"), |host| newest(&host.seen, sensor.id))
    }

    fn read(&mut self, quantity: Quantity) -> f64 {
        let sensor = self.sensor("cuda:0", quantity);
        self.value(&sensor)
    }

    fn lost(&mut self) -> (Vec<SensorId>, String) {
        self.wait("loss", |host| {
            host.seen.iter().find_map(|event| match &event.body {
                Body::SensorsLost { sensors, reason } => Some((sensors.clone(), reason.clone())),
                _ => None,
            })
        })
    }
}

fn newest(seen: &[Event], id: SensorId) -> Option<f64> {
    seen.iter().rev().find_map(|event| match &event.body {
        Body::Samples { values } => values.iter().find(|(of, _)| *of == id).map(|(_, value)| *value),
        _ => None,
    })
}

#[test]
fn values_come_in_their_units() {
    let mut host = Host::start("fan 38, compute 1");
    let expected = [
        (Quantity::PowerInstant, 612.0),
        (Quantity::PowerAverage, 598.0),
        (Quantity::Energy, 5000.25),
        (Quantity::PowerCap, 700.0),
        (Quantity::Utilisation, 96.0),
        (Quantity::MemoryUtilisation, 41.0),
        (Quantity::ComputeClock, 1755.0),
        (Quantity::MemoryClock, 2619.0),
        (Quantity::Temperature, 61.0),
        (Quantity::Fan, 38.0),
        (Quantity::MemoryUsed, 31.0 * 1024.0 * 1024.0 * 1024.0),
        (Quantity::MemoryTotal, 80.0 * 1024.0 * 1024.0 * 1024.0),
        (Quantity::PcieSend, 1_024_000.0),
        (Quantity::PcieReceive, 3_072_000.0),
    ];
    for (quantity, value) in expected {
        assert_eq!(host.read(quantity), value, "{quantity:?}");
    }
}

#[test]
fn instantaneous_and_average_power_are_distinguished() {
    let mut host = Host::start("");
    let instant = host.sensor("cuda:0", Quantity::PowerInstant);
    let average = host.sensor("cuda:0", Quantity::PowerAverage);
    assert_eq!((instant.label.as_str(), instant.period_ms), ("NVML instant", 5));
    assert_eq!(instant.method.as_deref(), Some("the sensor looks at about 25 ms of every 100 ms"));
    assert_eq!(average.label, "NVML average");
    assert_eq!(average.method.as_deref(), Some("averaged by the driver over 1 s"));
    assert_ne!(host.value(&instant), host.value(&average));
}

#[test]
fn power_usage_is_the_kind_of_power_of_its_architecture() {
    // Ada: a 1 s average, so there is no instantaneous power.
    let mut host = Host::start("architecture 8, fail.instant 3, fail.average 3");
    let average = host.sensor("cuda:0", Quantity::PowerAverage);
    assert_eq!(average.label, "NVML power usage");
    assert!(average.method.as_deref().unwrap().contains("averaged by the driver over 1 s"));
    assert_eq!(host.value(&average), 600.0);
    assert_eq!(host.absent("cuda:0", Quantity::PowerInstant), "not supported by this card or its driver");

    // Volta and GA100: the instantaneous power, so there is no average.
    for card in ["architecture 5", "architecture 7, pci_device_id 548409566"] {
        let mut host = Host::start(&format!("{card}, fail.instant 3, fail.average 3"));
        let instant = host.sensor("cuda:0", Quantity::PowerInstant);
        assert_eq!(instant.label, "NVML power usage");
        assert_eq!(host.value(&instant), 600.0);
        assert_eq!(host.absent("cuda:0", Quantity::PowerAverage), "not supported by this card or its driver");
    }
}

#[test]
fn a_missing_function_of_an_old_driver_is_named() {
    let mut host = Host::with(true, "", |_| {});
    assert_eq!(host.absent("cuda:0", Quantity::Fan), "this driver's NVML has no nvmlDeviceGetFanSpeed_v2");
    assert_eq!(host.absent("cuda:0", Quantity::PowerInstant), "this driver's NVML has no nvmlDeviceGetFieldValues");
    assert_eq!(host.read(Quantity::PowerAverage), 600.0);
    let told = host.wait("notice", |host| {
        host.seen.iter().find_map(|event| match &event.body {
            Body::Notice { text, .. } if text.contains("throttling") => Some(text.clone()),
            _ => None,
        })
    });
    assert!(told.ends_with("has no nvmlDeviceGetCurrentClocksThrottleReasons"), "{told}");
}

#[test]
fn without_the_library_power_and_utilisation_are_absent() {
    let mut host = Host::with(false, "", |options| options.nvml_library = Some("libnvidia-ml-of-nowhere.so.1".into()));
    for quantity in [Quantity::PowerInstant, Quantity::Utilisation] {
        assert_eq!(host.absent("cuda:0", quantity), "libnvidia-ml-of-nowhere.so.1 not found");
    }
    let mut host = Host::with(false, "", |options| {
        options.nvml_library = Some("libnvidia-ml-of-nowhere.so.1".into());
        options.cuda.clear();
    });
    assert_eq!(host.absent("cuda", Quantity::PowerInstant), "libnvidia-ml-of-nowhere.so.1 not found");
}

#[test]
fn a_file_that_is_no_library_says_so() {
    let mut host = Host::with(false, "", |options| {
        let path = options.nvml_library.as_ref().unwrap();
        fs::write(path, "not a library").unwrap();
    });
    let reason = host.absent("cuda:0", Quantity::PowerInstant);
    assert!(reason.contains("can't be loaded: "), "{reason}");
}

#[test]
fn a_driver_that_does_not_start_says_why() {
    let mut host = Host::start("fail.nvmlInit_v2 9");
    assert_eq!(host.absent("cuda:0", Quantity::PowerInstant), "NVML: NVIDIA driver is not loaded");
    let mut host = Host::start("cards 0");
    assert_eq!(host.absent("cuda:0", Quantity::PowerInstant), "NVML lists no card");
}

#[test]
fn cuda_names_follow_the_uuid() {
    let control = "cards 3, instant.0 10000, instant.1 11000, instant.2 12000";
    let mut host = Host::with(false, control, |options| {
        let device = |name: &str, uuid: &str| CudaDevice { name: name.into(), uuid: Some(uuid.into()) };
        options.cuda = vec![device("cuda:0", "gpu-2"), device("cuda:1", "GPU-0"), device("cuda:2", "GPU-9")];
    });
    let first = host.sensor("cuda:0", Quantity::PowerInstant);
    let second = host.sensor("cuda:1", Quantity::PowerInstant);
    assert_eq!((host.value(&first), host.value(&second)), (12.0, 10.0));
    assert_eq!(host.absent("cuda:2", Quantity::PowerInstant), "NVML lists 3 card(s), none with the UUID GPU-9");

    let mut host = Host::with(false, "cards 2", |options| options.cuda[0].uuid = None);
    let reason = host.absent("cuda:0", Quantity::PowerInstant);
    assert_eq!(reason, "the driver gave no UUID to find it by among the 2 cards that NVML lists");

    let mut host = Host::with(false, "cards 2, instant.1 11000", |options| options.cuda.clear());
    let second = host.sensor("gpu:1", Quantity::PowerInstant);
    assert_eq!(host.value(&second), 11.0);
}

#[test]
fn information_about_a_card_is_sent() {
    let card = |control| {
        Host::start(control).wait("card", |host| {
            host.seen.iter().find_map(|event| match &event.body {
                Body::Card(card) => Some(card.clone()),
                _ => None,
            })
        })
    };
    let floating = card("");
    let policy = "floating up to 1980 MHz: application clocks at their default; NVML tells no locked clocks";
    let expected = Card {
        device: "cuda:0".into(),
        title: "NVIDIA Fake 100".into(),
        uuid: Some("GPU-0".into()),
        driver: Some("580.95.05".into()),
        cuda: Some("13.0".into()),
        pci: Some("00000000:4E:00.0".into()),
        power_cap_w: Some(700.0),
        max_compute_clock_mhz: Some(1980),
        clock_policy: Some(policy.into()),
    };
    assert_eq!(floating, expected);
    let set = card("application_clock 1410").clock_policy.unwrap();
    assert_eq!(set, "application clocks set to 1410 MHz, 1980 MHz by default");
    let unknown = card("fail.nvmlDeviceGetApplicationsClock 3, fail.nvmlDeviceGetEnforcedPowerLimit 3");
    assert!(unknown.clock_policy.unwrap().starts_with("unknown: "));
    assert_eq!(unknown.power_cap_w, None, "a cap is never made up");
}

#[test]
fn an_unknown_cap_is_absent() {
    let mut host = Host::start("fail.nvmlDeviceGetEnforcedPowerLimit 3");
    assert_eq!(host.absent("cuda:0", Quantity::PowerCap), "not supported by this card or its driver");
}

#[test]
fn a_lost_card_is_lost_and_comes_back() {
    for code in ["15", "999"] {
        let mut host = Host::start("");
        let power = host.sensor("cuda:0", Quantity::PowerInstant);
        host.value(&power);
        host.forget();
        host.control(&format!("fail.all {code}"));
        let (sensors, reason) = host.lost();
        assert!(sensors.contains(&power.id));
        assert!(sensors.len() > 8, "all of the card's sensors are lost: {sensors:?}");
        let expected = if code == "15" {
            "the card is lost: it fell off the bus or can't be reached"
        } else {
            "NVML: an internal driver error occurred"
        };
        assert_eq!(reason, expected);

        host.seen.clear();
        host.control("instant 71000");
        let back = host.sensor("cuda:0", Quantity::PowerInstant);
        assert_eq!(back, power, "the same sensor under the same number");
        assert_eq!(host.value(&back), 71.0);
    }
}

#[test]
fn other_cards_survive_the_loss_of_one() {
    let both = |options: &mut Options| {
        options.cuda.push(CudaDevice { name: "cuda:1".into(), uuid: Some("GPU-1".into()) });
    };
    let mut host = Host::with(false, "cards 2", both);
    let (first, second) =
        (host.sensor("cuda:0", Quantity::PowerInstant), host.sensor("cuda:1", Quantity::PowerInstant));
    host.value(&first);
    host.value(&second);
    host.forget();
    host.control("cards 2, fail.all.0 15, instant.1 99000");
    let (sensors, _) = host.lost();
    assert!(sensors.contains(&first.id) && !sensors.contains(&second.id));
    host.wait("the other card", |host| newest(&host.seen, second.id).filter(|watts| *watts == 99.0));
    host.control("cards 2, instant.0 42000");
    host.wait("the lost card", |host| newest(&host.seen, first.id).filter(|watts| *watts == 42.0));
}

#[test]
fn a_card_survives_the_failure_of_one_function() {
    let mut host = Host::start("");
    let warm = host.sensor("cuda:0", Quantity::Temperature);
    let power = host.sensor("cuda:0", Quantity::PowerInstant);
    host.value(&warm);
    host.control("fail.nvmlDeviceGetTemperature 999");
    assert_eq!(host.lost(), (vec![warm.id], "NVML: an internal driver error occurred".into()));
    host.forget();
    host.value(&power);
}

#[test]
fn implausible_values_are_dropped_and_their_sensor_is_lost() {
    let mut host = Host::start("instant 4294967295, busy 65535, temperature 255");
    let power = host.sensor("cuda:0", Quantity::PowerInstant);
    let busy = host.sensor("cuda:0", Quantity::Utilisation);
    host.read(Quantity::PowerAverage);
    let gone = host.wait("two losses", |host| {
        let lost = host.seen.iter().filter_map(|event| match &event.body {
            Body::SensorsLost { sensors, reason } => Some((sensors.clone(), reason.clone())),
            _ => None,
        });
        let lost: Vec<_> = lost.collect();
        [power.id, busy.id].iter().all(|id| lost.iter().any(|(ids, _)| ids.contains(id))).then_some(lost)
    });
    assert!(gone.iter().all(|(_, reason)| reason.starts_with("only implausible readings")), "{gone:?}");
    assert_eq!(newest(&host.seen, power.id), None);
    assert_eq!(newest(&host.seen, busy.id), None);
    // One good reading, and the sensor is there again.
    host.seen.clear();
    host.control("");
    assert_eq!(host.read(Quantity::PowerInstant), 612.0);
}

#[test]
fn without_a_counter_energy_is_the_integral_and_says_so() {
    let mut host = Host::start("fail.nvmlDeviceGetTotalEnergyConsumption 3, instant 100000");
    let energy = host.sensor("cuda:0", Quantity::Energy);
    assert_eq!(energy.label, "NVML power, integrated");
    let method = energy.method.clone().unwrap();
    assert_eq!(method, "integral of the sampled instant power; no counter: not supported by this card or its driver");
    let (from, to) = host.wait("a joule", |host| {
        let of = |event: &Event| match &event.body {
            Body::Samples { values } => {
                values.iter().find(|(id, _)| *id == energy.id).map(|(_, joules)| (event.t, *joules))
            }
            _ => None,
        };
        let first = host.seen.iter().find_map(of)?;
        let last = host.seen.iter().rev().find_map(of)?;
        (last.1 > 1.0).then_some((first, last))
    });
    let watts = (to.1 - from.1) / ((to.0 - from.0) as f64 * 1e-9);
    assert!((50.0..=101.0).contains(&watts), "{watts} W; gaps over a second may be missing, but nothing is added");
}

#[test]
fn a_counter_that_goes_back_is_replaced() {
    let mut host = Host::start("energy 9000000");
    let counter = host.sensor("cuda:0", Quantity::Energy);
    assert_eq!(host.value(&counter), 9000.0);
    host.control("energy 1000");
    let (sensors, reason) = host.lost();
    assert_eq!((sensors, reason.as_str()), (vec![counter.id], "the energy counter went back"));
    let integral = host.wait("integral", |host| {
        let sensors = host.sensors();
        sensors.values().find(|s| s.label == "NVML power, integrated").map(|s| (*s).clone())
    });
    assert!(integral.method.as_deref().unwrap().ends_with("no counter: the energy counter went back"));
    host.value(&integral);
}

#[test]
fn throttle_reasons_are_sent_on_change() {
    let mut host = Host::start("throttle 1");
    let said = |host: &mut Host, count: usize| {
        host.wait("throttling", |host| {
            let said = host.seen.iter().filter_map(|event| match &event.body {
                Body::Throttle { device, reasons } => Some((device.clone(), reasons.clone())),
                _ => None,
            });
            let said: Vec<_> = said.collect();
            (said.len() >= count).then_some(said)
        })
    };
    assert_eq!(said(&mut host, 1), [("cuda:0".to_string(), vec![])], "an idle card does not throttle");
    host.control("throttle 68");
    let words = ["software power cap", "hardware thermal slowdown"].map(String::from).to_vec();
    assert_eq!(said(&mut host, 2)[1], ("cuda:0".into(), words));
    host.control("throttle 0");
    assert_eq!(said(&mut host, 3)[2], ("cuda:0".into(), vec![]));
}

#[cfg(target_os = "linux")]
#[test]
fn own_processes_are_no_neighbours() {
    let mut stranger = Command::new("sleep").arg("60").spawn().unwrap();
    let mut engine = Command::new("sleep").arg("60").spawn().unwrap();
    let (own, other, ours) = (std::process::id(), stranger.id(), engine.id());
    let processes = format!("compute {own} {other} {ours}, graphics {other}");
    let pid = EnginePid::default();
    pid.set(Some(ours));
    let mut host = Host::with(false, &processes, |options| options.engine = pid.clone());
    let said = |host: &mut Host, found: fn(&[Neighbour]) -> bool| {
        host.wait("neighbours", |host| {
            host.seen.iter().rev().find_map(|event| match &event.body {
                Body::Neighbours { processes, .. } if found(processes) => Some(processes.clone()),
                _ => None,
            })
        })
    };
    let neighbours = said(&mut host, |processes| !processes.is_empty());
    assert_eq!(neighbours, [Neighbour { pid: other, name: "sleep".into(), memory_bytes: Some(512 << 20) }]);
    host.seen.clear();
    host.control("");
    said(&mut host, <[Neighbour]>::is_empty);
    for child in [&mut stranger, &mut engine] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn timestamps_of_a_source_never_fall_and_dropping_ends_the_stream() {
    let mut host = Host::start("");
    let power = host.sensor("cuda:0", Quantity::PowerInstant);
    let of = move |host: &Host| -> Vec<u64> {
        let has =
            |event: &&Event| matches!(&event.body, Body::Samples { values } if values.iter().any(|v| v.0 == power.id));
        host.seen.iter().filter(has).map(|event| event.t).collect()
    };
    let times = host.wait("ticks", |host| Some(of(host)).filter(|times| times.len() > 50));
    assert!(times.is_sorted_by(|one, next| one < next));
    let before = Instant::now();
    drop(host.telemetry.take());
    assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
    while host.events.try_recv().is_ok() {}
    assert!(host.events.is_closed(), "a thread still holds its sink");
}

/// A measurement: `cargo test --release --test telemetry_nvml what_this_host -- --ignored --nocapture` prints
/// the values of this host's sensors over two seconds.
#[test]
#[ignore = "a look at this host"]
fn what_this_host_says() {
    let (sink, mut events) = unbounded_channel();
    let telemetry = telemetry::start(Options::default(), Clock::start(), sink);
    thread::sleep(Duration::from_secs(2));
    drop(telemetry);
    let mut last = BTreeMap::new();
    let mut ticks = 0;
    while let Ok(event) = events.try_recv() {
        match event.body {
            Body::Samples { values } => {
                ticks += 1;
                last.extend(values);
            }
            other => println!("{:>12} ns {other:?}", event.t),
        }
    }
    println!("{ticks} readings; last values {last:?}");
}

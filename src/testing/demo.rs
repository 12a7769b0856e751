//! Made-up streams: what an agent might send, the same every time.

use crate::event::*;

const SECOND: f64 = 1e9;

/// Time between two ticks of the sensors.
const TICK: Nanos = 50_000_000;

/// The measurements of a configuration.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// Latency of a batch, ms.
    pub ms: f64,
    /// Power once it has risen, W.
    pub watts: f64,
    /// Utilisation, %.
    pub percent: f64,
}

/// A stream under construction.
pub struct Script {
    /// Its events so far.
    pub events: Vec<Event>,
    t: Nanos,
    run: RunId,
    noise: u64,
    watts: f64,
    joules: f64,
    gpu: bool,
    /// Largest deviation of a batch's latency, as a share of it.
    pub jitter: f64,
}

pub const GPU: &str = "cuda:0";

impl Script {
    fn empty(gpu: bool) -> Self {
        Self { events: vec![], t: 0, run: 0, noise: 7, watts: 71.0, joules: 0.0, gpu, jitter: 0.01 }
    }

    /// A host with an H100 whose sensors all work, idle for `idle` seconds.
    pub fn gpu(idle: f64) -> Self {
        let mut script = Self::empty(true);
        script.header();
        script.say(Body::Devices { devices: vec![gpu_device(), cpu_device()] });
        script.say(Body::Sensors { sensors: gpu_sensors() });
        script.say(Body::Card(Card {
            device: GPU.into(),
            title: "NVIDIA H100 80GB HBM3".into(),
            power_cap_w: Some(700.0),
            ..Card::default()
        }));
        script.say(Body::Throttle { device: GPU.into(), reasons: vec![] });
        script.pass(idle, None);
        script.say(Body::EngineStarted { pid: 4242, device: GPU.into() });
        for precision in [Precision::F32, Precision::Tf32, Precision::F16] {
            let flops = if precision == Precision::F16 { 780e12 } else { 410e12 };
            script.say(Body::Peak { device: GPU.into(), precision, flops, how: "8192³ matrix product".into() });
        }
        script
    }

    /// A host with a CPU, no power sensor and no GPU.
    pub fn cpu() -> Self {
        let mut script = Self::empty(false);
        script.header();
        let absent = DeviceInfo {
            name: "cuda".into(),
            title: "CUDA".into(),
            absent: Some("libcuda.so.1 not found: install the NVIDIA driver".into()),
            precisions: vec![],
            ..cpu_device()
        };
        script.say(Body::Devices { devices: vec![absent, cpu_device()] });
        script.say(Body::Sensors { sensors: cpu_sensors() });
        script.pass(0.2, None);
        script.say(Body::EngineStarted { pid: 4242, device: "cpu".into() });
        script
    }

    fn header(&mut self) {
        self.say(Body::Header(Header { schema: SCHEMA, host: "bench".into(), cpus: 16, ..Header::default() }));
    }

    /// Appends an event.
    pub fn say(&mut self, body: Body) {
        self.events.push(Event { t: self.t, body });
    }

    /// The next pseudo-random number between -1 and 1.
    fn noise(&mut self) -> f64 {
        self.noise = self.noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.noise >> 33) as f64 / f64::from(1u32 << 30) - 1.0
    }

    /// Lets time pass: sensors are read, and batches complete where a profile is given.
    pub fn pass(&mut self, seconds: f64, load: Option<(&Profile, u32, bool)>) {
        let end = self.t + (seconds * SECOND) as Nanos;
        let mut reported = self.t;
        while self.t + TICK <= end {
            self.t += TICK;
            let target = load.map_or((71.0, 0.0), |(p, ..)| (p.watts, p.percent));
            self.watts += (target.0 - self.watts) * 0.25;
            self.tick(target.1);
            let period = load.map_or(f64::MAX, |(p, ..)| (p.ms * 1e6).max(200e6));
            if let Some((profile, _, steady)) = load
                && (self.t - reported) as f64 >= period
            {
                self.batches(profile, self.t - reported, steady);
                reported = self.t;
            }
        }
    }

    fn tick(&mut self, percent: f64) {
        let watts = self.watts + 4.0 * self.noise();
        self.joules += watts * TICK as f64 / SECOND;
        let jitter = self.noise();
        let values = if self.gpu {
            let rest = [(3, (percent + jitter).clamp(0.0, 100.0)), (4, 1980.0), (5, 61.0), (6, 12e9)];
            [(0, watts), (1, self.joules), (2, 700.0)].into_iter().chain(rest).collect()
        } else {
            vec![(1, (percent + jitter).clamp(0.0, 100.0)), (2, (percent - 3.0).max(0.0))]
        };
        self.say(Body::Samples { values });
    }

    fn batches(&mut self, profile: &Profile, span_ns: Nanos, steady: bool) {
        let n = ((span_ns as f64 / 1e6 / profile.ms) as usize).max(1);
        let wall_ns: Vec<u64> =
            (0..n).map(|_| (profile.ms * 1e6 * (1.0 + self.jitter * self.noise())) as u64).collect();
        let device_ns = if self.gpu { wall_ns.iter().map(|ns| ns - 40_000).collect() } else { vec![] };
        let span_ns = wall_ns.iter().sum::<u64>().min(span_ns);
        self.say(Body::Batches(Batches { run: self.run, steady, span_ns, wall_ns, device_ns }));
    }

    /// Enters a phase.
    pub fn phase(&mut self, config: &Config, phase: Phase) {
        let warm_up = WarmUp { seconds: 1.8, batches: 420, error_percent: 0.4, converged: true };
        let warm_up = (phase == Phase::Steady).then_some(warm_up);
        self.say(Body::Phase(PhaseChange { run: self.run, config: config.clone(), phase, warm_up }));
    }

    /// Runs a configuration from building to `steady` seconds of steady state.
    pub fn measure(&mut self, config: &Config, profile: Profile, steady: f64) {
        self.begin(config);
        self.pass(0.4, None);
        self.phase(config, Phase::Tuning);
        self.pass(0.6, None);
        self.phase(config, Phase::WarmingUp);
        self.pass(1.8, Some((&profile, config.batch, false)));
        self.phase(config, Phase::Steady);
        let bytes = 1_600_000_000 + 90_000_000 * u64::from(config.batch);
        let memory = if self.gpu {
            Memory { run: self.run, in_use: Some(bytes * 3 / 4), reserved: Some(bytes), resident: None }
        } else {
            Memory { run: self.run, resident: Some(bytes), ..Memory::default() }
        };
        self.say(Body::Memory(memory));
        self.pass(steady, Some((&profile, config.batch, true)));
    }

    /// Starts a run; its first phase is building.
    pub fn begin(&mut self, config: &Config) {
        self.run += 1;
        self.phase(config, Phase::Building);
    }

    /// A configuration runs out of memory.
    pub fn out_of_memory(&mut self, config: &Config) {
        self.begin(config);
        self.pass(0.5, None);
        let message = "CUDA_ERROR_OUT_OF_MEMORY".to_owned();
        let config = config.clone();
        self.say(Body::OutOfMemory { run: self.run, config, requested_bytes: Some(98 << 30), message });
    }

    /// The layers of a configuration are measured: its convolutions at half of what their roof allows, the batch norm and the
    /// activation computed with the first of them.
    pub fn layers(&mut self, config: &Config) {
        let (flops, bytes_per_s) = if self.gpu { (780e12, 2.4e12) } else { (1.2e12, 180e9) };
        self.say(Body::LayersBegun { run: self.run });
        self.pass(0.3, None);
        let how = "probe of a memory copy".to_owned();
        self.say(Body::Bandwidth { device: config.device.clone(), bytes_per_s, how });
        self.pass(0.9, None);
        let (images, width) = (u64::from(config.batch), config.precision.bytes());
        let facts = NETWORKS.iter().find(|n| n.id == config.network).map(Known::facts).unwrap_or_default();
        let layer = |(i, l): (usize, LayerFacts)| {
            let within = [1, 2].contains(&i).then_some(0);
            let macs = l.macs * images;
            let output: Vec<u64> = [images].into_iter().chain(l.output.into_iter().skip(1)).collect();
            let bytes = if within.is_some() { 0 } else { width * (l.params + 3 * output.iter().product::<u64>()) };
            let least = (2.0 * macs as f64 / flops).max(bytes as f64 / bytes_per_s);
            // The pool finds its input in the cache.
            let time_ns = if i == 3 { 0.6e9 * least } else { 2e9 * least } as u64;
            LayerTime { kind: l.kind, detail: l.detail, output, params: l.params, macs, bytes, time_ns, within }
        };
        let layers: Vec<LayerTime> = facts.layers.into_iter().enumerate().map(layer).collect();
        let sum_ns = layers.iter().map(|l| l.time_ns).sum();
        let (clock, config) = (if self.gpu { LayerClock::Device } else { LayerClock::Wall }, config.clone());
        let (whole_ns, whole_wall_ns) = (sum_ns * 100 / 103, sum_ns + 40_000);
        let instrumented_wall_ns = whole_wall_ns + 20_000 * layers.len() as u64;
        self.say(Body::Layers(Layers {
            run: self.run,
            config,
            passes: 30,
            clock,
            whole_ns,
            sum_ns,
            whole_wall_ns,
            instrumented_wall_ns,
            layers,
        }));
    }

    /// The engine dies.
    pub fn die(&mut self, config: &Config, reason: &str) {
        let (run, config) = (self.run, config.clone());
        self.say(Body::EngineDied { reason: reason.to_owned(), in_a_row: 1, run, config });
    }

    /// Appends the facts of every network of [`NETWORKS`].
    pub fn facts(&mut self) {
        NETWORKS.iter().for_each(|n| self.say(Body::Network(n.facts())));
    }
}

pub fn config(network: &str, batch: u32, precision: Precision, device: &str) -> Config {
    Config { network: network.into(), batch, precision, device: device.into() }
}

/// Half precision on the GPU.
pub fn f16(network: &str, batch: u32) -> Config {
    config(network, batch, Precision::F16, GPU)
}

fn gpu_device() -> DeviceInfo {
    DeviceInfo {
        name: GPU.into(),
        title: "NVIDIA H100 80GB HBM3".into(),
        precisions: vec![Precision::F16, Precision::Tf32, Precision::F32],
        memory_bytes: Some(80 << 30),
        uuid: Some("GPU-0".into()),
        ..DeviceInfo::default()
    }
}

fn cpu_device() -> DeviceInfo {
    DeviceInfo {
        name: "cpu".into(),
        title: "AMD EPYC 9354".into(),
        precisions: vec![Precision::F32],
        ..DeviceInfo::default()
    }
}

fn sensor(id: SensorId, device: &str, quantity: Quantity, label: &str) -> Sensor {
    let source = if device == GPU { "nvml" } else { "host" };
    let (device, label) = (device.to_owned(), label.to_owned());
    Sensor { id, source: source.into(), device, quantity, label, method: None, period_ms: 50, absent: None }
}

fn gpu_sensors() -> Vec<Sensor> {
    let of = |id, quantity, label: &str| sensor(id, GPU, quantity, label);
    vec![
        Sensor { period_ms: 100, ..of(0, Quantity::PowerInstant, "NVML instant") },
        of(1, Quantity::Energy, "NVML energy"),
        of(2, Quantity::PowerCap, "NVML limit"),
        of(3, Quantity::Utilisation, "NVML"),
        of(4, Quantity::ComputeClock, "NVML"),
        of(5, Quantity::Temperature, "NVML"),
        of(6, Quantity::MemoryUsed, "NVML"),
    ]
}

fn cpu_sensors() -> Vec<Sensor> {
    let power = sensor(0, "cpu", Quantity::PowerInstant, "RAPL package-0");
    let why = "/sys/class/powercap/intel-rapl:0/energy_uj: permission denied (root only since CVE-2020-8694)";
    vec![
        Sensor { absent: Some(why.into()), ..power },
        sensor(1, "cpu", Quantity::Utilisation, "/proc/stat"),
        sensor(2, "cpu", Quantity::EngineUtilisation, "/proc/PID/stat"),
    ]
}

/// Facts about a network.
pub struct Known {
    pub id: &'static str,
    pub title: &'static str,
    pub year: u16,
    pub params: u64,
    pub macs: u64,
    pub top1: f64,
}

impl Known {
    fn facts(&self) -> NetworkFacts {
        let conv = |detail: &str, side: u64, channels: u64, macs: u64| LayerFacts {
            kind: "conv".into(),
            detail: detail.into(),
            output: vec![1, channels, side, side],
            params: macs / side / side,
            macs,
            ops: 2 * macs,
        };
        let part = self.macs / 10;
        let mut layers = vec![
            conv("64 × 7×7 /2", 112, 64, part),
            LayerFacts {
                kind: "batch norm".into(),
                output: vec![1, 64, 112, 112],
                params: 128,
                ..LayerFacts::default()
            },
            LayerFacts { kind: "relu".into(), output: vec![1, 64, 112, 112], ops: 802_816, ..LayerFacts::default() },
            LayerFacts {
                kind: "max pool".into(),
                detail: "3×3 /2".into(),
                output: vec![1, 64, 56, 56],
                ..LayerFacts::default()
            },
        ];
        layers.extend((1..=4).map(|i| conv("128 × 3×3", 112 >> i, 64 << i, part * 2)));
        layers.push(LayerFacts {
            kind: "linear".into(),
            detail: "2048 → 1000".into(),
            output: vec![1, 1000],
            params: 2_049_000,
            macs: 2_048_000,
            ops: 4_097_000,
        });
        NetworkFacts {
            id: self.id.into(),
            title: self.title.into(),
            year: self.year,
            input_px: 224,
            params: self.params,
            macs: self.macs,
            ops: 2 * self.macs + 20_000_000,
            top1: Some(self.top1),
            layers,
            ..NetworkFacts::default()
        }
    }
}

const fn known(id: &'static str, title: &'static str, year: u16, params: u64, macs: u64, top1: f64) -> Known {
    Known { id, title, year, params, macs, top1 }
}

pub const NETWORKS: [Known; 6] = [
    known("alexnet", "AlexNet", 2012, 60_965_224, 724_406_816, 57.1),
    known("googlenet", "GoogLeNet", 2014, 6_998_552, 1_582_671_872, 68.7),
    known("resnet18", "ResNet-18", 2015, 11_689_512, 1_814_073_344, 69.76),
    known("resnet50", "ResNet-50", 2015, 25_557_032, 4_089_184_256, 76.13),
    known("vgg16", "VGG-16", 2014, 138_357_544, 15_470_264_320, 71.59),
    known("inception_v3", "Inception-v3", 2015, 23_834_568, 5_713_216_096, 77.29),
];

pub fn networks() -> Vec<String> {
    NETWORKS.iter().map(|n| n.id.to_owned()).collect()
}

/// ResNet-50 at batch size 8 and then 32 on a GPU with a power sensor.
pub fn live() -> Script {
    let mut script = Script::gpu(8.0);
    script.facts();
    script.measure(&f16("resnet50", 8), Profile { ms: 1.62, watts: 410.0, percent: 82.0 }, 14.0);
    script.measure(&f16("resnet50", 32), Profile { ms: 4.21, watts: 612.0, percent: 96.0 }, 24.0);
    script
}

/// Stations of these hosts and devices. All change from batch size 8 to 32 at the same time; each is a little slower than the
/// one before.
pub fn fleet(stations: &[(&str, &str)]) -> Vec<Tagged> {
    let mut all = Vec::new();
    for (on, (host, device)) in (0..).zip(stations) {
        let slower = 1.0 + 0.15 * f64::from(on);
        let profile = |ms, watts| Profile { ms: ms * slower, watts: watts / slower, percent: 96.0 / slower };
        let mut script = Script::gpu(3.0);
        script.facts();
        script.measure(&f16("resnet50", 8), profile(1.62, 410.0), 14.0);
        script.measure(&f16("resnet50", 32), profile(4.21, 612.0), 24.0);
        let header = Header {
            schema: FLEET_SCHEMA,
            host: (*host).into(),
            device: Some((*device).into()),
            stations: Some(stations.len() as StationId),
            ..Header::default()
        };
        script.events[0].body = Body::Header(header);
        all.extend(script.events.iter().map(|event| Tagged { station: on, event: on_device(event, device) }));
    }
    all.sort_by_key(|tagged| tagged.event.t);
    all
}

/// The same event of another card.
fn on_device(event: &Event, device: &str) -> Event {
    let line = serde_json::to_string(event).unwrap().replace(GPU, device);
    Event::parse(line.as_bytes()).unwrap()
}

/// Every network at several batch sizes, one that does not fit among them.
pub fn zoo() -> Script {
    let mut script = Script::gpu(3.0);
    script.facts();
    for (i, network) in NETWORKS.iter().enumerate() {
        for batch in [1u32, 8, 32, 128] {
            let busy = f64::from(batch) / (f64::from(batch) + 6.0);
            let ms = 0.4 + network.macs as f64 * f64::from(batch) / (60e9 * (0.7 + 0.12 * i as f64));
            let watts = 150.0 + 480.0 * busy + 8.0 * i as f64;
            script.measure(&f16(network.id, batch), Profile { ms, watts, percent: 40.0 + 58.0 * busy }, 2.5);
        }
    }
    script.measure(&f16("resnet50", 64), Profile { ms: 7.9, watts: 640.0, percent: 98.0 }, 3.0);
    script.out_of_memory(&f16("resnet50", 1024));
    script.measure(&f16("resnet50", 128), Profile { ms: 15.4, watts: 655.0, percent: 99.0 }, 5.0);
    script
}

/// Every network at every power of two up to 128, as in a sweep: latency is a cost per batch and a cost per image, and power
/// saturates.
pub fn sweep() -> Script {
    let mut script = Script::gpu(3.0);
    script.facts();
    for (i, network) in NETWORKS.iter().enumerate() {
        for batch in [1u32, 2, 4, 8, 16, 32, 64, 128] {
            let size = f64::from(batch);
            let busy = size / (size + 5.0);
            let ms = 0.7 + size * network.macs as f64 / (50e9 * (0.7 + 0.12 * i as f64));
            let watts = (150.0 + 10.0 * i as f64 + 540.0 * busy).min(689.0);
            script.measure(&f16(network.id, batch), Profile { ms, watts, percent: 30.0 + 69.0 * busy }, 2.0);
        }
    }
    script
}

/// AlexNet on a CPU without a readable power sensor.
pub fn no_power() -> Script {
    let mut script = Script::cpu();
    script.facts();
    let alexnet = config("alexnet", 1, Precision::F32, "cpu");
    script.measure(&alexnet, Profile { ms: 31.0, watts: 0.0, percent: 88.0 }, 12.0);
    script.measure(&Config { batch: 4, ..alexnet }, Profile { ms: 97.0, watts: 0.0, percent: 97.0 }, 20.0);
    script
}

/// ResNet-50 at 32, its layers measured.
pub fn layered() -> Script {
    let mut script = live();
    let config = f16("resnet50", 32);
    script.layers(&config);
    script.pass(1.0, Some((&Profile { ms: 4.21, watts: 612.0, percent: 96.0 }, 32, true)));
    script
}

/// A batch size that does not fit; the agent has not gone back yet.
pub fn out_of_memory() -> Script {
    let mut script = live();
    script.out_of_memory(&f16("resnet50", 512));
    script.pass(0.5, None);
    script
}

/// The engine has just died.
pub fn died() -> Script {
    let mut script = live();
    script.die(&f16("resnet50", 32), "signal 9 (SIGKILL): the kernel was out of memory");
    script.pass(0.3, None);
    script
}

/// Warming up, throttled, with a neighbour on the card, and nothing known about the network.
pub fn troubled() -> Script {
    let mut script = Script::gpu(2.0);
    script.say(Body::Throttle { device: GPU.into(), reasons: vec!["SW power cap".into()] });
    let processes = vec![Neighbour { pid: 999, name: "python3".into(), memory_bytes: Some(4 << 30) }];
    script.say(Body::Neighbours { device: GPU.into(), processes });
    let config = f16("resnet50", 24);
    script.begin(&config);
    script.phase(&config, Phase::Tuning);
    script.say(Body::Compiling(Compiling { run: script.run, kernels: 87, newest: "MatmulEntry".into() }));
    script.pass(0.5, None);
    script.phase(&config, Phase::WarmingUp);
    script.pass(1.2, Some((&Profile { ms: 3.3, watts: 560.0, percent: 91.0 }, 24, false)));
    script
}

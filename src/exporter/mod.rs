//! What the stream says, for a metrics collector: OpenMetrics over HTTP, with the unit in every name.
//!
//! The exporter folds the same events as the screen and answers a scrape from what they add up to, so a dashboard shows
//! what the screen shows. Sensors are gauges of their newest reading; what is counted (batches, images) is a counter of
//! everything since the program began, by configuration, so that a collector's own windows are right whatever its period.
//! Of several stations each has its own, told apart by host and device.

use crate::{
    agent::fleet::FleetHandle,
    event::{Batches, Body, Config, Event, Link, LinkState, Phase, Quantity, StationId, Tagged},
    session::{Fleet, RunResult, State, state::SensorState},
};
use axum::{Router, extract, http::header, response::IntoResponse, routing::get};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, text},
    metrics::{
        counter::ConstCounter,
        gauge::ConstGauge,
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
    registry::{Registry, Unit},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};
use thiserror::Error;
use tokio::sync::oneshot;

/// What a scrape is answered in.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of the latency buckets: 0.1 ms, doubling, to 1.6 s and then some.
const BUCKETS: (f64, f64, u16) = (1e-4, 2.0, 18);

/// Configurations counted at the most; a day of turning knobs has fewer, and a collector pays for every one.
const CONFIGS: usize = 1_000;

/// Why there is no endpoint.
#[derive(Debug, Error)]
pub enum ExporterError {
    /// The address can't be listened on.
    #[error("metrics can't be served on {address}: {source}; another address: --metrics 127.0.0.1:PORT")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The thread that answers could not be started.
    #[error("the thread that serves metrics could not be started: {0}")]
    Thread(io::Error),
}

/// An endpoint that answers `GET /metrics` until it is dropped.
#[derive(Debug)]
pub struct Exporter {
    metrics: Arc<Metrics>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Exporter {
    /// Listens on `address` (port 0 takes a free one) and answers from a thread of its own.
    ///
    /// # Errors
    /// If the address is taken, or not this host's.
    pub fn start(address: SocketAddr) -> Result<Self, ExporterError> {
        let bind = |source| ExporterError::Bind { address, source };
        let listener = TcpListener::bind(address).map_err(bind)?;
        listener.set_nonblocking(true).map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(ExporterError::Thread)?;
        let metrics = Arc::new(Metrics::default());
        let (stop, stopped) = oneshot::channel();
        let app = Router::new()
            .route("/", get(|| async { "wattscope: see /metrics\n" }))
            .route("/metrics", get(scrape))
            .with_state(metrics.clone());
        let answer = move || runtime.block_on(serve(listener, app, stopped));
        let thread = thread::Builder::new().name("metrics".to_owned()).spawn(answer).map_err(ExporterError::Thread)?;
        Ok(Self { metrics, address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes note of an event.
    pub fn observe(&self, tagged: &Tagged) {
        self.metrics.lock().apply(tagged);
    }

    /// The same agents, with everything that they say taken note of on its way; the endpoint closes when their stream ends.
    /// Needs a tokio runtime.
    pub fn tap(self, agents: FleetHandle) -> FleetHandle {
        agents.tap(move |tagged| self.observe(tagged))
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        // A thread that is gone needs no word.
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Answers until told to stop. A connection that is open then is not waited for: a collector comes again.
async fn serve(listener: TcpListener, app: Router, stopped: oneshot::Receiver<()>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "metrics are not served"),
    };
    tokio::select! {
        _ = stopped => {}
        served = axum::serve(listener, app) => tracing::error!(?served, "metrics are not served any more"),
    }
}

async fn scrape(extract::State(metrics): extract::State<Arc<Metrics>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], metrics.text())
}

/// What a scrape is answered from.
#[derive(Debug, Default)]
struct Metrics(Mutex<Totals>);

/// The states that the screen has, and what is counted beside them.
#[derive(Debug, Default)]
struct Totals {
    fleet: Fleet,
    counts: BTreeMap<StationId, Counts>,
}

/// What is counted of one station.
#[derive(Debug, Default)]
struct Counts {
    counted: BTreeMap<Config, Counted>,
    engine_deaths: u64,
    out_of_memory: u64,
}

/// Steady batches of one configuration.
#[derive(Debug)]
struct Counted {
    latency: Histogram,
    images: u64,
}

impl Default for Counted {
    fn default() -> Self {
        let (first, factor, length) = BUCKETS;
        Self { latency: Histogram::new(exponential_buckets(first, factor, length)), images: 0 }
    }
}

impl Metrics {
    /// Nothing in here is left half-written by a panic: a poisoned lock holds good data.
    fn lock(&self) -> MutexGuard<'_, Totals> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn text(self: &Arc<Self>) -> String {
        let mut registry = Registry::with_prefix("wattscope");
        registry.register_collector(Box::new(self.clone()));
        let mut text = String::new();
        if text::encode(&mut text, &registry).is_err() {
            // Cannot happen: writing to a string does not fail, and no encoder of ours does by itself.
            tracing::error!("metrics could not be written");
        }
        text
    }
}

impl Totals {
    fn apply(&mut self, tagged: &Tagged) {
        self.fleet.apply(tagged);
        let Some(state) = self.fleet.get(tagged.station.into()) else { return };
        self.counts.entry(tagged.station).or_default().apply(state, &tagged.event);
    }
}

impl Counts {
    /// Counts an event that was folded into `state`.
    fn apply(&mut self, state: &State, event: &Event) {
        match &event.body {
            Body::Batches(batches) if batches.steady => self.count(state, batches),
            Body::EngineDied { .. } => self.engine_deaths += 1,
            Body::OutOfMemory { .. } => self.out_of_memory += 1,
            _ => {}
        }
    }

    fn count(&mut self, state: &State, batches: &Batches) {
        let Some(run) = state.run.as_ref().filter(|run| run.id == batches.run) else { return };
        if run.phase != Phase::Steady || (self.counted.len() >= CONFIGS && !self.counted.contains_key(&run.config)) {
            return;
        }
        let counted = self.counted.entry(run.config.clone()).or_default();
        counted.images += batches.wall_ns.len() as u64 * u64::from(run.config.batch);
        batches.wall_ns.iter().for_each(|ns| counted.latency.observe(*ns as f64 / 1e9));
    }
}

type Labels = Vec<(&'static str, String)>;

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let totals = self.lock();
        let none = Counts::default();
        let several = totals.fleet.is_several();
        let station = |(on, state)| Station { state, counts: totals.counts.get(&on).unwrap_or(&none), several };
        let stations: Vec<_> = totals.fleet.iter().map(station).collect();
        let mut out = Out { encoder: &mut encoder };
        out.program(&stations)?;
        out.counted(&stations)?;
        out.links(&stations)?;
        out.runs(&stations)?;
        out.throttle(&stations)?;
        out.sensors(&stations)
    }
}

/// What is told of one station.
struct Station<'a> {
    state: &'a State,
    counts: &'a Counts,
    several: bool,
}

impl Station<'_> {
    /// Labels, with the host before them.
    fn labels(&self, labels: Labels) -> Labels {
        let host = self.state.header.as_ref().map(|header| header.host.clone()).unwrap_or_default();
        [vec![("host", host)], labels].concat()
    }

    /// Labels of what belongs to the station as a whole: its device tells it from others of its host.
    fn own(&self, labels: Labels) -> Labels {
        let device = self.several.then(|| ("device", self.device()));
        self.labels(device.into_iter().chain(labels).collect())
    }

    fn device(&self) -> String {
        self.state.device().unwrap_or_default().to_owned()
    }

    fn configured(&self, config: &Config, more: Labels) -> Labels {
        let labels = vec![
            ("device", config.device.clone()),
            ("network", config.network.clone()),
            ("batch", config.batch.to_string()),
            ("precision", config.precision.to_string()),
        ];
        self.labels([labels, more].concat())
    }

    fn sensor(&self, sensor: &SensorState) -> Labels {
        let info = &sensor.info;
        let method = info.method.iter().map(|method| ("method", method.clone()));
        let engine = matches!(info.quantity, Quantity::EngineUtilisation | Quantity::EngineMemory);
        let device = if engine && self.several { self.device() } else { info.device.clone() };
        let labels = [("device", device), ("source", info.source.clone()), ("sensor", info.label.clone())];
        self.labels(labels.into_iter().chain(method).collect())
    }
}

/// Values with their labels.
type Values<M> = Vec<(Labels, M)>;

/// Writes metrics.
struct Out<'a, 'b> {
    encoder: &'a mut DescriptorEncoder<'b>,
}

impl Out<'_, '_> {
    /// One metric of as many label sets as there are values; nothing at all where there are none. What two stations of one
    /// host both say, such as how busy its processors are, is said once.
    fn family<M: EncodeMetric>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        values: impl IntoIterator<Item = (Labels, M)>,
    ) -> fmt::Result {
        let mut said = BTreeSet::new();
        let values: Values<M> = values.into_iter().filter(|(labels, _)| said.insert(labels.clone())).collect();
        let Some((_, first)) = values.first() else { return Ok(()) };
        let mut metric = self.encoder.encode_descriptor(name, help, unit.as_ref(), first.metric_type())?;
        values.iter().try_for_each(|(labels, value)| value.encode(MetricEncoder::encode_family(&mut metric, labels)?))
    }

    fn program(&mut self, stations: &[Station<'_>]) -> fmt::Result {
        let build = |station: &Station<'_>| {
            let header = station.state.header.as_ref()?;
            let build = vec![("version", header.version.clone()), ("burn", header.burn.clone())];
            Some((station.own(vec![]), Info::new(build)))
        };
        let count = |of: fn(&Counts) -> u64| {
            let one = move |station: &Station<'_>| (station.own(vec![]), ConstCounter::new(of(station.counts)));
            stations.iter().map(one)
        };
        let (deaths, memory) = (count(|counts| counts.engine_deaths), count(|counts| counts.out_of_memory));
        self.family("build", "Versions of the program", None, stations.iter().filter_map(build))?;
        self.family("engine_deaths", "Engine processes that died though nobody asked them to", None, deaths)?;
        self.family("out_of_memory", "Batches for which the device had not enough memory", None, memory)
    }

    /// The commands by which far stations are reached.
    fn links(&mut self, stations: &[Station<'_>]) -> fmt::Result {
        let links = || stations.iter().filter_map(|station| Some((station, station.state.link.as_ref()?)));
        let labels = |station: &Station<'_>, link: &Link| station.own(vec![("command", link.command.clone())]);
        let up = links().map(|(station, link)| {
            let up = matches!(link.state, LinkState::Up { .. });
            (labels(station, link), ConstGauge::new(i64::from(up)))
        });
        self.family("link_up", "Whether the far end is reached", None, up)?;
        let of_up = |value: fn(Option<u64>, f64, f64) -> Option<f64>| {
            links().filter_map(move |(station, link)| match link.state {
                LinkState::Up { rtt_ns, down_bytes_per_s, up_bytes_per_s } => {
                    let value = value(rtt_ns, down_bytes_per_s, up_bytes_per_s)?;
                    Some((labels(station, link), ConstGauge::new(value)))
                }
                _ => None,
            })
        };
        let help = "From a ping to its answer, median of the last ones";
        let round_trip = of_up(|rtt, _, _| Some(rtt? as f64 / 1e9));
        self.family("link_round_trip", help, Some(Unit::Seconds), round_trip)?;
        self.family("link_receive", "Received from the far end", Some(rate()), of_up(|_, down, _| Some(down)))?;
        self.family("link_send", "Sent to the far end", Some(rate()), of_up(|_, _, up| Some(up)))
    }

    fn counted(&mut self, stations: &[Station<'_>]) -> fmt::Result {
        let configs = || {
            stations.iter().flat_map(|station| {
                let counted = station.counts.counted.iter();
                counted.map(move |(config, counted)| (station.configured(config, vec![]), counted))
            })
        };
        let images = configs().map(|(labels, counted)| (labels, ConstCounter::new(counted.images)));
        let latency = configs().map(|(labels, counted)| (labels, counted.latency.clone()));
        self.family("images", "Images of steady batches", None, images)?;
        let help = "Device-synchronised wall time of a steady batch";
        self.family("batch_latency", help, Some(Unit::Seconds), latency)
    }

    /// The runs in progress.
    fn runs(&mut self, stations: &[Station<'_>]) -> fmt::Result {
        let steady = stations.iter().filter_map(|station| {
            let run = station.state.run.as_ref()?;
            let steady = ConstGauge::new(i64::from(run.phase == Phase::Steady));
            Some((station.configured(&run.config, vec![]), steady))
        });
        let help = "Whether the run in progress has converged: only then do batches count";
        self.family("run_steady", help, None, steady)?;
        let replayed = stations.iter().filter_map(|station| {
            let run = station.state.run.as_ref()?;
            Some((station.configured(&run.config, vec![]), ConstGauge::new(i64::from(run.graph.as_ref()?.used))))
        });
        let help = "Whether the batches of the run in progress replay a captured graph";
        self.family("run_graph", help, None, replayed)?;
        let running = stations.iter().filter_map(|station| Some((station, station.state.current_result()?)));
        let runs: Vec<_> = running.map(|(station, result)| Running { station, result }).collect();
        let help = "Device-synchronised wall time of a batch of the run in progress";
        self.family("run_batch_latency", help, Some(Unit::Seconds), runs.iter().flat_map(Running::latency))?;
        let per_second = Unit::Other("images_per_second".to_owned());
        let throughput = runs.iter().map(|run| run.gauge(vec![], run.result.images_per_s));
        let help = "Images a second, gaps between batches included";
        self.family("run_throughput", help, Some(per_second), throughput)?;
        let share = |run: &Running<'_>| Some(run.gauge(vec![], run.result.flop_utilisation? / 100.0));
        let help = "Operations a second over the peak measured on the device";
        self.family("run_flop_utilisation", help, Some(ratio()), runs.iter().filter_map(share))?;
        let help = "Mean power of the run in progress; net is gross less idle";
        self.family("run_power", help, Some(watts_unit()), runs.iter().flat_map(Running::power))?;
        let help = "Energy an image of the run in progress, gross";
        self.family("run_image_energy", help, Some(Unit::Joules), runs.iter().filter_map(Running::energy))
    }

    fn throttle(&mut self, stations: &[Station<'_>]) -> fmt::Result {
        let throttled = stations.iter().flat_map(|station| {
            let all = station.state.throttle.iter();
            let all = all.flat_map(|(device, reasons)| reasons.iter().map(move |reason| (device, reason)));
            all.map(move |(device, reason)| {
                let labels = vec![("device", device.clone()), ("reason", reason.clone())];
                (station.labels(labels), ConstGauge::new(1i64))
            })
        });
        self.family("throttled", "1 for each reason why a device lowers its clocks", None, throttled)
    }

    fn sensors(&mut self, stations: &[Station<'_>]) -> fmt::Result {
        let all = || stations.iter().flat_map(|of| of.state.sensors.values().map(move |sensor| (of, sensor)));
        let quantities: BTreeSet<Quantity> = all().map(|(_, sensor)| sensor.info.quantity).collect();
        for quantity in quantities {
            let Metric { name, help, unit, factor } = metric(quantity);
            let here = all().filter(|(_, sensor)| sensor.info.quantity == quantity && sensor.info.absent.is_none());
            let values = here.filter_map(|(of, sensor)| Some((of.sensor(sensor), sensor.series.last()?.1 * factor)));
            if quantity == Quantity::Energy {
                self.family(name, help, Some(unit), values.map(|(labels, value)| (labels, ConstCounter::new(value))))?;
            } else {
                self.family(name, help, Some(unit), values.map(|(labels, value)| (labels, ConstGauge::new(value))))?;
            }
        }
        Ok(())
    }
}

/// A run in progress and what it has come to.
struct Running<'a> {
    station: &'a Station<'a>,
    result: RunResult,
}

impl Running<'_> {
    fn gauge(&self, more: Labels, value: f64) -> (Labels, ConstGauge<f64>) {
        (self.station.configured(&self.result.config, more), ConstGauge::new(value))
    }

    fn latency(&self) -> Values<ConstGauge<f64>> {
        let latency = &self.result.latency_ms;
        let percentiles = [("50", latency.p50), ("90", latency.p90), ("99", latency.p99)];
        percentiles.map(|(p, ms)| self.gauge(vec![("percentile", p.to_owned())], ms / 1e3)).into()
    }

    fn power(&self) -> Values<ConstGauge<f64>> {
        let Ok(power) = &self.result.power else { return Vec::new() };
        let kinds = [("gross", Some(power.gross_w)), ("idle", power.idle_w), ("net", power.net_w)];
        let labels = |kind: &str| vec![("kind", kind.to_owned()), ("sensor", power.sensor.clone())];
        kinds.iter().filter_map(|(kind, watts)| Some(self.gauge(labels(kind), (*watts)?))).collect()
    }

    fn energy(&self) -> Option<(Labels, ConstGauge<f64>)> {
        let power = self.result.power.as_ref().ok()?;
        Some(self.gauge(vec![("source", power.energy_source.clone())], power.joules_per_image))
    }
}

/// How a sensor's quantity is called in metrics, where units are base units and shares go from 0 to 1.
struct Metric {
    name: &'static str,
    help: &'static str,
    unit: Unit,
    factor: f64,
}

/// A share from 0 to 1; Prometheus's guide has it in the singular, the crate's own unit has not.
fn ratio() -> Unit {
    Unit::Other("ratio".to_owned())
}

fn watts_unit() -> Unit {
    Unit::Other("watts".to_owned())
}

fn rate() -> Unit {
    Unit::Other("bytes_per_second".to_owned())
}

fn metric(quantity: Quantity) -> Metric {
    let of = |name, help, unit, factor| Metric { name, help, unit, factor };
    let hertz = || Unit::Other("hertz".to_owned());
    let ratio = ratio();
    match quantity {
        Quantity::PowerInstant => of("power_instant", "Power as near to now as the sensor gets", watts_unit(), 1.0),
        Quantity::PowerAverage => {
            of("power_average", "Power averaged by the sensor itself over about 1 s", watts_unit(), 1.0)
        }
        Quantity::Energy => of("energy", "Energy since some moment in the past", Unit::Joules, 1.0),
        Quantity::PowerCap => of("power_cap", "Power limit in force", watts_unit(), 1.0),
        Quantity::Utilisation => of("utilisation", "Share of time in which the compute units were busy", ratio, 0.01),
        Quantity::MemoryUtilisation => {
            of("memory_utilisation", "Share of time in which the memory was read or written", ratio, 0.01)
        }
        Quantity::ComputeClock => of("compute_clock", "Clock of the compute units", hertz(), 1e6),
        Quantity::MemoryClock => of("memory_clock", "Clock of the memory", hertz(), 1e6),
        Quantity::Temperature => of("temperature", "Temperature", Unit::Celsius, 1.0),
        Quantity::Fan => of("fan", "Fan speed as a share of its maximum", ratio, 0.01),
        Quantity::MemoryUsed => of("memory_used", "Memory in use by everybody", Unit::Bytes, 1.0),
        Quantity::MemoryTotal => of("memory_size", "Memory that there is", Unit::Bytes, 1.0),
        Quantity::PcieReceive => of("pcie_receive", "Received over PCIe", rate(), 1.0),
        Quantity::PcieSend => of("pcie_send", "Sent over PCIe", rate(), 1.0),
        Quantity::EngineUtilisation => {
            of("engine_utilisation", "Processor time of the engine as a share of all processors", ratio, 0.01)
        }
        Quantity::EngineMemory => of("engine_resident_memory", "Resident set of the engine", Unit::Bytes, 1.0),
    }
}

#[cfg(test)]
mod tests;

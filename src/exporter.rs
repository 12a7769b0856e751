//! What the stream says, for a metrics collector: OpenMetrics over HTTP, with the unit in every name.
//!
//! The exporter folds the same events as the screen and answers a scrape from what they add up to, so a dashboard shows
//! what the screen shows. Sensors are gauges of their newest reading; what is counted (batches, images) is a counter of
//! everything since the program began, by configuration, so that a collector's own windows are right whatever its period.

use crate::{
    agent::AgentHandle,
    event::{Batches, Body, Config, Event, Phase, Quantity},
    session::{State, state::SensorState},
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
use tokio::sync::{mpsc::unbounded_channel, oneshot};

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
    pub fn observe(&self, event: &Event) {
        self.metrics.lock().apply(event);
    }

    /// The same agent, with everything that it says taken note of on its way; the endpoint closes when its stream ends.
    /// Needs a tokio runtime.
    pub fn tap(self, agent: AgentHandle) -> AgentHandle {
        let AgentHandle { commands, events: mut from_agent } = agent;
        let (to_user, events) = unbounded_channel();
        tokio::spawn(async move {
            while let Some(event) = from_agent.recv().await {
                self.observe(&event);
                if to_user.send(event).is_err() {
                    break;
                }
            }
        });
        AgentHandle { commands, events }
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

/// The state that the screen has, and what is counted beside it.
#[derive(Debug, Default)]
struct Totals {
    state: State,
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
    fn apply(&mut self, event: &Event) {
        self.state.apply(event);
        match &event.body {
            Body::Batches(batches) if batches.steady => self.count(batches),
            Body::EngineDied { .. } => self.engine_deaths += 1,
            Body::OutOfMemory { .. } => self.out_of_memory += 1,
            _ => {}
        }
    }

    fn count(&mut self, batches: &Batches) {
        let Some(run) = self.state.run.as_ref().filter(|run| run.id == batches.run) else { return };
        if run.phase != Phase::Steady || (self.counted.len() >= CONFIGS && !self.counted.contains_key(&run.config)) {
            return;
        }
        let counted = self.counted.entry(run.config.clone()).or_default();
        counted.images += batches.wall_ns.len() as u64 * u64::from(run.config.batch);
        batches.wall_ns.iter().for_each(|ns| counted.latency.observe(*ns as f64 / 1e9));
    }

    fn host(&self) -> String {
        self.state.header.as_ref().map(|header| header.host.clone()).unwrap_or_default()
    }
}

type Labels = Vec<(&'static str, String)>;

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let totals = self.lock();
        let mut out = Out { encoder: &mut encoder, host: totals.host() };
        out.program(&totals)?;
        out.counted(&totals)?;
        out.run(&totals.state)?;
        out.throttle(&totals.state)?;
        out.sensors(&totals.state)
    }
}

/// Writes metrics, each with the host that it is of.
struct Out<'a, 'b> {
    encoder: &'a mut DescriptorEncoder<'b>,
    host: String,
}

impl Out<'_, '_> {
    fn labels(&self, labels: Labels) -> Labels {
        [vec![("host", self.host.clone())], labels].concat()
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

    /// One metric of as many label sets as there are values; nothing at all where there are none.
    fn family<M: EncodeMetric>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        values: &[(Labels, M)],
    ) -> fmt::Result {
        let Some((_, first)) = values.first() else { return Ok(()) };
        let mut metric = self.encoder.encode_descriptor(name, help, unit.as_ref(), first.metric_type())?;
        values.iter().try_for_each(|(labels, value)| value.encode(MetricEncoder::encode_family(&mut metric, labels)?))
    }

    fn program(&mut self, totals: &Totals) -> fmt::Result {
        if let Some(header) = &totals.state.header {
            let build = vec![("version", header.version.clone()), ("burn", header.burn.clone())];
            self.family("build", "Versions of the program", None, &[(self.labels(vec![]), Info::new(build))])?;
        }
        let count = |n| [(self.labels(vec![]), ConstCounter::new(n))];
        let (deaths, out_of_memory) = (count(totals.engine_deaths), count(totals.out_of_memory));
        self.family("engine_deaths", "Engine processes that died though nobody asked them to", None, &deaths)?;
        self.family("out_of_memory", "Batches for which the device had not enough memory", None, &out_of_memory)
    }

    fn counted(&mut self, totals: &Totals) -> fmt::Result {
        let configs = || totals.counted.iter().map(|(config, counted)| (self.configured(config, vec![]), counted));
        let images: Vec<_> = configs().map(|(labels, c)| (labels, ConstCounter::new(c.images))).collect();
        let latency: Vec<_> = configs().map(|(labels, c)| (labels, c.latency.clone())).collect();
        self.family("images", "Images of steady batches", None, &images)?;
        self.family("batch_latency", "Device-synchronised wall time of a steady batch", Some(Unit::Seconds), &latency)
    }

    fn run(&mut self, state: &State) -> fmt::Result {
        if let Some(run) = &state.run {
            let steady =
                [(self.configured(&run.config, vec![]), ConstGauge::new(i64::from(run.phase == Phase::Steady)))];
            self.family(
                "run_steady",
                "Whether the run in progress has converged: only then do batches count",
                None,
                &steady,
            )?;
        }
        let Some(result) = state.current_result() else { return Ok(()) };
        let with = |more| self.configured(&result.config, more);
        let gauge = |more, value: f64| [(with(more), ConstGauge::new(value))];
        let latency = &result.latency_ms;
        let percentiles = [("50", latency.p50), ("90", latency.p90), ("99", latency.p99)];
        let percentiles =
            percentiles.map(|(p, ms)| (with(vec![("percentile", p.to_owned())]), ConstGauge::new(ms / 1e3)));
        let throughput = gauge(vec![], result.images_per_s);
        let utilisation = result.flop_utilisation.map(|percent| gauge(vec![], percent / 100.0));
        let power = result.power.as_ref().ok().map(|power| {
            let kinds = [("gross", Some(power.gross_w)), ("idle", power.idle_w), ("net", power.net_w)];
            let labels = |kind: &str| with(vec![("kind", kind.to_owned()), ("sensor", power.sensor.clone())]);
            let watts: Vec<_> = kinds.iter().filter_map(|(k, w)| Some((labels(k), ConstGauge::new((*w)?)))).collect();
            (watts, gauge(vec![("source", power.energy_source.clone())], power.joules_per_image))
        });
        let help = "Device-synchronised wall time of a batch of the run in progress";
        self.family("run_batch_latency", help, Some(Unit::Seconds), &percentiles)?;
        let per_second = Unit::Other("images_per_second".to_owned());
        self.family("run_throughput", "Images a second, gaps between batches included", Some(per_second), &throughput)?;
        if let Some(utilisation) = utilisation {
            let help = "Operations a second over the peak measured on the device";
            self.family("run_flop_utilisation", help, Some(ratio()), &utilisation)?;
        }
        let Some((watts, joules)) = power else { return Ok(()) };
        self.family(
            "run_power",
            "Mean power of the run in progress; net is gross less idle",
            Some(watts_unit()),
            &watts,
        )?;
        self.family("run_image_energy", "Energy an image of the run in progress, gross", Some(Unit::Joules), &joules)
    }

    fn throttle(&mut self, state: &State) -> fmt::Result {
        let reasons =
            state.throttle.iter().flat_map(|(device, reasons)| reasons.iter().map(move |reason| (device, reason)));
        let labels = |device: &String, reason: &String| vec![("device", device.clone()), ("reason", reason.clone())];
        let throttled: Vec<_> = reasons.map(|(d, r)| (self.labels(labels(d, r)), ConstGauge::new(1i64))).collect();
        self.family("throttled", "1 for each reason why a device lowers its clocks", None, &throttled)
    }

    fn sensors(&mut self, state: &State) -> fmt::Result {
        let quantities: BTreeSet<Quantity> = state.sensors.values().map(|sensor| sensor.info.quantity).collect();
        for quantity in quantities {
            let Metric { name, help, unit, factor } = metric(quantity);
            let values: Vec<_> = state
                .sensors
                .values()
                .filter(|sensor| sensor.info.quantity == quantity && sensor.info.absent.is_none())
                .filter_map(|sensor| Some((self.sensor(sensor), sensor.series.last()?.1 * factor)))
                .collect();
            if quantity == Quantity::Energy {
                let counters: Vec<_> = values.into_iter().map(|(l, v)| (l, ConstCounter::new(v))).collect();
                self.family(name, help, Some(unit), &counters)?;
            } else {
                let gauges: Vec<_> = values.into_iter().map(|(l, v)| (l, ConstGauge::new(v))).collect();
                self.family(name, help, Some(unit), &gauges)?;
            }
        }
        Ok(())
    }

    fn sensor(&self, sensor: &SensorState) -> Labels {
        let info = &sensor.info;
        let method = info.method.iter().map(|method| ("method", method.clone()));
        let labels = [("device", &info.device), ("source", &info.source), ("sensor", &info.label)];
        self.labels(labels.map(|(name, value)| (name, value.clone())).into_iter().chain(method).collect())
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

fn metric(quantity: Quantity) -> Metric {
    let of = |name, help, unit, factor| Metric { name, help, unit, factor };
    let hertz = || Unit::Other("hertz".to_owned());
    let rate = || Unit::Other("bytes_per_second".to_owned());
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

//! The metrics of a scrape, encoded.

use super::{
    labels::{Labels, Station},
    quantity::{Metric, metric, rate, ratio, watts},
    totals::{Counts, Metrics},
};
use crate::{
    event::{Link, LinkState, Phase, Quantity},
    session::RunResult,
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder},
    metrics::{counter::ConstCounter, gauge::ConstGauge, info::Info},
    registry::{Registry, Unit},
};
use std::{collections::BTreeSet, fmt, sync::Arc};

/// A scrape in OpenMetrics' text format.
pub fn text(metrics: &Arc<Metrics>) -> String {
    let mut registry = Registry::with_prefix("wattscope");
    registry.register_collector(Box::new(metrics.clone()));
    let mut text = String::new();
    if prometheus_client::encoding::text::encode(&mut text, &registry).is_err() {
        // Cannot happen: writing to a string does not fail, and no encoder of ours does by itself.
        tracing::error!("metrics could not be written");
    }
    text
}

/// A scrape in Prometheus' text format, from the same in OpenMetrics. The older format has no units, no type for information
/// and no end mark, and its types and help texts go by the names of the samples.
pub fn prometheus(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    let mut help = None;
    for line in openmetrics.lines() {
        let comment: Vec<&str> = line.splitn(4, ' ').collect();
        match comment[..] {
            ["#", "HELP", name, words] => help = Some((name, words)),
            ["#", "TYPE", name, kind] => {
                let (suffix, kind) = match kind {
                    "counter" => ("_total", "counter"),
                    "info" => ("_info", "gauge"),
                    kind => ("", kind),
                };
                if let Some((_, words)) = help.take().filter(|(of, _)| *of == name) {
                    text += &format!("# HELP {name}{suffix} {words}\n");
                }
                text += &format!("# TYPE {name}{suffix} {kind}\n");
            }
            ["#", ..] => {}
            _ => text += &format!("{line}\n"),
        }
    }
    text
}

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

/// Labels and value of each series of a metric.
type Values<M> = Vec<(Labels, M)>;

/// The encoder of a scrape.
struct Out<'a, 'b> {
    encoder: &'a mut DescriptorEncoder<'b>,
}

impl Out<'_, '_> {
    /// Writes a metric with a series per value; nothing where there are no values. A series that two stations of one host
    /// share, such as the utilisation of its processors, is written once.
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
        self.family("engine_deaths", "Engine processes that ended without being asked to", None, deaths)?;
        self.family("out_of_memory", "Batches for which the device had not enough memory", None, memory)
    }

    /// The links to remote stations.
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
        self.family("run_power", help, Some(watts()), runs.iter().flat_map(Running::power))?;
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

/// A run in progress with its result so far.
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

//! Results: what the steady batches of a run, and the sensors read meanwhile, add up to.

use super::{State, entries::SensorState};
use crate::{
    analysis::stats::Percentiles,
    event::{Config, OthersLoad, Quantity, Sensor},
    session::run::{Power, Run, RunResult},
    telemetry::rank,
};

impl State {
    /// The result of the run in progress so far; none before it is steady.
    pub fn current_result(&self) -> Option<RunResult> {
        let run = self.run.as_ref()?;
        let device = run.config.device.as_str();
        let images_per_s = run.steady.images_per_s(run.config.batch)?;
        let mean = |q| self.sensor(device, q).and_then(|(id, _)| run.steady.sensors.get(&id)?.moments.mean());
        let others = mean(Quantity::Utilisation).zip(mean(Quantity::EngineUtilisation));
        let others = others.map(|(all, engine)| (all - engine).max(0.0));
        let power = self.power(run, images_per_s);
        let readings = run.steady.power_readings;
        let by_power = (readings > 0).then(|| run.steady.throttled as f64 / readings as f64);
        let out_of_time = mean(Quantity::CpuThrottled).map(|percent| percent / 100.0);
        Some(RunResult {
            run: run.id,
            config: run.config.clone(),
            batches: run.steady.batches,
            seconds: run.steady.span_ns as f64 / 1e9,
            weights: run.weights.clone(),
            graph: run.graph.clone(),
            warm_up: run.warm_up,
            latency_ms: Percentiles::of_nanos(&run.steady.wall)?,
            device_ms: Percentiles::of_nanos(&run.steady.device),
            images_per_s,
            flop_utilisation: self.flop_utilisation(&run.config, images_per_s),
            utilisation: mean(Quantity::Utilisation),
            others: others.filter(|_| self.traits(device).others == OthersLoad::ProcessorTime),
            power,
            memory: run.memory,
            device_memory_used: self.reading(device, Quantity::MemoryUsed).map(|bytes| bytes as u64),
            throttled: out_of_time.or(by_power),
        })
    }

    /// The results of every configuration measured so far, with that of the run in progress.
    pub fn all_results(&self) -> Vec<RunResult> {
        // In a sweep an unfinished run does not replace a finished one.
        let known = |c: &RunResult| self.results.iter().any(|r| r.config == c.config);
        let current = self.current_result().filter(|c| !(self.sweeping() && known(c)));
        let kept = self.results.iter().filter(|r| current.as_ref().is_none_or(|c| c.config != r.config)).cloned();
        let mut all: Vec<_> = kept.collect();
        all.extend(current);
        all
    }

    /// FLOP utilisation, %: operations/s of a throughput over the measured peak, 2 operations per multiply-accumulate.
    pub fn flop_utilisation(&self, config: &Config, images_per_s: f64) -> Option<f64> {
        let facts = self.networks.get(&config.network)?;
        let (peak, _) = self.peaks.get(&(config.device.clone(), config.precision))?;
        (*peak > 0.0).then(|| 100.0 * 2.0 * facts.macs as f64 * images_per_s / peak)
    }

    /// Power and energy of a run, or why they are not known.
    fn power(&self, run: &Run, images_per_s: f64) -> Result<Power, String> {
        let (id, sensor) = self.power_sensor(&run.config.device)?;
        let Some(reading) = run.steady.sensors.get(&id).filter(|r| r.moments.count() > 0) else {
            return Err(format!("{}: no reading since power settled", sensor.info.label));
        };
        let counter = self.energy_power(run, &sensor.info);
        let derived = counter.filter(|_| sensor.info.is_derivative());
        // There is a reading, as checked above.
        let gross_w = derived.map_or(reading.moments.mean().unwrap_or_default(), |(watts, _)| watts);
        let idle_w = sensor.idle.mean();
        Ok(Power {
            sensor: sensor.info.label.clone(),
            method: sensor.info.method.clone(),
            in_place_of: self.absent_power(&run.config.device, Some(id)),
            gross_w,
            counted_s: derived.map(|(_, seconds)| seconds),
            deviation_w: reading.moments.deviation(),
            readings: reading.moments.count(),
            idle_w,
            net_w: idle_w.map(|idle| gross_w - idle),
            joules_per_image: counter.map_or(gross_w, |(watts, _)| watts) / images_per_s,
            energy_source: if counter.is_some() { "energy counter" } else { "mean power × time" }.to_owned(),
        })
    }

    /// Mean power over the steady phase, W, and the time over which it was read, s, by the energy counter that belongs to a
    /// power sensor; none where there is no counter.
    fn energy_power(&self, run: &Run, power: &Sensor) -> Option<(f64, f64)> {
        let of_device = |s: &SensorState| s.info.quantity == Quantity::Energy && s.info.device == power.device;
        // A counter of another source may measure another part of the device.
        let is_counter = |s: &SensorState| {
            of_device(s) && s.info.source == power.source && s.info.absent.is_none() && !s.info.is_integral()
        };
        let counters = self.sensors.iter().filter(|(_, s)| is_counter(s));
        // The derivative of one counter is not the difference of another.
        let own = counters.filter(|(_, s)| s.info.label == power.label || !power.is_derivative());
        let best = own.min_by_key(|(_, s)| (s.info.label != power.label, rank::rank(&s.info)));
        run.steady.sensors.get(best?.0)?.counted()
    }
}

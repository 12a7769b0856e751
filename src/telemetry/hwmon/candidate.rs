//! A sensor of a monitor: found, registered, read.

use crate::{
    event::{Nanos, Quantity, SensorId},
    telemetry::{
        builder::SensorBuilder,
        derive::{Counter, Integral},
        files::{FileError, PolledFile},
        writer::SensorWriter,
    },
};
use std::path::PathBuf;

/// Where a value comes from.
pub enum Input {
    /// A file, and its unit.
    Scaled(PolledFile, f64),
    /// Voltage times current.
    Product {
        /// mV.
        millivolts: PolledFile,
        /// mA.
        milliamperes: PolledFile,
    },
    /// An energy counter.
    Energy(PolledFile, Counter),
    /// The sum of several inputs of one kind.
    Sum(Vec<Input>),
}

impl Input {
    /// A file, and its unit.
    pub fn scaled(path: PathBuf, unit: f64) -> Self {
        Self::Scaled(PolledFile::new(path), unit)
    }

    /// An energy counter in µJ.
    pub fn energy(path: PathBuf) -> Self {
        Self::Energy(PolledFile::new(path), Counter::new(1e-6, None))
    }

    /// The same input with files of its own.
    pub fn reopened(&self) -> Self {
        match self {
            Self::Scaled(file, unit) => Self::Scaled(file.reopened(), *unit),
            Self::Product { millivolts, milliamperes } => {
                Self::Product { millivolts: millivolts.reopened(), milliamperes: milliamperes.reopened() }
            }
            Self::Energy(file, counter) => Self::Energy(file.reopened(), counter.clone()),
            Self::Sum(inputs) => Self::Sum(inputs.iter().map(Self::reopened).collect()),
        }
    }

    /// Its value and, for energy counters, the power.
    fn read(&mut self, now: Nanos) -> Result<(f64, Option<f64>), FileError> {
        Ok(match self {
            Self::Scaled(file, unit) => (file.number::<i64>()? as f64 * *unit, None),
            Self::Product { millivolts, milliamperes } => {
                (millivolts.number::<i64>()? as f64 * milliamperes.number::<i64>()? as f64 * 1e-6, None)
            }
            Self::Energy(file, counter) => {
                let advance = counter.push(now, file.number()?);
                (advance.joules, advance.watts)
            }
            Self::Sum(inputs) => {
                let mut sum = (0.0, Some(0.0));
                for input in inputs {
                    let (value, watts) = input.read(now)?;
                    sum = (sum.0 + value, sum.1.zip(watts).map(|(all, one)| all + one));
                }
                sum
            }
        })
    }

    /// The next reading starts anew.
    fn restart(&mut self) {
        match self {
            Self::Energy(_, counter) => counter.restart(),
            Self::Sum(inputs) => inputs.iter_mut().for_each(Self::restart),
            Self::Scaled(..) | Self::Product { .. } => {}
        }
    }
}

/// A sensor that exists; whether it can be read is not known yet.
pub struct Candidate {
    /// The device that it belongs to.
    pub device: String,
    /// What it measures.
    pub quantity: Quantity,
    /// Driver and name: `zenpower SVI2_P_Core`.
    pub label: String,
    /// How its value comes about, if it is not read directly.
    pub method: Option<String>,
    /// Where its value comes from.
    pub input: Input,
}

impl Candidate {
    /// Registers it and, beside a power, its integral, or beside an energy counter, its derivative. None if it can't be read.
    pub fn register(mut self, out: &mut SensorWriter) -> Option<Reader> {
        let mut own = SensorBuilder::new(&self.device, self.quantity, &self.label);
        if let Some(method) = &self.method {
            own = own.method(method);
        }
        if let Err(error) = self.input.read(out.now()) {
            out.register_absent(own, error.to_string());
            return None;
        }
        self.input.restart();
        let derived = match self.quantity {
            Quantity::PowerInstant | Quantity::PowerAverage => {
                let method = format!("integral of {}", self.label);
                Some(SensorBuilder::new(&self.device, Quantity::Energy, &self.label).method(method))
            }
            Quantity::Energy => {
                let derivative = format!("derivative of the energy counter over {} ms", out.period().as_millis());
                let method = [Some(derivative), self.method].into_iter().flatten().collect::<Vec<_>>().join(", ");
                Some(SensorBuilder::new(&self.device, Quantity::PowerInstant, &self.label).method(method))
            }
            _ => None,
        };
        let own = out.register(own);
        let derived = derived.map(|sensor| out.register(sensor));
        Some(Reader {
            input: self.input,
            is_energy: self.quantity == Quantity::Energy,
            own,
            derived,
            integral: Integral::default(),
        })
    }
}

/// A registered sensor.
pub struct Reader {
    input: Input,
    is_energy: bool,
    /// The quantity of the input.
    own: SensorId,
    /// The energy of a power sensor, or the power of an energy counter.
    derived: Option<SensorId>,
    integral: Integral,
}

impl Reader {
    /// Reads it.
    pub fn read(&mut self, out: &mut SensorWriter) {
        match self.input.read(out.now()) {
            Ok((value, watts)) => {
                let derived = if self.is_energy { watts } else { Some(self.integral.push(out.now(), value)) };
                out.write(self.own, value);
                if let Some((id, value)) = self.derived.zip(derived) {
                    out.write(id, value);
                }
            }
            Err(error) => {
                let reason = error.to_string();
                out.fail(self.own, &reason);
                if let Some(derived) = self.derived {
                    out.fail(derived, reason);
                }
            }
        }
    }

    /// The next reading starts anew.
    pub fn restart(&mut self) {
        self.input.restart();
        self.integral.restart();
    }
}

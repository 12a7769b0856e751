//! Power of one card: the instantaneous one and the average, each from where this card has it.

use super::errors::{reason, value_unless_lost};
use crate::{
    event::{Quantity, SensorId},
    telemetry::{builder::SensorBuilder, writer::SensorWriter},
};
use nvml_wrapper::{
    Device,
    enums::device::{DeviceArchitecture, SampleValue},
    error::NvmlError,
    structs::device::FieldId,
    sys_exports::field_id::{NVML_FI_DEV_POWER_AVERAGE, NVML_FI_DEV_POWER_INSTANT},
};

/// A power sensor and its NVML function.
type Power = (SensorId, PowerCall);

/// The NVML function of a power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PowerCall {
    /// A field of `nvmlDeviceGetFieldValues`, which defines the kind of power.
    Field,
    /// `nvmlDeviceGetPowerUsage`, whose kind of power depends on the architecture.
    Usage,
}

/// The power sensors of a card.
pub struct Powers {
    instant: Option<Power>,
    average: Option<Power>,
}

impl Powers {
    /// Registers the instantaneous power and the 1 s average, each from the field of that name. Without such a field,
    /// `nvmlDeviceGetPowerUsage` is the one of the two that it is on this architecture.
    pub fn register(handle: &Device<'_>, device: &str, out: &mut SensorWriter) -> Self {
        let usage = handle.power_usage();
        let kind = usage_kind(handle);
        let [instant, average] = field_powers(handle);
        let mut register = |quantity, field: Result<f64, NvmlError>, sensor: SensorBuilder| match field {
            Ok(_) => Some((out.register(sensor), PowerCall::Field)),
            Err(_) if usage.is_ok() && kind.quantity == quantity => {
                let sensor = SensorBuilder::new(device, quantity, "NVML power usage").method(kind.method);
                Some((out.register(sensor), PowerCall::Usage))
            }
            Err(error) => {
                out.register_absent(sensor, reason(&error));
                None
            }
        };
        let now = SensorBuilder::new(device, Quantity::PowerInstant, "NVML instant");
        let now = if part_time(handle) { now.method("the sensor looks at about 25 ms of every 100 ms") } else { now };
        let mean = SensorBuilder::new(device, Quantity::PowerAverage, "NVML average")
            .method("averaged by the driver over 1 s");
        Self {
            instant: register(Quantity::PowerInstant, instant, now),
            average: register(Quantity::PowerAverage, average, mean),
        }
    }

    /// The power that energy is integrated from where there is no counter; none on a card without a power sensor.
    pub const fn best(&self) -> Option<&'static str> {
        match (self.instant, self.average) {
            (Some(_), _) => Some("instant power"),
            (None, Some(_)) => Some("1 s average power"),
            (None, None) => None,
        }
    }

    /// Writes both powers and returns the instantaneous one, or else the average, watts.
    ///
    /// # Errors
    /// If the card is lost.
    pub fn read(&self, handle: &Device<'_>, out: &mut SensorWriter) -> Result<Option<f64>, NvmlError> {
        let uses = |call| [self.instant, self.average].iter().flatten().any(|(_, with)| *with == call);
        let fields = uses(PowerCall::Field).then(|| field_powers(handle));
        let usage = uses(PowerCall::Usage).then(|| handle.power_usage().map(watts));
        let mut read = |sensor: Option<Power>, field: usize| {
            let (id, call) = sensor?;
            let read = match (call, &fields, &usage) {
                (PowerCall::Field, Some(fields), _) => fields[field].as_ref(),
                (PowerCall::Usage, _, Some(usage)) => usage.as_ref(),
                _ => return None,
            };
            match read {
                Ok(watts) => out.write(id, *watts),
                Err(error) => out.fail(id, reason(error)),
            }
            read.ok().copied()
        };
        let (instant, average) = (read(self.instant, 0), read(self.average, 1));
        let [first, second] = fields.unwrap_or([Ok(0.0), Ok(0.0)]);
        for result in [first, second, usage.unwrap_or(Ok(0.0))] {
            value_unless_lost(handle, result)?;
        }
        Ok(instant.or(average))
    }
}

/// The kind of power of `nvmlDeviceGetPowerUsage` on a card.
struct UsageKind {
    quantity: Quantity,
    method: &'static str,
}

/// NVML's documentation: a 1 s average on Ampere and newer, except GA100; the instantaneous power on GA100 and older.
fn usage_kind(handle: &Device<'_>) -> UsageKind {
    use DeviceArchitecture as A;
    let now =
        UsageKind { quantity: Quantity::PowerInstant, method: "nvmlDeviceGetPowerUsage, the power now on this card" };
    let method = "nvmlDeviceGetPowerUsage, averaged by the driver over 1 s on this card";
    let average = UsageKind { quantity: Quantity::PowerAverage, method };
    match handle.architecture() {
        Ok(A::Kepler | A::Maxwell | A::Pascal | A::Volta | A::Turing) => now,
        Ok(A::Ampere) if is_ga100(handle) => now,
        Ok(A::Ampere | A::Ada | A::Hopper | A::Blackwell) | Err(NvmlError::UnexpectedVariant(_)) => average,
        Ok(A::Unknown) | Err(_) => UsageKind {
            method: "nvmlDeviceGetPowerUsage: a 1 s average on Ampere and newer; this card's architecture is not known",
            ..average
        },
    }
}

/// A100 and H100: their "instant" sensor measures during a quarter of the time only (arXiv 2312.02741).
fn part_time(handle: &Device<'_>) -> bool {
    matches!(handle.architecture(), Ok(DeviceArchitecture::Hopper)) || is_ga100(handle)
}

/// PCI device ids 0x20xx are GA100: A100, A30, A800.
fn is_ga100(handle: &Device<'_>) -> bool {
    handle.pci_info().is_ok_and(|pci| pci.pci_device_id >> 24 == 0x20)
}

/// Instantaneous power and 1 s average from the fields of those names, watts, in one call of the driver.
fn field_powers(handle: &Device<'_>) -> [Result<f64, NvmlError>; 2] {
    let fields = [FieldId(NVML_FI_DEV_POWER_INSTANT), FieldId(NVML_FI_DEV_POWER_AVERAGE)];
    let mut values = match handle.field_values_for(&fields) {
        Ok(values) => values.into_iter(),
        // NVML's errors can't be cloned, but they convert to codes and back.
        Err(NvmlError::FailedToLoadSymbol(symbol)) => {
            return [Err(NvmlError::FailedToLoadSymbol(symbol.clone())), Err(NvmlError::FailedToLoadSymbol(symbol))];
        }
        Err(error) => {
            let code = u32::from(error);
            return [Err(code.into()), Err(code.into())];
        }
    };
    let mut next = || {
        let value = values.next().ok_or(NvmlError::NoData)??.value?;
        Ok(1e-3
            * match value {
                SampleValue::F64(value) => value,
                SampleValue::U32(value) => value.into(),
                SampleValue::U64(value) => value as f64,
                SampleValue::I64(value) => value as f64,
            })
    };
    [next(), next()]
}

fn watts(milliwatts: u32) -> f64 {
    f64::from(milliwatts) * 1e-3
}

//! `wattscope warm`: compiles and tunes kernels ahead of time.

use super::{
    args::{Device, Fold, Grid, JsonLines, NamedNetworks},
    execute::{Execute, Global},
    failure::Failure,
    setup,
};
use crate::{
    backend::device,
    engine::warm::{self, Warmed},
    event::Config,
    format::duration,
    model, output,
};
use clap::Args;
use std::process::ExitCode;

const HELP: &str = "\
A first batch on a card compiles and tunes kernels for every shape of the network, which takes minutes. They are kept in the \
user's cache folder, by card, driver and compiler, and found there by everything that runs later: the live screen, `run`, \
`sweep`, `check`. Kernels depend on the batch size.

Examples:
  wattscope warm -n resnet50 -b 1..64 -p f16
  wattscope warm -n paper";

/// Compile and tune the kernels of networks ahead of time, so that a live session starts at once
#[derive(Clone, Debug, Args)]
#[command(after_help = HELP)]
pub struct Warm {
    /// The networks; all of them if none is given.
    #[command(flatten)]
    networks: NamedNetworks,
    /// Their configurations.
    #[command(flatten)]
    grid: Grid,
    /// The device to compile for.
    #[command(flatten)]
    device: Device,
    /// Whether batch norms are folded.
    #[command(flatten)]
    fold: Fold,
    /// Whether results are JSON.
    #[command(flatten)]
    json: JsonLines,
}

impl Execute for Warm {
    fn execute(self, _: &Global) -> Result<ExitCode, Failure> {
        let devices = device::enumerate();
        let device = device::resolve(&self.device.device, &devices).map_err(Failure::usage)?;
        if !device::traits(device).compiles {
            return Err(Failure::usage(format!(
                "{} compiles no kernels: there is nothing to do ahead of time",
                device.name
            )));
        }
        let named = self.networks.names();
        let networks =
            if named.is_empty() { model::list().into_iter().map(|model| model.name).collect() } else { named };
        let configs = self.grid.configs(&networks, &device.name, &devices).map_err(Failure::usage)?;
        setup::enter_environment(&device.name)?;
        let mut failed = 0;
        for config in &configs {
            let warmed = warm::warm(config, self.fold.wanted()).map_err(|error| error.to_string());
            failed += usize::from(warmed.is_err());
            output::print(&(line(config, &warmed, self.json.json)? + "\n"));
        }
        Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// One result as a line of text or as a JSON object.
fn line(config: &Config, warmed: &Result<Warmed, String>, json: bool) -> serde_json::Result<String> {
    Ok(match warmed {
        Ok(Warmed { kernels, took }) if json => serde_json::to_string(&serde_json::json!({
            "network": config.network, "batch": config.batch, "precision": config.precision, "device": config.device,
            "kernels": kernels, "seconds": took.as_secs_f64(),
        }))?,
        Ok(Warmed { kernels, took }) => {
            let kernels = kernels.map_or_else(String::new, |kernels| format!("{kernels} kernels in "));
            format!("{config}: {kernels}{}", duration(took.as_secs_f64()))
        }
        Err(failure) if json => serde_json::to_string(&serde_json::json!({
            "network": config.network, "batch": config.batch, "precision": config.precision, "device": config.device,
            "failure": failure,
        }))?,
        Err(failure) => format!("{config}: {failure}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Precision;
    use std::time::Duration;

    #[test]
    fn a_line_says_how_many_kernels_there_were_and_how_long_they_took() {
        let config =
            Config { network: "resnet50".to_owned(), batch: 8, precision: Precision::F16, device: "cuda:0".to_owned() };
        let warmed = Ok(Warmed { kernels: Some(87), took: Duration::from_millis(12_300) });
        let text = line(&config, &warmed, false).unwrap();
        assert!(text.starts_with(&format!("{config}: 87 kernels in 12")), "{text}");
        let json: serde_json::Value = serde_json::from_str(&line(&config, &warmed, true).unwrap()).unwrap();
        assert_eq!((json["kernels"].as_u64(), json["seconds"].as_f64()), (Some(87), Some(12.3)));
        let failed = line(&config, &Err("out of memory".to_owned()), true).unwrap();
        assert!(failed.contains("\"failure\":\"out of memory\""), "{failed}");
    }
}

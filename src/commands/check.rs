//! `wattscope check`: whether a device computes what PyTorch does.

use super::{
    args::{Device, Fold, JsonLines, NamedNetworks, precisions},
    execute::{Execute, Global},
    failure::Failure,
    setup,
};
use crate::{
    backend::device,
    check::{self, Kept, Reference},
    event::Precision,
    model, output,
};
use clap::Args;
use std::process::ExitCode;

const HELP: &str = "\
The error is the largest difference of a logit over two images, in standard deviations of the logits, from two references: \
PyTorch's result in double precision (38 logits, which are built in) and f32 on this CPU without folding (all 2000).

Bounds, and how each was set: the largest errors of all 21 networks on a CPU are 8.6e-6 in f32, 5.3e-3 in f16 and 4.2e-2 in \
bf16, with Burn's own kernels 9.0e-3 and 4.5e-2 (VGG-19 each time). f32 may be off by 1e-4, which leaves room for another \
order of summation; f16 by 1e-2; bf16 by 5e-2, and with --no-fold by 2e-1, for every batch norm of Burn's then rounds once more \
(1.1e-1 in Inception-v3). tf32 keeps 10 bits of a fraction and may be off by 1e-1: where a kernel does not round its \
operands, a tensor core cuts them towards zero, which is off by 9.4e-2 in Inception-v4 if all products do it, and by 5.2e-3 \
if all are rounded (tests/parity/tf32.py).

Results are kept in wattscope/checks.jsonl in the user's state directory, until wattscope or the driver changes. The live \
screen and the records of `run` say what was found for the network in use.

Examples:
  wattscope check resnet50 --precision f16
  wattscope check --device cuda:0 --json

Exit status:
  0  everything is within its bound
  1  something is not, or could not be run
  2  bad usage";

/// Compare what a device computes with the CPU: same weights, same input, logits side by side
#[derive(Clone, Debug, Args)]
#[command(after_help = HELP)]
pub struct Check {
    /// The networks; all of them if none is given.
    #[command(flatten)]
    pub networks: NamedNetworks,
    /// Precisions, separated by commas; every one that the device has if not given
    #[arg(short, long, alias = "precisions", value_name = "P,…", value_delimiter = ',', value_parser = precisions())]
    pub precision: Vec<Precision>,
    /// The device to check.
    #[command(flatten)]
    pub device: Device,
    /// Whether results are JSON.
    #[command(flatten)]
    pub json: JsonLines,
    /// Whether batch norms are folded.
    #[command(flatten)]
    pub fold: Fold,
}

impl Execute for Check {
    fn execute(self, _: &Global) -> Result<ExitCode, Failure> {
        let devices = device::enumerate();
        let device = device::resolve(&self.device.device, &devices).map_err(Failure::usage)?;
        let precisions = if self.precision.is_empty() { &device.precisions } else { &self.precision };
        let offered = precisions.iter().try_for_each(|p| device::check_precision(device, *p));
        offered.map_err(Failure::usage)?;
        setup::enter_environment(&device.name)?;
        let all = || model::list().into_iter().map(|model| model.name).collect();
        let named = self.networks.names();
        let networks = if named.is_empty() { all() } else { named };
        let (fold, json) = (self.fold.wanted(), self.json.json);
        let mut kept = Vec::new();
        let (mut made, mut failed) = (0, 0);
        for network in &networks {
            let reference = Reference::of(network);
            for precision in precisions {
                let checked = match &reference {
                    Ok(reference) => reference.check(&device.name, *precision, fold).map_err(|e| e.to_string()),
                    Err(error) => Err(error.to_string()),
                };
                let line = check::line(network, &device.name, *precision, &checked, json)?;
                output::print(&(line + "\n"));
                made += 1;
                failed += usize::from(!checked.as_ref().is_ok_and(|checked| checked.pass));
                kept.extend(checked.ok().map(|checked| Kept::new(checked, device, fold)));
            }
        }
        keep(&kept);
        if !json {
            output::say(&format!("{} of {made} within bounds", made - failed));
        }
        Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Keeps the results for the live screen and the records. A check whose result can't be kept is still a check.
fn keep(checks: &[Kept]) {
    let kept = check::default_file().and_then(|file| check::keep(&file, checks));
    if let Err(error) = kept {
        output::warn(&format!("the results are not kept for the live screen and the records: {error}"));
    }
}

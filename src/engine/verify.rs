//! Whether a device computes what the network computes, asked of the first batches, before one of them counts: memory that no
//! kernel wrote is finite, and it is read very quickly.

use super::measure::Built;
use crate::{
    analysis::stats::Moments,
    backend::RunError,
    event::{Precision, Weights},
    model::zoo::parity,
};

/// A difference from PyTorch's logits that no rounding explains, in their standard deviations: TF32 in the worst case is off by
/// 0.09, logits of nothing but zeros by 2 and more.
const WRONG: f64 = 0.5;

/// Compares the outputs of the first two batches, whose inputs differ, with each other, and those of the first with PyTorch's
/// logits where there are some: for seeded weights and [`Built::inputs`]. Gives a warning where the difference is more than
/// rounding explains.
///
/// # Errors
/// If the outputs can't be those of the network.
pub fn verify(built: &Built, fold: bool, [first, second]: [&[f64]; 2]) -> Result<Option<String>, RunError> {
    let fault = fault(first, second);
    if let Some(fault) = fault {
        return Err(match built.weights() {
            Weights::Seed { .. } => RunError::Device(format!("{fault}: the network does not compute right here")),
            weights => RunError::Weights(format!("{fault} with the weights of {weights}, on this device")),
        });
    }
    let seeded = matches!(built.weights(), Weights::Seed { .. });
    match parity::reference(built.network()).filter(|_| seeded) {
        Some(reference) => judge(reference.error_of_first(first), built.precision(), fold),
        None => Ok(None),
    }
}

/// What is wrong with the outputs of two different inputs.
fn fault(first: &[f64], second: &[f64]) -> Option<&'static str> {
    let spread = first.iter().copied().collect::<Moments>().deviation();
    if first == second {
        Some("two different inputs give the same outputs")
    } else if first.len() > 1 && spread == Some(0.0) {
        Some("every output has the same value")
    } else {
        None
    }
}

/// What an error in standard deviations of the logits means.
fn judge(error: f64, precision: Precision, fold: bool) -> Result<Option<String>, RunError> {
    let bound = parity::bound(precision, fold);
    if error > WRONG {
        let text = format!(
            "the logits are {error:.1} of their standard deviation away from PyTorch's: the kernels do not compute right here"
        );
        return Err(RunError::Device(text));
    }
    let more = format!(
        "in {precision} the logits are {error:.1e} of their standard deviation away from PyTorch's, and rounding explains {bound:.0e}"
    );
    Ok((error > bound).then_some(more))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_that_no_kernel_wrote_are_told_from_a_networks() {
        let logits: Vec<f64> = (0..1000).map(|i| f64::from(i % 7)).collect();
        let others: Vec<f64> = logits.iter().map(|logit| logit + 1e-3).collect();
        assert_eq!(fault(&logits, &others), None);
        assert!(fault(&logits, &logits).unwrap().contains("the same outputs"));
        assert!(fault(&[0.0; 9], &[1.0; 9]).unwrap().contains("the same value"));
        assert_eq!(fault(&[0.25], &[0.5]), None, "a single output has no spread");
    }

    #[test]
    fn what_rounding_explains_is_fine_more_is_said_and_much_more_is_an_error() {
        assert_eq!(judge(1e-5, Precision::F32, true), Ok(None));
        assert!(judge(1e-3, Precision::F32, true).unwrap().unwrap().contains("1.0e-3"));
        assert_eq!(judge(1e-3, Precision::F16, true), Ok(None));
        assert!(matches!(judge(3.0, Precision::F32, true), Err(RunError::Device(_))));
        assert!(judge(f64::INFINITY, Precision::Bf16, false).is_err());
    }

    #[test]
    fn the_first_input_of_any_batch_size_begins_with_the_images_that_pytorch_was_given() {
        let reference = parity::reference("squeezenet1.1").unwrap();
        let config = crate::event::Config {
            network: "squeezenet1.1".to_owned(),
            batch: 1,
            precision: Precision::F32,
            device: "cpu".to_owned(),
        };
        let built = Built::new(&crate::model::find(&config.network).unwrap(), &config, true).unwrap();
        for batch in [1, 3] {
            let inputs = built.inputs(batch).unwrap();
            let [first, second] = [&inputs[0], &inputs[1]].map(|input| built.finite_outputs(input).unwrap());
            assert!(reference.error_of_first(&first) < 1e-4, "batch {batch}");
            let other = reference.error_of_first(&second);
            assert!(other > 1e-2, "batch {batch}: {other}");
            assert_eq!(verify(&built, true, [&first, &second]), Ok(None));
        }
    }
}

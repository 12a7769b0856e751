//! Errors of NVML: what they mean for a card, and for the user.

use nvml_wrapper::{Device, error::NvmlError};

/// An NVML error in words for the user.
pub fn reason(error: &NvmlError) -> String {
    match error {
        NvmlError::NotSupported => "not supported by this card or its driver".into(),
        NvmlError::FailedToLoadSymbol(symbol) => {
            let function = symbol.rsplit(' ').next().unwrap_or_default();
            format!("this driver's NVML has no {function}")
        }
        NvmlError::GpuLost => "the card is lost: it fell off the bus or can't be reached".into(),
        NvmlError::UnexpectedVariant(code) => format!("NVML gave {code}, which is not known here"),
        other => format!("NVML: {other}"),
    }
}

/// Whether an error means that the whole card is lost, not only one of its values.
pub fn is_loss(error: &NvmlError) -> bool {
    use NvmlError as E;
    matches!(
        error,
        E::GpuLost | E::Unknown | E::Uninitialized | E::ResetRequired | E::DriverNotLoaded | E::LibRmVersionMismatch
    )
}

/// Separates a lost card from a failed function: the outer error is a loss, the inner one is not.
///
/// Drivers return `Unknown` for single functions too: then reading the power decides whether the card is lost.
pub fn check_loss<T>(handle: &Device<'_>, result: Result<T, NvmlError>) -> Result<Result<T, NvmlError>, NvmlError> {
    match result {
        Err(NvmlError::Unknown) if !handle.power_usage().is_err_and(|error| is_loss(&error)) => {
            Ok(Err(NvmlError::Unknown))
        }
        Err(error) if is_loss(&error) => Err(error),
        result => Ok(result),
    }
}

/// The value, or none if the function failed; the error is a loss of the card.
pub fn value_unless_lost<T>(handle: &Device<'_>, result: Result<T, NvmlError>) -> Result<Option<T>, NvmlError> {
    check_loss(handle, result).map(Result::ok)
}

//! Which of a file's tensors are weights, and what they are called in the network's own state dict.

use super::stored::Stored;
use std::collections::BTreeMap;

/// Keys of the dictionary that a training script saves, below which the weights are. The first of them that a file has is
/// taken: moving averages, the second half, only where there is nothing else.
pub(super) const WRAPPERS: [&str; 21] = [
    // PyTorch's tutorials, torchvision, timm, Lightning, MMCV, BasicSR, Composer.
    "state_dict",
    "model_state_dict",
    "model_state",
    "model_dict",
    "model",
    "net_state_dict",
    "net",
    "network",
    "weights",
    "params",
    "state",
    "student",
    // torchvision, timm, BasicSR, DINO.
    "model_ema_state_dict",
    "model_ema",
    "ema_model",
    "state_dict_ema",
    "ema_state_dict",
    "ema",
    "params_ema",
    "averaged_model",
    "teacher",
];

/// What modules around a network put before all of its keys: `DataParallel` and `AveragedModel`, `torch.compile`.
pub(super) const PREFIXES: [&str; 2] = ["module.", "_orig_mod."];

/// Auxiliary classifiers, which only training needs: Inception-v3's and GoogLeNet's.
pub(super) const AUXILIARY: [&str; 3] = ["AuxLogits.", "aux1.", "aux2."];

/// The weights of a file, by the keys of the network's own state dict.
pub(super) struct Named {
    pub(super) tensors: BTreeMap<String, Stored>,
    /// The keys below which they were, outermost first.
    pub(super) below: Vec<&'static str>,
    /// Other keys with weights below them, which were not taken.
    pub(super) left: Vec<&'static str>,
}

/// Finds the weights among a file's tensors.
pub(super) fn weights(stored: BTreeMap<String, Stored>) -> Named {
    let mut named = Named { tensors: stored, below: Vec::new(), left: Vec::new() };
    loop {
        let inside = |wrapper: &&&str| named.tensors.keys().any(|key| is_below(key, wrapper));
        let mut wrappers = WRAPPERS.iter().filter(inside);
        let prefix = match wrappers.next() {
            Some(wrapper) => {
                named.left.extend(wrappers);
                named.below.push(wrapper);
                format!("{wrapper}.")
            }
            None => match PREFIXES.iter().find(|prefix| is_around(&named.tensors, prefix)) {
                Some(prefix) => (*prefix).to_owned(),
                None => break,
            },
        };
        let strip = |(key, tensor): (String, Stored)| Some((key.strip_prefix(&prefix)?.to_owned(), tensor));
        named.tensors = named.tensors.into_iter().filter_map(strip).collect();
    }
    let tensors = named.tensors.into_iter().filter(|(key, tensor)| {
        !is_counter(key, tensor) && !AUXILIARY.iter().any(|auxiliary| key.starts_with(auxiliary))
    });
    named.tensors = tensors.map(|(key, tensor)| (current(&key), tensor)).collect();
    named
}

fn is_below(key: &str, wrapper: &str) -> bool {
    key.strip_prefix(wrapper).is_some_and(|rest| rest.starts_with('.'))
}

/// Whether all tensors but counters have a prefix.
fn is_around(tensors: &BTreeMap<String, Stored>, prefix: &str) -> bool {
    let mut weights = tensors.iter().filter(|(key, tensor)| !is_counter(key, tensor)).peekable();
    weights.peek().is_some() && weights.all(|(key, _)| key.starts_with(prefix))
}

/// Whether a tensor counts something and is no weight: batches seen by a batch norm, models in a moving average.
fn is_counter(key: &str, tensor: &Stored) -> bool {
    let last = key.rsplit('.').next().unwrap_or(key);
    last == "num_batches_tracked"
        || tensor.shape.is_empty() && matches!(last, "n_averaged" | "step" | "steps" | "num_updates" | "decay")
}

/// A key as torchvision has it today: its DenseNet weights were saved when modules could still be called `norm.1`.
pub(super) fn current(key: &str) -> String {
    let mut renamed: Vec<String> = Vec::new();
    for part in key.split('.') {
        let old = matches!(part, "1" | "2")
            && matches!(renamed.last().map(String::as_str), Some("norm" | "relu" | "conv"))
            && renamed.iter().rev().nth(1).is_some_and(|block| block.starts_with("denselayer"));
        match renamed.last_mut().filter(|_| old) {
            Some(last) => last.push_str(part),
            None => renamed.push(part.to_owned()),
        }
    }
    renamed.join(".")
}

//! Where models come from: a source finds a model by its name.

use super::description::Model;

/// A source of models. Another one is a type that implements this, and a line in the list of [`super::catalog`].
pub trait ModelSource: Sync {
    /// The model of a name; none where the name is nothing that this source knows, an error where it is this source's and
    /// the model can't be had.
    ///
    /// # Errors
    /// What is wrong with the model.
    fn find(&self, name: &str) -> Result<Option<Model>, ModelError>;

    /// The models that can be listed, in the order in which they are shown. A source of files has none.
    fn list(&self) -> Vec<Model>;
}

/// A model that can't be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// No source has a model of this name.
    #[error("unknown network '{name}': did you mean {}?", nearest.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// The names most like it, nearest first.
        nearest: Vec<String>,
    },
    /// There is one, and it can't be used.
    #[error("{name}: {reason}")]
    Unusable {
        /// What was asked for.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl ModelError {
    /// No model of that name, among those called `names`.
    pub(super) fn unknown(name: &str, names: &[String]) -> Self {
        let wanted = name.to_lowercase();
        let mut nearest: Vec<_> = names.iter().map(|known| (distance(&wanted, known), known)).collect();
        nearest.sort_by_key(|(distance, _)| *distance);
        let nearest = nearest.into_iter().take(3).map(|(_, known)| known.clone()).collect();
        Self::Unknown { name: name.to_owned(), nearest }
    }
}

/// Edits that turn `wanted` into `name`; none for the beginning of one, so that `resnet` finds ResNets.
fn distance(wanted: &str, name: &str) -> usize {
    if name.starts_with(wanted) {
        return 0;
    }
    let mut row: Vec<usize> = (0..=name.len()).collect();
    for (i, a) in wanted.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in name.bytes().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[name.len()]
}

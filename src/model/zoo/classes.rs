//! ImageNet's classes: what the logits stand for.

use std::{collections::HashMap, sync::LazyLock};

/// A class of ImageNet (ILSVRC 2012).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// WordNet id, `n02124075`; the classes are in the order of these.
    pub synset: &'static str,
    /// Name as torchvision has it, `Egyptian cat`.
    pub name: &'static str,
}

static TABLE: LazyLock<Vec<Class>> = LazyLock::new(|| {
    let rows = include_str!("../../../assets/imagenet_classes.tsv").lines();
    rows.filter_map(|row| row.split_once('\t')).map(|(synset, name)| Class { synset, name }).collect()
});

static INDICES: LazyLock<HashMap<&'static str, usize>> =
    LazyLock::new(|| all().iter().enumerate().map(|(index, class)| (class.synset, index)).collect());

/// All [`super::CLASSES`], in the order of the logits.
pub fn all() -> &'static [Class] {
    &TABLE
}

/// The index of a class by its WordNet id.
pub fn index(synset: &str) -> Option<usize> {
    INDICES.get(synset).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::zoo::CLASSES;

    #[test]
    fn there_are_a_thousand_in_the_order_of_their_synsets() {
        assert_eq!(all().len(), CLASSES);
        assert!(all().is_sorted_by(|a, b| a.synset < b.synset));
        assert_eq!((index("n02124075"), all()[285].name), (Some(285), "Egyptian cat"));
        assert_eq!(index("n00000000"), None);
    }
}

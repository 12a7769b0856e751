//! ImageNet's classes: what the logits of every network stand for.

use crate::model::classifier::{Class, Classes};
use std::sync::LazyLock;

/// How many there are.
pub const CLASSES: usize = 1000;

/// ImageNet's classes (ILSVRC 2012), in the order of their WordNet ids; names as torchvision has them.
pub static IMAGENET: LazyLock<Classes> = LazyLock::new(|| {
    let rows = include_str!("../../../assets/imagenet_classes.tsv").lines();
    Classes::new(rows.filter_map(|row| row.split_once('\t')).map(|(synset, name)| Class { synset, name }).collect())
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_a_thousand_in_the_order_of_their_synsets() {
        assert_eq!(IMAGENET.len(), CLASSES);
        assert!(IMAGENET.all().is_sorted_by(|a, b| a.synset < b.synset));
        assert_eq!((IMAGENET.index("n02124075"), IMAGENET.all()[285].name), (Some(285), "Egyptian cat"));
        assert_eq!(IMAGENET.index("n00000000"), None);
    }
}

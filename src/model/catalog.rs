//! Every source of models, and a model by its name.

use super::{
    description::Model,
    source::{ModelError, ModelSource},
    zoo,
};

/// The sources, in the order in which they are asked.
static SOURCES: &[&dyn ModelSource] = &[
    &zoo::Zoo,
    #[cfg(test)]
    &super::tests::Toys,
];

/// The model of a name.
///
/// # Errors
/// With the names most like it where there is none, or with what is wrong with it.
pub fn find(name: &str) -> Result<Model, ModelError> {
    for source in SOURCES {
        if let Some(model) = source.find(name)? {
            return Ok(model);
        }
    }
    let names: Vec<String> = list().into_iter().map(|model| model.name).collect();
    Err(ModelError::unknown(name, &names))
}

/// Every model that can be listed.
pub fn list() -> Vec<Model> {
    SOURCES.iter().flat_map(|source| source.list()).collect()
}

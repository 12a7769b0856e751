//! Networks: one or several, by name, or by the name of a set of them.

use super::choice::Choice;
use crate::model::{self, Model, zoo};
use clap::{Args, builder::PossibleValue};

/// One network, given by an option.
#[derive(Clone, Debug, Args)]
pub struct Network {
    /// Network (`wattscope networks` lists them)
    #[arg(short, long, alias = "networks", value_name = "ID", value_parser = one(), hide_possible_values = true,
          default_value = "alexnet-owt")]
    pub network: String,
}

/// One network, given by an argument or by an option.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct NamedNetwork {
    /// Network (`wattscope networks` lists them)
    #[arg(id = "id", value_name = "ID", value_parser = one(), hide_possible_values = true)]
    argument: Option<String>,
    /// Network (`wattscope networks` lists them)
    #[arg(id = "network", short = 'n', long = "network", alias = "networks", value_name = "ID", value_parser = one(),
          hide_possible_values = true)]
    option: Option<String>,
}

impl NamedNetwork {
    /// The network.
    pub fn name(&self) -> &str {
        // One of the two is there: the group is required.
        self.argument.as_deref().or(self.option.as_deref()).unwrap_or_default()
    }
}

/// Several networks, given by an option.
#[derive(Clone, Debug, Args)]
pub struct Networks {
    /// Networks, separated by commas; `paper` for the 14 of Canziani et al. (2016), `all` for every one
    #[arg(short, long, alias = "networks", value_name = "ID,…", value_delimiter = ',', value_parser = any(),
          hide_possible_values = true)]
    network: Vec<String>,
}

impl Networks {
    /// The networks, each as often as it is named.
    pub fn names(&self) -> Vec<String> {
        expand(&self.network)
    }
}

/// Several networks, given by arguments, by an option or by both.
#[derive(Clone, Debug, Args)]
pub struct NamedNetworks {
    /// Networks, separated by commas; `paper` for the 14 of Canziani et al. (2016), `all` for every one
    #[arg(id = "ids", value_name = "ID", value_delimiter = ',', value_parser = any(), hide_possible_values = true)]
    arguments: Vec<String>,
    #[command(flatten)]
    option: Networks,
}

impl NamedNetworks {
    /// The networks, each as often as it is named.
    pub fn names(&self) -> Vec<String> {
        expand(self.arguments.iter().chain(&self.option.network))
    }
}

/// The networks that names on the command line stand for: a network each, or a set of them.
pub fn expand(names: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<String> {
    let these = |of: fn(&Model) -> bool| model::list().into_iter().filter(of).map(|model| model.name).collect();
    let networks = |name: &str| match name {
        "all" => these(|_| true),
        "paper" => these(|model| model.provenance.in_paper),
        _ => vec![name.to_owned()],
    };
    names.into_iter().flat_map(|name| networks(name.as_ref())).collect()
}

/// Parser of one network.
fn one() -> Choice<String> {
    among(&[])
}

/// Parser of a network or a set of them.
fn any() -> Choice<String> {
    among(&[("paper", "The 14 of Canziani et al. (2016)"), ("all", "Every network")])
}

fn among(sets: &[(&'static str, &'static str)]) -> Choice<String> {
    let networks = zoo::registry().iter().map(|entry| (entry.id, entry.title));
    let word = |(name, help): (&'static str, &'static str)| (PossibleValue::new(name).help(help), name.to_owned());
    Choice::new(networks.chain(sets.iter().copied()).map(word))
}

//! Where metrics are served.

use crate::exporter::Listen;
use clap::Args;

/// Where metrics are served.
#[derive(Clone, Debug, Args)]
pub struct Metrics {
    /// Serve metrics while it runs: at HOST:PORT, :PORT (all addresses) or PORT (loopback only); port 0 takes a free one
    #[arg(long = "metrics", value_name = "ADDRESS", value_parser = str::parse::<Listen>)]
    pub address: Option<Listen>,
}

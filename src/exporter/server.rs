//! The HTTP server.

use super::{encode, totals::Metrics};
use crate::{agent::fleet::FleetHandle, event::Tagged};
use axum::{Router, extract, http::header, response::IntoResponse, routing::get};
use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread::{self, JoinHandle},
};
use thiserror::Error;
use tokio::sync::oneshot;

/// Content type of a scrape.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Why there is no endpoint.
#[derive(Debug, Error)]
pub enum ExporterError {
    /// The address can't be listened on.
    #[error("metrics can't be served on {address}: {source}; another address: --metrics 127.0.0.1:PORT")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The server's thread could not be started.
    #[error("the thread that serves metrics could not be started: {0}")]
    Thread(io::Error),
}

/// An endpoint that answers `GET /metrics` until it is dropped.
#[derive(Debug)]
pub struct Exporter {
    metrics: Arc<Metrics>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Exporter {
    /// Listens on `address` (port 0 takes a free port) and serves on a thread of its own.
    ///
    /// # Errors
    /// If the address is in use, or not one of this host's.
    pub fn start(address: SocketAddr) -> Result<Self, ExporterError> {
        let bind = |source| ExporterError::Bind { address, source };
        let listener = TcpListener::bind(address).map_err(bind)?;
        listener.set_nonblocking(true).map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(ExporterError::Thread)?;
        let metrics = Arc::new(Metrics::default());
        let (stop, stopped) = oneshot::channel();
        let app = Router::new()
            .route("/", get(|| async { "wattscope: see /metrics\n" }))
            .route("/metrics", get(scrape))
            .with_state(metrics.clone());
        let answer = move || runtime.block_on(serve(listener, app, stopped));
        let thread = thread::Builder::new().name("metrics".to_owned()).spawn(answer).map_err(ExporterError::Thread)?;
        Ok(Self { metrics, address, stop: Some(stop), thread: Some(thread) })
    }

    /// The address on which it listens, with the port that was bound.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Folds an event in.
    pub fn observe(&self, tagged: &Tagged) {
        self.metrics.lock().apply(tagged);
    }

    /// The same agents, with all their events observed on the way; the endpoint closes when their stream ends. Needs a tokio
    /// runtime.
    pub fn tap(self, agents: FleetHandle) -> FleetHandle {
        agents.tap(move |tagged| self.observe(tagged))
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        // The thread may have ended already.
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Serves until it is told to stop. Open connections are not waited for: a collector tries again.
async fn serve(listener: TcpListener, app: Router, stopped: oneshot::Receiver<()>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "metrics are not served"),
    };
    tokio::select! {
        _ = stopped => {}
        served = axum::serve(listener, app) => tracing::error!(?served, "metrics are not served any more"),
    }
}

async fn scrape(extract::State(metrics): extract::State<Arc<Metrics>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], encode::text(&metrics))
}

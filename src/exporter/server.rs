//! The HTTP server.

use super::{
    encode,
    listen::{Listen, ListenError},
    negotiate::Format,
    totals::Metrics,
};
use crate::{agent::fleet::FleetHandle, event::Tagged};
use axum::{
    Router, extract,
    http::{HeaderMap, header},
    response::IntoResponse,
    routing::get,
};
use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread::{self, JoinHandle},
};
use thiserror::Error;
use tokio::{sync::oneshot, task::JoinSet};

/// Why there is no endpoint.
#[derive(Debug, Error)]
pub enum ExporterError {
    /// It can't listen on its address.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The server could not be started.
    #[error("the server of metrics could not be started: {0}")]
    Start(io::Error),
}

/// An endpoint that answers `GET /metrics` until it is dropped.
#[derive(Debug)]
pub struct Exporter {
    metrics: Arc<Metrics>,
    addresses: Vec<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Exporter {
    /// Listens, and serves on a thread of its own.
    ///
    /// # Errors
    /// If the name is not known, or an address is in use or not one of this host's.
    pub fn start(listen: &Listen) -> Result<Self, ExporterError> {
        let listeners = listen.bind()?;
        let ready = |listener: &TcpListener| listener.set_nonblocking(true).and_then(|()| listener.local_addr());
        let addresses = listeners.iter().map(ready).collect::<io::Result<_>>().map_err(ExporterError::Start)?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(ExporterError::Start)?;
        let metrics = Arc::new(Metrics::default());
        let (stop, stopped) = oneshot::channel();
        let app = Router::new()
            .route("/", get(|| async { "wattscope: see /metrics\n" }))
            .route("/metrics", get(scrape))
            .with_state(metrics.clone());
        let answer = move || runtime.block_on(serve(listeners, app, stopped));
        let thread = thread::Builder::new().name("metrics".to_owned()).spawn(answer).map_err(ExporterError::Start)?;
        Ok(Self { metrics, addresses, stop: Some(stop), thread: Some(thread) })
    }

    /// The addresses on which it listens, with the port that was bound.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The first address as a URL to be shown: `http://127.0.0.1:9464/metrics`.
    pub fn url(&self) -> String {
        self.addresses.first().map(|address| format!("http://{address}/metrics")).unwrap_or_default()
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
async fn serve(listeners: Vec<TcpListener>, app: Router, stopped: oneshot::Receiver<()>) {
    let mut servers = JoinSet::new();
    for listener in listeners {
        match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => _ = servers.spawn(axum::serve(listener, app.clone()).into_future()),
            Err(error) => tracing::error!(%error, "metrics are not served"),
        }
    }
    let all = async {
        while let Some(ended) = servers.join_next().await {
            tracing::error!(?ended, "metrics are not served any more");
        }
    };
    tokio::select! {
        _ = stopped => {}
        () = all => {}
    }
}

async fn scrape(extract::State(metrics): extract::State<Arc<Metrics>>, headers: HeaderMap) -> impl IntoResponse {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let format = Format::accepted(accept);
    let text = encode::text(&metrics);
    let text = match format {
        Format::OpenMetrics => text,
        Format::Prometheus => encode::prometheus(&text),
    };
    ([(header::CONTENT_TYPE, format.content_type()), (header::VARY, "Accept")], text)
}

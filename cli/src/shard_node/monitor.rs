//! What watches a shard node: `/metrics`, `/health/live`, `/health/ready`.
//!
//! Owns: the listener and its three answers.
//! Leaves to others: connections (`gateway::http`), what is counted (`metrics.rs` of each crate).
//! Always: nothing but ids of drives and numbers is told, to whoever asks, and nothing can be done
//! here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use holdfast_gateway::http::{Handler, Health, Limits, Query, ResponseBody, health};
use holdfast_seam::RpcMetrics;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use prometheus::{Registry, TEXT_FORMAT, TextEncoder};

use crate::config::Address;
use crate::error::CliError;
use crate::gateway::core::failed;
use crate::gateway::listen::{Bound, Serving, bind};
use crate::gateway::metrics::registry;
use crate::gateway::state::State;

/// Connections at once.
const CONNECTIONS_MAX: usize = 64;
/// How long requests may take once the process stops.
const DRAIN: Duration = Duration::from_secs(1);

/// The listener, bound, if one is wanted.
#[derive(Debug)]
pub struct Monitor(Option<Bound>);

impl Monitor {
    /// Binds the port.
    ///
    /// # Errors
    /// `Listen`.
    pub async fn bind(addr: Option<&Address>) -> Result<Self, CliError> {
        Ok(Self(match addr {
            Some(addr) => Some(bind(addr, "--metrics-listen").await?),
            None => None,
        }))
    }

    /// Where it is, for the line that says that the node is ready.
    pub fn words(&self) -> String {
        let bound = self.0.as_ref();
        bound.map_or_else(String::new, |bound| {
            format!(" metrics=http://{}", bound.addr)
        })
    }

    /// Serves what the drives and connections of this process count.
    ///
    /// # Errors
    /// `Failed` if a metric is named twice.
    pub fn serve(self, state: &State, rpc: &RpcMetrics) -> Result<Watched, CliError> {
        let Some(bound) = self.0 else {
            return Ok(Watched(None));
        };
        let registry = registry().map_err(failed("make metrics"))?;
        let drives = holdfast_shard_node::metrics::register(&registry);
        drives.map_err(failed("make metrics"))?;
        rpc.register(&registry).map_err(failed("make metrics"))?;
        let limits = Limits {
            connections_max: CONNECTIONS_MAX,
            drain: DRAIN,
            ..Limits::default()
        };
        let state = state.clone();
        let pages = Arc::new(Pages { state, registry });
        Ok(Watched(Some(Serving::start(bound, pages, limits))))
    }
}

/// The listener, serving, if one is wanted.
#[derive(Debug)]
pub struct Watched(Option<Serving>);

impl Watched {
    /// Closes it.
    pub async fn stop(self) {
        if let Some(serving) = self.0 {
            serving.stop().await;
        }
    }
}

struct Pages {
    state: State,
    registry: Registry,
}

impl Pages {
    fn answer(&self, request: &Request<Incoming>) -> Response<ResponseBody> {
        let (method, path) = (request.method(), request.uri().path());
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut refused = text(
                StatusCode::METHOD_NOT_ALLOWED,
                method,
                "use GET\n".to_owned(),
            );
            let allowed = HeaderValue::from_static("GET, HEAD");
            refused.headers_mut().insert(ALLOW, allowed);
            return refused;
        }
        if path == "/metrics" {
            return self.metrics(method);
        }
        let (health, headers): (&dyn Health, _) = (&self.state, request.headers());
        let found = Query::parse(request.uri().query())
            .ok()
            .and_then(|query| health::answer(health, method, path, &query, headers));
        let none = || (StatusCode::NOT_FOUND, "there is no such path\n".to_owned());
        let (status, said) = found.unwrap_or_else(none);
        text(status, method, said)
    }

    fn metrics(&self, method: &Method) -> Response<ResponseBody> {
        match TextEncoder::new().encode_to_string(&self.registry.gather()) {
            Ok(page) => {
                let mut answer = text(StatusCode::OK, method, page);
                let kind = HeaderValue::from_static(TEXT_FORMAT);
                answer.headers_mut().insert(CONTENT_TYPE, kind);
                answer
            }
            Err(error) => {
                tracing::error!(%error, "metrics cannot be written");
                let said = "metrics cannot be written\n".to_owned();
                text(StatusCode::INTERNAL_SERVER_ERROR, method, said)
            }
        }
    }
}

impl Handler for Pages {
    fn handle(
        &self,
        request: Request<Incoming>,
        _peer: SocketAddr,
    ) -> BoxFuture<'static, Response<ResponseBody>> {
        let answer = self.answer(&request);
        Box::pin(async move { answer })
    }
    fn connection_refused(&self) {}
}

fn text(status: StatusCode, method: &Method, said: String) -> Response<ResponseBody> {
    let said = if *method == Method::HEAD {
        Bytes::new()
    } else {
        Bytes::from(said)
    };
    let body = Full::new(said).map_err(|never| match never {});
    let mut answer = Response::new(body.boxed_unsync());
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

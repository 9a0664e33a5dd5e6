//! The gateway's two listeners.
//!
//! Owns: binding (so that a port in use is named with its flag), what is answered before the
//! gateway serves, ending both.
//! Leaves to others: connections and requests (`gateway::http`, `gateway::s3`, `gateway::admin`).
//! Always: health is answered from the first moment on.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures::future::BoxFuture;
use holdfast_gateway::http::{
    Drained, Handler, Health, Limits, Query, ResponseBody, health, serve,
};
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Address;
use crate::error::CliError;

/// A port that is ours.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    /// Where.
    pub addr: SocketAddr,
}

/// Binds `addr`, which `flag` names.
///
/// # Errors
/// `Listen`.
pub async fn bind(addr: &Address, flag: &'static str) -> Result<Bound, CliError> {
    let failed = |source| CliError::Listen {
        addr: addr.to_string(),
        flag,
        source,
    };
    let listener = TcpListener::bind(addr.as_str()).await.map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    Ok(Bound { listener, addr })
}

/// A listener that serves.
#[derive(Debug)]
pub struct Serving {
    stop: CancellationToken,
    task: JoinHandle<Drained>,
}

impl Serving {
    /// Serves `handler`.
    pub fn start(bound: Bound, handler: Arc<dyn Handler>, limits: Limits) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(bound.listener, handler, limits, stop.clone()));
        Self { stop, task }
    }
    /// Takes nothing new, and waits for what is under way as long as the limits allow.
    pub async fn stop(self) -> Drained {
        self.stop.cancel();
        self.task.await.unwrap_or(Drained { cut: 0 })
    }
}

/// Answers 503 until there is a handler.
pub struct Later {
    health: Arc<dyn Health>,
    handler: OnceLock<Arc<dyn Handler>>,
}

impl Later {
    /// Without a handler.
    pub fn new(health: Arc<dyn Health>) -> Arc<Self> {
        Arc::new(Self {
            health,
            handler: OnceLock::new(),
        })
    }
    /// Answers with `handler` from now on.
    pub fn set(&self, handler: Arc<dyn Handler>) {
        // Set once, by the one start of the process.
        let _ = self.handler.set(handler);
    }

    fn early(&self, request: &Request<Incoming>) -> Response<ResponseBody> {
        let found = Query::parse(request.uri().query()).ok().and_then(|query| {
            let (method, path) = (request.method(), request.uri().path());
            health::answer(&*self.health, method, path, &query, request.headers())
        });
        let (status, text) = found.unwrap_or((
            StatusCode::SERVICE_UNAVAILABLE,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>ServiceUnavailable</Code>\
             <Message>The gateway is starting</Message></Error>\n"
                .to_owned(),
        ));
        let kind = if text.starts_with('<') {
            "application/xml"
        } else {
            "text/plain"
        };
        let body = Full::new(Bytes::from(text)).map_err(|never| match never {});
        let mut answer = Response::new(body.boxed_unsync());
        *answer.status_mut() = status;
        answer
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            answer
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        answer
    }
}

impl Handler for Later {
    fn handle(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> BoxFuture<'static, Response<ResponseBody>> {
        match self.handler.get() {
            Some(handler) => handler.handle(request, peer),
            None => {
                let answer = self.early(&request);
                Box::pin(async move { answer })
            }
        }
    }
    fn connection_refused(&self) {
        if let Some(handler) = self.handler.get() {
            handler.connection_refused();
        }
    }
}

//! From a request to an answer.
//!
//! Owns: the order: body within bounds, route, right, operation.
//! Leaves to others: each of them.
//! Always: who may not use a route learns nothing from it, not even whether it exists below
//! `/admin/`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{ALLOW, HeaderValue, WWW_AUTHENTICATE};
use http::request::Parts as Head;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use prometheus::TextEncoder;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::access::Denied;
use super::routes::{Action, NoRoute, Right, find};
use super::{Parts, accounts, answer, openapi};
use crate::GatewayError;
use crate::http::{Handler, Query, ResponseBody, health};

/// A request's body may be so long.
const BODY_LEN_MAX: usize = 64 << 10;
/// And take so long to arrive.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

const FRONT: &str = "<!doctype html>
<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Holdfast</title></head>
<body><h1>Holdfast</h1><ul>
<li><a href=\"/health/live\">alive?</a></li>
<li><a href=\"/health/ready\">ready?</a></li>
<li><a href=\"/metrics\">metrics</a></li>
<li><a href=\"/admin/v1/openapi.json\">admin API</a> (with the administrator's keys or token)</li>
</ul></body></html>
";

/// The admin listener's requests.
#[derive(Clone)]
pub struct Service(Arc<Parts>);

impl Service {
    /// Answers by `parts`.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Answers a request whose body has arrived.
    pub async fn answer(&self, head: Head, body: Bytes) -> Response<ResponseBody> {
        let is_head = head.method == Method::HEAD;
        let answer = self.routed(&head, &body).await;
        if !is_head {
            return answer;
        }
        let (head, _) = answer.into_parts();
        let empty = Full::new(Bytes::new()).map_err(|never| match never {});
        Response::from_parts(head, empty.boxed_unsync())
    }

    async fn routed(&self, head: &Head, body: &[u8]) -> Response<ResponseBody> {
        let path = head.uri.path();
        let found = find(&head.method, path);
        let right = match &found {
            Ok((action, _)) => action.right(),
            // What does not exist below /admin/ looks to strangers like what does.
            Err(_) if path.starts_with("/admin/") => Right::Administrator,
            Err(_) => Right::Anyone,
        };
        if let Err(denied) = self.admit(right, head, body) {
            return refused(&denied);
        }
        match found {
            Ok((action, id)) => self.act(action, id.unwrap_or_default(), head, body).await,
            Err(NoRoute::Path) => {
                answer::error(StatusCode::NOT_FOUND, "not_found", "there is no such path")
            }
            Err(NoRoute::Method(allowed)) => {
                let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
                let text = format!("use {}", names.join(" or "));
                let status = StatusCode::METHOD_NOT_ALLOWED;
                let mut refused = answer::error(status, "method_not_allowed", &text);
                if let Ok(names) = HeaderValue::from_str(&names.join(", ")) {
                    refused.headers_mut().insert(ALLOW, names);
                }
                refused
            }
        }
    }

    fn admit(&self, right: Right, head: &Head, body: &[u8]) -> Result<(), Denied> {
        let access = &self.0.access;
        match right {
            Right::Anyone | Right::ClusterSecret => Ok(()),
            Right::Metrics if !access.metrics_closed => Ok(()),
            Right::Metrics | Right::Administrator => {
                access.administrator(head, body, SystemTime::now())
            }
        }
    }

    async fn act(
        &self,
        action: Action,
        id: &str,
        head: &Head,
        body: &[u8],
    ) -> Response<ResponseBody> {
        let cluster = &self.0.cluster;
        match action {
            Action::Front => answer::with(StatusCode::OK, "text/html; charset=utf-8", FRONT),
            Action::Metrics => self.metrics(),
            Action::Live | Action::Ready => self.health(head),
            Action::OpenApi => answer::json(StatusCode::OK, &openapi::document()),
            Action::Heal => answer::of(cluster.heal().await),
            Action::HealRun => match read(body) {
                Ok(request) => answer::of(cluster.run_heal(request).await),
                Err(error) => answer::of(Err(error)),
            },
            Action::HealPause => answer::of(cluster.pause_heal(true).await),
            Action::HealResume => answer::of(cluster.pause_heal(false).await),
            Action::Scrub => answer::of(cluster.scrub().await),
            Action::ScrubStart => answer::of(cluster.start_scrub().await),
            Action::ScrubPause => answer::of(cluster.pause_scrub(true).await),
            Action::ScrubResume => answer::of(cluster.pause_scrub(false).await),
            Action::Durability => answer::of(cluster.durability().await),
            Action::Check => match read(body) {
                Ok(request) => answer::of(cluster.check(request).await),
                Err(error) => answer::of(Err(error)),
            },
            Action::Inspect => match read(body) {
                Ok(request) => answer::of(cluster.inspect(request).await),
                Err(error) => answer::of(Err(error)),
            },
            Action::CheckIndex => answer::of(cluster.check_index().await),
            Action::Drives => answer::of(cluster.drives().await),
            Action::ReplaceDrive => answer::of(cluster.replace_drive(id).await),
            Action::Cluster => answer::of(cluster.cluster().await),
            Action::Accounts
            | Action::AccountCreate
            | Action::Account
            | Action::AccountDelete
            | Action::Keys
            | Action::KeyCreate
            | Action::KeyEnable
            | Action::KeyDisable
            | Action::KeyDelete => answer::of(self.accounts(action, id, body).await),
            Action::Join => match read::<Value>(body) {
                Ok(request) => answer::of(cluster.join(request).await),
                Err(error) => answer::of(Err(error)),
            },
        }
    }

    async fn accounts(&self, action: Action, id: &str, body: &[u8]) -> Result<Value, GatewayError> {
        let all = &self.0.cluster.accounts()?;
        match action {
            Action::AccountCreate => accounts::create(all, read(body)?).await,
            Action::Account => accounts::show(all, id),
            Action::AccountDelete => accounts::delete(all, id).await,
            Action::Keys => accounts::keys(all, id),
            Action::KeyCreate => accounts::create_key(all, id, read(body)?).await,
            Action::KeyEnable => accounts::set_active(all, id, true).await,
            Action::KeyDisable => accounts::set_active(all, id, false).await,
            Action::KeyDelete => accounts::delete_key(all, id).await,
            _ => accounts::list(all),
        }
    }

    fn metrics(&self) -> Response<ResponseBody> {
        match TextEncoder::new().encode_to_string(&self.0.registry.gather()) {
            Ok(text) => answer::with(StatusCode::OK, "text/plain; version=0.0.4", text),
            Err(error) => answer::of(Err(GatewayError::Internal {
                what: format!("encode metrics: {error}"),
            })),
        }
    }

    fn health(&self, head: &Head) -> Response<ResponseBody> {
        let (health, query) = (self.0.health.as_ref(), Query::default());
        let headers = http::HeaderMap::new();
        let found = health::answer(health, &head.method, head.uri.path(), &query, &headers);
        match found {
            Some((status, text)) => answer::with(status, "text/plain; charset=utf-8", text),
            None => answer::error(StatusCode::NOT_FOUND, "not_found", "there is no such path"),
        }
    }

    async fn whole(self, request: Request<Incoming>) -> Response<ResponseBody> {
        let (head, body) = request.into_parts();
        let body = Limited::new(body, BODY_LEN_MAX).collect();
        match tokio::time::timeout(BODY_TIME_MAX, body).await {
            Ok(Ok(body)) => self.answer(head, body.to_bytes()).await,
            Ok(Err(_)) => answer::error(
                StatusCode::PAYLOAD_TOO_LARGE,
                "bad_body",
                "the body is longer than 64 KiB, or broke off",
            ),
            Err(_) => answer::error(
                StatusCode::REQUEST_TIMEOUT,
                "bad_body",
                "the body did not arrive in time",
            ),
        }
    }
}

/// A request's body; none at all stands for an object without fields.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, GatewayError> {
    let body = if body.trim_ascii().is_empty() {
        b"{}"
    } else {
        body
    };
    serde_json::from_slice(body).map_err(|error| GatewayError::InvalidArgument {
        name: "body",
        why: error.to_string(),
    })
}

fn refused(denied: &Denied) -> Response<ResponseBody> {
    let (status, code) = match denied {
        Denied::Anonymous => (StatusCode::UNAUTHORIZED, "unauthenticated"),
        _ => (StatusCode::FORBIDDEN, "denied"),
    };
    let mut refused = answer::error(status, code, &denied.to_string());
    if status == StatusCode::UNAUTHORIZED {
        let scheme = HeaderValue::from_static("Bearer realm=\"holdfast\"");
        refused.headers_mut().insert(WWW_AUTHENTICATE, scheme);
    }
    refused
}

impl Handler for Service {
    fn handle(
        &self,
        request: Request<Incoming>,
        _peer: SocketAddr,
    ) -> BoxFuture<'static, Response<ResponseBody>> {
        let service = self.clone();
        Box::pin(service.whole(request))
    }

    fn connection_refused(&self) {
        tracing::debug!("admin connection refused: too many");
    }
}

//! Whether the gateway is alive and ready: `/health/live`, `/health/ready`.
//!
//! Owns: the paths and what they answer.
//! Leaves to others: knowing it ([`Health`] is implemented by whoever starts the process).
//! Always: answered without a signature, to GET and HEAD only, and without a word about what is
//! stored.

use http::{HeaderMap, Method, StatusCode};

use super::Query;

/// Whether requests can be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// They can.
    Ready,
    /// Not yet, or not now; the reason is shown to everyone.
    NotReady(String),
    /// The process is stopping: finish what runs, take nothing new.
    Draining,
}

/// Knows the state of the process.
pub trait Health: Send + Sync + 'static {
    /// Whether the process works at all; `false` asks to be restarted.
    fn live(&self) -> bool;
    /// Whether it should be sent requests.
    fn readiness(&self) -> Readiness;
    /// Whether it answers those that it is sent. Where these differ (too few drives answer for the
    /// smallest write), it does what it still can.
    fn serving(&self) -> Readiness {
        self.readiness()
    }
}

/// Status and text, if the request is one for health.
pub fn answer(
    health: &dyn Health,
    method: &Method,
    path: &str,
    query: &Query,
    headers: &HeaderMap,
) -> Option<(StatusCode, String)> {
    let signed = headers.contains_key(http::header::AUTHORIZATION) || query.has("X-Amz-Signature");
    if signed || !matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    match path {
        "/health/live" => Some(match health.live() {
            true => (StatusCode::OK, "live\n".to_owned()),
            false => (StatusCode::SERVICE_UNAVAILABLE, "not live\n".to_owned()),
        }),
        "/health/ready" => Some(match health.readiness() {
            Readiness::Ready => (StatusCode::OK, "ready\n".to_owned()),
            Readiness::NotReady(why) => (
                StatusCode::SERVICE_UNAVAILABLE,
                format!("not ready: {why}\n"),
            ),
            Readiness::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned()),
        }),
        _ => None,
    }
}

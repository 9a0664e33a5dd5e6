//! The admin listener: rights of every route, signatures, tokens, answers.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use holdfast_protocol::admin::check::CheckRequest;
use holdfast_protocol::admin::heal::HealRequest;
use holdfast_protocol::admin::inspect::InspectRequest;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::routes::{Action, ROUTES, Right};
use super::{Access, Cluster, Parts, Service};
use crate::GatewayError;
use crate::accounts::Accounts;
use crate::auth::{Administrator, Secret};
use crate::http::{Health, Readiness};

const TOKEN: &str = "a token of enough length";

struct Fake;

#[async_trait]
impl Cluster for Fake {
    async fn heal(&self) -> Result<Value, GatewayError> {
        Ok(json!({ "backlog_objects": 0 }))
    }
    async fn run_heal(&self, request: HealRequest) -> Result<Value, GatewayError> {
        Ok(json!({ "dry_run": request.dry_run }))
    }
    async fn pause_heal(&self, paused: bool) -> Result<Value, GatewayError> {
        Ok(json!({ "paused": paused }))
    }
    async fn scrub(&self) -> Result<Value, GatewayError> {
        Ok(json!({ "paused": false }))
    }
    async fn start_scrub(&self) -> Result<Value, GatewayError> {
        Ok(json!({}))
    }
    async fn pause_scrub(&self, paused: bool) -> Result<Value, GatewayError> {
        Ok(json!({ "paused": paused }))
    }
    async fn durability(&self) -> Result<Value, GatewayError> {
        Ok(json!({ "objects": 0 }))
    }
    async fn check(&self, request: CheckRequest) -> Result<Value, GatewayError> {
        Ok(json!({ "deep": request.deep }))
    }
    async fn inspect(&self, request: InspectRequest) -> Result<Value, GatewayError> {
        Ok(json!({ "key": request.key }))
    }
    async fn check_index(&self) -> Result<Value, GatewayError> {
        Err(GatewayError::Unavailable {
            why: "starting".to_owned(),
        })
    }
    async fn drives(&self) -> Result<Value, GatewayError> {
        Err(GatewayError::Internal {
            what: "a detail that strangers must not see".to_owned(),
        })
    }
    async fn cluster(&self) -> Result<Value, GatewayError> {
        Ok(json!({}))
    }
    async fn replace_drive(&self, drive: &str) -> Result<Value, GatewayError> {
        Ok(json!({ "drive": drive }))
    }
    fn accounts(&self) -> Result<Accounts, GatewayError> {
        Err(GatewayError::Unavailable {
            why: "starting".to_owned(),
        })
    }
    async fn join(&self, _request: Value) -> Result<Value, GatewayError> {
        Err(GatewayError::AccessDenied {
            why: "no proof".to_owned(),
        })
    }
}

impl Health for Fake {
    fn live(&self) -> bool {
        true
    }
    fn readiness(&self) -> Readiness {
        Readiness::NotReady("still starting".to_owned())
    }
}

fn service(metrics_closed: bool) -> Service {
    let key = Secret::new("a-secret-of-the-administrator");
    Service::new(Parts {
        cluster: Arc::new(Fake),
        health: Arc::new(Fake),
        registry: prometheus::Registry::new(),
        access: Access {
            credentials: Arc::new(Administrator::new("ADMIN", key).unwrap()),
            token: Some(Secret::new(TOKEN)),
            region: "us-east-1".to_owned(),
            metrics_closed,
        },
    })
}

async fn ask(
    service: &Service,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
) -> (StatusCode, String) {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (head, ()) = request.body(()).unwrap().into_parts();
    let answer = service.answer(head, Bytes::new()).await;
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn every_route_needs_its_right() {
    for closed in [false, true] {
        let service = service(closed);
        for route in ROUTES {
            let path = route.path.replace("{id}", "12ab");
            let (status, text) = ask(&service, route.method.clone(), &path, &[]).await;
            let open = match route.action.right() {
                Right::Anyone => true,
                Right::Metrics => !closed,
                // The proof is in the body; without one the operation refuses.
                Right::ClusterSecret | Right::Administrator => false,
            };
            let refused = [
                StatusCode::UNAUTHORIZED,
                StatusCode::FORBIDDEN,
                StatusCode::BAD_REQUEST,
            ]
            .contains(&status);
            assert_eq!(refused, !open, "{path} answered {status} {text}");
        }
    }
}

#[test]
fn every_admin_route_but_join_is_the_administrators() {
    for route in ROUTES
        .iter()
        .filter(|route| route.path.starts_with("/admin/"))
    {
        let expected = match route.action {
            Action::Join => Right::ClusterSecret,
            _ => Right::Administrator,
        };
        assert_eq!(route.action.right(), expected, "{}", route.path);
    }
}

#[test]
fn the_description_has_every_route() {
    let document = super::openapi::document();
    for route in ROUTES {
        let method = route.method.as_str().to_lowercase();
        let found = &document["paths"][route.path][&method];
        assert_eq!(
            found["summary"], route.summary,
            "{} {}",
            route.method, route.path
        );
        let closed = route.action.right() == Right::Administrator;
        assert!(!closed || found["security"].is_array(), "{}", route.path);
    }
}

#[tokio::test]
async fn a_token_is_accepted_whole_or_not_at_all() {
    let service = service(false);
    for (token, expected) in [
        (format!("Bearer {TOKEN}"), StatusCode::OK),
        (format!("bearer {TOKEN}"), StatusCode::OK),
        (format!("Bearer {TOKEN}x"), StatusCode::FORBIDDEN),
        ("Bearer ".to_owned(), StatusCode::FORBIDDEN),
        (format!("Bearer {}", &TOKEN[1..]), StatusCode::FORBIDDEN),
    ] {
        let headers = [("authorization", token.as_str())];
        let (status, _) = ask(&service, Method::GET, "/admin/v1/heal", &headers).await;
        assert_eq!(status, expected, "{token}");
    }
}

#[tokio::test]
async fn a_malformed_or_wrong_signature_is_denied() {
    let service = service(false);
    let zeros = "0".repeat(64);
    let signed = format!(
        "AWS4-HMAC-SHA256 Credential=ADMIN/19700101/us-east-1/s3/aws4_request, \
         SignedHeaders=host;x-amz-date, Signature={zeros}"
    );
    for header in [
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=x",
        "Basic abc",
        &signed,
    ] {
        let headers = [
            ("authorization", header),
            ("x-amz-date", "19700101T000000Z"),
        ];
        let (status, text) = ask(&service, Method::GET, "/admin/v1/heal", &headers).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{header}: {text}");
    }
}

#[tokio::test]
async fn health_tells_the_truth_and_errors_are_json() {
    let service = service(false);
    let (status, _) = ask(&service, Method::GET, "/health/live", &[]).await;
    assert_eq!(status, StatusCode::OK);
    let (status, text) = ask(&service, Method::GET, "/health/ready", &[]).await;
    assert_eq!(
        (status, &*text),
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready: still starting\n"
        )
    );
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("authorization", bearer.as_str())];
    let (status, text) = ask(&service, Method::POST, "/admin/v1/index/check", &headers).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let error: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(error["error"], "unavailable");
    let (status, text) = ask(&service, Method::GET, "/admin/v1/drives", &headers).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!text.contains("strangers"), "{text}");
    let (status, _) = ask(&service, Method::PUT, "/admin/v1/heal", &headers).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    let (status, _) = ask(&service, Method::GET, "/nowhere", &[]).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn strangers_do_not_learn_which_admin_routes_exist() {
    let service = service(false);
    for path in ["/admin/v1/heal", "/admin/v1/nothing", "/admin/"] {
        let (status, _) = ask(&service, Method::GET, path, &[]).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
    }
}

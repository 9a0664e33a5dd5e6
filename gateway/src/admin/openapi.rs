//! The description of the admin API (OpenAPI 3.1).
//!
//! Owns: the document.
//! Leaves to others: the routes ([`super::routes`]), from which it is made.
//! Always: every route is in it.

use serde_json::{Map, Value, json};

use super::routes::{Action, ROUTES, Right, Route};

/// The document.
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in &ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_lowercase()] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Holdfast admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer" },
                "signature": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "AWS Signature Version 4 (service s3), an administrator's key",
                },
            },
            "schemas": {
                "Error": {
                    "type": "object",
                    "required": ["error", "message"],
                    "properties": {
                        "error": { "type": "string" },
                        "message": { "type": "string" },
                    },
                },
            },
        },
    })
}

fn operation(route: &Route) -> Value {
    let error = json!({
        "description": "An error",
        "content": {
            "application/json": { "schema": { "$ref": "#/components/schemas/Error" } },
        },
    });
    let kind = match route.path.starts_with("/admin/") {
        true => "application/json",
        false => "text/plain",
    };
    let mut operation = json!({
        "operationId": format!("{:?}", route.action),
        "summary": route.summary,
        "responses": {
            "200": { "description": "Done", "content": { kind: {} } },
            "default": error,
        },
    });
    if matches!(route.action.right(), Right::Administrator | Right::Metrics) {
        operation["security"] = json!([{ "token": [] }, { "signature": [] }]);
    }
    if route.path.contains("{id}") {
        let pattern = match route.path.starts_with("/admin/v1/drives/") {
            true => "^[0-9a-f]{1,16}$",
            false => "^[0-9A-Za-z._-]{1,128}$",
        };
        operation["parameters"] = json!([{
            "name": "id",
            "in": "path",
            "required": true,
            "schema": { "type": "string", "pattern": pattern },
        }]);
    }
    if let Some((required, schema)) = body(route.action) {
        operation["requestBody"] = json!({
            "required": required,
            "content": { "application/json": { "schema": schema } },
        });
    }
    operation
}

/// The body that an operation takes: whether it must have one, and of which form.
fn body(action: Action) -> Option<(bool, Value)> {
    let flag = json!({ "type": "boolean", "default": false });
    match action {
        Action::Join => Some((true, json!({ "type": "object" }))),
        Action::HealRun => {
            let limit = json!({ "type": "integer", "minimum": 1 });
            let properties = json!({ "dry_run": flag, "limit": limit });
            Some((false, json!({ "type": "object", "properties": properties })))
        }
        Action::Check => {
            let properties = json!({ "deep": flag, "heal": flag });
            Some((false, json!({ "type": "object", "properties": properties })))
        }
        Action::Inspect => {
            let text = json!({ "type": "string" });
            let properties = json!({ "bucket": text, "key": text, "write": text });
            let required = json!(["bucket", "key"]);
            Some((
                true,
                json!({ "type": "object", "required": required, "properties": properties }),
            ))
        }
        Action::AccountCreate => {
            let text = json!({ "type": "string" });
            let properties = json!({ "name": text, "email": text, "is_admin": flag });
            Some((
                true,
                json!({ "type": "object", "required": ["name"], "properties": properties }),
            ))
        }
        Action::KeyCreate => {
            let text = json!({ "type": "string" });
            let properties = json!({ "access_key": text, "secret_key": text });
            Some((false, json!({ "type": "object", "properties": properties })))
        }
        _ => None,
    }
}

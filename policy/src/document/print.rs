//! Writing a policy anew, from what was understood of it.
//!
//! Owns: one form for each meaning: lists where there may be lists, elements in one order.
//! Leaves to others: giving back what a client stored ([`Policy::text`]).
//! Always: what is printed reads as the same policy; a test and a fuzz target hold that.

use std::fmt;

use serde_json::{Map, Value, json};

use super::{Effect, Listed, Policy, Statement};
use crate::principal::Principals;

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = Map::new();
        if let Some(language) = self.language {
            fields.insert("Version".to_owned(), json!(language.name()));
        }
        if let Some(id) = &self.id {
            fields.insert("Id".to_owned(), json!(id));
        }
        let statements: Vec<Value> = self.statements.iter().map(statement).collect();
        fields.insert("Statement".to_owned(), json!(statements));
        write!(f, "{}", Value::Object(fields))
    }
}

fn statement(statement: &Statement) -> Value {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    if let Some(sid) = &statement.sid {
        put("Sid", json!(sid));
    }
    match statement.effect {
        Effect::Allow => put("Effect", json!("Allow")),
        Effect::Deny => put("Effect", json!("Deny")),
    };
    let who = principals(statement.principals.list());
    match &statement.principals {
        Listed::These(_) => put("Principal", who),
        Listed::AllBut(_) => put("NotPrincipal", who),
    };
    match &statement.actions {
        Listed::These((names, _)) => put("Action", json!(names)),
        Listed::AllBut((names, _)) => put("NotAction", json!(names)),
    };
    let on = statement.resources.list().iter().map(|(text, _)| text);
    let on: Vec<&String> = on.collect();
    match &statement.resources {
        Listed::These(_) => put("Resource", json!(on)),
        Listed::AllBut(_) => put("NotResource", json!(on)),
    };
    let mut operators = Map::new();
    for condition in &statement.conditions {
        let (operator, key, values) = &condition.text;
        let keys = operators
            .entry(operator)
            .or_insert_with(|| Value::Object(Map::new()));
        if let Some(keys) = keys.as_object_mut() {
            keys.insert(key.clone(), json!(values));
        }
    }
    if !operators.is_empty() {
        put("Condition", Value::Object(operators));
    }
    Value::Object(fields)
}

fn principals(principals: &Principals) -> Value {
    let mut kinds = Map::new();
    for (kind, name, _) in &principals.named {
        if kind.is_empty() {
            return json!(name);
        }
        let names = kinds.entry(*kind).or_insert_with(|| json!([]));
        if let Some(names) = names.as_array_mut() {
            names.push(json!(name));
        }
    }
    Value::Object(kinds)
}

//! Reading a policy document.
//!
//! Owns: the elements a document may have, and every check of them.
//! Leaves to others: principals, conditions, patterns (their own modules).
//! Always: what is not known is refused; the first thing that is wrong is named, with its
//! statement.

use super::{DOCUMENT_LEN_MAX, Effect, Listed, Policy, Statement};
use crate::action::{Actions, On};
use crate::condition;
use crate::error::PolicyError;
use crate::glob::{Glob, Token, may_continue};
use crate::json::Json;
use crate::pattern::{Language, Pattern, Wild};
use crate::principal::Principals;

const ARN: &str = "arn:aws:s3:::";

/// An element of a statement and its opposite.
type Pair = (&'static str, &'static str);

pub(super) fn document(text: &str, bucket: &str) -> Result<Policy, PolicyError> {
    if text.len() > DOCUMENT_LEN_MAX {
        let what = "Policy exceeds the maximum allowed document size";
        return Err(PolicyError::malformed(format!(
            "{what} ({} of {DOCUMENT_LEN_MAX} bytes)",
            text.len()
        )));
    }
    let not_json = |why: String| {
        PolicyError::malformed(format!(
            "Policies must be valid JSON and the first byte must be '{{': {why}"
        ))
    };
    if !text.starts_with('{') {
        return Err(not_json("it is another byte".to_owned()));
    }
    let json: Json = serde_json::from_str(text).map_err(|error| not_json(error.to_string()))?;
    let Json::Object(fields) = json else {
        return Err(not_json("it is not an object".to_owned()));
    };
    only(&fields, &["Version", "Id", "Statement"])?;
    let language = match field(&fields, "Version") {
        None => None,
        Some(version) => Some(language(version)?),
    };
    let id = field(&fields, "Id")
        .map(|id| own_text("Id", id))
        .transpose()?;
    let listed = field(&fields, "Statement").ok_or_else(|| missing("Statement"))?;
    let mut statements: Vec<Statement> = Vec::new();
    for (index, json) in listed.items().iter().enumerate() {
        // A policy without a version is of the first one.
        let language = language.unwrap_or(Language::V2008);
        let read = statement(json, language, bucket).map_err(|error| error.in_statement(index))?;
        let again = statements
            .iter()
            .any(|known| known.sid == read.sid && read.sid.as_ref().is_some_and(|s| !s.is_empty()));
        if again {
            let sid = read.sid.unwrap_or_default();
            let what = format!("Statement IDs (SID) in a single policy must be unique: {sid:?}");
            return Err(PolicyError::malformed(what).in_statement(index));
        }
        statements.push(read);
    }
    if statements.is_empty() {
        let what = "Could not parse the policy: Statement is empty!";
        return Err(PolicyError::malformed(what));
    }
    Ok(Policy {
        bucket: bucket.to_owned(),
        text: text.to_owned(),
        language,
        id,
        statements,
    })
}

fn language(version: &Json) -> Result<Language, PolicyError> {
    let known = [Language::V2008, Language::V2012];
    let named = |language: &Language| matches!(version, Json::Text(t) if t == language.name());
    known.into_iter().find(named).ok_or_else(|| {
        PolicyError::malformed(
            "The policy must contain a valid version string: 2012-10-17 or 2008-10-17",
        )
    })
}

fn statement(json: &Json, language: Language, bucket: &str) -> Result<Statement, PolicyError> {
    let Json::Object(fields) = json else {
        return Err(PolicyError::malformed("A statement must be an object"));
    };
    only(
        fields,
        &[
            "Sid",
            "Effect",
            "Principal",
            "NotPrincipal",
            "Action",
            "NotAction",
            "Resource",
            "NotResource",
            "Condition",
        ],
    )?;
    let sid = field(fields, "Sid")
        .map(|sid| own_text("Sid", sid))
        .transpose()?;
    let effect = effect(field(fields, "Effect").ok_or_else(|| missing("Effect"))?)?;
    let principals = either(fields, ("Principal", "NotPrincipal"), Principals::parse)?;
    if effect == Effect::Allow && matches!(principals, Listed::AllBut(_)) {
        let what = "Invalid principal in policy: NotPrincipal cannot be used with Allow";
        return Err(PolicyError::malformed(what));
    }
    let actions = either(fields, ("Action", "NotAction"), actions)?;
    let read = |value: &Json| resources(value, language, bucket);
    let resources = either(fields, ("Resource", "NotResource"), read)?;
    if let (Listed::These((names, _)), Listed::These(found)) = (&actions, &resources) {
        applies(names, found)?;
    }
    let condition = field(fields, "Condition").map(|block| condition::parse(block, language));
    let pattern = |resource: Resource| (resource.text, resource.pattern);
    let patterns = |list: Vec<Resource>| list.into_iter().map(pattern).collect();
    Ok(Statement {
        sid,
        effect,
        principals,
        actions,
        resources: match resources {
            Listed::These(list) => Listed::These(patterns(list)),
            Listed::AllBut(list) => Listed::AllBut(patterns(list)),
        },
        conditions: condition.transpose()?.unwrap_or_default(),
    })
}

fn effect(value: &Json) -> Result<Effect, PolicyError> {
    match value {
        Json::Text(text) if text == "Allow" => Ok(Effect::Allow),
        Json::Text(text) if text == "Deny" => Ok(Effect::Deny),
        other => {
            let shown = other.scalar().unwrap_or_default();
            Err(PolicyError::malformed(format!("Invalid effect: {shown}")))
        }
    }
}

fn actions(value: &Json) -> Result<(Vec<String>, Actions), PolicyError> {
    let names = texts("Action", value)?;
    let mut set = Actions::default();
    for name in &names {
        set.extend(Actions::matching(name)?);
    }
    Ok((names, set))
}

/// A resource, and what of the bucket it can be.
struct Resource {
    text: String,
    pattern: Pattern,
    is_bucket: bool,
    is_object: bool,
}

fn resources(value: &Json, language: Language, bucket: &str) -> Result<Vec<Resource>, PolicyError> {
    let mut found = Vec::new();
    for text in texts("Resource", value)? {
        let resource = resource(&text, language, bucket)?;
        let shown: String = text.chars().take(200).collect();
        found.push(resource.ok_or_else(|| {
            PolicyError::malformed(format!("Policy has invalid resource: {shown}"))
        })?);
    }
    Ok(found)
}

/// A resource of `bucket`; `None` if it cannot be one.
fn resource(text: &str, language: Language, bucket: &str) -> Result<Option<Resource>, PolicyError> {
    let Some(name) = text.strip_prefix(ARN) else {
        return Ok(None);
    };
    let shape: Vec<Token> = Pattern::shape(name, language, Wild::Cards)?;
    let is_bucket = Glob::new(shape.iter().copied()).matches(bucket);
    let is_object = may_continue(&shape, &format!("{bucket}/"));
    Ok((is_bucket || is_object).then_some(Resource {
        text: text.to_owned(),
        pattern: Pattern::parse(text, language, Wild::Cards)?,
        is_bucket,
        is_object,
    }))
}

/// Every action must be one on some resource of its statement.
fn applies(names: &[String], resources: &[Resource]) -> Result<(), PolicyError> {
    let of_bucket = resources.iter().any(|resource| resource.is_bucket);
    let of_object = resources.iter().any(|resource| resource.is_object);
    for name in names {
        let mut meant = Actions::matching(name)?.iter();
        let fits = meant.any(|action| match action.on() {
            On::Service => false,
            On::Bucket => of_bucket,
            On::Object => of_object,
        });
        if !fits {
            let what = "Action does not apply to any resource(s) in statement";
            return Err(PolicyError::malformed(format!("{what}: {name}")));
        }
    }
    Ok(())
}

fn only(fields: &[(String, Json)], known: &[&str]) -> Result<(), PolicyError> {
    match fields
        .iter()
        .find(|(name, _)| !known.contains(&name.as_str()))
    {
        None => Ok(()),
        Some((name, _)) => {
            let shown: String = name.chars().take(100).collect();
            Err(PolicyError::malformed(format!("Unknown field {shown}")))
        }
    }
}

fn field<'f>(fields: &'f [(String, Json)], name: &str) -> Option<&'f Json> {
    let found = fields.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value)
}

fn missing(name: &str) -> PolicyError {
    PolicyError::malformed(format!("Missing required field {name}"))
}

fn either<T>(
    fields: &[(String, Json)],
    (name, not): Pair,
    read: impl FnOnce(&Json) -> Result<T, PolicyError>,
) -> Result<Listed<T>, PolicyError> {
    match (field(fields, name), field(fields, not)) {
        (Some(value), None) => Ok(Listed::These(read(value)?)),
        (None, Some(value)) => Ok(Listed::AllBut(read(value)?)),
        (None, None) => Err(missing(name)),
        (Some(_), Some(_)) => Err(PolicyError::malformed(format!(
            "A statement cannot have both {name} and {not}"
        ))),
    }
}

fn own_text(name: &str, value: &Json) -> Result<String, PolicyError> {
    match value {
        Json::Text(text) => Ok(text.clone()),
        _ => Err(PolicyError::malformed(format!("{name} must be text"))),
    }
}

/// One text or several, at least one.
fn texts(name: &str, value: &Json) -> Result<Vec<String>, PolicyError> {
    let texts = value.texts().filter(|texts| !texts.is_empty());
    let texts = texts.ok_or_else(|| {
        PolicyError::malformed(format!("{name} must be text, or a list of texts"))
    })?;
    Ok(texts.into_iter().map(str::to_owned).collect())
}

//! Operators of conditions, by their names.
//!
//! Owns: the closed list; what stands before and behind an operator's name.
//! Leaves to others: values and their comparison ([`super`]).
//! Always: a name that is not IAM's is refused, never ignored.

use std::cmp::Ordering;

use crate::error::PolicyError;

/// How values are compared, apart from a negation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    /// Letter by letter.
    Text,
    /// The same in either case.
    TextFolded,
    /// With wildcards.
    Like,
    Number(Compare),
    Date(Compare),
    Bool,
    Binary,
    Address,
    /// Part by part, with wildcards.
    Arn,
    /// Whether the key is missing.
    Missing,
}

/// How numbers and dates are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compare {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Compare {
    pub(crate) const fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// How a key of several values is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quantifier {
    /// Without a word before the operator.
    Plain,
    /// `ForAllValues:`
    All,
    /// `ForAnyValue:`
    Any,
}

/// An operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operator {
    pub(crate) quantifier: Quantifier,
    pub(crate) test: Test,
    pub(crate) negated: bool,
    pub(crate) if_exists: bool,
}

impl Operator {
    /// Reads its name.
    pub(crate) fn parse(name: &str) -> Result<Self, PolicyError> {
        let unknown = || PolicyError::malformed(format!("Invalid Condition type : {name}"));
        let (quantifier, rest) = match name.split_once(':') {
            None => (Quantifier::Plain, name),
            Some(("ForAllValues", rest)) => (Quantifier::All, rest),
            Some(("ForAnyValue", rest)) => (Quantifier::Any, rest),
            Some(_) => return Err(unknown()),
        };
        let (rest, if_exists) = match rest.strip_suffix("IfExists") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let (test, negated) = test(rest).ok_or_else(unknown)?;
        // It says itself what it wants of a missing key.
        if test == Test::Missing && (if_exists || quantifier != Quantifier::Plain) {
            return Err(unknown());
        }
        Ok(Self {
            quantifier,
            test,
            negated,
            if_exists,
        })
    }
}

fn test(name: &str) -> Option<(Test, bool)> {
    if let Some(rest) = name.strip_prefix("Numeric") {
        let (compare, negated) = compare(rest)?;
        return Some((Test::Number(compare), negated));
    }
    if let Some(rest) = name.strip_prefix("Date") {
        let (compare, negated) = compare(rest)?;
        return Some((Test::Date(compare), negated));
    }
    Some(match name {
        "StringEquals" => (Test::Text, false),
        "StringNotEquals" => (Test::Text, true),
        "StringEqualsIgnoreCase" => (Test::TextFolded, false),
        "StringNotEqualsIgnoreCase" => (Test::TextFolded, true),
        "StringLike" => (Test::Like, false),
        "StringNotLike" => (Test::Like, true),
        "Bool" => (Test::Bool, false),
        "BinaryEquals" => (Test::Binary, false),
        "IpAddress" => (Test::Address, false),
        "NotIpAddress" => (Test::Address, true),
        "ArnEquals" | "ArnLike" => (Test::Arn, false),
        "ArnNotEquals" | "ArnNotLike" => (Test::Arn, true),
        "Null" => (Test::Missing, false),
        _ => return None,
    })
}

fn compare(name: &str) -> Option<(Compare, bool)> {
    Some(match name {
        "Equals" => (Compare::Equal, false),
        "NotEquals" => (Compare::Equal, true),
        "LessThan" => (Compare::Less, false),
        "LessThanEquals" => (Compare::LessOrEqual, false),
        "GreaterThan" => (Compare::Greater, false),
        "GreaterThanEquals" => (Compare::GreaterOrEqual, false),
        _ => return None,
    })
}

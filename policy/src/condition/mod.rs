//! Conditions of a statement.
//!
//! Owns: reading them and deciding them: operators, missing keys, keys of several values.
//! Leaves to others: names of operators ([`operator`]); values of a request ([`crate::context`]).
//! Always: as IAM has it: a missing key fails a positive operator and satisfies a negated one. A
//! value of a request that cannot be read as its operator wants equals nothing.

pub(crate) mod operator;

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipnet::{IpNet, Ipv4Net};

use crate::context::{Context, Key};
use crate::dates::{self, Instant};
use crate::document::Effect;
use crate::error::PolicyError;
use crate::json::Json;
use crate::pattern::{Language, Pattern, Wild};
use operator::{Operator, Quantifier, Test};

/// One operator on one key.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    pub(crate) operator: Operator,
    pub(crate) key: Key,
    pub(crate) values: Values,
    /// As written: operator, key, values.
    pub(crate) text: (String, String, Vec<String>),
}

/// What a key is compared with.
#[derive(Clone, Debug)]
pub(crate) enum Values {
    Texts(Vec<Pattern>),
    Arns(Vec<Arn>),
    Numbers(Vec<f64>),
    Dates(Vec<Instant>),
    Bools(Vec<bool>),
    Bytes(Vec<Vec<u8>>),
    Networks(Vec<IpNet>),
}

/// A pattern over ARNs.
#[derive(Clone, Debug)]
pub(crate) enum Arn {
    /// `*`.
    Every,
    Parts(Box<[Pattern; 6]>),
}

/// Reads a `Condition` element.
pub(crate) fn parse(block: &Json, language: Language) -> Result<Vec<Condition>, PolicyError> {
    let Json::Object(operators) = block else {
        return Err(PolicyError::malformed("Condition must be an object"));
    };
    let mut conditions = Vec::new();
    for (name, keys) in operators {
        let operator = Operator::parse(name)?;
        let Json::Object(keys) = keys else {
            let what = format!("Condition {name} must be an object of keys");
            return Err(PolicyError::malformed(what));
        };
        for (key, values) in keys {
            conditions.push(Condition::parse(operator, name, key, values, language)?);
        }
    }
    Ok(conditions)
}

impl Condition {
    fn parse(
        operator: Operator,
        name: &str,
        key: &str,
        values: &Json,
        language: Language,
    ) -> Result<Self, PolicyError> {
        let unknown =
            || PolicyError::malformed(format!("Policy has an invalid condition key: {key}"));
        let known = Key::parse(key).ok_or_else(unknown)?;
        let texts: Option<Vec<String>> = values.items().iter().map(Json::scalar).collect();
        let invalid = |what: &str| {
            PolicyError::malformed(format!(
                "Invalid value of condition {name} of {key}: {what}"
            ))
        };
        let texts = texts.filter(|texts| !texts.is_empty());
        let texts = texts.ok_or_else(|| invalid("it must be text, or a list of texts"))?;
        Ok(Self {
            operator,
            values: Values::parse(operator.test, &texts, language, &invalid)?,
            key: known,
            text: (name.to_owned(), key.to_owned(), texts),
        })
    }

    /// Whether it holds for this request, in a statement of this effect.
    pub(crate) fn holds(&self, context: &Context, effect: Effect) -> bool {
        let Operator {
            quantifier,
            negated,
            if_exists,
            test,
        } = self.operator;
        // What cannot be filled in must not widen what is allowed.
        if negated && effect == Effect::Allow && !self.values.are_known(context) {
            return false;
        }
        let given = context.get(&self.key);
        if test == Test::Missing {
            return self.values.missing(given.is_empty());
        }
        let found = |value: &String| self.values.find(test, value, context);
        match quantifier {
            _ if given.is_empty() && if_exists => true,
            Quantifier::Plain => given.iter().any(found) != negated,
            Quantifier::All => given.iter().all(|value| found(value) != negated),
            Quantifier::Any => given.iter().any(|value| found(value) != negated),
        }
    }

    /// The keys it looks at.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        let patterns: Vec<&Pattern> = match &self.values {
            Values::Texts(texts) => texts.iter().collect(),
            Values::Arns(arns) => arns.iter().flat_map(Arn::parts).collect(),
            _ => Vec::new(),
        };
        let inside = patterns.into_iter().flat_map(Pattern::keys);
        std::iter::once(&self.key).chain(inside)
    }
}

impl Values {
    fn parse(
        test: Test,
        texts: &[String],
        language: Language,
        invalid: &dyn Fn(&str) -> PolicyError,
    ) -> Result<Self, PolicyError> {
        let pattern = |wild| -> Result<Self, PolicyError> {
            let read = texts.iter().map(|t| Pattern::parse(t, language, wild));
            Ok(Self::Texts(read.collect::<Result<_, _>>()?))
        };
        match test {
            Test::Text => pattern(Wild::Text),
            Test::TextFolded => pattern(Wild::TextFolded),
            Test::Like => pattern(Wild::Cards),
            Test::Number(_) => all(texts, number)
                .map(Self::Numbers)
                .ok_or_else(|| invalid("it must be a number")),
            Test::Date(_) => all(texts, dates::parse)
                .map(Self::Dates)
                .ok_or_else(|| invalid("it must be a date, as 2026-01-31T12:00:00Z")),
            Test::Bool | Test::Missing => all(texts, boolean)
                .map(Self::Bools)
                .ok_or_else(|| invalid("it must be true or false")),
            Test::Binary => all(texts, |text| STANDARD.decode(text).ok())
                .map(Self::Bytes)
                .ok_or_else(|| invalid("it must be base64")),
            Test::Address => all(texts, network)
                .map(Self::Networks)
                .ok_or_else(|| invalid("it must be an IP address or a CIDR block")),
            Test::Arn => {
                let mut arns = Vec::new();
                for text in texts {
                    let arn = match text.as_str() {
                        "*" => Some(Arn::Every),
                        text => Pattern::arn(text, language)?.map(|p| Arn::Parts(Box::new(p))),
                    };
                    arns.push(arn.ok_or_else(|| invalid("it must be an ARN"))?);
                }
                Ok(Self::Arns(arns))
            }
        }
    }

    /// Whether one of the values is what `given` is.
    fn find(&self, test: Test, given: &str, context: &Context) -> bool {
        match (self, test) {
            (Self::Texts(texts), _) => texts
                .iter()
                .any(|text| text.matches(given, context) == Some(true)),
            (Self::Arns(arns), _) => arns.iter().any(|arn| arn.matches(given, context)),
            (Self::Numbers(numbers), Test::Number(compare)) => number(given).is_some_and(|given| {
                let order = |wanted: &f64| given.partial_cmp(wanted);
                numbers.iter().filter_map(order).any(|o| compare.holds(o))
            }),
            (Self::Dates(moments), Test::Date(compare)) => dates::parse(given)
                .is_some_and(|given| moments.iter().any(|at| compare.holds(given.cmp(at)))),
            (Self::Bools(wanted), _) => boolean(given).is_some_and(|given| wanted.contains(&given)),
            (Self::Bytes(wanted), _) => wanted.iter().any(|bytes| bytes == given.as_bytes()),
            (Self::Networks(networks), _) => given
                .parse()
                .map(|address: IpAddr| address.to_canonical())
                .is_ok_and(|address| networks.iter().any(|net| net.contains(&address))),
            (Self::Numbers(_) | Self::Dates(_), _) => false,
        }
    }

    fn missing(&self, is_missing: bool) -> bool {
        matches!(self, Self::Bools(wanted) if wanted.contains(&is_missing))
    }

    /// Whether every variable can be filled in.
    fn are_known(&self, context: &Context) -> bool {
        let known = |pattern: &Pattern| pattern.matches("", context).is_some();
        match self {
            Self::Texts(texts) => texts.iter().all(known),
            Self::Arns(arns) => arns.iter().flat_map(Arn::parts).all(known),
            _ => true,
        }
    }
}

impl Arn {
    fn matches(&self, given: &str, context: &Context) -> bool {
        let given: Vec<&str> = given.splitn(6, ':').collect();
        match self {
            Self::Every => given.len() == 6,
            Self::Parts(parts) => {
                let mut pairs = parts.iter().zip(&given);
                given.len() == 6 && pairs.all(|(p, text)| p.matches(text, context) == Some(true))
            }
        }
    }

    pub(crate) fn parts(&self) -> &[Pattern] {
        match self {
            Self::Every => &[],
            Self::Parts(parts) => parts.as_slice(),
        }
    }
}

fn all<T>(texts: &[String], read: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    texts.iter().map(|text| read(text)).collect()
}

fn number(text: &str) -> Option<f64> {
    let plain = |c: u8| c.is_ascii_digit() || b"+-.eE".contains(&c);
    let number: f64 = text.bytes().all(plain).then(|| text.parse().ok())??;
    number.is_finite().then_some(number)
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// A CIDR block, or an address as a block of one. A block of IPv4 addresses in the form of IPv6 is
/// one of IPv4, as addresses of requests are.
fn network(text: &str) -> Option<IpNet> {
    let network = match text.contains('/') {
        true => text.parse().ok()?,
        false => IpNet::from(text.parse::<IpAddr>().ok()?),
    };
    if let IpNet::V6(v6) = network
        && let Some(v4) = v6.addr().to_ipv4_mapped()
        && v6.prefix_len() >= 96
    {
        return Some(IpNet::V4(Ipv4Net::new(v4, v6.prefix_len() - 96).ok()?));
    }
    Some(network)
}

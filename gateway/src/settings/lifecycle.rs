//! When versions and uploads of a bucket go by themselves.

use holdfast_protocol::checksum::crc64;
use holdfast_protocol::manifest::KEY_LEN_MAX;
use serde::{Deserialize, Serialize};

use crate::error::GatewayError;

const RULES_MAX: usize = 1000;
const ID_CHARS_MAX: usize = 255;
/// As S3: so many noncurrent versions can be kept by count.
pub const KEEP_MAX: u32 = 100;
const MS_PER_DAY: u64 = 24 * 60 * 60 * 1000;

/// The rules, in the order in which they were given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lifecycle {
    rules: Vec<LifecycleRule>,
    /// Whether small objects move to the classes of archives: `varies_by_storage_class`.
    #[serde(skip_serializing_if = "is_false", default)]
    varies: bool,
}

fn is_false(is: &bool) -> bool {
    !is
}

/// A rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LifecycleRule {
    /// Its name; an empty one is replaced by one that is made of the rule.
    pub id: String,
    /// Whether it is carried out.
    pub enabled: bool,
    /// What it is about.
    pub filter: LifecycleFilter,
    /// When current versions go.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expiration: Option<Expiration>,
    /// When noncurrent versions go.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub noncurrent: Option<NoncurrentExpiration>,
    /// How many days after they were opened uploads go.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub abort_days: Option<u32>,
    /// Where current versions move to, and when.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub transitions: Vec<Transition>,
    /// Where noncurrent versions move to, and when.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub noncurrent_transitions: Vec<NoncurrentTransition>,
}

/// When current versions move to another storage class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transition {
    /// When.
    pub at: When,
    /// The class.
    pub class: String,
}

/// A time of current versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// So many days after they were made.
    Days(u32),
    /// From this midnight on (milliseconds since 1970).
    DateMs(u64),
}

/// When noncurrent versions move to another storage class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoncurrentTransition {
    /// So many days after they ceased to be current.
    pub days: u32,
    /// But for so many, the newest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub keep: Option<u32>,
    /// The class.
    pub class: String,
}

/// How a filter was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FilterForm {
    /// `Prefix` of the rule itself, as before there were filters.
    Prefix,
    /// `Filter` with one condition or none.
    #[default]
    Filter,
    /// `Filter` with `And`.
    And,
}

/// What a rule is about: all that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LifecycleFilter {
    /// How it was written.
    pub form: FilterForm,
    /// Keys begin so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub prefix: Option<String>,
    /// Objects have these tags.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub tags: Vec<(String, String)>,
    /// Objects are larger (bytes).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub larger: Option<u64>,
    /// Objects are smaller (bytes).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub smaller: Option<u64>,
}

/// When current versions go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expiration {
    /// So many days after they were made.
    Days(u32),
    /// From this midnight on (milliseconds since 1970).
    DateMs(u64),
    /// A delete marker behind which there is no version: at once, if it is true.
    Marker(bool),
}

/// When noncurrent versions go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoncurrentExpiration {
    /// So many days after they ceased to be current.
    pub days: u32,
    /// But for so many, the newest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub keep: Option<u32>,
}

/// A number of days that is positive.
///
/// # Errors
/// `InvalidArgument`.
pub fn positive_days(element: &'static str, action: &str, days: i32) -> Result<u32, GatewayError> {
    let positive = u32::try_from(days).ok().filter(|days| *days > 0);
    positive.ok_or_else(|| GatewayError::InvalidArgument {
        name: element,
        why: format!("'{element}' for {action} action must be a positive integer"),
    })
}

/// A date that is a midnight.
///
/// # Errors
/// `InvalidArgument`.
pub fn midnight(date_ms: Option<u64>) -> Result<u64, GatewayError> {
    let midnight = date_ms.filter(|ms| ms.is_multiple_of(MS_PER_DAY));
    midnight.ok_or_else(|| GatewayError::InvalidArgument {
        name: "Date",
        why: "'Date' must be at midnight GMT".to_owned(),
    })
}

impl Lifecycle {
    /// Checks S3's rules, and names rules that have no name.
    ///
    /// # Errors
    /// `MalformedDocument`, `InvalidArgument` or `InvalidRequest`, as S3 has it.
    pub fn new(mut rules: Vec<LifecycleRule>) -> Result<Self, GatewayError> {
        if rules.is_empty() || rules.len() > RULES_MAX {
            return malformed("a lifecycle configuration has 1 to 1000 rules");
        }
        for (at, rule) in rules.iter_mut().enumerate() {
            check(rule)?;
            if rule.id.is_empty() {
                let text = format!("{at} {rule:?}");
                rule.id = format!("rule-{:016x}", crc64(text.as_bytes()));
            }
        }
        let mut ids: Vec<&str> = rules.iter().map(|rule| rule.id.as_str()).collect();
        ids.sort_unstable();
        if ids.windows(2).any(|pair| pair[0] == pair[1]) {
            return argument(
                "ID",
                "Rule ID must be unique. Found same ID for more than one rule",
            );
        }
        let is_old = |rule: &LifecycleRule| rule.filter.form == FilterForm::Prefix;
        if rules.iter().any(is_old) && !rules.iter().all(is_old) {
            return refuse(
                "Base level prefix cannot be used in Lifecycle V2, prefixes are only supported \
                 in the Filter.",
            );
        }
        Ok(Self {
            rules,
            varies: false,
        })
    }
    /// The same, with small objects moving as `varies_by_storage_class` says, or not.
    #[must_use]
    pub fn varying(mut self, varies: bool) -> Self {
        self.varies = varies;
        self
    }
    /// Whether small objects move to the classes of archives.
    pub fn varies(&self) -> bool {
        self.varies
    }
    /// The rules.
    pub fn rules(&self) -> &[LifecycleRule] {
        &self.rules
    }
}

fn check(rule: &LifecycleRule) -> Result<(), GatewayError> {
    if rule.id.chars().count() > ID_CHARS_MAX {
        return argument("ID", "ID length should not exceed allowed limit of 255");
    }
    check_filter(&rule.filter)?;
    let filter = &rule.filter;
    let has_tags = !filter.tags.is_empty();
    let has_sizes = filter.larger.is_some() || filter.smaller.is_some();
    let has_moves = !rule.transitions.is_empty() || !rule.noncurrent_transitions.is_empty();
    let has_ends =
        rule.expiration.is_some() || rule.noncurrent.is_some() || rule.abort_days.is_some();
    if !has_moves && !has_ends {
        return refuse("At least one action needs to be specified in a rule");
    }
    if has_tags && matches!(rule.expiration, Some(Expiration::Marker(_))) {
        return refuse("ExpiredObjectDeleteMarker cannot be specified with Tags.");
    }
    if rule.abort_days.is_some() && has_tags {
        return refuse("AbortIncompleteMultipartUpload cannot be specified with Tags.");
    }
    if rule.abort_days.is_some() && has_sizes {
        return refuse("AbortIncompleteMultipartUpload cannot be specified with Object Size.");
    }
    check_transitions(rule)?;
    let ends = rule.noncurrent.iter().map(|ends| ends.keep);
    let moves = rule.noncurrent_transitions.iter().map(|moves| moves.keep);
    for keep in ends.chain(moves).flatten() {
        if !(1..=KEEP_MAX).contains(&keep) {
            return argument(
                "NewerNoncurrentVersions",
                "'NewerNoncurrentVersions' must be a positive integer, at most 100",
            );
        }
        if filter.form == FilterForm::Prefix {
            return refuse("NewerNoncurrentVersions can only be used in a rule with a Filter.");
        }
    }
    Ok(())
}

/// One class once, one kind of time, and nothing moves that has gone before.
fn check_transitions(rule: &LifecycleRule) -> Result<(), GatewayError> {
    let current = rule.transitions.iter().map(|moves| &moves.class);
    let noncurrent = rule.noncurrent_transitions.iter();
    let noncurrent = noncurrent.map(|moves| &moves.class);
    if is_twice(current.collect()) || is_twice(noncurrent.collect()) {
        return refuse("'StorageClass' must be different for transitions of the same rule");
    }
    let days = rule.transitions.iter().filter_map(|moves| match moves.at {
        When::Days(days) => Some(days),
        When::DateMs(_) => None,
    });
    let days: Vec<u32> = days.collect();
    let dated = rule.transitions.len() - days.len();
    let is_mixed = match rule.expiration {
        Some(Expiration::Days(_)) => dated > 0,
        Some(Expiration::DateMs(_)) => !days.is_empty(),
        _ => dated > 0 && !days.is_empty(),
    };
    if is_mixed {
        return refuse("Found mixed 'Date' and 'Days' based actions in a lifecycle rule");
    }
    if let Some(Expiration::Days(end)) = rule.expiration
        && days.iter().any(|&days| days >= end)
    {
        return argument(
            "Days",
            "'Days' in the Expiration action must be greater than 'Days' in the Transition action",
        );
    }
    let mut moves = rule.noncurrent_transitions.iter();
    match rule.noncurrent {
        Some(ends) if moves.any(|moves| moves.days >= ends.days) => argument(
            "NoncurrentDays",
            "'NoncurrentDays' in the NoncurrentVersionExpiration action must be greater than \
             'NoncurrentDays' in the NoncurrentVersionTransition action",
        ),
        _ => Ok(()),
    }
}

fn is_twice(mut classes: Vec<&String>) -> bool {
    classes.sort_unstable();
    classes.windows(2).any(|pair| pair[0] == pair[1])
}

fn check_filter(filter: &LifecycleFilter) -> Result<(), GatewayError> {
    let one = usize::from;
    let conditions = one(filter.prefix.is_some())
        + filter.tags.len()
        + one(filter.larger.is_some())
        + one(filter.smaller.is_some());
    match filter.form {
        FilterForm::And if conditions < 2 => {
            return malformed("And has two conditions at the least");
        }
        FilterForm::Filter if conditions > 1 => {
            return malformed("a Filter with more than one condition needs And");
        }
        FilterForm::Prefix if filter.prefix.is_none() || conditions > 1 => {
            return malformed("a rule has a Filter or a Prefix");
        }
        _ => {}
    }
    if filter
        .prefix
        .as_ref()
        .is_some_and(|prefix| prefix.len() > KEY_LEN_MAX)
    {
        return refuse("The maximum size of a prefix is 1024.");
    }
    for (at, (key, value)) in filter.tags.iter().enumerate() {
        if !(1..=128).contains(&key.chars().count()) {
            return refuse("A Tag's Key must be a length between 1 and 128.");
        }
        if value.chars().count() > 256 {
            return refuse("A Tag's Value must be a length between 0 and 256.");
        }
        if filter.tags[..at].iter().any(|(known, _)| known == key) {
            return refuse("Duplicate Tag Keys are not allowed.");
        }
    }
    match (filter.larger, filter.smaller) {
        (_, Some(0)) => refuse("'ObjectSizeLessThan' must be a positive integer"),
        (Some(larger), Some(smaller)) if larger >= smaller => {
            refuse("'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.")
        }
        _ => Ok(()),
    }
}

fn malformed<T>(why: &'static str) -> Result<T, GatewayError> {
    Err(GatewayError::MalformedDocument { why })
}

fn refuse<T>(why: &str) -> Result<T, GatewayError> {
    let why = why.to_owned();
    Err(GatewayError::InvalidRequest { why })
}

fn argument<T>(name: &'static str, why: &str) -> Result<T, GatewayError> {
    let why = why.to_owned();
    Err(GatewayError::InvalidArgument { name, why })
}

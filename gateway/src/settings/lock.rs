//! Object lock: versions that cannot be deleted for a time.

use serde::{Deserialize, Serialize};

use crate::error::GatewayError;

const DAYS_MAX: i64 = 36_500;
const YEARS_MAX: i64 = 100;
const DAYS_PER_YEAR: u64 = 365;
const MS_PER_DAY: u64 = 24 * 60 * 60 * 1000;

/// How strictly a version is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RetentionMode {
    /// Who is allowed to may bypass it.
    Governance,
    /// Nobody may, not even the administrator.
    Compliance,
}

impl RetentionMode {
    /// S3's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Governance => "GOVERNANCE",
            Self::Compliance => "COMPLIANCE",
        }
    }
    /// Reads S3's name.
    pub fn parse(name: &str) -> Option<Self> {
        let modes = [Self::Governance, Self::Compliance];
        modes.into_iter().find(|mode| mode.name() == name)
    }
}

/// How long versions are kept that say nothing of it themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    /// Days.
    Days(u32),
    /// Years of 365 days.
    Years(u32),
}

impl Period {
    /// Checks that exactly one of them is given, and that it is 1 to 36,500 days or 100 years.
    ///
    /// # Errors
    /// `MalformedDocument`, `InvalidRetentionPeriod`.
    pub fn new(days: Option<i64>, years: Option<i64>) -> Result<Self, GatewayError> {
        let (given, max) = match (days, years) {
            (Some(days), None) => (days, DAYS_MAX),
            (None, Some(years)) => (years, YEARS_MAX),
            _ => {
                return Err(GatewayError::MalformedDocument {
                    why: "a default retention has Days or Years",
                });
            }
        };
        let count = u32::try_from(given).ok().filter(|count| *count > 0);
        let Some(count) = count.filter(|_| given <= max) else {
            return Err(GatewayError::InvalidRetentionPeriod);
        };
        Ok(match days {
            Some(_) => Self::Days(count),
            None => Self::Years(count),
        })
    }
    /// Its length in milliseconds.
    pub fn ms(self) -> u64 {
        MS_PER_DAY
            * match self {
                Self::Days(days) => u64::from(days),
                Self::Years(years) => DAYS_PER_YEAR * u64::from(years),
            }
    }
}

/// What a new version gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DefaultRetention {
    /// How strictly.
    pub mode: RetentionMode,
    /// How long.
    pub period: Period,
}

/// That versions of a bucket can be locked. Once configured it stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectLock {
    /// What versions get that say nothing themselves.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub default: Option<DefaultRetention>,
}

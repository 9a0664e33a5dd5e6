//! The table of routes.
//!
//! Owns: which paths there are, what each does and who may use it.
//! Leaves to others: proving who asks ([`super::access`]), doing it ([`super::service`]).
//! Always: an operation has a right (the match has no `_`), and every operation is in the table (a
//! test).

use http::Method;

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Everyone; the answer says nothing about what is stored.
    Anyone,
    /// Everyone, unless `metrics_auth` is set: then the administrator.
    Metrics,
    /// Who proves the cluster secret; the operation checks it.
    ClusterSecret,
    /// The administrator, by signature or token.
    Administrator,
}

/// What a route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The front page.
    Front,
    /// Metrics.
    Metrics,
    /// Alive?
    Live,
    /// Ready?
    Ready,
    /// The description of the API.
    OpenApi,
    /// What heals.
    Heal,
    /// Heal now, or say what would be done.
    HealRun,
    /// Pause healing.
    HealPause,
    /// Let healing go on.
    HealResume,
    /// How far the scrub is.
    Scrub,
    /// Scrub everything now.
    ScrubStart,
    /// Pause the scrub.
    ScrubPause,
    /// Let the scrub go on.
    ScrubResume,
    /// Objects by margin.
    Durability,
    /// Check everything.
    Check,
    /// Look at one object.
    Inspect,
    /// Check the index.
    CheckIndex,
    /// List drives.
    Drives,
    /// Give a drive up.
    ReplaceDrive,
    /// The cluster.
    Cluster,
    /// List accounts.
    Accounts,
    /// Make an account.
    AccountCreate,
    /// Show an account.
    Account,
    /// Delete an account.
    AccountDelete,
    /// List an account's keys.
    Keys,
    /// Make a key.
    KeyCreate,
    /// Let a key sign.
    KeyEnable,
    /// Let a key no longer sign.
    KeyDisable,
    /// Delete a key.
    KeyDelete,
    /// Where a node registers.
    Join,
}

impl Action {
    /// Who may.
    pub const fn right(self) -> Right {
        match self {
            Self::Front | Self::Live | Self::Ready => Right::Anyone,
            Self::Metrics => Right::Metrics,
            Self::Join => Right::ClusterSecret,
            Self::OpenApi
            | Self::Heal
            | Self::HealRun
            | Self::HealPause
            | Self::HealResume
            | Self::Scrub
            | Self::ScrubStart
            | Self::ScrubPause
            | Self::ScrubResume
            | Self::Durability
            | Self::Check
            | Self::Inspect
            | Self::CheckIndex
            | Self::Drives
            | Self::ReplaceDrive
            | Self::Cluster
            | Self::Accounts
            | Self::AccountCreate
            | Self::Account
            | Self::AccountDelete
            | Self::Keys
            | Self::KeyCreate
            | Self::KeyEnable
            | Self::KeyDisable
            | Self::KeyDelete => Right::Administrator,
        }
    }
}

/// One route. `{id}` in the path stands for one segment.
#[derive(Clone, Debug)]
pub struct Route {
    /// The method; HEAD is answered where GET is.
    pub method: Method,
    /// The path.
    pub path: &'static str,
    /// What it does.
    pub action: Action,
    /// One line for the description of the API.
    pub summary: &'static str,
}

const fn route(method: Method, path: &'static str, action: Action, summary: &'static str) -> Route {
    Route {
        method,
        path,
        action,
        summary,
    }
}

/// All routes.
pub const ROUTES: [Route; 30] = [
    route(Method::GET, "/", Action::Front, "A page with links."),
    route(
        Method::GET,
        "/metrics",
        Action::Metrics,
        "Metrics for Prometheus.",
    ),
    route(
        Method::GET,
        "/health/live",
        Action::Live,
        "Whether the process works.",
    ),
    route(
        Method::GET,
        "/health/ready",
        Action::Ready,
        "Whether requests are served.",
    ),
    route(
        Method::GET,
        "/admin/v1/openapi.json",
        Action::OpenApi,
        "This description.",
    ),
    route(
        Method::GET,
        "/admin/v1/heal",
        Action::Heal,
        "How much is left to heal.",
    ),
    route(
        Method::POST,
        "/admin/v1/heal/run",
        Action::HealRun,
        "Tries everything in the heal queue now; with dry_run, says what would be done.",
    ),
    route(
        Method::POST,
        "/admin/v1/heal/pause",
        Action::HealPause,
        "Pauses healing until it is resumed or the gateway restarts.",
    ),
    route(
        Method::POST,
        "/admin/v1/heal/resume",
        Action::HealResume,
        "Lets healing go on.",
    ),
    route(
        Method::GET,
        "/admin/v1/scrub",
        Action::Scrub,
        "How far the scrub is.",
    ),
    route(
        Method::POST,
        "/admin/v1/scrub/start",
        Action::ScrubStart,
        "Scrubs every drive now.",
    ),
    route(
        Method::POST,
        "/admin/v1/scrub/pause",
        Action::ScrubPause,
        "Pauses the scrub until it is resumed or the gateway restarts.",
    ),
    route(
        Method::POST,
        "/admin/v1/scrub/resume",
        Action::ScrubResume,
        "Lets the scrub go on.",
    ),
    route(
        Method::GET,
        "/admin/v1/durability",
        Action::Durability,
        "Objects by how many more shards or copies they can lose.",
    ),
    route(
        Method::POST,
        "/admin/v1/check",
        Action::Check,
        "Compares index and drives, lists objects that are not whole; deep reads everything.",
    ),
    route(
        Method::POST,
        "/admin/v1/inspect",
        Action::Inspect,
        "Where an object is, and how many failures it survives now.",
    ),
    route(
        Method::POST,
        "/admin/v1/index/check",
        Action::CheckIndex,
        "Compares the index with the drives.",
    ),
    route(
        Method::GET,
        "/admin/v1/drives",
        Action::Drives,
        "All drives and how they do.",
    ),
    route(
        Method::POST,
        "/admin/v1/drives/{id}/replace",
        Action::ReplaceDrive,
        "Gives a drive up for lost; an empty directory may take its place under a new id.",
    ),
    route(
        Method::GET,
        "/admin/v1/cluster",
        Action::Cluster,
        "Geometry, map version and counts of drives.",
    ),
    route(
        Method::GET,
        "/admin/v1/accounts",
        Action::Accounts,
        "All accounts and their keys, without secrets.",
    ),
    route(
        Method::POST,
        "/admin/v1/accounts",
        Action::AccountCreate,
        "Makes an account.",
    ),
    route(
        Method::GET,
        "/admin/v1/accounts/{id}",
        Action::Account,
        "An account, by name, number or canonical id.",
    ),
    route(
        Method::DELETE,
        "/admin/v1/accounts/{id}",
        Action::AccountDelete,
        "Deletes an account that owns no buckets, and its keys.",
    ),
    route(
        Method::GET,
        "/admin/v1/accounts/{id}/keys",
        Action::Keys,
        "An account's keys, without secrets.",
    ),
    route(
        Method::POST,
        "/admin/v1/accounts/{id}/keys",
        Action::KeyCreate,
        "Makes a key; the answer has its secret, which is never shown again.",
    ),
    route(
        Method::POST,
        "/admin/v1/keys/{id}/enable",
        Action::KeyEnable,
        "Lets requests be signed with a key.",
    ),
    route(
        Method::POST,
        "/admin/v1/keys/{id}/disable",
        Action::KeyDisable,
        "Refuses requests that are signed with a key.",
    ),
    route(
        Method::DELETE,
        "/admin/v1/keys/{id}",
        Action::KeyDelete,
        "Deletes a key.",
    ),
    route(
        Method::POST,
        "/admin/v1/join",
        Action::Join,
        "Tells a node that proves the cluster secret where to register.",
    ),
];

/// Why a request has no route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoRoute {
    /// No such path.
    Path,
    /// The path has other methods.
    Method(Vec<Method>),
}

/// What `method` does at `path`, and the segment that stands for `{id}`.
///
/// # Errors
/// `Path`, `Method`.
pub fn find<'a>(method: &Method, path: &'a str) -> Result<(Action, Option<&'a str>), NoRoute> {
    let mut allowed = Vec::new();
    for route in ROUTES {
        let Some(id) = matches(route.path, path) else {
            continue;
        };
        if route.method == *method || (route.method == Method::GET && *method == Method::HEAD) {
            return Ok((route.action, id));
        }
        allowed.push(route.method);
    }
    Err(match allowed.is_empty() {
        true => NoRoute::Path,
        false => NoRoute::Method(allowed),
    })
}

/// Whether `path` fits `pattern`, and what stands for `{id}`.
fn matches<'a>(pattern: &str, path: &'a str) -> Option<Option<&'a str>> {
    let Some((before, after)) = pattern.split_once("{id}") else {
        return (pattern == path).then_some(None);
    };
    let id = path.strip_prefix(before)?.strip_suffix(after)?;
    (!id.is_empty() && !id.contains('/')).then_some(Some(id))
}

//! Faults planted on purpose, to prove that the tests would find them.
//!
//! Owns: their names, and which one this process has. There is at most one, and none at all unless
//! the feature `planted-bugs` is on: then `HOLDFAST_PLANTED` names it.
//! Leaves to others: what each breaks, where it is asked for.
//! Always: without the feature the answer is a constant, and the code behind it is not compiled in.

/// All planted faults, and what each does.
pub const PLANTED: &[(&str, &str)] = &[
    ("skip-sync", "a drive acknowledges without a sync"),
    ("skip-data-sync", "a drive syncs its log but not the shards"),
    (
        "log-cut",
        "a drive cuts its log at a bad batch that good ones follow",
    ),
    ("ack-at-k", "a coded write is acknowledged with k shards"),
    ("one-copy", "a small record is acknowledged with one copy"),
    (
        "commit-not-sent",
        "a Complete commits without its record on any drive",
    ),
    (
        "tombstone-not-sent",
        "a delete commits without a tombstone on any drive",
    ),
    (
        "read-unchecked",
        "a block is served without its checksum being looked at",
    ),
    (
        "hedge-unchecked",
        "what is read again after a late or bad block is not checked",
    ),
    (
        "heal-unchecked",
        "the healer trusts its sources, and compares no digest",
    ),
    (
        "heal-forgotten",
        "the healer takes a row off its queue that is not whole",
    ),
    (
        "sweep-without-fence",
        "the sweep takes writes that may still commit",
    ),
    (
        "old-copy-served",
        "an old copy of the index is served as if it were none",
    ),
    (
        "tombstone-dropped",
        "tombstones go before what they guard against is purged",
    ),
    (
        "purge-unacknowledged",
        "the purge does not wait for drives that are away",
    ),
    (
        "purge-before-record",
        "the old version is purged before the new one is durable",
    ),
    (
        "condition-before-lock",
        "a condition is decided before the key is locked",
    ),
    ("bucket-not-held", "a write does not hold its bucket"),
    ("key-not-held", "a write does not hold its key"),
    (
        "lease-unchecked",
        "the lease is not looked at before an answer",
    ),
    (
        "orphan-applied",
        "a live index shows a write that it finds on a drive and in no row",
    ),
];

/// Whether the planted fault `name` is to be made.
#[cfg(not(feature = "planted-bugs"))]
#[inline(always)]
pub const fn planted(_name: &str) -> bool {
    false
}

/// Whether the planted fault `name` is to be made.
#[cfg(feature = "planted-bugs")]
pub fn planted(name: &str) -> bool {
    use std::sync::OnceLock;
    static CHOSEN: OnceLock<Option<String>> = OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| {
        let chosen = std::env::var("HOLDFAST_PLANTED").ok()?;
        let is_known = PLANTED.iter().any(|(known, _)| *known == chosen);
        assert!(
            is_known,
            "HOLDFAST_PLANTED={chosen}: there is no such fault"
        );
        Some(chosen)
    });
    debug_assert!(PLANTED.iter().any(|(known, _)| *known == name));
    chosen.as_deref() == Some(name)
}

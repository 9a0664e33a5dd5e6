//! Decode plans: what rebuilds a set of cells from a set of others, kept for the next stripe.
//!
//! Owns: the cache, its bound and its order of eviction.
//! Leaves to others: sorting a caller's cells into a plan's order ([`crate::code`]).
//! Always: at most [`PLANS_MAX`] plans are kept, the least recently used goes first; no plan is
//! computed under the lock.

use std::sync::{Arc, Mutex, PoisonError};

use crate::kernel::Transform;

/// Most plans kept per code: more than all the pairs of lost shards of 4+2 (15) or 6+2 (28).
pub(crate) const PLANS_MAX: usize = 32;

/// Which cells are used and which are wanted, as bit sets of shard indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlanKey {
    pub(crate) used: u64,
    pub(crate) wanted: u64,
}

/// Most recently used plan first.
#[derive(Debug, Default)]
pub(crate) struct PlanCache {
    plans: Mutex<Vec<(PlanKey, Arc<Transform>)>>,
}

impl PlanCache {
    /// The plan of `key`: the one kept, or else what `make` computes.
    pub(crate) fn get_or_make(
        &self,
        key: PlanKey,
        make: impl FnOnce() -> Transform,
    ) -> Arc<Transform> {
        if let Some(plan) = self.recall(key) {
            return plan;
        }
        let plan = Arc::new(make());
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have made the same plan meanwhile.
        plans.retain(|(kept, _)| *kept != key);
        plans.truncate(PLANS_MAX - 1);
        plans.insert(0, (key, Arc::clone(&plan)));
        plan
    }

    /// The plan of `key` if it is kept; it becomes the most recently used one.
    fn recall(&self, key: PlanKey) -> Option<Arc<Transform>> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let at = plans.iter().position(|(kept, _)| *kept == key)?;
        plans[..=at].rotate_right(1);
        plans.first().map(|(_, plan)| Arc::clone(plan))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Matrix;
    use crate::{Geometry, Kernel};

    fn transform() -> Transform {
        let matrix = Matrix::encode(Geometry::new(2, 1).unwrap());
        Transform::new(matrix, Kernel::Scalar).unwrap()
    }

    fn key(used: u64) -> PlanKey {
        PlanKey { used, wanted: 1 }
    }

    #[test]
    fn a_kept_plan_is_not_made_again() {
        let cache = PlanCache::default();
        let first = cache.get_or_make(key(6), transform);
        let again = cache.get_or_make(key(6), || panic!("made twice"));
        assert!(Arc::ptr_eq(&first, &again));
        let other = cache.get_or_make(PlanKey { used: 6, wanted: 2 }, transform);
        assert!(!Arc::ptr_eq(&first, &other));
    }

    #[test]
    fn the_least_recently_used_plan_goes_first() {
        let cache = PlanCache::default();
        for used in 0..PLANS_MAX as u64 {
            cache.get_or_make(key(used), transform);
        }
        cache.get_or_make(key(0), || panic!("plan 0 is still kept"));
        cache.get_or_make(key(1000), transform);
        assert_eq!(cache.plans.lock().unwrap().len(), PLANS_MAX);
        assert!(
            cache.recall(key(1)).is_none(),
            "plan 1 was the least recently used"
        );
        assert!(cache.recall(key(0)).is_some());
        assert!(cache.recall(key(1000)).is_some());
    }
}

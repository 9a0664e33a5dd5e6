//! Goal: laws that hold whatever the policy says.
//! Method: random policies of up to five statements, in random worlds.

use proptest::prelude::*;
use proptest::sample::select;

use super::model::{
    ACTIONS, BUCKET_ACLS, CALLERS, FLAGS, OBJECTS, OWNERSHIPS, Statement, World, accounts,
    document, found, statements,
};

fn worlds() -> impl Strategy<Value = World<'static>> {
    (
        select(&CALLERS[..]),
        select(&ACTIONS[..]),
        select(&OWNERSHIPS[..]),
        select(&FLAGS[..]),
        select(&BUCKET_ACLS[..]),
        select(&OBJECTS[..]),
    )
        .prop_map(
            |(caller, action, ownership, flag, bucket_acl, object)| World {
                statements: &[],
                caller,
                action,
                ownership,
                flag,
                bucket_acl,
                object,
            },
        )
}

fn allowed(world: &World<'_>, statements: &[Statement]) -> bool {
    let policy = (!statements.is_empty()).then(|| document(statements));
    found(world, policy.as_ref(), &accounts())
}

fn of_effect(effect: &'static str) -> impl Strategy<Value = Statement> {
    let all: Vec<Statement> = statements().into_iter().filter(|s| s.0 == effect).collect();
    select(all)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn one_more_denial_never_allows(
        mut policy in proptest::collection::vec(select(statements()), 0..5),
        denial in of_effect("Deny"),
        at in 0usize..5,
        world in worlds(),
    ) {
        let before = allowed(&world, &policy);
        policy.insert(at.min(policy.len()), denial);
        let after = allowed(&world, &policy);
        prop_assert!(before || !after, "{:?} {:?}", policy, world);
    }

    #[test]
    fn one_more_allowance_denies_only_where_public_buckets_are_restricted(
        mut policy in proptest::collection::vec(select(statements()), 0..5),
        allowance in of_effect("Allow"),
        at in 0usize..5,
        world in worlds(),
    ) {
        let before = allowed(&world, &policy);
        policy.insert(at.min(policy.len()), allowance);
        let after = allowed(&world, &policy);
        let restricted = world.flag == "restrict" && allowance.1 == "everyone";
        prop_assert!(after || !before || restricted, "{:?} {:?}", policy, world);
    }

    #[test]
    fn the_order_of_statements_means_nothing(
        policy in proptest::collection::vec(select(statements()), 0..5),
        turn in 0usize..5,
        world in worlds(),
    ) {
        let mut turned = policy.clone();
        turned.rotate_left(turn.min(policy.len()));
        let mut reversed = policy.clone();
        reversed.reverse();
        let before = allowed(&world, &policy);
        prop_assert_eq!(before, allowed(&world, &turned));
        prop_assert_eq!(before, allowed(&world, &reversed));
    }

    #[test]
    fn ignoring_public_acls_and_turning_acls_off_allow_strangers_nothing_more(
        policy in proptest::collection::vec(select(statements()), 0..4),
        world in worlds(),
    ) {
        let plain = World { flag: "none", ..world };
        let before = allowed(&plain, &policy);
        for flag in ["ignore", "restrict"] {
            let narrowed = World { flag, ..world };
            prop_assert!(before || !allowed(&narrowed, &policy), "{:?} {:?}", policy, narrowed);
        }
        if ["nobody", "other", "service"].contains(&world.caller) && policy.is_empty() {
            let off = World { ownership: OWNERSHIPS[0], ..plain };
            prop_assert!(before || !allowed(&off, &policy), "{:?}", off);
        }
    }
}

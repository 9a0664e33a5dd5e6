//! Every small set of records, in every order of input.

use super::*;

/// One record of a set; its place in the set is its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    None,
    /// A small version with so many copies.
    Small(u64),
    /// A coded version of which these shards (bits) were found.
    Coded(u8),
    Delete,
    Metadata(u64),
    Void(u64),
}

const FIRST: u64 = 2;

fn pieces(at: u64) -> Vec<Piece> {
    let mut all = vec![Piece::None, Piece::Small(1), Piece::Small(2), Piece::Delete];
    all.extend([0b001, 0b010, 0b101, 0b111].map(Piece::Coded));
    all.extend((FIRST..at).map(Piece::Metadata));
    all.extend(
        (FIRST..FIRST + 4)
            .filter(|target| *target != at)
            .map(Piece::Void),
    );
    all
}

fn add(case: Case, at: u64, piece: Piece) -> Case {
    match piece {
        Piece::None => case,
        Piece::Small(copies) => case.small(at, &[1, 2][..copies as usize]),
        Piece::Coded(bits) => {
            let shards: Vec<u8> = (0..3).filter(|shard| bits & (1 << shard) != 0).collect();
            case.coded(at, &shards)
        }
        Piece::Delete => case.delete(at),
        Piece::Metadata(target) => case.metadata(at, target),
        Piece::Void(target) => case.void(at, target),
    }
}

fn sets(count: u64, mut visit: impl FnMut(&[Piece])) {
    let choices: Vec<Vec<Piece>> = (0..count).map(|at| pieces(FIRST + at)).collect();
    let mut at = vec![0; choices.len()];
    loop {
        let set: Vec<Piece> = at
            .iter()
            .zip(&choices)
            .map(|(at, list)| list[*at])
            .collect();
        visit(&set);
        let Some(next) = at
            .iter()
            .zip(&choices)
            .position(|(at, list)| at + 1 < list.len())
        else {
            return;
        };
        at[next] += 1;
        at[..next].fill(0);
    }
}

fn case_of(set: &[Piece], absent: &[u64]) -> Case {
    let case = Case::new().absent(absent);
    set.iter().enumerate().fold(case, |case, (at, piece)| {
        add(case, FIRST + at as u64, *piece)
    })
}

/// What must hold of every outcome.
fn check(set: &[Piece], case: &Case, merged: &Merged) {
    let facts = || format!("{set:?} absent {:?}: {merged:?}", case.0.absent);
    let (fates, found) = (&merged.fates, &case.0.found);
    assert_eq!(
        fates.len(),
        found.len(),
        "every record has a fate; {}",
        facts()
    );
    let is_shown = |fate: &Fate| matches!(fate, Fate::Version { .. });
    let shown: Vec<WriteId> = fates
        .iter()
        .filter(|(_, fate)| is_shown(fate))
        .map(|(write, _)| *write)
        .collect();
    assert!(shown.len() <= 1, "one null version at most; {}", facts());
    for write in &shown {
        check_shown(set, case, merged, *write);
    }
    let is_doubtful = fates.values().any(|fate| *fate == Fate::Doubt);
    assert_eq!(
        is_doubtful,
        !merged.doubts.is_empty(),
        "doubts are named; {}",
        facts()
    );
    if is_doubtful {
        assert!(
            shown.is_empty(),
            "nothing of a key in doubt is shown; {}",
            facts()
        );
        let retired = |fate: &Fate| matches!(fate, Fate::Retired { by } if !is_void(case, *by));
        assert!(!fates.values().any(retired), "nor purged; {}", facts());
    }
    for fate in fates.values() {
        if let Fate::Retired { by } = fate {
            let by = fates.get(by);
            let retires = matches!(
                by,
                Some(Fate::Guard | Fate::Version { .. } | Fate::Metadata)
            );
            assert!(retires, "who retires exists; {}", facts());
        }
    }
}

/// What must hold of a version that is shown.
fn check_shown(set: &[Piece], case: &Case, merged: &Merged, write: WriteId) {
    let facts = || format!("{set:?} absent {:?}: {merged:?}", case.0.absent);
    let found = &case.0.found;
    let is_voided = |write: WriteId| set.contains(&Piece::Void(write.counter));
    assert!(
        !is_voided(write),
        "a void version is not shown; {}",
        facts()
    );
    assert!(
        case.0.is_readable(&found[&write]),
        "it is readable; {}",
        facts()
    );
    for (other, fate) in &merged.fates {
        if found[other].order <= found[&write].order {
            continue;
        }
        let is_out = *fate == Fate::Void || is_voided(*other);
        match found[other].fact {
            Some(Fact::Tombstone { .. }) => {
                assert_ne!(*fate, Fate::Guard, "a deletion above it holds; {}", facts());
            }
            Some(Fact::Version { .. }) => {
                assert!(is_out, "what is above never was; {}", facts());
            }
            _ => {}
        }
    }
}

fn is_void(case: &Case, write: WriteId) -> bool {
    matches!(case.0.found[&write].fact, Some(Fact::Void { .. }))
}

#[test]
fn every_set_of_four_records_keeps_the_rules() {
    let mut count = 0_u64;
    for absent in [&[][..], &[3], &[2]] {
        sets(4, |set| {
            let case = case_of(set, absent);
            check(set, &case, &case.decide());
            count += 1;
        });
    }
    assert!(count > 30_000, "{count} sets");
}

/// Without metadata, the newest of what is readable decides.
#[test]
fn without_metadata_the_newest_readable_record_decides() {
    sets(4, |set| {
        if set.iter().any(|piece| matches!(piece, Piece::Metadata(_))) {
            return;
        }
        let is_void = |at: u64| set.contains(&Piece::Void(at));
        let newest = set.iter().enumerate().rev().find_map(|(at, piece)| {
            let at = FIRST + at as u64;
            let is_there = match piece {
                Piece::Small(_) | Piece::Delete => true,
                Piece::Coded(bits) => bits.count_ones() >= 2,
                _ => false,
            };
            (is_there && !is_void(at)).then_some((at, *piece))
        });
        let merged = case_of(set, &[]).decide();
        let shown = merged
            .fates
            .iter()
            .find(|(_, fate)| matches!(fate, Fate::Version { .. }));
        let expected = newest
            .filter(|(_, piece)| *piece != Piece::Delete)
            .map(|(at, _)| w(at));
        assert_eq!(shown.map(|(write, _)| *write), expected, "{set:?}");
    });
}

/// Every order of input, drive by drive and record by record, gives the same outcome.
#[test]
fn the_order_of_the_input_does_not_matter() {
    let orders: Vec<Vec<usize>> = permutations(4);
    sets(3, |set| {
        let case = case_of(set, &[]);
        let expected = case.decide();
        for order in &orders {
            let mut records = Records::new(geometry());
            let found: Vec<&Found> = case.0.found.values().collect();
            for at in order.iter().filter(|at| **at < found.len()) {
                let found = found[*at];
                for copy in found.copies.iter().rev() {
                    records.add(found.write, found.order, found.kind, *copy);
                }
                records.describe(found.write, found.fact.clone().unwrap());
            }
            assert_eq!(decide(&records), expected, "{set:?} in order {order:?}");
        }
    });
}

/// Heap's algorithm.
fn permutations(count: usize) -> Vec<Vec<usize>> {
    let mut all = Vec::new();
    let mut list: Vec<usize> = (0..count).collect();
    let mut at = vec![0; count];
    all.push(list.clone());
    let mut i = 0;
    while i < count {
        if at[i] < i {
            if i % 2 == 0 {
                list.swap(0, i)
            } else {
                list.swap(at[i], i)
            }
            all.push(list.clone());
            at[i] += 1;
            i = 0;
        } else {
            at[i] = 0;
            i += 1;
        }
    }
    all
}

/// What one merge decided is not undone by the next: the records that remain after voiding and
/// purging give the same again.
#[test]
fn a_second_merge_after_the_first_changes_nothing() {
    sets(4, |set| {
        let case = case_of(set, &[]);
        let merged = case.decide();
        let mut after = case.clone();
        for (write, fate) in &merged.fates {
            let is_gone = matches!(fate, Fate::Retired { .. } | Fate::Void | Fate::OldSystem);
            if is_gone {
                after.0.found.remove(write);
            }
        }
        let again = after.decide();
        for (write, fate) in &again.fates {
            assert_eq!(merged.fates[write], *fate, "{set:?}: {write}");
        }
    });
}

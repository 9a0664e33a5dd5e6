//! The rule, on small histories of one key.

use super::{Event, Ledger, Name, Outcome, Value};
use crate::content::Content;

fn name() -> Name {
    Name {
        bucket: "b".to_owned(),
        key: "k".to_owned(),
    }
}

fn value(seed: u64) -> Value {
    Some(Content {
        seed,
        len: 10,
        in_parts: false,
    })
}

/// One operation: (began, ended, outcome, value).
fn ledger(history: &[(u64, u64, Outcome, Value)]) -> Ledger {
    let mut ledger = Ledger::default();
    for (began, ended, outcome, value) in history {
        add(&mut ledger, (*began, *ended, *outcome, value.clone()));
    }
    ledger
}

fn add(ledger: &mut Ledger, (began, ended, outcome, value): (u64, u64, Outcome, Value)) {
    ledger.apply(&Event::Begin {
        at: began,
        name: name(),
        value,
        what: String::new(),
    });
    ledger.apply(&Event::End {
        at: ended,
        began,
        name: name(),
        outcome,
        says: String::new(),
    });
}

#[test]
fn an_acknowledged_write_is_all_that_may_be_read() {
    let ledger = ledger(&[
        (1, 2, Outcome::Acked, value(1)),
        (3, 4, Outcome::Acked, value(2)),
    ]);
    assert_eq!(ledger.allowed_at_rest(&name()), [value(2)]);
    assert_eq!(ledger.exact(&name()), Some(value(2)));
}

#[test]
fn a_write_without_an_answer_may_be_there_or_not() {
    let ledger = ledger(&[
        (1, 2, Outcome::Acked, value(1)),
        (3, 4, Outcome::Unanswered, value(2)),
    ]);
    assert_eq!(ledger.allowed_at_rest(&name()), [value(1), value(2)]);
    assert_eq!(ledger.exact(&name()), None);
}

#[test]
fn a_failed_write_cannot_overtake_one_acknowledged_after_its_answer() {
    let acked = (5, 6, Outcome::Acked, value(3));
    let failed = ledger(&[(3, 4, Outcome::Failed, value(2)), acked.clone()]);
    assert_eq!(failed.allowed_at_rest(&name()), [value(3)]);
    let unanswered = ledger(&[(3, 4, Outcome::Unanswered, value(2)), acked]);
    assert_eq!(unanswered.allowed_at_rest(&name()), [value(2), value(3)]);
}

#[test]
fn a_refused_write_never_happened() {
    let ledger = ledger(&[
        (1, 2, Outcome::Acked, value(1)),
        (3, 4, Outcome::Refused, value(2)),
    ]);
    assert_eq!(ledger.allowed_at_rest(&name()), [value(1)]);
}

#[test]
fn of_concurrent_writes_either_may_win() {
    let ledger = ledger(&[
        (1, 4, Outcome::Acked, value(1)),
        (2, 3, Outcome::Acked, value(2)),
        (5, 6, Outcome::Refused, value(3)),
    ]);
    assert_eq!(ledger.allowed_at_rest(&name()), [value(1), value(2)]);
}

#[test]
fn a_read_may_see_what_is_under_way_but_nothing_older_than_what_ended_before() {
    let mut ledger = ledger(&[
        (1, 2, Outcome::Acked, value(1)),
        (3, 4, Outcome::Acked, None),
    ]);
    ledger.apply(&Event::Begin {
        at: 6,
        name: name(),
        value: value(2),
        what: String::new(),
    });
    assert_eq!(ledger.allowed(&name(), 5, 7), [None, value(2)]);
    // The delete ended while this one ran: the write before it may still be what it saw.
    assert_eq!(ledger.allowed(&name(), 3, 7), [value(1), None, value(2)]);
}

#[test]
fn settling_leaves_ghosts_only_of_what_nothing_newer_covers() {
    let mut ledger = ledger(&[
        (1, 2, Outcome::Failed, value(1)),
        (3, 4, Outcome::Acked, value(2)),
        (5, 6, Outcome::Unanswered, value(3)),
    ]);
    let settled = |value| Event::Settled {
        name: name(),
        value,
    };
    ledger.apply(&settled(value(2)));
    assert_eq!(ledger.exact(&name()), Some(value(2)));
    assert_eq!(ledger.ghosts(&name()), [value(3)]);
    add(&mut ledger, (7, 8, Outcome::Acked, value(4)));
    ledger.apply(&settled(value(4)));
    assert_eq!(ledger.ghosts(&name()), [] as [Value; 0]);
}

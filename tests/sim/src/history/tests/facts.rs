//! Histories written by hand, each with what is to be said about it.

use crate::history::{
    Action, Condition, Entry, HistoryError, Operation, Outcome, ValueId, Verdict, Violation, check,
    read_lines, write_line,
};

const K: &str = "b/k";

fn v(number: u64) -> ValueId {
    ValueId::new(number)
}

fn op(call: u64, end: u64, action: Action, outcome: Outcome) -> Operation {
    Operation {
        client: 0,
        call,
        end,
        action,
        outcome,
    }
}

fn put_if(value: u64, condition: Condition) -> Action {
    Action::Put {
        key: K.to_owned(),
        value: v(value),
        condition,
    }
}

fn put(value: u64) -> Action {
    put_if(value, Condition::Always)
}

fn get() -> Action {
    Action::Get { key: K.to_owned() }
}

fn head() -> Action {
    Action::Head { key: K.to_owned() }
}

fn delete() -> Action {
    delete_if(Condition::Always)
}

fn delete_if(condition: Condition) -> Action {
    Action::Delete {
        key: K.to_owned(),
        condition,
    }
}

fn copy() -> Action {
    Action::Copy {
        from: K.to_owned(),
        key: "b/copy".to_owned(),
    }
}

fn get_copy() -> Action {
    Action::Get {
        key: "b/copy".to_owned(),
    }
}

fn list() -> Action {
    Action::List {
        prefix: "b/".to_owned(),
        after: None,
        through: None,
    }
}

fn found(value: u64) -> Outcome {
    Outcome::Found(v(value))
}

fn listed(keys: &[&str]) -> Outcome {
    let entry = |key: &&str| Entry {
        key: (*key).to_owned(),
        value: None,
    };
    Outcome::Listed(keys.iter().map(entry).collect())
}

fn accepted(history: &[Operation]) {
    match check(history).unwrap() {
        Verdict::Linearizable(counts) => assert_eq!(counts.operations, history.len()),
        Verdict::Violation(violation) => panic!("{violation}"),
    }
}

fn rejected(history: &[Operation]) -> Violation {
    match check(history).unwrap() {
        Verdict::Linearizable(_) => panic!("accepted: {history:#?}"),
        Verdict::Violation(violation) => *violation,
    }
}

#[test]
fn a_stale_read_is_rejected() {
    let read = |call| op(call, call + 5, get(), found(1));
    let mut history = vec![
        op(0, 1, put(1), Outcome::Ok),
        op(10, 20, put(2), Outcome::Ok),
    ];
    history.push(read(12));
    accepted(&history);
    history.push(read(21));
    let violation = rejected(&history);
    assert_eq!((violation.operations.len(), violation.stuck), (3, 2));
    assert!(
        violation
            .to_string()
            .contains("-> {\"client\":0,\"call\":21")
    );
}

#[test]
fn a_read_that_goes_back_is_rejected() {
    // Both lie within the write, but the second saw less than the first.
    rejected(&[
        op(0, 1, put(1), Outcome::Ok),
        op(10, 50, put(2), Outcome::Ok),
        op(12, 15, get(), found(2)),
        op(16, 20, head(), found(1)),
    ]);
}

#[test]
fn a_lost_update_is_rejected() {
    let matches = |value| Condition::Matches(v(value));
    // Both replaced what they had read.
    rejected(&[
        op(0, 1, put(1), Outcome::Ok),
        op(10, 20, put_if(2, matches(1)), Outcome::Ok),
        op(11, 21, put_if(3, matches(1)), Outcome::Ok),
    ]);
    // An acknowledged write that nobody sees afterwards.
    rejected(&[
        op(0, 1, put(1), Outcome::Ok),
        op(2, 3, get(), Outcome::NotFound),
    ]);
    accepted(&[
        op(0, 1, put(1), Outcome::Ok),
        op(10, 20, put_if(2, matches(1)), Outcome::Ok),
        op(11, 21, put_if(3, matches(1)), Outcome::PreconditionFailed),
    ]);
}

#[test]
fn two_winners_of_a_conditional_put_are_rejected() {
    let race = |second| {
        [
            op(0, 10, put_if(1, Condition::Absent), Outcome::Ok),
            op(0, 10, put_if(2, Condition::Absent), second),
        ]
    };
    rejected(&race(Outcome::Ok));
    accepted(&race(Outcome::PreconditionFailed));
    accepted(&race(Outcome::Conflict));
    accepted(&race(Outcome::Unknown));
}

#[test]
fn a_precondition_that_failed_for_nothing_is_rejected() {
    rejected(&[op(
        0,
        1,
        put_if(1, Condition::Absent),
        Outcome::PreconditionFailed,
    )]);
    rejected(&[op(0, 1, put(1), Outcome::PreconditionFailed)]);
    accepted(&[op(
        0,
        1,
        put_if(1, Condition::Matches(v(3))),
        Outcome::NotFound,
    )]);
}

#[test]
fn a_resurrected_delete_is_rejected() {
    let history = [
        op(0, 1, put(1), Outcome::Ok),
        op(2, 3, delete(), Outcome::Ok),
        op(4, 5, get(), Outcome::NotFound),
        op(6, 7, get(), found(1)),
    ];
    accepted(&history[..3]);
    rejected(&history);
}

#[test]
fn an_unknown_write_happens_at_any_time_but_once() {
    let history = [
        op(0, 1, put(1), Outcome::Ok),
        op(2, 3, put(2), Outcome::Unknown),
        op(10, 11, get(), found(1)),
        op(12, 13, delete(), Outcome::Ok),
        op(14, 15, get(), Outcome::NotFound),
        op(16, 17, get(), found(2)),
        op(18, 19, delete(), Outcome::Ok),
        op(20, 21, get(), found(2)),
    ];
    accepted(&history[..7]);
    assert_eq!(rejected(&history).operations.len(), 4);
    // Not before it was called.
    rejected(&[
        op(0, 1, get(), found(2)),
        op(2, 3, put(2), Outcome::Unknown),
    ]);
}

#[test]
fn a_refused_write_never_shows() {
    for outcome in [Outcome::Refused, Outcome::Conflict] {
        rejected(&[op(0, 9, put(1), outcome), op(2, 3, get(), found(1))]);
    }
}

#[test]
fn a_value_that_nobody_wrote_is_rejected() {
    rejected(&[op(0, 1, put(1), Outcome::Ok), op(2, 3, get(), found(7))]);
}

#[test]
fn a_conditional_delete_is_decided_at_one_moment() {
    let wrong = delete_if(Condition::Matches(v(9)));
    let history = |outcome| {
        [
            op(0, 1, put(1), Outcome::Ok),
            op(2, 3, wrong.clone(), outcome),
            op(4, 5, get(), found(1)),
        ]
    };
    accepted(&history(Outcome::PreconditionFailed));
    rejected(&history(Outcome::Ok));
    accepted(&[op(0, 1, wrong.clone(), Outcome::Ok)]);
}

#[test]
fn a_copy_writes_what_its_source_had() {
    let begin = op(0, 1, put(1), Outcome::Ok);
    let copied = |value| op(10, 20, copy(), found(value));
    let read = |value| op(30, 31, get_copy(), found(value));
    accepted(&[begin.clone(), copied(1), read(1)]);
    rejected(&[
        begin.clone(),
        copied(1),
        op(30, 31, get_copy(), Outcome::NotFound),
    ]);
    // What the source had before the copy began.
    let over = op(5, 6, put(2), Outcome::Ok);
    rejected(&[begin.clone(), over.clone(), copied(1), read(1)]);
    // Unknown: it may write what the source had at some time, and nothing else.
    let unknown = op(10, 20, copy(), Outcome::Unknown);
    accepted(&[begin.clone(), over, unknown.clone(), read(2)]);
    rejected(&[begin, unknown, read(3)]);
    rejected(&[
        op(0, 1, copy(), Outcome::NotFound),
        op(2, 3, get_copy(), found(1)),
    ]);
}

#[test]
fn a_list_without_an_acknowledged_key_is_rejected() {
    let history = |from, keys: &[&str]| {
        [
            op(0, 10, put(1), Outcome::Ok),
            op(from, 30, list(), listed(keys)),
        ]
    };
    rejected(&history(11, &[]));
    accepted(&history(11, &[K]));
    accepted(&history(9, &[]));
}

#[test]
fn a_list_with_a_deleted_or_unknown_key_is_rejected() {
    let history = |from, keys: &[&str]| {
        [
            op(0, 1, put(1), Outcome::Ok),
            op(2, 10, delete(), Outcome::Ok),
            op(from, 30, list(), listed(keys)),
        ]
    };
    rejected(&history(11, &[K]));
    accepted(&history(9, &[K]));
    accepted(&history(11, &[]));
    rejected(&history(11, &["b/never"]));
    rejected(&history(9, &[K, K]));
    rejected(&history(9, &["c/elsewhere"]));
}

#[test]
fn a_page_of_a_list_says_nothing_about_other_pages() {
    let page = |after: Option<&str>, through: Option<&str>| Action::List {
        prefix: "b/".to_owned(),
        after: after.map(str::to_owned),
        through: through.map(str::to_owned),
    };
    let put = op(0, 1, put(1), Outcome::Ok);
    accepted(
        &[
            put.clone(),
            op(2, 3, page(None, Some("b/a")), listed(&["b/a"])),
        ][..1],
    );
    accepted(&[put.clone(), op(2, 3, page(Some(K), None), listed(&[]))]);
    rejected(&[put.clone(), op(2, 3, page(Some("b/a"), None), listed(&[]))]);
    rejected(&[put, op(2, 3, page(None, Some(K)), listed(&[]))]);
}

#[test]
fn what_cannot_be_is_malformed_and_not_accepted() {
    for bad in [
        op(5, 1, get(), Outcome::NotFound),
        op(1, 5, get(), Outcome::Ok),
        op(1, 5, put(1), found(1)),
        op(1, 5, list(), Outcome::NotFound),
        op(1, 5, copy(), Outcome::Ok),
    ] {
        assert!(matches!(
            check(&[bad]),
            Err(HistoryError::Malformed { index: 0, .. })
        ));
    }
}

#[test]
fn lines_come_back_as_they_were() {
    let history = [
        op(0, 1, put_if(1, Condition::Absent), Outcome::Ok),
        op(2, 3, put_if(2, Condition::Matches(v(1))), Outcome::Conflict),
        op(2, 3, delete(), Outcome::Unknown),
        op(4, 5, copy(), found(1)),
        op(6, 7, list(), listed(&[K])),
    ];
    let mut bytes = Vec::new();
    for operation in &history {
        write_line(&mut bytes, operation).unwrap();
    }
    assert_eq!(read_lines(&bytes[..]).unwrap(), history);
    assert!(matches!(
        read_lines(&b"\n{\"do\":\"put\"}\n"[..]),
        Err(HistoryError::Line { line: 2, .. })
    ));
}

#[test]
fn many_unknown_writes_do_not_make_it_hard() {
    // 600 crashes, every second one having taken effect later, under eight readers.
    let mut history = vec![op(0, 1, put(0), Outcome::Ok)];
    let mut last = 0;
    for round in 1..600_u64 {
        let now = round * 100;
        history.push(op(now, now + 10, put(round), Outcome::Unknown));
        if round % 2 == 0 {
            last = round - 1;
        }
        history.extend((0..8).map(|nth| op(now + 20 + nth, now + 50, get(), found(last))));
    }
    accepted(&history);
    history.push(op(100_000, 100_001, get(), found(1)));
    assert!(rejected(&history).operations.len() < 8);
}

#[test]
fn a_failed_write_comes_to_light_until_a_later_one_is_acknowledged() {
    let failed = op(0, 10, put(1), Outcome::Failed);
    let after = |outcome| {
        vec![
            failed.clone(),
            op(11, 20, delete(), Outcome::Ok),
            op(21, 30, get(), outcome),
        ]
    };
    accepted(&after(Outcome::NotFound));
    rejected(&after(found(1)));
    // Nothing was acknowledged in between, or what was had begun before it failed.
    accepted(&[failed.clone(), op(21, 30, get(), found(1))]);
    accepted(&[
        failed.clone(),
        op(9, 20, delete(), Outcome::Ok),
        op(21, 30, get(), found(1)),
    ]);
    // It was seen, and is gone again.
    accepted(&[
        failed.clone(),
        op(11, 30, delete(), Outcome::Ok),
        op(12, 15, get(), found(1)),
        op(31, 40, get(), Outcome::NotFound),
    ]);
    rejected(&[
        failed,
        op(11, 30, delete(), Outcome::Ok),
        op(12, 15, get(), Outcome::NotFound),
        op(16, 20, get(), found(1)),
        op(21, 29, get(), Outcome::NotFound),
        op(31, 40, get(), found(1)),
    ]);
}

#[test]
fn an_unanswered_write_may_come_to_light_at_any_time() {
    accepted(&[
        op(0, 10, put(1), Outcome::Unknown),
        op(11, 20, delete(), Outcome::Ok),
        op(21, 30, get(), found(1)),
    ]);
}

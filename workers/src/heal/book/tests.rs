//! Facts about how long healing will take.

use super::*;

fn at(seconds: u64) -> Monotonic {
    Monotonic(seconds * 1_000_000_000)
}

/// So many rows are queued; one of 1,000 bytes was healed in each second from `from` to `to`.
fn book(queued: i64, from: u64, to: u64) -> HealBook {
    let mut book = HealBook {
        rows: queued,
        ..HealBook::default()
    };
    for second in from..=to {
        book.note(1, 1000, at(second));
    }
    book
}

#[test]
fn what_is_queued_ends_at_the_pace_of_late() {
    // 11 rows in 10 seconds.
    let book = book(110, 100, 110);
    assert_eq!(book.pace(at(110)), (11, 11_000, 10));
    assert_eq!(book.eta(0, at(110)), Some(100));
    // Ten seconds in which nothing was healed: half the pace.
    assert_eq!(book.eta(0, at(120)), Some(200));
}

#[test]
fn the_end_is_rounded_up_and_never_now_while_rows_are_queued() {
    let mut quick = book(1, 100, 100);
    for _ in 0..50 {
        quick.note(1, 1000, at(100));
    }
    assert_eq!(quick.eta(0, at(100)), Some(1));
    assert_eq!(book(7, 100, 102).eta(0, at(102)), Some(5));
}

#[test]
fn bytes_of_rows_that_are_not_whole_make_no_end_known() {
    let mut book = book(5, 1, 0);
    assert_eq!(book.eta(0, at(1)), None, "nothing was healed");
    book.note(0, 9000, at(1));
    book.note(0, 9000, at(4));
    assert_eq!(book.pace(at(4)), (0, 18_000, 3));
    assert_eq!(book.eta(0, at(4)), None);
    book.note(1, 0, at(4));
    assert_eq!(book.eta(0, at(4)), Some(15));
}

#[test]
fn what_was_healed_long_ago_says_nothing() {
    let mut book = book(100, 0, 5);
    assert!(book.eta(0, at(5)).is_some());
    assert_eq!(book.eta(0, at(36)), None);
    // Of a long time only the window counts: 31 rows in 30 seconds.
    for second in 40..=100 {
        book.note(1, 1000, at(second));
    }
    assert_eq!(book.pace(at(100)), (31, 31_000, 30));
    assert_eq!(book.eta(0, at(100)), Some(97));
}

#[test]
fn an_empty_queue_has_ended() {
    assert_eq!(HealBook::default().eta(0, at(9)), Some(0));
    assert_eq!(book(0, 1, 9).eta(0, at(9)), Some(0));
}

#[test]
fn what_waits_makes_the_end_unknown() {
    let known = || book(10, 1, 9);
    assert!(known().eta(0, at(9)).is_some());
    assert_eq!(known().eta(1, at(9)), None, "drives are compared");
    let mut waits = known();
    waits.waiting = 1;
    assert_eq!(waits.eta(0, at(9)), None, "a row waits for a drive");
    let mut paused = known();
    paused.paused = true;
    assert_eq!(paused.eta(0, at(9)), None);
    let mut held = known();
    held.held_back = Some("3 of 6 drives vanished: held back".to_owned());
    assert_eq!(held.eta(0, at(9)), None);
}

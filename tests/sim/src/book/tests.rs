//! Goal: the book takes what may be, and refuses what may not.
//! Method: a store that loses, keeps, resurrects, changes, and lists in disorder, by hand.

use super::*;

const fn at(call: u64, end: u64) -> Window {
    Window {
        call,
        end: Some(end),
    }
}

fn value(number: u64) -> Option<ValueId> {
    Some(ValueId::new(number))
}

fn shown(id: &str, value: Option<ValueId>, is_latest: bool) -> Shown {
    Shown {
        id: id.to_owned(),
        value,
        is_latest,
    }
}

/// A key with a version 1, a marker, and a version 2 that got no answer.
fn book() -> Book {
    let mut book = Book::default();
    make(&mut book, value(1), at(1, 2), Ok("one".into()));
    make(&mut book, None, at(3, 4), Ok("mark".into()));
    make(&mut book, value(2), at(5, 6), Err(End::Unknown));
    make(&mut book, value(4), at(7, 8), Err(End::Refused));
    book
}

fn make(book: &mut Book, value: Option<ValueId>, at: Window, id: Result<String, End>) {
    let place = book.making("k", value, at.call);
    let made = book.made("k", place, at.end.unwrap_or(u64::MAX), id);
    assert!(made.is_ok(), "{made:?}");
}

fn erase(book: &mut Book, id: &str, call: u64, end: u64, how: End) {
    let number = book.erasing("k", id, call).expect("it is known");
    book.erased("k", number, end, how);
}

fn read(number: u64, tags: Option<&str>) -> Read {
    Read::Value(ValueId::new(number), tags.map(str::to_owned))
}

#[test]
fn what_was_acknowledged_stays_until_it_is_deleted_and_then_does_not_come_back() {
    let mut book = book();
    assert!(
        book.judge_read("k", "one", at(10, 11), &read(1, None))
            .is_ok()
    );
    assert!(
        book.judge_read("k", "one", at(10, 11), &Read::Nothing)
            .is_err()
    );
    assert!(
        book.judge_read("k", "one", at(10, 11), &read(2, None))
            .is_err()
    );
    assert!(
        book.judge_read("k", "mark", at(10, 11), &Read::Marker)
            .is_ok()
    );
    erase(&mut book, "one", 20, 30, End::Done);
    assert!(
        book.judge_read("k", "one", at(25, 26), &read(1, None))
            .is_ok()
    );
    assert!(
        book.judge_read("k", "one", at(25, 26), &Read::Nothing)
            .is_ok()
    );
    assert!(
        book.judge_read("k", "one", at(31, 32), &read(1, None))
            .is_err()
    );
    assert!(
        book.judge_read("k", "one", at(31, 32), &Read::Nothing)
            .is_ok()
    );
}

#[test]
fn a_deletion_without_an_answer_may_have_happened_and_a_refused_one_has_not() {
    let mut book = book();
    erase(&mut book, "one", 20, 30, End::Refused);
    assert!(
        book.judge_read("k", "one", at(40, 41), &Read::Nothing)
            .is_err()
    );
    erase(&mut book, "one", 50, 60, End::Unknown);
    let mut reads = |from, what: &Read| book.judge_read("k", "one", at(from, from + 1), what);
    assert!(reads(65, &read(1, None)).is_ok());
    assert!(reads(70, &Read::Nothing).is_ok());
    assert!(reads(72, &read(1, None)).is_err(), "it was seen to be gone");
}

#[test]
fn a_write_without_an_answer_may_be_there_and_stays_once_it_was_seen() {
    let mut book = book();
    let both = [shown("mark", None, true), shown("one", value(1), false)];
    assert!(book.judge_list("k", at(10, 11), &both).is_ok());
    let two = shown("two", value(2), true);
    let three = [
        two,
        shown("mark", None, false),
        shown("one", value(1), false),
    ];
    assert!(book.judge_list("k", at(12, 13), &three).is_ok());
    assert!(book.judge_list("k", at(14, 15), &both).is_err(), "gone");
    assert!(
        book.judge_read("k", "two", at(14, 15), &Read::Nothing)
            .is_err()
    );
    let twice = [shown("again", value(2), true)];
    assert!(
        book.judge_list("k", at(16, 17), &twice).is_err(),
        "written once"
    );
}

#[test]
fn a_listing_is_complete_in_order_and_says_what_is_current() {
    let mut book = book();
    let (one, mark) = (shown("one", value(1), false), shown("mark", None, true));
    assert!(
        book.judge_list("k", at(10, 11), std::slice::from_ref(&mark))
            .is_err()
    );
    let reversed = [shown("one", value(1), true), shown("mark", None, false)];
    assert!(book.judge_list("k", at(10, 11), &reversed).is_err());
    let unsaid = [shown("mark", None, false), one.clone()];
    assert!(book.judge_list("k", at(10, 11), &unsaid).is_err());
    let changed = [mark.clone(), shown("one", value(3), false)];
    assert!(book.judge_list("k", at(10, 11), &changed).is_err());
    erase(&mut book, "mark", 20, 21, End::Done);
    assert!(
        book.judge_list("k", at(30, 31), &[mark, one]).is_err(),
        "deleted"
    );
    assert!(
        book.judge_list("k", at(30, 31), &[shown("one", value(1), true)])
            .is_ok()
    );
}

#[test]
fn the_current_version_is_the_newest_that_is_left() {
    let mut book = book();
    assert!(book.judge_current("k", at(10, 11), None).is_ok());
    assert!(book.judge_current("k", at(10, 11), value(2)).is_ok());
    assert!(
        book.judge_current("k", at(10, 11), value(1)).is_err(),
        "the marker is newer"
    );
    assert!(
        book.judge_current("k", at(10, 11), value(9)).is_err(),
        "nobody wrote it"
    );
    erase(&mut book, "mark", 20, 21, End::Done);
    assert!(book.judge_current("k", at(30, 31), value(1)).is_ok());
    assert!(book.judge_current("k", at(30, 31), None).is_err(), "lost");
}

#[test]
fn tags_are_those_of_the_last_change_or_of_one_that_may_have_come_after_it() {
    let mut book = book();
    let mut tag = |text: &str, at: Window, how| {
        let number = book.tagging("k", "one", text.to_owned(), at.call);
        let number = number.expect("it is known");
        book.tagged("k", number, at.end.unwrap_or(u64::MAX), how);
    };
    tag("a", at(10, 11), End::Done);
    tag("b", at(12, 13), End::Unknown);
    tag("f", at(12, 13), End::Failed);
    tag("c", at(14, 15), End::Done);
    tag("d", at(16, 17), End::Refused);
    tag("e", at(18, 19), End::Failed);
    let mut reads = |text| {
        let read = book.judge_read("k", "one", at(20, 21), &read(1, text));
        read.is_ok()
    };
    assert!(reads(Some("c")) && reads(Some("b")) && reads(Some("e")));
    assert!(!reads(Some("a")) && !reads(Some("d")) && !reads(Some("f")) && !reads(None));
}

#[test]
fn a_change_may_be_seen_before_it_is_answered() {
    let mut book = book();
    let tagged = book.tagging("k", "one", "early".into(), 10);
    let early = read(1, Some("early"));
    assert!(book.judge_read("k", "one", at(11, 12), &early).is_ok());
    book.tagged("k", tagged.expect("it is known"), 13, End::Done);
    let number = book.erasing("k", "one", 20).expect("it is known");
    assert!(
        book.judge_read("k", "one", at(21, 22), &Read::Nothing)
            .is_ok()
    );
    book.erased("k", number, 30, End::Done);
    assert!(
        book.judge_read("k", "one", at(25, 26), &early).is_err(),
        "gone"
    );
}

#[test]
fn a_write_may_be_seen_before_it_is_answered_and_a_refused_one_never() {
    let mut book = book();
    let (first, second) = (book.making("k", None, 10), book.making("k", None, 11));
    let three = [
        shown("late", None, true),
        shown("mark", None, false),
        shown("one", value(1), false),
    ];
    assert!(book.judge_list("k", at(12, 13), &three).is_ok());
    assert!(book.made("k", second, 15, Ok("late".into())).is_ok());
    assert!(book.judge_list("k", at(16, 17), &three).is_ok());
    assert!(book.made("k", first, 18, Ok("later".into())).is_ok());
    assert!(
        book.judge_list("k", at(19, 20), &three).is_err(),
        "one lacks"
    );
    let refused = [shown("no", value(4), true)];
    assert!(book.judge_list("k", at(9, 9), &refused).is_err());
    assert!(
        book.judge_read("k", "no", at(9, 10), &read(4, None))
            .is_err()
    );
    let refused = book.making("k", value(5), 30);
    let five = [shown("five", value(5), true)];
    assert!(
        book.judge_list("k", at(31, 32), &five).is_err(),
        "others lack"
    );
    assert!(
        book.made("k", refused, 33, Err(End::Refused)).is_err(),
        "it was seen"
    );
}

#[test]
fn of_two_that_are_alike_each_has_its_own_deletions() {
    let mut book = book();
    let (first, second) = (book.making("k", None, 10), book.making("k", None, 11));
    // Seen, and taken for the first one; deleted; and then it was the second one.
    assert!(book.judge_read("k", "x", at(12, 13), &Read::Marker).is_ok());
    erase(&mut book, "x", 14, 15, End::Done);
    assert!(book.made("k", first, 16, Ok("y".into())).is_ok());
    assert!(book.judge_read("k", "y", at(20, 21), &Read::Marker).is_ok());
    assert!(
        book.judge_read("k", "x", at(20, 21), &Read::Marker)
            .is_err()
    );
    assert!(book.made("k", second, 22, Ok("x".into())).is_ok());
    assert!(
        book.judge_read("k", "x", at(23, 24), &Read::Marker)
            .is_err()
    );
}

#[test]
fn of_two_that_are_alike_and_got_no_answer_the_older_may_be_seen_last() {
    // A deletion that failed, one that was acknowledged, and one more that failed.
    let mut book = Book::default();
    make(&mut book, None, at(1, 2), Err(End::Failed));
    make(&mut book, None, at(3, 4), Ok("mark".into()));
    make(&mut book, None, at(5, 6), Err(End::Failed));
    let (last, mark) = (shown("last", None, true), shown("mark", None, false));
    let some = [last.clone(), mark.clone()];
    assert!(book.judge_list("k", at(7, 8), &some).is_ok());
    // An index that was made anew brings the first to light.
    let all = [last.clone(), mark.clone(), shown("first", None, false)];
    assert!(book.clone().judge_list("k", at(9, 10), &all).is_ok());
    // Where both are newer than the other, either may be the newest.
    let [first, last] = [shown("first", None, true), shown("last", None, false)];
    let both = [first, last, mark];
    assert!(book.judge_list("k", at(9, 10), &both).is_ok());
    let mut other = Book::default();
    make(&mut other, None, at(1, 2), Ok("mark".into()));
    make(&mut other, None, at(3, 4), Err(End::Failed));
    let wrong = [shown("mark", None, true), shown("last", None, false)];
    assert!(other.judge_list("k", at(5, 6), &wrong).is_err());
}

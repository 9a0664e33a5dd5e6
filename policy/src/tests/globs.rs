//! Goal: wildcards match what a naive matcher says, and nothing makes them slow.
//! Method: random short patterns over few letters, against a recursion; patterns that blow up
//! where every way to match is tried.

use proptest::prelude::*;

use crate::glob::{Glob, Token, may_continue};

/// As the words say: `*` is nothing, or a character and `*` again.
fn naive(pattern: &[char], text: &[char]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), None) => naive(rest, text),
        (Some(('*', rest)), Some((_, behind))) => naive(rest, text) || naive(pattern, behind),
        (Some(('?', rest)), Some((_, behind))) => naive(rest, behind),
        (Some((c, rest)), Some((d, behind))) => c == d && naive(rest, behind),
        _ => false,
    }
}

fn tokens(pattern: &str) -> Vec<Token> {
    let token = |c| match c {
        '*' => Token::Any,
        '?' => Token::One,
        c => Token::Char(c),
    };
    pattern.chars().map(token).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]
    #[test]
    fn wildcards_match_as_a_recursion_says(pattern in "[ab*?é]{0,9}", text in "[abé]{0,10}") {
        let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
        prop_assert_eq!(Glob::parse(&pattern).matches(&text), naive(&p, &t));
    }

    #[test]
    fn may_continue_as_some_longer_text_shows(pattern in "[ab*?]{0,5}", prefix in "[ab]{0,3}") {
        let p: Vec<char> = pattern.chars().collect();
        // A text that is longer than pattern and prefix together shows nothing new.
        let mut texts = vec![prefix.clone()];
        let mut found = false;
        for _ in 0..5 {
            texts = texts.iter().flat_map(|t| [format!("{t}a"), format!("{t}b")]).collect();
            found |= texts.iter().any(|t| naive(&p, &t.chars().collect::<Vec<_>>()));
        }
        prop_assert_eq!(may_continue(&tokens(&pattern), &prefix), found);
    }
}

#[test]
fn long_runs_with_wildcards_are_found_at_every_place() {
    // Runs longer than a word of bits.
    for len in [1, 63, 64, 65, 127, 128, 129, 300] {
        let run = format!("{}?b", "a".repeat(len));
        let pattern = Glob::parse(&format!("*{run}*"));
        for before in 0..70 {
            let text = format!("{}{}xb!", "a".repeat(before), "a".repeat(len));
            assert!(pattern.matches(&text), "{len} {before}");
        }
        assert!(!pattern.matches(&format!("{}xc", "a".repeat(len))));
        assert!(!pattern.matches(&format!("{}xb", "a".repeat(len - 1))));
    }
}

#[test]
fn patterns_that_blow_up_elsewhere_end_here() {
    let text = "a".repeat(3072);
    for pattern in [
        format!("{}b", "a*".repeat(5000)),
        format!("{}b", "*a".repeat(1500)),
        format!("*{}b*", "a".repeat(1500)),
        format!("*{}?b*", "a".repeat(1500)),
        format!("{}b", "*a?".repeat(1000)),
        "*?".repeat(5000),
    ] {
        assert!(!Glob::parse(&pattern).matches(&text));
    }
    assert!(Glob::parse(&"*".repeat(20_000)).matches(&text));
    assert!(Glob::parse(&"*?".repeat(3072)).matches(&text));
}

//! Matching text against `*` and `?`.
//!
//! Owns: matching, in time that grows with the text, never with the number of ways to match.
//! Leaves to others: where wildcards come from ([`crate::pattern`]).
//! Always: `*` is any text, also none and also across `/`; `?` is one character.

use std::collections::BTreeMap;

/// One step of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// This character.
    Char(char),
    /// Any one character.
    One,
    /// Any text.
    Any,
}

/// A pattern that is ready to match: runs of single characters with any text between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    runs: Vec<Run>,
    /// Characters that a text has to have at least.
    count_min: usize,
}

/// Single characters; `None` is any one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Run {
    chars: Vec<Option<char>>,
    /// The run as text, if it has no `?`.
    literal: Option<String>,
}

impl Glob {
    /// Takes `*` and `?` for wildcards and everything else for itself.
    pub fn parse(text: &str) -> Self {
        let token = |c| match c {
            '*' => Token::Any,
            '?' => Token::One,
            c => Token::Char(c),
        };
        Self::new(text.chars().map(token))
    }

    /// From steps.
    pub fn new(tokens: impl IntoIterator<Item = Token>) -> Self {
        let mut runs = vec![Vec::new()];
        let mut count_min = 0;
        for token in tokens {
            let last = runs.len() - 1;
            match token {
                Token::Any if last > 0 && runs[last].is_empty() => {}
                Token::Any => runs.push(Vec::new()),
                Token::One => runs[last].push(None),
                Token::Char(c) => runs[last].push(Some(c)),
            }
            count_min += usize::from(token != Token::Any);
        }
        let runs = runs.into_iter().map(Run::new).collect();
        Self { runs, count_min }
    }

    /// Whether all of `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        if text.len() < self.count_min {
            return false;
        }
        let (first, others) = match self.runs.as_slice() {
            [] => return text.is_empty(),
            [first, others @ ..] => (first, others),
        };
        let Some(text) = first.strip_from(text) else {
            return false;
        };
        let Some((last, middle)) = others.split_last() else {
            return text.is_empty();
        };
        let Some(mut text) = last.strip_from_end(text) else {
            return false;
        };
        for run in middle {
            match run.strip_first(text) {
                Some(rest) => text = rest,
                None => return false,
            }
        }
        true
    }
}

impl Run {
    fn new(chars: Vec<Option<char>>) -> Self {
        let literal = chars.iter().copied().collect();
        Self { chars, literal }
    }

    /// What is behind this run, where `text` begins with it.
    fn strip_from<'t>(&self, text: &'t str) -> Option<&'t str> {
        if let Some(literal) = &self.literal {
            return text.strip_prefix(literal.as_str());
        }
        let mut rest = text.chars();
        for wanted in &self.chars {
            let c = rest.next()?;
            if wanted.is_some_and(|wanted| wanted != c) {
                return None;
            }
        }
        Some(rest.as_str())
    }

    /// What is before this run, where `text` ends with it.
    fn strip_from_end<'t>(&self, text: &'t str) -> Option<&'t str> {
        if let Some(literal) = &self.literal {
            return text.strip_suffix(literal.as_str());
        }
        let mut rest = text.chars();
        for wanted in self.chars.iter().rev() {
            let c = rest.next_back()?;
            if wanted.is_some_and(|wanted| wanted != c) {
                return None;
            }
        }
        Some(rest.as_str())
    }

    /// What is behind the first place where this run stands.
    fn strip_first<'t>(&self, text: &'t str) -> Option<&'t str> {
        match &self.literal {
            // Two-way search: linear.
            Some(literal) => {
                let at = text.find(literal.as_str())?;
                text.get(at + literal.len()..)
            }
            None => self.scan(text),
        }
    }

    /// As [`Self::strip_first`], with `?`: all starts at once, a bit for each character of the run
    /// (Baeza-Yates and Gonnet 1992).
    fn scan<'t>(&self, text: &'t str) -> Option<&'t str> {
        let words = self.chars.len().div_ceil(64);
        let mut of_char: BTreeMap<char, Vec<u64>> = BTreeMap::new();
        let mut of_any = vec![0u64; words];
        for (at, wanted) in self.chars.iter().enumerate() {
            let mask = match wanted {
                None => &mut of_any,
                Some(c) => of_char.entry(*c).or_insert_with(|| vec![0; words]),
            };
            mask[at / 64] |= 1 << (at % 64);
        }
        let end = self.chars.len() - 1;
        let mut state = vec![0u64; words];
        for (at, c) in text.char_indices() {
            let mask = of_char.get(&c);
            let mut carry = 1;
            for (word, bits) in state.iter_mut().enumerate() {
                let shifted = (*bits << 1) | carry;
                carry = *bits >> 63;
                *bits = shifted & (of_any[word] | mask.map_or(0, |mask| mask[word]));
            }
            if state[end / 64] & (1 << (end % 64)) != 0 {
                return text.get(at + c.len_utf8()..);
            }
        }
        None
    }
}

/// Whether `tokens` match some text that begins with `prefix` and is longer.
pub fn may_continue(tokens: &[Token], prefix: &str) -> bool {
    let mut at = vec![false; tokens.len() + 1];
    at[0] = true;
    skip_any(tokens, &mut at);
    for c in prefix.chars() {
        let mut next = vec![false; tokens.len() + 1];
        for (state, token) in tokens.iter().enumerate().filter(|(state, _)| at[*state]) {
            match token {
                Token::Any => next[state] = true,
                Token::One => next[state + 1] = true,
                Token::Char(wanted) => next[state + 1] |= *wanted == c,
            }
        }
        at = next;
        skip_any(tokens, &mut at);
    }
    // Whatever token is left can take a character, and what follows it some text.
    at[..tokens.len()].contains(&true)
}

/// `*` may be no text.
fn skip_any(tokens: &[Token], at: &mut [bool]) {
    for (state, token) in tokens.iter().enumerate() {
        if at[state] && *token == Token::Any {
            at[state + 1] = true;
        }
    }
}

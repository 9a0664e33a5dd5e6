//! Texts of a policy: with wildcards, and with variables that a request fills in.
//!
//! Owns: reading `*`, `?` and `${…}`; filling variables in; matching.
//! Leaves to others: how wildcards match ([`crate::glob`]); what the values are
//! ([`crate::context`]).
//! Always: what a request fills in stands for itself: a `*` in it is no wildcard. A variable
//! without a value and without a default matches nothing.

use std::borrow::Cow;

use crate::context::{Context, Key};
use crate::error::PolicyError;
use crate::glob::{Glob, Token};

/// The version of the language a policy is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// `2008-10-17`: without variables.
    V2008,
    /// `2012-10-17`.
    V2012,
}

impl Language {
    /// Its name in a document.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V2008 => "2008-10-17",
            Self::V2012 => "2012-10-17",
        }
    }
}

/// What `*` and `?` are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wild {
    /// Wildcards.
    Cards,
    /// Themselves.
    Text,
    /// Themselves, and letters match in either case.
    TextFolded,
}

/// A text to match.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    kind: Kind,
    fold: bool,
}

#[derive(Clone, Debug)]
enum Kind {
    /// Ready; also whether there are wildcards.
    Fixed(Glob, bool),
    Filled(Vec<Piece>),
}

#[derive(Clone, Debug)]
enum Piece {
    Token(Token),
    Variable { key: Key, default: Option<String> },
}

impl Pattern {
    /// Reads `text`.
    pub(crate) fn parse(text: &str, language: Language, wild: Wild) -> Result<Self, PolicyError> {
        let pieces = pieces(text, language, wild)?;
        Ok(Self::new(pieces, wild == Wild::TextFolded))
    }

    fn new(pieces: Vec<Piece>, fold: bool) -> Self {
        let fixed: Option<Vec<Token>> = pieces.iter().map(Piece::token).collect();
        let kind = match fixed {
            Some(tokens) => {
                let wild = tokens.iter().any(|t| !matches!(t, Token::Char(_)));
                Kind::Fixed(Glob::new(folded(tokens, fold)), wild)
            }
            None => Kind::Filled(pieces),
        };
        Self { kind, fold }
    }

    /// Whether `text` matches; `None` if a variable has no value.
    pub(crate) fn matches(&self, text: &str, context: &Context) -> Option<bool> {
        let glob = match &self.kind {
            Kind::Fixed(glob, _) => Cow::Borrowed(glob),
            Kind::Filled(pieces) => Cow::Owned(fill(pieces, context, self.fold)?),
        };
        Some(match self.fold {
            // Letter by letter, as the pattern is folded.
            true => glob.matches(
                &text
                    .chars()
                    .flat_map(char::to_lowercase)
                    .collect::<String>(),
            ),
            false => glob.matches(text),
        })
    }

    /// Whether it is one text, whatever the request.
    pub(crate) fn is_fixed(&self) -> bool {
        matches!(self.kind, Kind::Fixed(_, false))
    }

    /// The keys of its variables.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        let pieces = match &self.kind {
            Kind::Fixed(..) => &[],
            Kind::Filled(pieces) => pieces.as_slice(),
        };
        pieces.iter().filter_map(|piece| match piece {
            Piece::Token(_) => None,
            Piece::Variable { key, .. } => Some(key),
        })
    }

    /// What it can become: a variable can be any text.
    pub(crate) fn shape(
        text: &str,
        language: Language,
        wild: Wild,
    ) -> Result<Vec<Token>, PolicyError> {
        let pieces = pieces(text, language, wild)?;
        let token = |piece: &Piece| piece.token().unwrap_or(Token::Any);
        Ok(pieces.iter().map(token).collect())
    }

    /// The six parts of an ARN, each a pattern of its own; what a variable holds is in one part,
    /// and a sixth part has all further colons.
    pub(crate) fn arn(text: &str, language: Language) -> Result<Option<[Self; 6]>, PolicyError> {
        let mut parts: Vec<Vec<Piece>> = vec![Vec::new()];
        for piece in pieces(text, language, Wild::Cards)? {
            let at = parts.len() - 1;
            match piece {
                Piece::Token(Token::Char(':')) if at < 5 => parts.push(Vec::new()),
                piece => parts[at].push(piece),
            }
        }
        let parts: Vec<Self> = parts.into_iter().map(|p| Self::new(p, false)).collect();
        Ok(parts.try_into().ok())
    }
}

impl Piece {
    fn token(&self) -> Option<Token> {
        match self {
            Self::Token(token) => Some(*token),
            Self::Variable { .. } => None,
        }
    }
}

fn folded(tokens: Vec<Token>, fold: bool) -> Vec<Token> {
    if !fold {
        return tokens;
    }
    let lower = |token| match token {
        // Of a wildcard there is none in what is folded.
        Token::Char(c) => c.to_lowercase().map(Token::Char).collect(),
        other => vec![other],
    };
    tokens.into_iter().flat_map(lower).collect()
}

fn fill(pieces: &[Piece], context: &Context, fold: bool) -> Option<Glob> {
    let mut tokens = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Token(token) => tokens.push(*token),
            Piece::Variable { key, default } => {
                let value = context.one(key).or(default.as_deref())?;
                tokens.extend(value.chars().map(Token::Char));
            }
        }
    }
    Some(Glob::new(folded(tokens, fold)))
}

fn pieces(text: &str, language: Language, wild: Wild) -> Result<Vec<Piece>, PolicyError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let inside = rest
            .strip_prefix("${")
            .filter(|_| language == Language::V2012);
        if let Some(inside) = inside {
            let (piece, behind) = variable(inside)?;
            pieces.push(piece);
            rest = behind;
            continue;
        }
        let token = match (c, wild) {
            ('*', Wild::Cards) => Token::Any,
            ('?', Wild::Cards) => Token::One,
            (c, _) => Token::Char(c),
        };
        pieces.push(Piece::Token(token));
        rest = &rest[c.len_utf8()..];
    }
    Ok(pieces)
}

/// Reads a variable behind its `${`, and gives what is behind its `}`.
fn variable(inside: &str) -> Result<(Piece, &str), PolicyError> {
    let broken = || {
        let shown: String = inside.chars().take(40).collect();
        PolicyError::malformed(format!("Policy has an invalid variable: \"${{{shown}\""))
    };
    // A default may hold a brace; its end is the quote before the last brace.
    let (name, default, behind) = match inside.find([',', '}']) {
        Some(at) if inside[at..].starts_with(',') => {
            let quoted = inside[at + 1..].trim_start();
            let quoted = quoted.strip_prefix('\'').ok_or_else(broken)?;
            let (default, behind) = quoted.split_once('\'').ok_or_else(broken)?;
            let behind = behind.trim_start().strip_prefix('}').ok_or_else(broken)?;
            (&inside[..at], Some(default.to_owned()), behind)
        }
        Some(at) => (&inside[..at], None, &inside[at + 1..]),
        None => return Err(broken()),
    };
    let piece = match (name.trim(), &default) {
        ("*", None) => Piece::Token(Token::Char('*')),
        ("?", None) => Piece::Token(Token::Char('?')),
        ("$", None) => Piece::Token(Token::Char('$')),
        (name, _) => Piece::Variable {
            key: Key::parse(name).ok_or_else(broken)?,
            default,
        },
    };
    Ok((piece, behind))
}

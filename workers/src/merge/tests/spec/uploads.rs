//! One upload of a key: its parts, Complete, Abort, and what becomes of the completed version.

use proptest::prelude::*;

use super::*;

/// A record; its place is its order, and what it names is another place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    None,
    /// Of this number, of which these shards (bits) were found.
    Part(u16, u8),
    /// Names what is in these places as parts 1 and 2.
    Complete(u64, Option<u64>),
    Abort,
    Small,
    Delete,
    Void(u64),
}

/// The upload's own record comes first.
const UPLOAD: u64 = 2;
const FIRST: u64 = 3;

fn pieces(at: u64, end: u64) -> Vec<Piece> {
    let mut all = vec![Piece::None, Piece::Abort, Piece::Small, Piece::Delete];
    for number in [1, 2] {
        all.extend([0b001, 0b101].map(|bits| Piece::Part(number, bits)));
    }
    all.extend((FIRST..at).map(|part| Piece::Complete(part, None)));
    let pairs = (FIRST..at).flat_map(|one| (FIRST..at).map(move |two| (one, two)));
    let pairs = pairs.filter(|(one, two)| one < two);
    all.extend(pairs.map(|(one, two)| Piece::Complete(one, Some(two))));
    all.extend((UPLOAD..end).filter(|to| *to != at).map(Piece::Void));
    all
}

fn case_of(set: &[Piece], absent: &[u64], has_upload: bool) -> Case {
    let mut case = Case::new().absent(absent);
    if has_upload {
        case = case.upload(UPLOAD);
    }
    for (at, piece) in (FIRST..).zip(set) {
        case = match *piece {
            Piece::None => case,
            Piece::Part(number, bits) => {
                let shards: Vec<u8> = (0..3).filter(|shard| bits & (1 << shard) != 0).collect();
                case.part(at, UPLOAD, number, &shards)
            }
            Piece::Complete(one, two) => {
                let parts = [(1, Some(one)), (2, two)];
                let parts = parts
                    .iter()
                    .filter_map(|(number, part)| Some((*number, (*part)?)));
                case.complete(at, UPLOAD, &parts.collect::<Vec<_>>())
            }
            Piece::Abort => case.abort(at, UPLOAD),
            Piece::Small => case.small(at, &[1]),
            Piece::Delete => case.delete(at),
            Piece::Void(of) => case.void(at, of),
        };
    }
    case
}

struct World<'a> {
    set: &'a [Piece],
    absent: &'a [u64],
    has_upload: bool,
    bits: u32,
}

impl World<'_> {
    fn all(&self) -> impl DoubleEndedIterator<Item = (u64, Piece)> {
        self.set
            .iter()
            .enumerate()
            .map(|(at, piece)| (FIRST + at as u64, *piece))
    }

    fn has(&self, at: u64) -> bool {
        self.bits & (1 << (at - FIRST)) != 0
    }

    fn committed(&self) -> impl DoubleEndedIterator<Item = (u64, Piece)> {
        self.all().filter(|(at, _)| self.has(*at))
    }

    fn is_voided(&self, at: u64) -> bool {
        self.set.contains(&Piece::Void(at))
    }

    /// What is known of a write that a Complete names as its part.
    fn part(&self, at: u64) -> Bytes {
        match self.set[(at - FIRST) as usize] {
            Piece::Part(_, bits) => coded(bits, self.absent),
            Piece::None if may_hide(self.absent) => Bytes::Hidden,
            Piece::None => Bytes::Never,
            _ => unreachable!("a Complete names parts"),
        }
    }

    fn parts(&self, one: u64, two: Option<u64>) -> impl Iterator<Item = u64> {
        [Some(one), two].into_iter().flatten()
    }

    /// The worst of a Complete's parts.
    fn bytes(&self, one: u64, two: Option<u64>) -> Bytes {
        let states: Vec<Bytes> = self.parts(one, two).map(|part| self.part(part)).collect();
        let has = |state| states.contains(&state);
        match () {
            () if has(Bytes::Never) => Bytes::Never,
            () if has(Bytes::Hidden) => Bytes::Hidden,
            () => Bytes::Readable,
        }
    }

    fn is_possible(&self) -> bool {
        let is_end = |piece| matches!(piece, Piece::Abort | Piece::Complete(..));
        let ends = self.committed().filter(|(_, piece)| is_end(*piece)).count();
        ends <= 1
            && self.committed().all(|(at, piece)| {
                // Who wrote a part or a Complete saw the upload open, whatever became of the write.
                let later = || self.all().filter(|(other, _)| *other > at);
                let later_part = later().any(|(_, piece)| matches!(piece, Piece::Part(..)));
                let later_complete = later().any(|(_, piece)| matches!(piece, Piece::Complete(..)));
                let is_fine = match piece {
                    Piece::None => false,
                    Piece::Part(_, bits) => coded(bits, self.absent) != Bytes::Never,
                    Piece::Abort => !later_part && !later_complete,
                    Piece::Complete(one, two) => {
                        !later_part
                            && !later().any(|(at, _)| self.saw_it_open(at))
                            && !self.parts(one, two).any(|part| self.is_voided(part))
                            // What is covered is being purged, its parts first.
                            && (self.bytes(one, two) != Bytes::Never || self.is_covered(at))
                    }
                    Piece::Small | Piece::Delete | Piece::Void(_) => true,
                };
                is_fine && (!self.is_voided(at) || matches!(piece, Piece::Void(_)))
            })
    }

    /// Whether this is a Complete that may have been committed, as far as it and its parts are not
    /// void: who wrote it saw that no other one was.
    fn saw_it_open(&self, at: u64) -> bool {
        match self.set[(at - FIRST) as usize] {
            Piece::Complete(one, two) => {
                !self.is_voided(at) && !self.parts(one, two).any(|part| self.is_voided(part))
            }
            _ => false,
        }
    }

    /// Whether the key has a committed version or deletion of higher order.
    fn is_covered(&self, version: u64) -> bool {
        self.committed().any(|(at, piece)| {
            let ends = matches!(piece, Piece::Small | Piece::Complete(..) | Piece::Delete);
            at > version && ends
        })
    }

    fn shown(&self) -> Option<Shown> {
        let mut shown = Shown::default();
        let is_version = |piece| matches!(piece, Piece::Small | Piece::Complete(..));
        let last = self
            .committed()
            .rfind(|(_, piece)| is_version(*piece) || *piece == Piece::Delete);
        if let Some((version, piece)) = last.filter(|(_, piece)| is_version(*piece)) {
            if let Piece::Complete(one, two) = piece
                && self.bytes(one, two) != Bytes::Readable
            {
                return None;
            }
            shown.versions.insert(version, None);
            shown.current = Some(version);
        }
        let ended = self.committed().find_map(|(at, piece)| match piece {
            Piece::Abort => Some((at, None)),
            Piece::Complete(one, two) => Some((at, Some((one, two)))),
            _ => None,
        });
        match ended {
            Some((at, Some((one, two)))) if shown.current == Some(at) => {
                if self.has_upload && !self.is_voided(UPLOAD) {
                    shown.upload = Some((UPLOAD, Some(at)));
                }
                let is_part = |at: &u64| matches!(self.set[(at - FIRST) as usize], Piece::Part(..));
                shown.parts = self.parts(one, two).filter(is_part).collect();
                Some(shown)
            }
            Some(_) => Some(shown),
            None => self.open(shown),
        }
    }

    /// The newest part of each number.
    fn open(&self, mut shown: Shown) -> Option<Shown> {
        if !self.has_upload || self.is_voided(UPLOAD) {
            let has_parts = self
                .all()
                .any(|(at, piece)| matches!(piece, Piece::Part(..)) && !self.is_voided(at));
            let may_be = !self.has_upload && !self.is_voided(UPLOAD) && may_hide(self.absent);
            return (!(may_be && has_parts)).then_some(shown);
        }
        shown.upload = Some((UPLOAD, None));
        for number in [1, 2] {
            let newest = self
                .committed()
                .rfind(|(_, piece)| matches!(piece, Piece::Part(of, _) if *of == number));
            let Some((at, Piece::Part(_, bits))) = newest else {
                continue;
            };
            if coded(bits, self.absent) != Bytes::Readable {
                return None;
            }
            shown.parts.push(at);
        }
        shown.parts.sort_unstable();
        Some(shown)
    }
}

/// Whether what each Complete names is a part of that number, or not found at all.
fn names_parts(set: &[Piece]) -> bool {
    let is_part = |number: u16, at: u64| match set[(at - FIRST) as usize] {
        Piece::Part(of, _) => of == number,
        piece => piece == Piece::None,
    };
    set.iter().all(|piece| match *piece {
        Piece::Complete(one, two) => is_part(1, one) && two.is_none_or(|two| is_part(2, two)),
        _ => true,
    })
}

fn expected(set: &[Piece], absent: &[u64], has_upload: bool) -> Option<Shown> {
    let world = |bits| World {
        set,
        absent,
        has_upload,
        bits,
    };
    let mut possible = worlds(set.len()).map(world).filter(World::is_possible);
    possible.next().expect("nothing at all is possible").shown()
}

#[test]
fn every_upload_of_four_records_is_merged_as_specified() {
    let end = FIRST + 4;
    let choices: Vec<_> = (FIRST..end).map(|at| pieces(at, end)).collect();
    for has_upload in [true, false] {
        for absent in [&[][..], &[3], &[2, 3]] {
            let mut count = 0;
            every(&choices, |set| {
                if !names_parts(set) {
                    return;
                }
                count += 1;
                let case = case_of(set, absent, has_upload);
                let expected = expected(set, absent, has_upload);
                let facts = || format!("{set:?} absent {absent:?}, upload {has_upload}");
                assert_eq!(merged(&case), expected, "{}: {:?}", facts(), case.decide());
            });
            assert!(count > 20_000, "{count} sets");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn uploads_of_eight_records_are_merged_as_specified(
        picks in prop::collection::vec(any::<prop::sample::Index>(), 8),
        absent in prop::sample::select(vec![vec![], vec![1], vec![2, 3]]),
        has_upload in prop::bool::weighted(0.8),
    ) {
        let end = FIRST + picks.len() as u64;
        let mut set = Vec::new();
        for (at, pick) in (FIRST..).zip(&picks) {
            set.push(*pick.get(&pieces(at, end)));
            if !names_parts(&set) {
                set.pop();
                set.push(Piece::None);
            }
        }
        let case = case_of(&set, &absent, has_upload);
        let expected = expected(&set, &absent, has_upload);
        prop_assert_eq!(merged(&case), expected, "{:?} absent {:?}", set, absent);
    }
}

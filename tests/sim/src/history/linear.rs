//! Whether the operations on one key fit one order.
//!
//! Owns: just-in-time linearization. Calls and ends are visited in the order of time; kept are all
//! states that the key can be in, each with the writes that it has already taken. Nothing is
//! ordered before an operation ends that needs it.
//! Leaves to others: what requests mean ([`super::keys`]).
//! Always: three shortcuts, none of which loses an order. A read that fits is taken at once: it
//! changes nothing. A write of unknown outcome need not happen, so of two equal situations the one
//! that used fewer of them is enough. Writes of unknown outcome with the same effect are one class
//! with a count; one that failed is a class of its own, and counts as used once a later write was
//! taken.

use std::collections::HashMap;

/// What a key has; numbers are given by [`super::keys`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct State(pub u32);

impl State {
    /// Nothing.
    pub(super) const ABSENT: Self = Self(0);
    /// Some value that no read and no condition names.
    pub(super) const UNNAMED: Self = Self(1);
}

/// What a read saw, or what a write needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Predicate {
    Any,
    Absent,
    Present,
    Is(State),
    Not(State),
    IsOrAbsent(State),
    Never,
}

impl Predicate {
    pub(super) fn holds(self, state: State) -> bool {
        match self {
            Self::Any => true,
            Self::Absent => state == State::ABSENT,
            Self::Present => state != State::ABSENT,
            Self::Is(wanted) => state == wanted,
            Self::Not(other) => state != other,
            Self::IsOrAbsent(wanted) => state == wanted || state == State::ABSENT,
            Self::Never => false,
        }
    }
}

/// What an operation is for one key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Effect {
    /// Sees the state at one moment.
    Read(Predicate),
    /// Where `needs` holds, the state becomes one of `gives`.
    Write { needs: Predicate, gives: Vec<State> },
}

impl Effect {
    pub(super) fn predicate(&self) -> Predicate {
        match self {
            Self::Read(predicate) => *predicate,
            Self::Write { needs, .. } => *needs,
        }
    }
}

/// One operation on the key.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// Its place in the history.
    pub index: usize,
    pub call: u64,
    /// `None`: nobody knows when or whether it takes effect.
    pub end: Option<u64>,
    /// When it failed: acknowledged writes that were called later come after it.
    pub failed: Option<u64>,
    pub effect: Effect,
}

/// Why the steps are not known to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stuck {
    /// No order explains the step at this place (of the slice).
    At(usize),
    /// More than [`STEPS_MAX`] situations for one end.
    TooHard,
}

/// Situations looked at for one end.
pub(super) const STEPS_MAX: usize = 2_000_000;

/// Steps that took effect and have not ended, sorted.
type Done = Vec<u32>;
/// Classes of unknown writes that took effect, sorted, with repetitions.
type Used = Vec<u32>;

/// Situations; of each (state, done) the sets of used classes, none containing another.
#[derive(Default)]
struct Situations(HashMap<(State, Done), Vec<Used>>);

impl Situations {
    /// Whether it was new.
    fn insert(&mut self, state: State, done: Done, used: Used) -> bool {
        let all = self.0.entry((state, done)).or_default();
        if all.iter().any(|known| contains(&used, known)) {
            return false;
        }
        all.retain(|known| !contains(known, &used));
        all.push(used);
        true
    }
}

/// Whether the sorted `larger` has every element of the sorted `smaller`, as often.
fn contains(larger: &[u32], smaller: &[u32]) -> bool {
    let mut rest = larger.iter();
    smaller.len() <= larger.len() && smaller.iter().all(|wanted| rest.any(|x| x == wanted))
}

fn with(sorted: &[u32], new: u32) -> Vec<u32> {
    let at = sorted.partition_point(|&x| x <= new);
    let mut all = Vec::with_capacity(sorted.len() + 1);
    all.extend_from_slice(&sorted[..at]);
    all.push(new);
    all.extend_from_slice(&sorted[at..]);
    all
}

/// Unknown writes with the same effect, or one that failed.
struct Class<'a> {
    needs: Predicate,
    gives: &'a [State],
    called: usize,
    failed: Option<u64>,
}

impl Class<'_> {
    /// Whether a write called at `call` comes after it.
    fn is_before(&self, call: u64) -> bool {
        self.failed.is_some_and(|end| end < call)
    }
}

struct Search<'a> {
    steps: &'a [Step],
    situations: Situations,
    /// Called, not ended, of known outcome.
    pending: Vec<u32>,
    classes: Vec<Class<'a>>,
    class_of: HashMap<&'a Effect, usize>,
}

/// One situation on the way to an end.
struct Node {
    state: State,
    done: Done,
    used: Used,
    /// The last thing that happened was an unknown write, and nothing saw it.
    unseen: bool,
}

/// Whether one order explains all `steps`.
///
/// # Errors
/// The first step (by its end) that nothing explains, or that it costs too much.
pub(super) fn linearize(steps: &[Step]) -> Result<(), Stuck> {
    // Calls before ends of the same moment: such operations are concurrent.
    let mut events: Vec<(u64, bool, u32)> = Vec::with_capacity(steps.len() * 2);
    for (at, step) in (0_u32..).zip(steps) {
        events.push((step.call, false, at));
        if let Some(end) = step.end {
            events.push((end, true, at));
        }
    }
    events.sort_unstable();
    let mut search = Search::new(steps);
    for (_, ends, at) in events {
        match ends {
            false => search.call(at),
            true => search.end(at)?,
        }
    }
    Ok(())
}

impl<'a> Search<'a> {
    fn new(steps: &'a [Step]) -> Self {
        let mut situations = Situations::default();
        situations.insert(State::ABSENT, Vec::new(), Vec::new());
        Self {
            steps,
            situations,
            pending: Vec::new(),
            classes: Vec::new(),
            class_of: HashMap::new(),
        }
    }

    fn effect(&self, at: u32) -> &'a Effect {
        &self.steps[at as usize].effect
    }

    fn call(&mut self, at: u32) {
        let step = &self.steps[at as usize];
        match (&step.effect, step.end) {
            // An unknown read says nothing.
            (Effect::Read(_), None) => {}
            (Effect::Read(predicate), Some(_)) => {
                self.pending.push(at);
                let before = std::mem::take(&mut self.situations).0;
                for ((state, mut done), used) in before {
                    if predicate.holds(state) {
                        done = with(&done, at);
                    }
                    self.situations.0.insert((state, done), used);
                }
            }
            (Effect::Write { .. }, Some(_)) => self.pending.push(at),
            (Effect::Write { needs, gives }, None) => {
                let classes = &mut self.classes;
                let new = Class {
                    needs: *needs,
                    gives,
                    called: 0,
                    failed: step.failed,
                };
                let mut add = |new| {
                    classes.push(new);
                    classes.len() - 1
                };
                let class = match step.failed {
                    Some(_) => add(new),
                    None => *self
                        .class_of
                        .entry(&step.effect)
                        .or_insert_with(|| add(new)),
                };
                self.classes[class].called += 1;
            }
        }
    }

    /// `used`, once the write `at` was taken: with all that failed before it was called.
    fn used_after(&self, at: u32, used: &[u32]) -> Used {
        let call = self.steps[at as usize].call;
        let mut used = used.to_vec();
        for (class, found) in (0_u32..).zip(&self.classes) {
            if found.called > 0 && found.is_before(call) && !used.contains(&class) {
                used = with(&used, class);
            }
        }
        used
    }

    /// Nothing that failed before an ended write was called can happen any more.
    fn close(&mut self, at: u32) {
        let call = self.steps[at as usize].call;
        let mut closed = Vec::new();
        for (class, found) in (0_u32..).zip(&mut self.classes) {
            if found.called > 0 && found.is_before(call) {
                found.called = 0;
                closed.push(class);
            }
        }
        if closed.is_empty() {
            return;
        }
        for ((state, done), all) in std::mem::take(&mut self.situations).0 {
            for mut used in all {
                used.retain(|class| !closed.contains(class));
                self.situations.insert(state, done.clone(), used);
            }
        }
    }

    /// Keeps the situations in which `at` took effect.
    fn end(&mut self, at: u32) -> Result<(), Stuck> {
        let mut kept = Situations::default();
        let mut open = Vec::new();
        for ((state, done), all) in std::mem::take(&mut self.situations).0 {
            for used in all {
                open.push(Node {
                    state,
                    done: done.clone(),
                    used,
                    unseen: false,
                });
            }
        }
        let useful = self.useful_classes();
        let mut seen = Situations::default();
        let mut steps = 0;
        while let Some(node) = open.pop() {
            if let Ok(place) = node.done.binary_search(&at) {
                let mut done = node.done;
                done.remove(place);
                kept.insert(node.state, done, node.used);
                continue;
            }
            steps += 1;
            if steps > STEPS_MAX {
                return Err(Stuck::TooHard);
            }
            self.writes_after(&node, &useful, &mut |next| {
                if seen.insert(next.state, next.done.clone(), next.used.clone()) {
                    open.push(next);
                }
            });
        }
        self.pending.retain(|&other| other != at);
        self.situations = kept;
        if matches!(self.effect(at), Effect::Write { .. }) {
            self.close(at);
        }
        match self.situations.0.is_empty() {
            true => Err(Stuck::At(at as usize)),
            false => Ok(()),
        }
    }

    /// Classes, and what they give, that some pending operation could see or need. A state that
    /// nothing sees or needs before the next write makes no difference.
    fn useful_classes(&self) -> Vec<(u32, State)> {
        let mut wanted: Vec<Predicate> = Vec::new();
        let pending = self.pending.iter().map(|&at| self.effect(at).predicate());
        for predicate in pending.chain(
            self.classes
                .iter()
                .filter(|class| class.called > 0)
                .map(|class| class.needs),
        ) {
            if predicate != Predicate::Any && !wanted.contains(&predicate) {
                wanted.push(predicate);
            }
        }
        (0_u32..)
            .zip(&self.classes)
            .filter(|(_, found)| found.called > 0)
            .flat_map(|(class, found)| found.gives.iter().map(move |&state| (class, state)))
            .filter(|(_, state)| wanted.iter().any(|predicate| predicate.holds(*state)))
            .collect()
    }

    /// Every situation that one more write leads to.
    fn writes_after(&self, node: &Node, useful: &[(u32, State)], found: &mut dyn FnMut(Node)) {
        for &write in &self.pending {
            let Effect::Write { needs, gives } = self.effect(write) else {
                continue;
            };
            if !needs.holds(node.state) || node.done.binary_search(&write).is_ok() {
                continue;
            }
            for &state in gives {
                let (done, _) = self.reads_taken(state, with(&node.done, write));
                found(Node {
                    state,
                    done,
                    used: self.used_after(write, &node.used),
                    unseen: false,
                });
            }
        }
        for &(class, state) in useful {
            let Class { needs, called, .. } = &self.classes[class as usize];
            let hides = node.unseen && *needs == Predicate::Any;
            if hides || state == node.state || !needs.holds(node.state) {
                continue;
            }
            if node.used.iter().filter(|&&used| used == class).count() < *called {
                let (done, seen) = self.reads_taken(state, node.done.clone());
                found(Node {
                    state,
                    done,
                    used: with(&node.used, class),
                    unseen: !seen,
                });
            }
        }
    }

    /// `done` with every pending read that fits `state`, and whether there was one.
    fn reads_taken(&self, state: State, mut done: Done) -> (Done, bool) {
        let mut taken = false;
        for &read in &self.pending {
            if let Effect::Read(predicate) = self.effect(read)
                && predicate.holds(state)
                && done.binary_search(&read).is_err()
            {
                done = with(&done, read);
                taken = true;
            }
        }
        (done, taken)
    }
}

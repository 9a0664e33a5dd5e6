//! Decides when a write is durable.
//!
//! Owns: counting acknowledgements against a quorum.
//! Leaves to others: sockets, deadlines and retries ([`crate::seal`]).
//! Always: once `Durable` was said, no later event turns it into `Lost`.

/// What the acknowledgements so far mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not yet decided.
    Open,
    /// Enough drives hold it.
    Durable,
    /// Enough can no longer be reached.
    Lost,
}

/// Counts acknowledgements of one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    needed: usize,
    open: usize,
    acked: usize,
}

impl Tally {
    /// `needed` acknowledgements out of `asked` drives.
    pub fn new(needed: usize, asked: usize) -> Self {
        Self {
            needed,
            open: asked,
            acked: 0,
        }
    }
    /// One more drive is asked (a stand-in).
    pub fn ask(&mut self) {
        self.open += 1;
    }
    /// A drive acknowledged.
    pub fn ack(&mut self) {
        debug_assert!(self.open > 0, "more answers than questions");
        self.open = self.open.saturating_sub(1);
        self.acked += 1;
    }
    /// A drive failed, or will not answer in time.
    pub fn fail(&mut self) {
        debug_assert!(self.open > 0, "more answers than questions");
        self.open = self.open.saturating_sub(1);
    }
    /// Drives that acknowledged.
    pub fn acked(&self) -> usize {
        self.acked
    }
    /// Drives that have not answered.
    pub fn open(&self) -> usize {
        self.open
    }
    /// What it means.
    pub fn verdict(&self) -> Verdict {
        if self.acked >= self.needed {
            Verdict::Durable
        } else if self.acked + self.open < self.needed {
            Verdict::Lost
        } else {
            Verdict::Open
        }
    }
}

#[cfg(test)]
mod tests {
    //! Facts about quorums.
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn durable_is_final_and_needs_the_quorum(
            needed in 1_usize..8,
            answers in prop::collection::vec(any::<bool>(), 0..12),
        ) {
            let mut tally = Tally::new(needed, answers.len());
            let mut durable = false;
            for (at, &ack) in answers.iter().enumerate() {
                if ack { tally.ack() } else { tally.fail() }
                let acked = answers[..=at].iter().filter(|&&a| a).count();
                let left = answers.len() - at - 1;
                prop_assert_eq!(tally.verdict() == Verdict::Durable, acked >= needed);
                prop_assert_eq!(tally.verdict() == Verdict::Lost, acked + left < needed);
                prop_assert!(!durable || tally.verdict() == Verdict::Durable);
                durable = tally.verdict() == Verdict::Durable;
            }
        }
    }
}

//! Faults that belong together.
//!
//! Owns: which faults follow each other so closely that the second finds what the first left.
//! Leaves to others: faults that come alone ([`super`]), making them ([`crate::director`]).
//! Always: each scene is drawn for itself, so that another one more leaves the rest as it was.

use std::time::Duration;

use super::{Fault, FaultKind, MISREADS, Plan};
use crate::dice::Dice;

impl Plan {
    pub(super) fn add_scenes(&mut self) {
        self.go_to_the_brink();
        self.fail_and_lose_the_index();
        self.misread_while_healing();
        self.take_over();
        self.compare_while_writes_last();
        self.rot_the_log();
        self.delete_while_one_is_away();
        self.faults.sort_by_key(|fault| fault.after_ops);
    }

    /// In two plans of five some faults come while others last. Drawn for itself.
    pub(super) fn crowd_faults(&mut self) {
        let mut dice = Dice::new(self.seed ^ 0xc0de_0002);
        if !dice.permille(400) {
            return;
        }
        let mut last = None;
        for fault in &mut self.faults {
            if let Some(last) = last
                && dice.permille(600)
            {
                fault.after_ops = last + dice.below(40);
            }
            last = Some(fault.after_ops);
        }
        self.faults.sort_by_key(|fault| fault.after_ops);
    }

    /// One plan in six goes to the brink: as many drives as the geometry allows do not answer for a
    /// while, clients write, and one more loses everything. Drawn for itself.
    fn go_to_the_brink(&mut self) {
        let mut dice = Dice::new(self.seed ^ 0xb61c_0003);
        if !dice.permille(170) {
            return;
        }
        let away = (usize::from(self.geometry.1) / self.drives_per_node).max(1) as u64;
        let (first, drives) = (dice.below(self.nodes as u64), self.drives() as u64);
        let start = dice.within(self.ops / 20..self.ops * 9 / 10);
        for number in 0..=away {
            let node = (first + number) % self.nodes as u64;
            let (kind, after_ops) = match number < away {
                true => (FaultKind::NodeKill, start + dice.below(10)),
                false => (FaultKind::DriveLost, start + 10 + dice.below(60)),
            };
            self.faults.push(Fault {
                after_ops,
                kind,
                target: node * self.drives_per_node as u64 + drives * dice.below(1000),
                lasts: Duration::from_millis(dice.within(500..20_000)),
                draw: dice.u64(),
            });
        }
    }

    /// One plan in six: answers of drives are lost for a while, so that writes end in 5xx whose
    /// records are durable; a node that has some is gone before they are voided; and, while it is
    /// away, the power and the index are lost, or only the gateway. Then all come back. Clients
    /// clean up after what failed.
    fn fail_and_lose_the_index(&mut self) {
        let mut dice = Dice::new(self.seed ^ 0xfa11_0004);
        if !dice.permille(170) {
            return;
        }
        let start = dice.within(self.ops / 20..self.ops / 2);
        let (target, clients) = (dice.u64(), u64::from(self.clients));
        self.has_cleaners = true;
        let mut add = |after_ops, kind, lasts, draw| {
            self.faults.push(Fault {
                after_ops,
                kind,
                target,
                lasts: Duration::from_millis(lasts),
                draw,
            });
        };
        // Of all nodes: nothing comes from them, or each is cut off in its own way.
        let draw = match dice.permille(500) {
            true => 4 + 12,
            false => 4 + 24 * dice.below(1 << 40),
        };
        add(start, FaultKind::Partition, 8000, draw);
        let gone = start + clients + dice.below(3 * clients);
        let (away, what, rest, draw) = match dice.permille(500) {
            true => (60_000, FaultKind::IndexLost, 6000, 4 * dice.below(1 << 40)),
            false => (
                dice.within(10_000..25_000),
                FaultKind::GatewayCrash,
                2000,
                0,
            ),
        };
        add(gone, FaultKind::NodeKill, away, 0);
        add(gone + clients, what, rest, draw);
    }

    /// One plan in six: a drive gives wrong bits while what another missed is healed.
    fn misread_while_healing(&mut self) {
        let mut dice = Dice::new(self.seed ^ 0x0bad_0005);
        if !dice.permille(170) {
            return;
        }
        let start = dice.within(self.ops / 20..self.ops * 4 / 5);
        let (first, nodes) = (dice.below(self.nodes as u64), self.nodes as u64);
        let drives = self.drives() as u64;
        for (number, kind) in [FaultKind::Corrupt, FaultKind::NodeKill, FaultKind::NodeKill]
            .into_iter()
            .enumerate()
        {
            let node = (first + number as u64) % nodes;
            self.faults.push(Fault {
                after_ops: start + number as u64 * dice.within(20..200),
                kind,
                target: node * self.drives_per_node as u64 + drives * dice.below(1000),
                lasts: Duration::from_millis(match kind {
                    FaultKind::Corrupt => dice.within(10_000..60_000),
                    _ => dice.within(100..4000),
                }),
                draw: match kind {
                    FaultKind::Corrupt => MISREADS * dice.below(1 << 40),
                    _ => dice.u64(),
                },
            });
        }
    }

    /// One plan in five: a gateway under a lease sleeps or is cut off, and another takes its place;
    /// once or twice.
    fn take_over(&mut self) {
        let mut dice = Dice::new(self.seed ^ 0x7a4e_0006);
        if !dice.permille(200) {
            return;
        }
        self.lease = Some(Duration::from_millis(dice.within(2000..4000)));
        for _ in 0..1 + dice.below(2) {
            self.faults.push(Fault {
                after_ops: dice.within(self.ops / 20..self.ops * 9 / 10),
                kind: FaultKind::Takeover,
                target: dice.u64(),
                lasts: Duration::from_millis(dice.within(5000..30_000)),
                draw: dice.u64(),
            });
        }
    }

    /// One plan in six: drives are compared all the time, with a second look very soon, while some
    /// of them answer slowly, so that writes are long under way.
    fn compare_while_writes_last(&mut self) {
        let mut dice = Dice::new(self.seed ^ 0x510e_0007);
        if !dice.permille(170) {
            return;
        }
        self.sweep_grace = Duration::from_micros(dice.within(1..5000));
        self.compare_interval = Duration::from_millis(dice.within(20..500));
        let slow = (usize::from(self.geometry.1) / self.drives_per_node).max(1) as u64;
        let start = dice.within(self.ops / 20..self.ops * 9 / 10);
        let first = dice.below(self.nodes as u64);
        for number in 0..slow {
            let node = (first + number) % self.nodes as u64;
            self.faults.push(Fault {
                after_ops: start + dice.below(10),
                kind: FaultKind::Slow,
                target: node * self.drives_per_node as u64,
                lasts: Duration::from_millis(dice.within(5000..40_000)),
                draw: dice.within(10..150),
            });
        }
    }

    /// One plan in six: bits flip in the newest batches of a drive's log; soon its process ends.
    fn rot_the_log(&mut self) {
        let mut dice = Dice::new(self.seed ^ 0x1090_0008);
        if !dice.permille(170) {
            return;
        }
        let start = dice.within(self.ops / 20..self.ops * 9 / 10);
        let target = dice.u64();
        for (after_ops, kind) in [
            (start, FaultKind::Corrupt),
            (start + dice.below(60), FaultKind::NodeKill),
        ] {
            self.faults.push(Fault {
                after_ops,
                kind,
                target,
                lasts: Duration::from_millis(dice.within(10..3000)),
                draw: MISREADS * dice.below(1 << 40) + 1,
            });
        }
    }

    /// One plan in six: a node is away for so long that what clients delete meanwhile is purged
    /// everywhere else; then the index is lost, and the node comes back after that or with it.
    fn delete_while_one_is_away(&mut self) {
        let mut dice = Dice::new(self.seed ^ 0x0de1_0009);
        if !dice.permille(170) {
            return;
        }
        let start = dice.within(self.ops / 20..self.ops * 4 / 5);
        let target = dice.u64();
        for (after_ops, kind, lasts) in [
            (start, FaultKind::NodeKill, dice.within(20_000..90_000)),
            (start + dice.within(40..250), FaultKind::IndexLost, 4000),
        ] {
            self.faults.push(Fault {
                after_ops,
                kind,
                target,
                lasts: Duration::from_millis(lasts),
                // Suddenly, with an outage of all or without.
                draw: 2 * dice.below(1 << 40),
            });
        }
    }
}

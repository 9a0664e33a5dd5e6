//! What a seed is: the cluster, the load, the faults.
//!
//! Owns: drawing all of it from the seed, within what the cluster must survive.
//! Leaves to others: doing it ([`crate::director`]).
//! Always: a plan has at least three faults, one of them a crash; faults that destroy bytes are
//! never under way on two drives at once, so that a lost object is always a bug.

use std::fmt;
use std::time::Duration;

use crate::dice::Dice;
use crate::net::NetConfig;

/// A way to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// The gateway is killed, with what its index had not synced.
    GatewayCrash,
    /// A node's process is killed; its machine goes on.
    NodeKill,
    /// A node's machine loses its power in the middle of a write or sync.
    NodePower,
    /// All machines lose their power at the same time.
    AllPower,
    /// A drive is gone, and a new one takes its place.
    DriveLost,
    /// Bytes on a drive change.
    Corrupt,
    /// A node answers slowly.
    Slow,
    /// A drive is full.
    Full,
    /// A sync or write of a drive fails.
    Eio,
    /// Gateway and node do not hear each other, or only one way.
    Partition,
    /// Connections break.
    Reset,
    /// The index is gone and is rebuilt from the drives.
    IndexLost,
    /// The index is replaced by an old copy.
    IndexOld,
}

impl FaultKind {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::GatewayCrash,
        Self::NodeKill,
        Self::NodePower,
        Self::AllPower,
        Self::DriveLost,
        Self::Corrupt,
        Self::Slow,
        Self::Full,
        Self::Eio,
        Self::Partition,
        Self::Reset,
        Self::IndexLost,
        Self::IndexOld,
    ];

    /// Whether bytes that were durable are lost by it.
    pub fn destroys(self) -> bool {
        matches!(self, Self::DriveLost | Self::Corrupt)
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::GatewayCrash => "gateway-crash",
            Self::NodeKill => "node-kill",
            Self::NodePower => "node-power",
            Self::AllPower => "all-power",
            Self::DriveLost => "drive-lost",
            Self::Corrupt => "corrupt",
            Self::Slow => "slow",
            Self::Full => "full",
            Self::Eio => "eio",
            Self::Partition => "partition",
            Self::Reset => "reset",
            Self::IndexLost => "index-lost",
            Self::IndexOld => "index-old",
        };
        f.write_str(name)
    }
}

/// A fault that will happen.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Once so many operations have begun.
    pub after_ops: u64,
    /// What.
    pub kind: FaultKind,
    /// Where, as a number to be reduced to a node or drive.
    pub target: u64,
    /// How long it lasts.
    pub lasts: Duration,
    /// What else there is to draw.
    pub draw: u64,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            after_ops,
            kind,
            lasts,
            ..
        } = self;
        write!(f, "{kind}@{after_ops}/{lasts:?}")
    }
}

/// A seed, drawn.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Data and parity shards.
    pub geometry: (u8, u8),
    /// Nodes, and drives of each.
    pub nodes: usize,
    /// Drives of each node.
    pub drives_per_node: usize,
    /// Clients at work at the same time.
    pub clients: u32,
    /// Keys that they use.
    pub keys: u64,
    /// Operations at least.
    pub ops: u64,
    /// Bodies up to so many bytes travel in their record.
    pub inline_len_max: usize,
    /// How the network is.
    pub net: NetConfig,
    /// How long work on a pool takes at most.
    pub job_max: Duration,
    /// How long a sync of the index takes at most.
    pub index_sync_max: Duration,
    /// How long a drive may take to answer.
    pub drive_deadline: Duration,
    /// Requests that may wait for a drive's log.
    pub queue_len: usize,
    /// Staged shards of a drive.
    pub staged_max: usize,
    /// Memory for stripes being written and read, in stripes.
    pub buffers: usize,
    /// One client operation in so many thousand is given up half way.
    pub impatient_permille: u64,
    /// Bytes of an arena file of a drive.
    pub arena_len: u64,
    /// Window of comparisons, in entries.
    pub compare_window: usize,
    /// Old copies of the index may be of the generation that is served.
    pub old_copy_of_same_generation: bool,
    /// Uploads to which nothing was added for so long are aborted; zero keeps them.
    pub upload_age: Duration,
    /// How long what nobody knows lies in the trash.
    pub sweep_grace: Duration,
    /// How often drives are compared without a reason.
    pub compare_interval: Duration,
    /// The faults, in order.
    pub faults: Vec<Fault>,
}

impl Plan {
    /// What `seed` stands for.
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0x5eed_5eed);
        let shapes: [((u8, u8), usize, usize); 7] = [
            ((4, 2), 6, 1),
            ((4, 2), 8, 1),
            ((4, 2), 7, 1),
            ((4, 2), 4, 2),
            ((2, 2), 6, 1),
            ((3, 2), 3, 2),
            ((2, 1), 6, 1),
        ];
        let (geometry, nodes, drives_per_node) = shapes[dice.below(shapes.len() as u64) as usize];
        let odd = |dice: &mut Dice| dice.permille(300);
        let ops = 2000;
        let mut plan = Self {
            seed,
            geometry,
            nodes,
            drives_per_node,
            clients: dice.within(2..7) as u32,
            keys: dice.within(12..60),
            ops,
            inline_len_max: if odd(&mut dice) { 200 } else { 4000 },
            net: NetConfig {
                delay_min: Duration::from_micros(20),
                delay_max: Duration::from_micros(dice.within(100..3000)),
                late_permille: if odd(&mut dice) { 30 } else { 2 },
                one_byte_permille: if odd(&mut dice) { 300 } else { 5 },
                window: if odd(&mut dice) { 3000 } else { 256 << 10 },
            },
            job_max: Duration::from_micros(dice.within(50..2000)),
            index_sync_max: Duration::from_micros(dice.within(100..5000)),
            drive_deadline: Duration::from_millis(if odd(&mut dice) { 300 } else { 3000 }),
            queue_len: if odd(&mut dice) { 2 } else { 256 },
            staged_max: if odd(&mut dice) { 12 } else { 4096 },
            buffers: if odd(&mut dice) { 3 } else { 64 },
            impatient_permille: if odd(&mut dice) { 30 } else { 3 },
            arena_len: if odd(&mut dice) { 4 << 20 } else { 512 << 10 },
            compare_window: if odd(&mut dice) { 40 } else { 10_000 },
            old_copy_of_same_generation: same_generation(seed),
            upload_age: upload_age(seed),
            sweep_grace: Duration::from_secs(10),
            compare_interval: Duration::from_secs(120),
            faults: Vec::new(),
        };
        plan.make_eager();
        if plan.net.window < 10_000 {
            // A stripe must fit through within the deadline.
            plan.drive_deadline = Duration::from_secs(10);
        }
        plan.draw_faults(&mut dice);
        plan.crowd_faults();
        plan.go_to_the_brink();
        plan
    }

    /// Two plans in five compare all the time, and look a second time very soon. Drawn for itself.
    fn make_eager(&mut self) {
        let mut dice = Dice::new(self.seed ^ 0xea6e_0001);
        if dice.permille(400) {
            self.sweep_grace = Duration::from_micros(dice.within(1..5000));
            self.compare_interval = Duration::from_millis(dice.within(20..2000));
        }
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
        self.faults.sort_by_key(|fault| fault.after_ops);
    }

    /// In two plans of five some faults come while others last. Drawn for itself.
    fn crowd_faults(&mut self) {
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

    fn draw_faults(&mut self, dice: &mut Dice) {
        let count = dice.within(4..10);
        let crashes = [
            FaultKind::AllPower,
            FaultKind::GatewayCrash,
            FaultKind::NodePower,
            FaultKind::NodeKill,
        ];
        let mut kinds = vec![crashes[dice.below(4) as usize]];
        while (kinds.len() as u64) < count {
            kinds.push(FaultKind::ALL[dice.below(13) as usize]);
        }
        let mut faults: Vec<Fault> = kinds
            .into_iter()
            .map(|kind| Fault {
                after_ops: dice.within(self.ops / 20..self.ops * 19 / 20),
                kind,
                target: dice.u64(),
                lasts: Duration::from_millis(match dice.below(4) {
                    0 => dice.within(1..100),
                    1 => dice.within(100..2000),
                    2 => dice.within(2000..20_000),
                    _ => dice.within(20_000..90_000),
                }),
                draw: dice.u64(),
            })
            .collect();
        faults.sort_by_key(|fault| fault.after_ops);
        self.faults = faults;
    }

    /// Drives in all.
    pub fn drives(&self) -> usize {
        self.nodes * self.drives_per_node
    }
}

/// In every second plan. Drawn for itself, too.
fn same_generation(seed: u64) -> bool {
    Dice::new(seed ^ 0x01d_c0b1).permille(500)
}

/// One plan in four ends what is abandoned. Drawn for itself, so that the others stay as they were.
fn upload_age(seed: u64) -> Duration {
    let mut dice = Dice::new(seed ^ 0xaba_d04e);
    match dice.permille(250) {
        true => Duration::from_secs(dice.within(2..40)),
        false => Duration::ZERO,
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (data, parity) = self.geometry;
        write!(
            f,
            "seed {}: {data}+{parity} on {}x{} drives, {} clients, {} keys, window {}, deadline \
             {:?}, staged {}, queue {}, faults:",
            self.seed,
            self.nodes,
            self.drives_per_node,
            self.clients,
            self.keys,
            self.net.window,
            self.drive_deadline,
            self.staged_max,
            self.queue_len
        )?;
        for fault in &self.faults {
            write!(f, " {fault}")?;
        }
        Ok(())
    }
}

//! What a seed is: the cluster, the load, the faults.
//!
//! Owns: drawing all of it from the seed, within what the cluster must survive.
//! Leaves to others: doing it ([`crate::director`]).
//! Always: a plan has at least three faults, one of them a crash; faults that destroy bytes are
//! never under way on two drives at once, so that a lost object is always a bug.

mod scenes;

use std::fmt;
use std::time::Duration;

use crate::dice::Dice;
use crate::net::NetConfig;

/// A `Corrupt` fault whose draw is a multiple of this is a drive that reads wrongly; with a
/// remainder of 1, bits flip where the newest batches of its log begin.
pub const MISREADS: u64 = 11;

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
    /// The gateway sleeps, or is cut off, and another takes its place.
    Takeover,
    /// Sectors of a drive cannot be read (EIO) until they are written again.
    Unreadable,
}

impl FaultKind {
    /// All of them.
    pub const ALL: [Self; 15] = [
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
        Self::Takeover,
        Self::Unreadable,
    ];

    /// Those that are drawn for themselves; the others come in scenes ([`scenes`]), or in the place
    /// of rot ([`Plan::spoil`]).
    const SINGLE: usize = 13;

    /// Whether processes end by it as they do in a crash.
    pub fn is_crash(self) -> bool {
        use FaultKind::{AllPower, GatewayCrash, NodeKill, NodePower};
        matches!(self, GatewayCrash | NodeKill | NodePower | AllPower)
    }

    /// Whether bytes that were durable are lost by it.
    pub fn destroys(self) -> bool {
        matches!(self, Self::DriveLost | Self::Corrupt | Self::Unreadable)
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
            Self::Takeover => "takeover",
            Self::Unreadable => "unreadable",
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
    /// How long a gateway's lease lasts; `None` where only one can run.
    pub lease: Option<Duration>,
    /// Clients delete a lot, also what may have come of a write that failed.
    pub has_cleaners: bool,
    /// Clients speak S3 over HTTP, instead of asking past the front. Never drawn.
    pub through_front: bool,
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
            lease: None,
            has_cleaners: false,
            through_front: false,
            faults: Vec::new(),
        };
        plan.make_eager();
        if plan.net.window < 10_000 {
            // A stripe must fit through within the deadline.
            plan.drive_deadline = Duration::from_secs(10);
        }
        plan.draw_faults(&mut dice);
        plan.crowd_faults();
        plan.add_scenes();
        plan.spoil();
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
            kinds.push(FaultKind::ALL[dice.below(FaultKind::SINGLE as u64) as usize]);
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

    /// Of what changes bytes, a half makes sectors unreadable instead.
    fn spoil(&mut self) {
        let flips =
            |fault: &&mut Fault| fault.kind == FaultKind::Corrupt && fault.draw % MISREADS > 1;
        for fault in self.faults.iter_mut().filter(flips) {
            if (fault.draw / 31).is_multiple_of(2) {
                fault.kind = FaultKind::Unreadable;
            }
        }
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

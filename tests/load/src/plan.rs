//! Which loads are run: operation × object size × clients.

use std::fmt;
use std::str::FromStr;

use crate::quantity::ByteSize;

/// Size of the objects that are listed unless `--load` says otherwise.
const LISTED_SIZE: ByteSize = ByteSize::new(4096);

/// What one client does over and over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Op {
    /// Write new objects.
    Put,
    /// Read whole objects.
    Get,
    /// Read `--range-size` bytes at random places of objects.
    Range,
    /// Ask for an object's length.
    Head,
    /// List a page of `--page-keys` keys from a random place.
    List,
    /// Delete objects, each once.
    Delete,
    /// Write new objects as multipart uploads in parts of `--part-size`.
    Multipart,
    /// A random mixture, see `--mix`.
    Mixed,
}

/// All operations, in the order of [`Op::index`].
pub const OPS: [Op; 8] = [
    Op::Put,
    Op::Get,
    Op::Range,
    Op::Head,
    Op::List,
    Op::Delete,
    Op::Multipart,
    Op::Mixed,
];

impl Op {
    /// The name used in flags and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Range => "range",
            Self::Head => "head",
            Self::List => "list",
            Self::Delete => "delete",
            Self::Multipart => "multipart",
            Self::Mixed => "mixed",
        }
    }

    /// The place in [`OPS`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// Whether the load needs objects that are there before and stay.
    pub fn reads(self) -> bool {
        matches!(self, Self::Get | Self::Range | Self::Head | Self::Mixed)
    }
}

impl FromStr for Op {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        OPS.into_iter().find(|op| op.name() == text).ok_or_else(|| {
            let names: Vec<&str> = OPS.iter().map(|op| op.name()).collect();
            format!("{text:?} is none of {}", names.join(", "))
        })
    }
}

/// One row of the table: an operation on objects of one size by a number of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Load {
    /// What is done.
    pub op: Op,
    /// Object size.
    pub size: ByteSize,
    /// Clients, each with one connection and one request at a time.
    pub clients: usize,
}

impl FromStr for Load {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let [op, size, clients] = parts[..] else {
            return Err(format!(
                "{text:?}: expected OP:SIZE:CLIENTS, as in put:4KiB:32"
            ));
        };
        let clients = clients
            .parse()
            .map_err(|_| format!("{clients:?} is not a count"))?;
        let load = Self {
            op: op.parse()?,
            size: size.parse()?,
            clients,
        };
        load.validate()
    }
}

impl Load {
    fn validate(self) -> Result<Self, String> {
        if self.clients == 0 || self.clients > 1024 {
            return Err(format!("{self}: 1 to 1024 clients"));
        }
        Ok(self)
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.op.name(), self.size, self.clients)
    }
}

/// Ready-made lists of loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Suite {
    /// Small and large objects, written and read.
    Quick,
    /// The rows by which Holdfast is compared with other servers.
    Peers,
}

impl Suite {
    fn loads(self) -> &'static [&'static str] {
        match self {
            Self::Quick => &["put:4KiB:32", "get:4KiB:32", "put:10MiB:8", "get:10MiB:8"],
            Self::Peers => &[
                "put:4KiB:32",
                "get:4KiB:32",
                "put:128KiB:32",
                "get:128KiB:32",
                "put:1MiB:8",
                "get:1MiB:8",
                "put:10MiB:8",
                "get:10MiB:8",
                "put:64MiB:8",
                "multipart:64MiB:4",
                "range:64MiB:32",
                "head:4KiB:32",
                "list:4KiB:8",
                "delete:4KiB:32",
                "mixed:128KiB:32",
            ],
        }
    }
}

/// The loads asked for: those of `suite`, then `single`, then `ops` × `sizes` × `clients`, none
/// twice. LIST has one object size.
///
/// # Errors
/// What is wrong, in words.
pub fn loads(
    suite: Option<Suite>,
    single: &[Load],
    ops: &[Op],
    sizes: &[ByteSize],
    clients: &[usize],
) -> Result<Vec<Load>, String> {
    let mut all = Vec::new();
    for text in suite.map(Suite::loads).unwrap_or_default() {
        all.push(text.parse::<Load>()?);
    }
    all.extend_from_slice(single);
    let ops = if ops.is_empty() && all.is_empty() {
        &[Op::Put, Op::Get][..]
    } else {
        ops
    };
    for &size in sizes {
        for &clients in clients {
            for &op in ops {
                let size = if op == Op::List { LISTED_SIZE } else { size };
                all.push(Load { op, size, clients }.validate()?);
            }
        }
    }
    let mut unique: Vec<Load> = Vec::new();
    for load in all {
        if !unique.contains(&load) {
            unique.push(load);
        }
    }
    Ok(unique)
}

/// The weights of the operations in a mixed load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix {
    weights: [u32; OPS.len()],
    total: u32,
}

impl Mix {
    /// The operation at `point`, a random number below [`Mix::total`].
    pub fn at(&self, point: u32) -> Op {
        let mut end = 0;
        for op in OPS {
            end += self.weights[op.index()];
            if point < end {
                return op;
            }
        }
        Op::Get
    }

    /// The sum of the weights.
    pub fn total(&self) -> u32 {
        self.total
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut mix = Self {
            weights: [0; OPS.len()],
            total: 0,
        };
        for part in text.split(',') {
            let (op, weight) = part
                .split_once(':')
                .ok_or_else(|| format!("{part:?}: expected OP:WEIGHT"))?;
            let op: Op = op.parse()?;
            if !matches!(op, Op::Put | Op::Get | Op::Range | Op::Head | Op::Delete) {
                return Err(format!("{} cannot be part of a mix", op.name()));
            }
            let weight: u32 = weight
                .parse()
                .map_err(|_| format!("{weight:?} is not a weight"))?;
            mix.weights[op.index()] = weight;
            mix.total = mix.total.checked_add(weight).ok_or("weights too large")?;
        }
        if mix.total == 0 {
            return Err("a mix needs a weight above 0".to_owned());
        }
        Ok(mix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_are_read_and_printed_the_same_way() {
        for text in [
            "put:4KiB:32",
            "multipart:64MiB:4",
            "mixed:128KiB:1",
            "list:100B:8",
        ] {
            assert_eq!(text.parse::<Load>().unwrap().to_string(), text);
        }
        for text in [
            "put:4KiB",
            "put:4KiB:0",
            "put:4KiB:2000",
            "copy:4KiB:1",
            "put:x:1",
        ] {
            assert!(text.parse::<Load>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_product_has_every_combination_once_and_list_one_size() {
        let sizes = [ByteSize::new(1), ByteSize::new(4096)];
        let all = loads(None, &[], &[Op::Put, Op::List], &sizes, &[1, 8]).unwrap();
        let names: Vec<String> = all.iter().map(ToString::to_string).collect();
        assert_eq!(
            names,
            [
                "put:1B:1",
                "list:4KiB:1",
                "put:1B:8",
                "list:4KiB:8",
                "put:4KiB:1",
                "put:4KiB:8"
            ]
        );
    }

    #[test]
    fn every_suite_parses() {
        for suite in [Suite::Quick, Suite::Peers] {
            let all = loads(Some(suite), &[], &[], &[], &[]).unwrap();
            assert_eq!(all.len(), suite.loads().len());
        }
    }

    #[test]
    fn a_mix_gives_each_operation_its_weight() {
        let mix: Mix = "get:45,head:30,put:15,delete:10".parse().unwrap();
        let mut counts = [0; OPS.len()];
        (0..mix.total()).for_each(|point| counts[mix.at(point).index()] += 1);
        let count = |op: Op| counts[op.index()];
        assert_eq!(
            (
                count(Op::Get),
                count(Op::Head),
                count(Op::Put),
                count(Op::Delete)
            ),
            (45, 30, 15, 10)
        );
        for text in ["get", "get:0", "list:5", "get:x", "mixed:1"] {
            assert!(text.parse::<Mix>().is_err(), "{text}");
        }
    }
}

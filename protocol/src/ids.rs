//! Identities. Each is its own type, so that a wrong call does not compile.
//!
//! Owns: the fixed-width identities and their text and byte forms.
//! Leaves to others: who hands them out (index, drives, operators).
//! Always: `Ord` of [`Order`] and [`WriteId`] is the order of their big-endian bytes.

use std::fmt;

use crate::codec::{FormatError, Reader, Writer};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $int:ty, $width:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($int);

        impl $name {
            /// Wraps the number.
            pub const fn new(value: $int) -> Self {
                Self(value)
            }
            /// The number.
            pub const fn get(self) -> $int {
                self.0
            }
            /// Parses the text form (lower-case hexadecimal, no prefix).
            ///
            /// # Errors
            /// `Invalid` if the text is not hexadecimal of at most the id's width.
            pub fn parse(text: &str) -> Result<Self, FormatError> {
                if text.is_empty() || text.len() > $width {
                    return Err(FormatError::Invalid { what: stringify!($name) });
                }
                <$int>::from_str_radix(text, 16)
                    .map(Self)
                    .map_err(|_| FormatError::Invalid { what: stringify!($name) })
            }
            /// Appends the little-endian bytes.
            pub fn encode(self, out: &mut Writer) {
                out.raw(&self.0.to_le_bytes());
            }
            /// Reads the little-endian bytes.
            ///
            /// # Errors
            /// `Truncated` if too few bytes are left.
            pub fn decode(input: &mut Reader<'_>) -> Result<Self, FormatError> {
                Ok(Self(<$int>::from_le_bytes(input.array()?)))
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!("{:0", $width, "x}"), self.0)
            }
        }
    };
}

id!(/// The cluster a drive, node or gateway belongs to; random.
    ClusterId, u128, 32);
id!(/// A shard-node process (several drives may share one); random, kept in its first data
    /// directory.
    NodeId, u64, 16);
id!(/// One data directory: the unit of placement and of failure; random, never reused.
    DriveId, u64, 16);
id!(/// A gateway; random, kept beside its index.
    GatewayId, u32, 8);
id!(/// A bucket; never reused, also when a bucket of the same name is made again.
    BucketId, u64, 16);
id!(/// A placement group: the hash bucket of keys that are placed together.
    GroupId, u16, 4);
id!(/// The version of the cluster map that a placement was computed from.
    MapVersion, u64, 16);
id!(/// A number claimed by each start of an index; drives refuse older ones.
    Generation, u32, 8);
id!(/// The random name of one attempt to claim a generation.
    ClaimantId, u128, 32);
id!(/// The index that a cluster obeys; random, made with the index.
    IndexId, u128, 32);
id!(/// One log of a drive; a lost log gets a new id.
    LogId, u64, 16);

/// Names one write for ever: the gateway, its epoch and a counter within it.
///
/// Shards are addressed by (write id, shard index); a part has a write id of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId {
    /// The gateway that writes.
    pub gateway: GatewayId,
    /// Raised whenever that gateway starts.
    pub gateway_epoch: u32,
    /// Counts within the epoch, from 1.
    pub counter: u64,
}

impl WriteId {
    /// Length of the byte form.
    pub const LEN: usize = 16;

    /// Appends the 16 bytes (each field little-endian).
    pub fn encode(self, out: &mut Writer) {
        self.gateway.encode(out);
        out.u32(self.gateway_epoch);
        out.u64(self.counter);
    }

    /// Reads the 16 bytes.
    ///
    /// # Errors
    /// `Truncated` if too few bytes are left.
    pub fn decode(input: &mut Reader<'_>) -> Result<Self, FormatError> {
        Ok(Self {
            gateway: GatewayId::decode(input)?,
            gateway_epoch: input.u32()?,
            counter: input.u64()?,
        })
    }

    /// Big-endian bytes, whose lexical order is the order of the ids: for keys of the index.
    pub fn to_key(self) -> [u8; 16] {
        let number = (u128::from(self.gateway.get()) << 96)
            | (u128::from(self.gateway_epoch) << 64)
            | u128::from(self.counter);
        number.to_be_bytes()
    }

    /// The inverse of [`WriteId::to_key`].
    pub fn from_key(key: [u8; 16]) -> Self {
        let number = u128::from_be_bytes(key);
        Self {
            gateway: GatewayId::new((number >> 96) as u32),
            gateway_epoch: (number >> 64) as u32,
            counter: number as u64,
        }
    }

    /// Parses the text form (32 hexadecimal digits), as clients send it back in an upload id.
    ///
    /// # Errors
    /// `Invalid` if it is anything else.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let mut key = [0_u8; 16];
        hex::decode_to_slice(text, &mut key)
            .map_err(|_| FormatError::Invalid { what: "WriteId" })?;
        Ok(Self::from_key(key))
    }
}

impl fmt::Display for WriteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}{:08x}{:016x}",
            self.gateway, self.gateway_epoch, self.counter
        )
    }
}

/// What orders data: given by the index under the key's lock. Wall clocks never do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Order {
    /// The generation of the index that gave it.
    pub generation: Generation,
    /// Counts within the generation, from 1.
    pub sequence: u64,
}

impl Order {
    /// Length of the byte form.
    pub const LEN: usize = 12;
    /// Below every order that an index gives.
    pub const ZERO: Self = Self {
        generation: Generation::new(0),
        sequence: 0,
    };
    /// Above every order that an index gives.
    pub const MAX: Self = Self {
        generation: Generation::new(u32::MAX),
        sequence: u64::MAX,
    };

    /// Appends the 12 bytes (each field little-endian).
    pub fn encode(self, out: &mut Writer) {
        self.generation.encode(out);
        out.u64(self.sequence);
    }

    /// Reads the 12 bytes.
    ///
    /// # Errors
    /// `Truncated` if too few bytes are left.
    pub fn decode(input: &mut Reader<'_>) -> Result<Self, FormatError> {
        Ok(Self {
            generation: Generation::decode(input)?,
            sequence: input.u64()?,
        })
    }

    /// Big-endian bytes, whose lexical order is the order: for keys of the index.
    pub fn to_key(self) -> [u8; 12] {
        let mut key = [0_u8; 12];
        key[..4].copy_from_slice(&self.generation.get().to_be_bytes());
        key[4..].copy_from_slice(&self.sequence.to_be_bytes());
        key
    }

    /// The inverse of [`Order::to_key`].
    pub fn from_key(key: [u8; 12]) -> Self {
        let (mut generation, mut sequence) = ([0_u8; 4], [0_u8; 8]);
        generation.copy_from_slice(&key[..4]);
        sequence.copy_from_slice(&key[4..]);
        Self {
            generation: Generation::new(u32::from_be_bytes(generation)),
            sequence: u64::from_be_bytes(sequence),
        }
    }
}

/// A write that lives on, but no longer on the drive that is told so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MovedWrite {
    /// The write.
    pub write: WriteId,
    /// The order of the change by which it left.
    pub order: Order,
}

impl MovedWrite {
    /// Length of the byte form.
    pub const LEN: usize = WriteId::LEN + Order::LEN;

    /// Appends the 28 bytes.
    pub fn encode(self, out: &mut Writer) {
        self.write.encode(out);
        self.order.encode(out);
    }

    /// Reads the 28 bytes.
    ///
    /// # Errors
    /// `Truncated` if too few bytes are left.
    pub fn decode(input: &mut Reader<'_>) -> Result<Self, FormatError> {
        Ok(Self {
            write: WriteId::decode(input)?,
            order: Order::decode(input)?,
        })
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}", self.generation, self.sequence)
    }
}

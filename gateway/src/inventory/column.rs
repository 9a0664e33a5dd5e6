//! The columns of a list.
//!
//! Owns: which there are, their names in both forms, and their order.
//! Leaves to others: their values.
//! Always: as in S3: bucket and key first, what is said of versions next if all are listed, then
//! what is configured, in S3's order.

use crate::settings::{IncludedVersions, Inventory, InventoryField};

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is S3's own name")]
pub enum Column {
    Bucket,
    Key,
    VersionId,
    IsLatest,
    IsDeleteMarker,
    Field(InventoryField),
}

/// A value in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// There is none.
    Nothing,
    /// Text as it is.
    Text(String),
    /// The key of an object.
    Key(String),
    /// Yes or no.
    Flag(bool),
    /// A number.
    Number(u64),
    /// A time (milliseconds since 1970).
    Time(u64),
}

/// What kind of values a column has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text, or keys.
    Text,
    /// Yes or no.
    Flag,
    /// Numbers.
    Number,
    /// Times.
    Time,
}

impl Column {
    /// Its name in the schema of CSV.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bucket => "Bucket",
            Self::Key => "Key",
            Self::VersionId => "VersionId",
            Self::IsLatest => "IsLatest",
            Self::IsDeleteMarker => "IsDeleteMarker",
            Self::Field(field) => field.name(),
        }
    }

    /// Its name in the schema of Parquet.
    pub const fn snake_name(self) -> &'static str {
        use InventoryField as F;
        match self {
            Self::Bucket => "bucket",
            Self::Key => "key",
            Self::VersionId => "version_id",
            Self::IsLatest => "is_latest",
            Self::IsDeleteMarker => "is_delete_marker",
            Self::Field(field) => match field {
                F::Size => "size",
                F::LastModifiedDate => "last_modified_date",
                F::StorageClass => "storage_class",
                F::ETag => "e_tag",
                F::IsMultipartUploaded => "is_multipart_uploaded",
                F::ReplicationStatus => "replication_status",
                F::EncryptionStatus => "encryption_status",
                F::ObjectLockRetainUntilDate => "object_lock_retain_until_date",
                F::ObjectLockMode => "object_lock_mode",
                F::ObjectLockLegalHoldStatus => "object_lock_legal_hold_status",
                F::IntelligentTieringAccessTier => "intelligent_tiering_access_tier",
                F::BucketKeyStatus => "bucket_key_status",
                F::ChecksumAlgorithm => "checksum_algorithm",
                F::ObjectOwner => "object_owner",
            },
        }
    }

    /// What its values are.
    pub const fn kind(self) -> Kind {
        use InventoryField as F;
        match self {
            Self::IsLatest | Self::IsDeleteMarker | Self::Field(F::IsMultipartUploaded) => {
                Kind::Flag
            }
            Self::Field(F::Size) => Kind::Number,
            Self::Field(F::LastModifiedDate | F::ObjectLockRetainUntilDate) => Kind::Time,
            _ => Kind::Text,
        }
    }

    /// Whether every row has a value.
    pub const fn is_required(self) -> bool {
        matches!(self, Self::Bucket | Self::Key)
    }
}

/// The columns of an inventory.
pub fn columns(inventory: &Inventory) -> Vec<Column> {
    let mut columns = vec![Column::Bucket, Column::Key];
    if inventory.versions == IncludedVersions::All {
        columns.extend([Column::VersionId, Column::IsLatest, Column::IsDeleteMarker]);
    }
    let asked = |field: &&InventoryField| inventory.fields.contains(field);
    let fields = InventoryField::ALL.iter().filter(asked);
    columns.extend(fields.map(|field| Column::Field(*field)));
    columns
}

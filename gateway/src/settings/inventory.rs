//! Which lists of a bucket's objects are written, and where to.

use serde::{Deserialize, Serialize};

use crate::error::GatewayError;

/// Inventories of a bucket at most.
pub const INVENTORIES_MAX: usize = 1000;
const ID_LEN_MAX: usize = 64;
const PREFIX_LEN_MAX: usize = 512;

/// The inventories of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventories {
    all: Vec<Inventory>,
}

/// One inventory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    /// Its name within the bucket.
    pub id: String,
    /// Whether it is written.
    pub enabled: bool,
    /// The bucket that it is written to.
    pub bucket: String,
    /// The account that the configuration says that bucket is of; not looked at, as in S3.
    pub account: Option<String>,
    /// What the names of its objects begin with.
    pub prefix: Option<String>,
    /// The form of its lists.
    pub format: InventoryFormat,
    /// Which versions are in it.
    pub versions: IncludedVersions,
    /// Only keys that begin so.
    pub filter: Option<String>,
    /// How often it is written.
    pub frequency: Frequency,
    /// What is said of an object beside its name.
    pub fields: Vec<InventoryField>,
}

/// The form of lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is S3's own name")]
pub enum InventoryFormat {
    #[serde(rename = "CSV")]
    Csv,
    Parquet,
}

/// Which versions are in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is S3's own name")]
pub enum IncludedVersions {
    All,
    Current,
}

/// How often a list is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is S3's own name")]
pub enum Frequency {
    Daily,
    Weekly,
}

macro_rules! fields {
    ($($field:ident $name:literal)*) => {
        /// What may be said of an object beside its name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[allow(missing_docs, reason = "each is S3's own name")]
        pub enum InventoryField {
            $(#[serde(rename = $name)] $field,)*
        }
        impl InventoryField {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$field,)*];
            /// S3's name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$field => $name,)*
                }
            }
        }
    };
}

fields! {
    Size "Size"
    LastModifiedDate "LastModifiedDate"
    StorageClass "StorageClass"
    ETag "ETag"
    IsMultipartUploaded "IsMultipartUploaded"
    ReplicationStatus "ReplicationStatus"
    EncryptionStatus "EncryptionStatus"
    ObjectLockRetainUntilDate "ObjectLockRetainUntilDate"
    ObjectLockMode "ObjectLockMode"
    ObjectLockLegalHoldStatus "ObjectLockLegalHoldStatus"
    IntelligentTieringAccessTier "IntelligentTieringAccessTier"
    BucketKeyStatus "BucketKeyStatus"
    ChecksumAlgorithm "ChecksumAlgorithm"
    ObjectOwner "ObjectOwner"
}

impl InventoryField {
    /// The field of this name; `None` if there is none, or it is not served.
    pub fn parse(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|field| field.name() == name)
    }

    /// Whether it is kept with an object, and not in a listing.
    pub const fn is_of_lock(self) -> bool {
        matches!(
            self,
            Self::ObjectLockRetainUntilDate
                | Self::ObjectLockMode
                | Self::ObjectLockLegalHoldStatus
        )
    }
}

impl Inventory {
    /// Checks what becomes part of names.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub fn checked(self) -> Result<Self, GatewayError> {
        let allowed = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
        let refuse = |name, why: String| Err(GatewayError::InvalidArgument { name, why });
        if self.id.is_empty() || self.id.len() > ID_LEN_MAX || !self.id.bytes().all(allowed) {
            let why = format!("it has 1 to {ID_LEN_MAX} letters, digits, hyphens, dots and _");
            return refuse("Id", why);
        }
        for (name, prefix) in [("Prefix", &self.prefix), ("Filter", &self.filter)] {
            if prefix.as_ref().is_some_and(|p| p.len() > PREFIX_LEN_MAX) {
                return refuse(name, format!("it has at most {PREFIX_LEN_MAX} bytes"));
            }
        }
        let mut fields = self.fields.iter();
        while let Some(field) = fields.next() {
            if fields.as_slice().contains(field) {
                let why = format!("{} is named twice", field.name());
                return refuse("OptionalFields", why);
            }
        }
        Ok(self)
    }
}

impl Inventories {
    /// The one of this name.
    pub fn get(&self, id: &str) -> Option<&Inventory> {
        let at = self.at(id).ok()?;
        self.all.get(at)
    }

    /// Those behind this name, in order of names.
    pub fn after(&self, id: Option<&str>) -> &[Inventory] {
        let from = match id.map(|id| self.at(id)) {
            None => 0,
            Some(Ok(at)) => at + 1,
            Some(Err(at)) => at,
        };
        self.all.get(from..).unwrap_or_default()
    }

    /// Adds one, or replaces the one of its name.
    ///
    /// # Errors
    /// `InvalidRequest` if there are too many.
    pub fn put(&mut self, inventory: Inventory) -> Result<(), GatewayError> {
        match self.at(&inventory.id) {
            Ok(at) => self.all[at] = inventory,
            Err(_) if self.all.len() >= INVENTORIES_MAX => {
                return Err(GatewayError::InvalidRequest {
                    why: format!("a bucket has at most {INVENTORIES_MAX} inventories"),
                });
            }
            Err(at) => self.all.insert(at, inventory),
        }
        Ok(())
    }

    /// Takes one away; whether it was there.
    pub fn remove(&mut self, id: &str) -> bool {
        let found = self.at(id);
        found.map(|at| self.all.remove(at)).is_ok()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    fn at(&self, id: &str) -> Result<usize, usize> {
        self.all.binary_search_by(|one| one.id.as_str().cmp(id))
    }
}

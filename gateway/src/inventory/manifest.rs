//! Names of what belongs to a list, and its manifest.
//!
//! Owns: S3's folders and documents.
//! Leaves to others: writing them.
//! Always: names of files follow from bucket, inventory and day or week alone: what an attempt left
//! is overwritten by the next.

use md5::{Digest, Md5};
use serde_json::json;

use super::column::columns;
use super::parquet::schema;
use crate::logging::key::Time;
use crate::settings::{Inventory, InventoryFormat};

/// A file of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its key.
    pub key: String,
    /// Its bytes.
    pub len: usize,
    /// Their MD5.
    pub md5: String,
}

impl File {
    /// What is said of a file with these bytes.
    pub fn new(key: String, bytes: &[u8]) -> Self {
        Self {
            key,
            len: bytes.len(),
            md5: checksum(bytes),
        }
    }
}

/// The names of what belongs to an inventory.
#[derive(Clone, Debug)]
pub struct Names {
    root: String,
    format: InventoryFormat,
}

impl Names {
    /// Of an inventory of the bucket `source`.
    pub fn new(source: &str, inventory: &Inventory) -> Self {
        let prefix = inventory.prefix.as_deref().unwrap_or_default();
        let slash = match prefix.is_empty() || prefix.ends_with('/') {
            true => "",
            false => "/",
        };
        Self {
            root: format!("{prefix}{slash}{source}/{}/", inventory.id),
            format: inventory.format,
        }
    }

    /// What all of them begin with.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The folder of a list that was begun at `ms`.
    pub fn folder(&self, ms: u64) -> String {
        format!("{}{}/", self.root, Time::of(ms).in_folder())
    }

    /// The list of files.
    pub fn manifest(&self, ms: u64) -> String {
        format!("{}manifest.json", self.folder(ms))
    }

    /// Its checksum, which says that all of a list is there.
    pub fn checksum(&self, ms: u64) -> String {
        format!("{}manifest.checksum", self.folder(ms))
    }

    /// Whether `key` is that of a checksum.
    pub fn is_checksum(&self, key: &str) -> bool {
        let rest = key.strip_prefix(&self.root);
        let rest = rest.and_then(|rest| rest.split_once('/'));
        rest.is_some_and(|(_, name)| name == "manifest.checksum")
    }

    /// What Hive reads to find the files.
    pub fn symlink(&self, ms: u64) -> String {
        let day = Time::of(ms).in_partition();
        format!("{}hive/dt={day}/symlink.txt", self.root)
    }

    /// File `number` of the list of the day or week that begins at `since_ms`.
    pub fn file(&self, since_ms: u64, number: usize) -> String {
        let name = Md5::digest(format!("{} {since_ms} {number}", self.root));
        let name = hex::encode(name);
        let end = match self.format {
            InventoryFormat::Csv => "csv.gz",
            InventoryFormat::Parquet => "parquet",
        };
        format!("{}data/{name}.{end}", self.root)
    }
}

/// The MD5 of a document, as it is written down.
pub fn checksum(bytes: &[u8]) -> String {
    hex::encode(Md5::digest(bytes))
}

/// The manifest of a list of the bucket `source` that was begun at `ms`.
pub fn manifest(source: &str, inventory: &Inventory, ms: u64, files: &[File]) -> String {
    let columns = columns(inventory);
    let (format, schema) = match inventory.format {
        InventoryFormat::Csv => {
            let names: Vec<_> = columns.iter().map(|column| column.name()).collect();
            ("CSV", names.join(", "))
        }
        InventoryFormat::Parquet => ("Parquet", schema(&columns)),
    };
    let file = |file: &File| json!({"key": file.key, "size": file.len, "MD5checksum": file.md5});
    let files: Vec<_> = files.iter().map(file).collect();
    let document = json!({
        "sourceBucket": source,
        "destinationBucket": format!("arn:aws:s3:::{}", inventory.bucket),
        "version": "2016-11-30",
        "creationTimestamp": ms.to_string(),
        "fileFormat": format,
        "fileSchema": schema,
        "files": files,
    });
    format!("{document:#}")
}

/// What Hive reads: where the files are.
pub fn symlink(inventory: &Inventory, files: &[File]) -> String {
    let line = |file: &File| format!("s3://{}/{}\n", inventory.bucket, file.key);
    files.iter().map(line).collect()
}

//! Rows for tests.
//!
//! Owns: small, valid rows of each type.
//! Leaves to others: realistic ones.
//! Always: equal arguments give equal rows.

use holdfast_protocol::{
    Body, BucketId, BucketRow, DriveId, ETag, GatewayId, Geometry, Manifest, ManifestKind,
    MapVersion, Metadata, Order, Placement, UploadRow, VersionName, VersionRow, WriteId,
};

/// A write id.
pub fn write_id(counter: u64) -> WriteId {
    WriteId {
        gateway: GatewayId::new(1),
        gateway_epoch: 1,
        counter,
    }
}

/// A manifest of an inline body of 5 bytes.
pub fn manifest(bucket: BucketId, key: &str, write: WriteId, order: Order) -> Manifest {
    Manifest {
        kind: ManifestKind::Version(VersionName::Null),
        bucket,
        key: key.to_owned(),
        write,
        order,
        version: order,
        map_version: MapVersion::new(1),
        created_ms: 1_700_000_000_000,
        len: 5,
        etag: ETag::default(),
        geometry: Geometry::new(4, 2).expect("4+2 is a geometry"),
        body: Body::Inline,
        checksum: None,
        metadata: Metadata::default(),
    }
}

/// Three copies.
pub fn placement() -> Placement {
    Placement {
        holders: (1..=3).map(DriveId::new).collect(),
        missing: 0,
        touched: Vec::new(),
    }
}

/// A version with an inline body.
pub fn version(bucket: BucketId, key: &str, write: WriteId, order: Order) -> VersionRow {
    VersionRow {
        manifest: manifest(bucket, key, write, order),
        placement: placement(),
        changed: None,
    }
}

/// A delete marker.
pub fn delete_marker(bucket: BucketId, key: &str, write: WriteId, order: Order) -> VersionRow {
    let mut row = version(bucket, key, write, order);
    row.manifest.body = Body::DeleteMarker;
    row.manifest.len = 0;
    row
}

/// A part of 5 bytes.
pub fn part(upload: &UploadRow, number: u16, write: WriteId, order: Order) -> VersionRow {
    let manifest = &upload.manifest;
    let mut row = version(manifest.bucket, &manifest.key, write, order);
    row.manifest.kind = ManifestKind::Part {
        upload: manifest.write,
        number,
    };
    row.manifest.version = Order::ZERO;
    row
}

/// An open upload.
pub fn upload(bucket: BucketId, key: &str, write: WriteId, order: Order) -> UploadRow {
    let mut manifest = manifest(bucket, key, write, order);
    manifest.kind = ManifestKind::Upload;
    manifest.version = Order::ZERO;
    manifest.body = Body::Empty;
    manifest.len = 0;
    UploadRow {
        manifest,
        placement: placement(),
        completed: None,
    }
}

/// A bucket without configuration.
pub fn bucket(id: BucketId, name: &str, order: Order) -> BucketRow {
    BucketRow {
        id,
        name: name.to_owned(),
        order,
        created_ms: 1_700_000_000_000,
        owner: "owner".to_owned(),
        config: Vec::new(),
    }
}

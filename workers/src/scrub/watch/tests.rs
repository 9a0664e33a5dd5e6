//! Facts about what the watcher takes for a difference.

use holdfast_protocol::{
    BucketId, ChecksumKind, ETag, GatewayId, Generation, Geometry, ManifestKind, MapVersion,
    Metadata, ObjectChecksum, Order, VersionName, WriteId,
};

use super::*;

const BODY: &[u8] = b"what the client sent";

fn found(kind: ChecksumKind) -> BodyDigests {
    let mut digests = Digests::new(Some(kind));
    digests.update(BODY);
    digests.finish()
}

/// What the client of [`BODY`] was told.
fn told(kind: ChecksumKind) -> Manifest {
    let found = found(kind);
    let order = Order {
        generation: Generation::new(1),
        sequence: 1,
    };
    Manifest {
        kind: ManifestKind::Version(VersionName::Null),
        bucket: BucketId::new(1),
        key: "a".to_owned(),
        write: WriteId {
            gateway: GatewayId::new(1),
            gateway_epoch: 1,
            counter: 1,
        },
        order,
        version: order,
        map_version: MapVersion::new(1),
        created_ms: 1,
        len: BODY.len() as u64,
        etag: ETag {
            md5: found.md5,
            parts: 0,
        },
        geometry: Geometry::new(2, 1).unwrap(),
        body: Body::Inline,
        checksum: found.checksum.map(|(kind, digest)| ObjectChecksum {
            kind,
            covers: ChecksumType::FullObject,
            digest,
        }),
        metadata: Metadata::default(),
    }
}

fn with_checksum(kind: ChecksumKind, change: impl FnOnce(&mut ObjectChecksum)) -> Manifest {
    let mut manifest = told(kind);
    change(manifest.checksum.as_mut().unwrap());
    manifest
}

#[test]
fn what_is_read_as_it_was_written_does_not_differ() {
    for kind in ChecksumKind::ALL {
        assert_eq!(differs(&told(kind), &found(kind)), None, "{kind:?}");
    }
}

#[test]
fn another_length_differs() {
    let kind = ChecksumKind::Crc32;
    for len in [0, BODY.len() as u64 - 1, BODY.len() as u64 + 1] {
        let manifest = Manifest { len, ..told(kind) };
        assert_eq!(differs(&manifest, &found(kind)), Some("length"));
    }
}

#[test]
fn every_bit_of_the_md5_counts() {
    let kind = ChecksumKind::Crc32;
    for bit in 0..128 {
        let mut manifest = told(kind);
        manifest.etag.md5[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(differs(&manifest, &found(kind)), Some("MD5"), "bit {bit}");
    }
}

#[test]
fn every_bit_of_a_checksum_counts() {
    for kind in ChecksumKind::ALL {
        for bit in 0..kind.len() * 8 {
            let manifest = with_checksum(kind, |kept| kept.digest[bit / 8] ^= 1 << (bit % 8));
            let what = differs(&manifest, &found(kind));
            assert_eq!(what, Some("checksum"), "{kind:?}, bit {bit}");
        }
    }
}

#[test]
fn a_checksum_of_another_kind_differs() {
    let manifest = with_checksum(ChecksumKind::Crc32, |kept| kept.kind = ChecksumKind::Crc32c);
    let found = found(ChecksumKind::Crc32);
    assert_eq!(differs(&manifest, &found), Some("checksum"));
}

#[test]
fn what_says_nothing_of_the_whole_body_is_not_held_against_it() {
    let kind = ChecksumKind::Crc32;
    let found = found(kind);
    // The tag of an object of parts is not the MD5 of its bytes, nor is one that was not taken.
    let mut of_parts = told(kind);
    of_parts.etag.parts = 2;
    of_parts.etag.md5[0] ^= 1;
    assert_eq!(differs(&of_parts, &found), None);
    let mut without = told(kind);
    without.etag.md5 = [0; 16];
    without.checksum = None;
    assert_eq!(differs(&without, &found), None);
    let composite = with_checksum(kind, |kept| {
        kept.covers = ChecksumType::Composite;
        kept.digest[0] ^= 1;
    });
    assert_eq!(differs(&composite, &found), None);
    let unnamed = with_checksum(kind, |kept| kept.digest.clear());
    assert_eq!(differs(&unnamed, &found), None);
}

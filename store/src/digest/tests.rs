//! Facts about digests, against the oracles' own one-shot forms.
use proptest::prelude::*;

use super::*;

fn known(kind: ChecksumKind) -> &'static [u8] {
    // Check values of the CRC catalogue and of FIPS 180 for "123456789".
    match kind {
        ChecksumKind::Crc32 => &[0xcb, 0xf4, 0x39, 0x26],
        ChecksumKind::Crc32c => &[0xe3, 0x06, 0x92, 0x83],
        ChecksumKind::Crc64Nvme => &[0xae, 0x8b, 0x14, 0x86, 0x0a, 0x79, 0x98, 0x88],
        ChecksumKind::Sha1 => &[0xf7, 0xc3, 0xbc, 0x1d, 0x80],
        ChecksumKind::Sha256 => &[0x15, 0xe2, 0xb0, 0xd3, 0xc3, 0x38],
    }
}

#[test]
fn checksums_have_their_catalogue_values() {
    for kind in ChecksumKind::ALL {
        let mut checksum = Checksum::new(kind);
        checksum.update(b"123456789");
        let digest = checksum.finish();
        assert_eq!(digest.len(), kind.len());
        assert!(digest.starts_with(known(kind)), "{kind:?}: {digest:02x?}");
    }
    assert_eq!(md5(b"")[..4], [0xd4, 0x1d, 0x8c, 0xd9]);
}

proptest! {
    #[test]
    fn cutting_does_not_matter(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..10),
    ) {
        for kind in ChecksumKind::ALL {
            let mut cut = Digests::new(Some(kind));
            pieces.iter().for_each(|piece| cut.update(piece));
            let mut whole = Digests::new(Some(kind));
            whole.update(&pieces.concat());
            prop_assert_eq!(cut.finish(), whole.finish());
        }
    }
}

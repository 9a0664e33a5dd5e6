//! Laws: what was encoded decodes to itself; what was damaged does not decode; bounds hold.

use bytes::Bytes;
use holdfast_protocol::manifest::{OWNER, STORAGE_CLASS};
use holdfast_protocol::row::ListedVersion;
use holdfast_protocol::rpc::control::{
    decode_control, decode_control_reply, encode_control, encode_control_reply,
};
use holdfast_protocol::rpc::frame::{
    FIXED_LEN, FrameHead, FrameKind, HEADER_LEN_MAX, PAYLOAD_LEN_MAX,
};
use holdfast_protocol::rpc::handshake::{
    ClientHandshake, ClusterSecret, Expected, Identity, ServerHandshake, Service,
};
use holdfast_protocol::rpc::wire::{
    Message, SPANS_MAX, TEXT_LEN_MAX, WRITES_MAX, decode_answer, decode_call, encode_answer,
    encode_call,
};
use holdfast_protocol::rpc::{BlockSpan, DriveError, DriveRequest};
use holdfast_protocol::{
    Body, FormatError, GatewayId, Manifest, ManifestKind, NodeId, Record, VersionRow,
};
use proptest::prelude::*;

use crate::dice::Dice;
use crate::rpc_samples::{answers, calls};
use crate::samples::{CLUSTER, manifests, rows, scrub_rows, write};

/// What a listing is to show of a row; `None` if it is not a version.
fn listed(row: &VersionRow) -> Option<ListedVersion> {
    let manifest = &row.manifest;
    let ManifestKind::Version(name) = manifest.kind else {
        return None;
    };
    let checksum = manifest.checksum.as_ref();
    let metadata = |name| manifest.metadata.get(name).map(str::to_owned);
    Some(ListedVersion {
        name,
        version: manifest.version,
        is_delete_marker: manifest.body == Body::DeleteMarker,
        created_ms: manifest.created_ms,
        len: manifest.len,
        etag: manifest.etag,
        checksum: checksum.map(|checksum| (checksum.kind, checksum.covers)),
        storage_class: metadata(STORAGE_CLASS),
        owner: metadata(OWNER),
    })
}

fn parts(message: &Message) -> (Bytes, Bytes) {
    (message.header.clone(), message.joined_payload())
}

proptest! {
    #[test]
    fn manifests_records_and_rows_decode_to_what_was_encoded(seed: u64) {
        let mut dice = Dice::new(seed);
        let manifest = dice.manifest();
        prop_assert_eq!(Manifest::decode(&manifest.encode()).unwrap(), manifest);
        let record = dice.record();
        let encoded = record.encode(CLUSTER);
        encoded.verify(CLUSTER).unwrap();
        prop_assert_eq!(Record::decode(&encoded).unwrap(), record);
        let row = dice.version_row();
        prop_assert_eq!(VersionRow::decode(&row.encode()).unwrap(), row);
    }

    #[test]
    fn a_listing_shows_of_a_row_what_the_whole_row_says(seed: u64) {
        let mut dice = Dice::new(seed);
        let mut row = dice.version_row();
        if seed % 3 == 0 {
            row.manifest.metadata.set(STORAGE_CLASS, "COLD");
            row.manifest.metadata.set(OWNER, "somebody");
        }
        prop_assert_eq!(ListedVersion::decode(&row.encode()).ok(), listed(&row));
    }

    #[test]
    fn rpc_messages_decode_to_what_was_encoded(seed: u64) {
        let mut dice = Dice::new(seed);
        let call = dice.call();
        let (header, payload) = parts(&encode_call(&call).unwrap());
        prop_assert_eq!(decode_call(&header, &payload).unwrap(), call);
        let answer = dice.answer();
        let (header, payload) = parts(&encode_answer(&answer).unwrap());
        prop_assert_eq!(decode_answer(&header, &payload).unwrap(), answer);
        let call = dice.control_call();
        let (header, payload) = parts(&encode_control(&call).unwrap());
        prop_assert_eq!(decode_control(&header, &payload).unwrap(), call);
        let reply = dice.control_reply();
        let (header, payload) = parts(&encode_control_reply(&reply).unwrap());
        prop_assert_eq!(decode_control_reply(&header, &payload).unwrap(), reply);
    }

    #[test]
    fn frame_heads_decode_to_what_was_encoded(
        request: u64,
        header in 0..=HEADER_LEN_MAX,
        payload in 0..=PAYLOAD_LEN_MAX,
        sum: u64,
    ) {
        for kind in [FrameKind::Request, FrameKind::Response] {
            let head = FrameHead {
                kind,
                request,
                header_len: header as u32,
                payload_len: payload as u32,
                payload_sum: sum,
            };
            prop_assert_eq!(FrameHead::decode(&head.encode()).unwrap(), head);
        }
    }

    #[test]
    fn arbitrary_bytes_are_an_error_and_no_panic(bytes: Vec<u8>, payload: Vec<u8>) {
        let (header, payload) = (Bytes::from(bytes), Bytes::from(payload));
        prop_assert!(Manifest::decode(&header).is_err());
        prop_assert!(decode_call(&header, &payload).is_err());
        prop_assert!(decode_answer(&header, &payload).is_err());
        prop_assert!(decode_control(&header, &payload).is_err());
        prop_assert!(decode_control_reply(&header, &payload).is_err());
        for row in rows().into_iter().chain(scrub_rows()) {
            prop_assert!(row.decode_alike(&header).is_err());
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_is_noticed() {
    for manifest in manifests() {
        let good = manifest.encode();
        for position in 0..good.len() {
            let mut bytes = good.to_vec();
            bytes[position] ^= 0x04;
            assert!(Manifest::decode(&bytes).is_err(), "byte {position}");
        }
    }
    for row in rows().into_iter().chain(scrub_rows()) {
        let good = row.encode();
        for position in 0..good.len() {
            let mut bytes = good.to_vec();
            bytes[position] ^= 0x80;
            assert!(row.decode_alike(&bytes).is_err(), "byte {position}");
        }
    }
    for call in calls() {
        let (header, payload) = parts(&encode_call(&call).unwrap());
        for position in 0..header.len() {
            let mut bytes = header.to_vec();
            bytes[position] ^= 0x01;
            assert!(
                decode_call(&bytes.into(), &payload).is_err(),
                "byte {position}"
            );
        }
    }
}

#[test]
fn what_is_cut_short_or_goes_on_is_an_error() {
    for answer in answers() {
        let (header, payload) = parts(&encode_answer(&answer).unwrap());
        for len in 0..header.len() {
            assert!(decode_answer(&header.slice(..len), &payload).is_err());
        }
        for len in 0..payload.len() {
            assert!(decode_answer(&header, &payload.slice(..len)).is_err());
        }
        let mut longer = payload.to_vec();
        longer.push(0);
        let longer = decode_answer(&header, &longer.into());
        assert!(longer.is_err(), "{answer:?}");
    }
}

#[test]
fn a_version_of_the_future_is_named() {
    let mut bytes = manifests()[0].encode().to_vec();
    bytes[4] = 9;
    let what = "manifest";
    let version = 9;
    assert_eq!(
        Manifest::decode(&bytes),
        Err(FormatError::Version { what, version })
    );
}

#[test]
fn lists_and_payloads_above_their_bounds_are_not_encoded() {
    let mut call = calls().remove(0);
    let span = BlockSpan {
        stripe: 0,
        first_block: 0,
        block_count: 1,
    };
    let read = |count| DriveRequest::Read {
        write: write(1),
        shard: 0,
        spans: vec![span; count],
    };
    let purge = |count| DriveRequest::Purge {
        order: holdfast_protocol::Order::ZERO,
        writes: vec![write(1); count],
    };
    for (request, fits) in [
        (read(SPANS_MAX), true),
        (read(SPANS_MAX + 1), false),
        (purge(WRITES_MAX), true),
        (purge(WRITES_MAX + 1), false),
    ] {
        call.request = request;
        match encode_call(&call) {
            Ok(message) => {
                let (header, payload) = parts(&message);
                assert!(fits && decode_call(&header, &payload).unwrap() == call);
            }
            Err(error) => assert!(!fits && matches!(error, FormatError::TooLong { .. })),
        }
    }
    let large = Message::new(
        Bytes::new(),
        vec![Bytes::from(vec![0; PAYLOAD_LEN_MAX + 1])],
    );
    assert!(matches!(large, Err(FormatError::TooLong { .. })));
    let large = Message::bare(Bytes::from(vec![0; HEADER_LEN_MAX + 1]));
    assert!(matches!(large, Err(FormatError::TooLong { .. })));
}

#[test]
fn long_explanations_are_cut_between_characters() {
    let what = "語".repeat(TEXT_LEN_MAX);
    let answer = Err(DriveError::Io { what: what.clone() });
    let (header, payload) = parts(&encode_answer(&answer).unwrap());
    let Ok(Err(DriveError::Io { what: cut })) = decode_answer(&header, &payload) else {
        panic!("not an I/O error");
    };
    assert!(what.starts_with(&cut) && cut.len() > TEXT_LEN_MAX - 3);
}

#[test]
fn payloads_are_slices_of_what_arrived() {
    let (header, payload) = parts(&encode_call(&calls()[0]).unwrap());
    let DriveRequest::Stage { cell, .. } = decode_call(&header, &payload).unwrap().request else {
        panic!("not a cell");
    };
    assert_eq!(cell.bytes.as_ptr(), payload.as_ptr());
    let (header, payload) = parts(&encode_call(&calls()[1]).unwrap());
    let DriveRequest::Seal { record, .. } = decode_call(&header, &payload).unwrap().request else {
        panic!("not a record");
    };
    assert_eq!(record.body.as_ptr(), payload.as_ptr());
    assert!(header.as_ptr_range().contains(&record.head.as_ptr()));
}

#[test]
fn frames_above_the_bounds_do_not_decode() {
    let head = |kind, header_len, payload_len| FrameHead {
        kind,
        request: 0,
        header_len,
        payload_len,
        payload_sum: 0,
    };
    for bad in [
        head(FrameKind::Request, HEADER_LEN_MAX as u32 + 1, 0),
        head(FrameKind::Response, 0, PAYLOAD_LEN_MAX as u32 + 1),
        head(FrameKind::Ping, 1, 0),
        head(FrameKind::Bye, 0, 1),
    ] {
        let refused = FrameHead::decode(&bad.encode());
        assert!(
            matches!(refused, Err(FormatError::TooLong { .. })),
            "{bad:?}"
        );
    }
}

#[test]
fn a_damaged_handshake_is_refused_at_every_byte() {
    let secret = ClusterSecret::new(b"secret").unwrap();
    let me = Identity::gateway(Some(CLUSTER), GatewayId::new(1), 2);
    let node = Identity::node(Some(CLUSTER), NodeId::new(3));
    let expected = Expected::node(CLUSTER, NodeId::new(3));
    let client = || ClientHandshake::new(secret.clone(), Service::Drives, &me, expected, &[1; 32]);
    let server = |hello: &[u8; 113]| ServerHandshake::new(secret.clone(), hello, &[2; 32]);
    let offered = Service::Drives;
    let hello = *client().hello();
    let challenge = *server(&hello).unwrap().challenge();
    let (_, proof) = client().prove(&challenge).unwrap();
    let (_, accept) = server(&hello)
        .unwrap()
        .accept(&proof, &node, offered, 1)
        .unwrap();
    for position in 0..hello.len() {
        let mut bad = hello;
        bad[position] ^= 0x20;
        let refused = server(&bad).and_then(|server| server.accept(&proof, &node, offered, 1));
        assert!(refused.is_err(), "hello {position}");
    }
    for position in 0..proof.len() {
        let mut bad = proof;
        bad[position] ^= 0x20;
        let refused = server(&hello).unwrap().accept(&bad, &node, offered, 1);
        assert!(refused.is_err(), "proof {position}");
    }
    for position in 0..accept.len() {
        let mut bad = accept;
        bad[position] ^= 0x20;
        let (proven, _) = client().prove(&challenge).unwrap();
        assert!(proven.accept(&bad).is_err(), "accept {position}");
    }
    for position in 0..challenge.len() {
        let mut bad = challenge;
        bad[position] ^= 0x20;
        if let Ok((_, proof)) = client().prove(&bad) {
            let refused = server(&hello).unwrap().accept(&proof, &node, offered, 1);
            assert!(refused.is_err(), "challenge {position}");
        }
    }
    assert_eq!(FIXED_LEN, 40);
}

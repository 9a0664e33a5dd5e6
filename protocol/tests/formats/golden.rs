//! Golden files: each a sequence of messages, every one behind its length (4 bytes, little-endian).
//!
//! A released file is never edited. `NEW_GOLDEN=1 cargo test -p holdfast-protocol` writes those
//! that do not exist yet, and the seeds of the fuzz targets made from them.

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use holdfast_protocol::rpc::control::{
    decode_control, decode_control_reply, encode_control, encode_control_reply,
};
use holdfast_protocol::rpc::frame::{FIXED_LEN, FrameHead, FrameKind, Opener, Sealer, TAG_LEN};
use holdfast_protocol::rpc::handshake::{
    ClientHandshake, ClusterSecret, Expected, Identity, ServerHandshake, Service,
};
use holdfast_protocol::rpc::wire::{
    Message, decode_answer, decode_call, encode_answer, encode_call,
};
use holdfast_protocol::{EncodedRecord, GatewayId, Manifest, NodeId, Record};

use crate::rpc_samples::{
    answers, calls, compare_calls, control_calls, control_replies, lease_answers, lease_calls,
};
use crate::samples::{CLUSTER, manifests, records, rows, scrub_rows};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn write_new(path: &Path, bytes: &[u8]) {
    if std::env::var_os("NEW_GOLDEN").is_some() && !path.exists() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// A seed of a fuzz target; `bytes` become it if there is none yet.
pub fn seed(target: &str, number: usize, bytes: &[u8]) -> Vec<u8> {
    let path = root().join(format!("../fuzz/corpus/{target}/{target}-{number:02}"));
    write_new(&path, bytes);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The messages of a golden file; `encoded` are those that this release writes.
fn golden(name: &str, target: &str, encoded: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let path = root().join("golden").join(name);
    let mut file = Vec::new();
    for (number, message) in encoded.iter().enumerate() {
        file.extend((message.len() as u32).to_le_bytes());
        file.extend(message);
        let seed = format!(
            "../fuzz/corpus/{target}/{}-{number:02}",
            name.trim_end_matches(".bin")
        );
        write_new(&root().join(seed), message);
    }
    write_new(&path, &file);
    let found = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(
        found, file,
        "{name}: this release writes other bytes than the golden file holds"
    );
    let mut messages = Vec::new();
    let mut rest = &found[..];
    while let Some((len, tail)) = rest.split_first_chunk::<4>() {
        let (message, tail) = tail.split_at(u32::from_le_bytes(*len) as usize);
        messages.push(message.to_vec());
        rest = tail;
    }
    messages
}

pub fn same<T: PartialEq + Debug>(
    name: &str,
    target: &str,
    samples: Vec<T>,
    encode: impl Fn(&T) -> Vec<u8>,
    decode: impl Fn(&T, &[u8]) -> T,
) {
    let encoded: Vec<_> = samples.iter().map(encode).collect();
    let messages = golden(name, target, &encoded);
    assert_eq!(messages.len(), samples.len());
    for (sample, message) in samples.iter().zip(&messages) {
        assert_eq!(&decode(sample, message), sample);
    }
}

/// A message as one sequence of bytes: length of the header, header, payload.
fn flat(message: &Message) -> Vec<u8> {
    let mut bytes = (message.header.len() as u32).to_le_bytes().to_vec();
    bytes.extend(&message.header);
    message.payload.iter().for_each(|piece| bytes.extend(piece));
    bytes
}

fn split(bytes: &[u8]) -> (Bytes, Bytes) {
    let (len, rest) = bytes.split_first_chunk::<4>().unwrap();
    let (header, payload) = rest.split_at(u32::from_le_bytes(*len) as usize);
    (
        Bytes::copy_from_slice(header),
        Bytes::copy_from_slice(payload),
    )
}

#[test]
fn manifests_v2_round_trip() {
    same(
        "manifest-v2.bin",
        "manifest",
        manifests(),
        |manifest| manifest.encode().to_vec(),
        |_, bytes| Manifest::decode(bytes).unwrap(),
    );
}

#[test]
fn records_v2_round_trip() {
    same(
        "record-v2.bin",
        "record",
        records(),
        |record| {
            let EncodedRecord { head, body } = record.encode(CLUSTER);
            let payload = vec![body];
            flat(&Message::new(head, payload).unwrap())
        },
        |_, bytes| {
            let (head, body) = split(bytes);
            let encoded = EncodedRecord { head, body };
            encoded.verify(CLUSTER).unwrap();
            Record::decode(&encoded).unwrap()
        },
    );
}

#[test]
fn rows_v2_round_trip() {
    same(
        "row-v2.bin",
        "row",
        rows(),
        |row| row.encode().to_vec(),
        |row, bytes| row.decode_alike(bytes).unwrap(),
    );
}

#[test]
fn scrub_rows_v2_round_trip() {
    same(
        "row-v2-scrub.bin",
        "row",
        scrub_rows(),
        |row| row.encode().to_vec(),
        |row, bytes| row.decode_alike(bytes).unwrap(),
    );
}

#[test]
fn drive_calls_v1_round_trip() {
    same(
        "rpc-v1-calls.bin",
        "rpc_call",
        calls(),
        |call| flat(&encode_call(call).unwrap()),
        |_, bytes| {
            let (header, payload) = split(bytes);
            decode_call(&header, &payload).unwrap()
        },
    );
}

#[test]
fn drive_answers_v1_round_trip() {
    same(
        "rpc-v1-answers.bin",
        "rpc_answer",
        answers(),
        |answer| flat(&encode_answer(answer).unwrap()),
        |_, bytes| {
            let (header, payload) = split(bytes);
            decode_answer(&header, &payload).unwrap()
        },
    );
}

#[test]
fn calls_about_comparisons_v1_round_trip() {
    same(
        "rpc-v1-compare-calls.bin",
        "rpc_call",
        compare_calls(),
        |call| flat(&encode_call(call).unwrap()),
        |_, bytes| {
            let (header, payload) = split(bytes);
            decode_call(&header, &payload).unwrap()
        },
    );
}

#[test]
fn lease_messages_v1_round_trip() {
    same(
        "rpc-v1-lease-calls.bin",
        "rpc_call",
        lease_calls(),
        |call| flat(&encode_call(call).unwrap()),
        |_, bytes| {
            let (header, payload) = split(bytes);
            decode_call(&header, &payload).unwrap()
        },
    );
    same(
        "rpc-v1-lease-answers.bin",
        "rpc_answer",
        lease_answers(),
        |answer| flat(&encode_answer(answer).unwrap()),
        |_, bytes| {
            let (header, payload) = split(bytes);
            decode_answer(&header, &payload).unwrap()
        },
    );
}

#[test]
fn control_messages_v1_round_trip() {
    same(
        "rpc-v1-control-calls.bin",
        "control_call",
        control_calls(),
        |call| flat(&encode_control(call).unwrap()),
        |_, bytes| {
            let (header, payload) = split(bytes);
            decode_control(&header, &payload).unwrap()
        },
    );
    same(
        "rpc-v1-control-replies.bin",
        "control_reply",
        control_replies(),
        |reply| flat(&encode_control_reply(reply).unwrap()),
        |_, bytes| {
            let (header, payload) = split(bytes);
            decode_control_reply(&header, &payload).unwrap()
        },
    );
}

#[test]
fn frames_v1_are_as_written_and_open_in_their_order() {
    let key = [7; 32];
    let empty = Message::default();
    let stage = encode_call(&calls()[0]).unwrap();
    let blocks = encode_answer(&answers()[2]).unwrap();
    let frames = [
        (FrameKind::Request, 1, &stage),
        (FrameKind::Response, u64::MAX, &blocks),
        (FrameKind::Cancel, 1, &empty),
        (FrameKind::Ping, 0, &empty),
        (FrameKind::Pong, 0, &empty),
        (FrameKind::Bye, 0, &empty),
    ];
    let mut sealer = Sealer::new(&key);
    let encoded: Vec<_> = frames
        .iter()
        .map(|(kind, id, message)| {
            let mut bytes = Vec::new();
            sealer.seal(*kind, *id, message, &mut bytes).unwrap();
            message.payload.iter().for_each(|piece| bytes.extend(piece));
            bytes
        })
        .collect();
    let messages = golden("rpc-v1-frames.bin", "frame", &encoded);
    let mut opener = Opener::new(&key);
    for ((kind, id, message), bytes) in frames.iter().zip(&messages) {
        let (fixed, rest) = bytes.split_first_chunk::<FIXED_LEN>().unwrap();
        let head = FrameHead::decode(fixed).unwrap();
        assert_eq!((head.kind, head.request), (*kind, *id));
        let (header, rest) = rest.split_at(head.header_len as usize);
        let (tag, payload) = rest.split_first_chunk::<TAG_LEN>().unwrap();
        opener.open(fixed, header, tag).unwrap();
        assert_eq!(header, message.header);
        let payload = Bytes::copy_from_slice(payload);
        head.check_payload(&payload).unwrap();
        assert_eq!(payload, message.joined_payload());
    }
}

#[test]
fn a_handshake_v1_is_as_written() {
    let secret = ClusterSecret::new(b"golden secret").unwrap();
    let gateway = Identity::gateway(Some(CLUSTER), GatewayId::new(3), 4);
    let node = NodeId::new(0xa0);
    let expected = Expected::node(CLUSTER, node);
    let client = ClientHandshake::new(
        secret.clone(),
        Service::Drives,
        &gateway,
        expected,
        &[1; 32],
    );
    let hello = *client.hello();
    let server = ServerHandshake::new(secret, &hello, &[2; 32]).unwrap();
    let challenge = *server.challenge();
    let (proven, proof) = client.prove(&challenge).unwrap();
    let me = Identity::node(Some(CLUSTER), node);
    let (mut at_server, accept) = server.accept(&proof, &me, Service::Drives, 256).unwrap();
    let mut at_client = proven.accept(&accept).unwrap();
    assert_eq!((at_server.peer, at_client.peer), (gateway, me));
    assert_eq!(at_client.in_flight_max, 256);
    let mut first = Vec::new();
    let empty = Message::default();
    at_client
        .sealer
        .seal(FrameKind::Ping, 0, &empty, &mut first)
        .unwrap();
    let steps = [&hello[..], &challenge, &proof, &accept, &first].map(<[u8]>::to_vec);
    let messages = golden("rpc-v1-handshake.bin", "handshake", &steps);
    let (fixed, tag) = messages[4].split_first_chunk::<FIXED_LEN>().unwrap();
    at_server
        .opener
        .open(fixed, &[], tag.try_into().unwrap())
        .unwrap();
}

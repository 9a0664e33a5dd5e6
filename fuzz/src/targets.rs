//! What is done with each input.
//!
//! Owns: one function per decoder; each also checks that what decodes encodes to something that
//! decodes alike.
//! Leaves to others: making inputs (`cargo fuzz`, or `protocol/tests/fuzz_corpus.rs` on stable).
//! Always: an input is tried as it is and with its checksum made right, or nothing behind it would
//! be reached.

use bytes::Bytes;
use holdfast_protocol::checksum::crc64;
use holdfast_protocol::drive::{BatchHeader, Checkpoint, EntryHead, LogMark, Superblock};
use holdfast_protocol::map::ClusterMap;
use holdfast_protocol::row::{
    HealRow, IdentityRow, ListedVersion, RowName, ScrubRow, SeenRow, Usage,
};
use holdfast_protocol::rpc::control::{
    decode_control, decode_control_reply, encode_control, encode_control_reply,
};
use holdfast_protocol::rpc::frame::{FIXED_LEN, FrameHead, Opener, TAG_LEN};
use holdfast_protocol::rpc::handshake::{
    ClientHandshake, ClusterSecret, Expected, Identity, ServerHandshake, Service,
};
use holdfast_protocol::rpc::wire::{
    Message, decode_answer, decode_call, encode_answer, encode_call,
};
use holdfast_protocol::{
    AccountRecord, BucketRow, ClusterId, EncodedRecord, KeyRecord, Manifest, ManifestKind, NodeId,
    PurgeRow, Record, UploadRow, VersionRow,
};

/// One input for one decoder.
pub type Target = fn(&[u8]);

/// Every target by name.
pub const ALL: &[(&str, Target)] = &[
    ("account", account),
    ("batch", batch),
    ("checkpoint", checkpoint),
    ("control_call", control_call),
    ("control_reply", control_reply),
    ("entry", entry),
    ("frame", frame),
    ("handshake", handshake),
    ("manifest", manifest),
    ("map", map),
    ("mark", mark),
    ("record", record),
    ("row", row),
    ("rpc_answer", rpc_answer),
    ("rpc_call", rpc_call),
    ("superblock", superblock),
];

/// Whether the decoder of `name` takes `data` as it is.
pub fn accepts(name: &str, data: &[u8]) -> bool {
    match name {
        "account" => account_of(data),
        "batch" => batch_of(data),
        "checkpoint" => checkpoint_of(data),
        "control_call" => split(data).is_some_and(|(header, rest)| control_call_of(&header, &rest)),
        "control_reply" => {
            split(data).is_some_and(|(header, rest)| control_reply_of(&header, &rest))
        }
        "entry" => entry_of(data),
        "frame" => frame_of(data),
        "handshake" => handshake_of(data),
        "manifest" => manifest_of(data),
        "map" => map_of(data),
        "mark" => mark_of(data),
        "record" => split(data).is_some_and(|(header, rest)| record_of(&header, &rest)),
        "row" => row_of(data),
        "rpc_answer" => split(data).is_some_and(|(header, rest)| answer_of(&header, &rest)),
        "rpc_call" => split(data).is_some_and(|(header, rest)| call_of(&header, &rest)),
        "superblock" => superblock_of(data),
        _ => false,
    }
}

/// `data` with its last 8 bytes replaced by the checksum of what is before.
fn resealed(data: &[u8]) -> Option<Vec<u8>> {
    let body = &data[..data.len().checked_sub(8)?];
    let mut sealed = body.to_vec();
    sealed.extend(crc64(body).to_le_bytes());
    Some(sealed)
}

fn both(data: &[u8], decode: fn(&[u8]) -> bool) {
    decode(data);
    if let Some(sealed) = resealed(data) {
        decode(&sealed);
    }
}

/// Length of the header (4 bytes), header, payload.
fn split(data: &[u8]) -> Option<(Bytes, Bytes)> {
    let (len, rest) = data.split_first_chunk::<4>()?;
    let len = (u32::from_le_bytes(*len) as usize).min(rest.len());
    let (header, payload) = rest.split_at(len);
    Some((
        Bytes::copy_from_slice(header),
        Bytes::copy_from_slice(payload),
    ))
}

fn both_parts(data: &[u8], decode: fn(&Bytes, &Bytes) -> bool) {
    if let Some((header, payload)) = split(data) {
        decode(&header, &payload);
        if let Some(sealed) = resealed(&header) {
            decode(&sealed.into(), &payload);
        }
    }
}

fn same(message: &Message, header: &Bytes, payload: &Bytes) {
    assert_eq!(message.header, header);
    assert_eq!(message.joined_payload(), payload);
}

/// `HFMN`.
pub fn manifest(data: &[u8]) {
    both(data, manifest_of);
}

fn manifest_of(data: &[u8]) -> bool {
    Manifest::decode(data).is_ok_and(|manifest| {
        assert_eq!(manifest.encode(), data);
        true
    })
}

/// `HFRC`, head and body.
pub fn record(data: &[u8]) {
    both_parts(data, record_of);
}

fn record_of(head: &Bytes, body: &Bytes) -> bool {
    let (head, body) = (head.clone(), body.clone());
    let encoded = EncodedRecord { head, body };
    let _ = encoded.parse_head();
    let _ = encoded.verify(ClusterId::new(1));
    Record::decode(&encoded).is_ok_and(|record| {
        let again = record.encode(ClusterId::new(1));
        assert_eq!(Record::decode(&again).as_ref(), Ok(&record));
        true
    })
}

/// `HFRW`, every kind.
pub fn row(data: &[u8]) {
    both(data, row_of);
}

fn row_of(data: &[u8]) -> bool {
    let mut taken = 0;
    let mut check = |again: Option<Bytes>| {
        if let Some(again) = again {
            assert_eq!(again, data);
            taken += 1;
        }
    };
    check(VersionRow::decode(data).ok().map(|row| row.encode()));
    check(UploadRow::decode(data).ok().map(|row| row.encode()));
    check(BucketRow::decode(data).ok().map(|row| row.encode()));
    check(PurgeRow::decode(data).ok().map(|row| row.encode()));
    check(RowName::decode(data).ok().map(|row| row.encode()));
    check(Usage::decode(data).ok().map(|row| row.encode()));
    check(SeenRow::decode(data).ok().map(|row| row.encode()));
    check(IdentityRow::decode(data).ok().map(|row| row.encode()));
    check(ScrubRow::decode(data).ok().map(|row| row.encode()));
    check(HealRow::decode(data).ok().map(|row| row.encode()));
    let listed = ListedVersion::decode(data).is_ok();
    let is_version = |row: VersionRow| matches!(row.manifest.kind, ManifestKind::Version(_));
    if VersionRow::decode(data).is_ok_and(is_version) {
        assert!(listed);
    }
    assert!(taken <= 1);
    taken == 1
}

/// `HFAC`.
pub fn account(data: &[u8]) {
    both(data, account_of);
}

fn account_of(data: &[u8]) -> bool {
    let account = AccountRecord::decode(data).map(|account| account.encode());
    let key = KeyRecord::decode(data).map(|key| key.encode());
    [account, key].into_iter().flatten().any(|encoded| {
        assert_eq!(encoded, data);
        true
    })
}

/// `HFMP`.
pub fn map(data: &[u8]) {
    both(data, map_of);
}

fn map_of(data: &[u8]) -> bool {
    ClusterMap::decode(data).is_ok_and(|map| {
        assert_eq!(map.encode(), data);
        true
    })
}

/// `HFNQ`.
pub fn rpc_call(data: &[u8]) {
    both_parts(data, call_of);
}

fn call_of(header: &Bytes, payload: &Bytes) -> bool {
    decode_call(header, payload).is_ok_and(|call| {
        let again = encode_call(&call).expect("what was decoded is within the bounds");
        same(&again, header, payload);
        true
    })
}

/// `HFNA`.
pub fn rpc_answer(data: &[u8]) {
    both_parts(data, answer_of);
}

fn answer_of(header: &Bytes, payload: &Bytes) -> bool {
    decode_answer(header, payload).is_ok_and(|answer| {
        let again = encode_answer(&answer).expect("what was decoded is within the bounds");
        same(&again, header, payload);
        true
    })
}

/// `HFCQ`.
pub fn control_call(data: &[u8]) {
    both_parts(data, control_call_of);
}

fn control_call_of(header: &Bytes, payload: &Bytes) -> bool {
    decode_control(header, payload).is_ok_and(|call| {
        let again = encode_control(&call).expect("what was decoded is within the bounds");
        same(&again, header, payload);
        true
    })
}

/// `HFCA`.
pub fn control_reply(data: &[u8]) {
    both_parts(data, control_reply_of);
}

fn control_reply_of(header: &Bytes, payload: &Bytes) -> bool {
    decode_control_reply(header, payload).is_ok_and(|reply| {
        let again = encode_control_reply(&reply).expect("what was decoded is within the bounds");
        same(&again, header, payload);
        true
    })
}

/// `HFRP`: one frame.
pub fn frame(data: &[u8]) {
    frame_of(data);
    if let Some((fixed, rest)) = data.split_first_chunk::<FIXED_LEN>()
        && let Some(mut sealed) = resealed(fixed)
    {
        sealed.extend(rest);
        frame_of(&sealed);
    }
}

fn frame_of(data: &[u8]) -> bool {
    let Some((fixed, rest)) = data.split_first_chunk::<FIXED_LEN>() else {
        return false;
    };
    let Ok(head) = FrameHead::decode(fixed) else {
        return false;
    };
    assert_eq!(&head.encode(), fixed);
    let Some((header, rest)) = rest.split_at_checked(head.header_len as usize) else {
        return false;
    };
    let Some((tag, payload)) = rest.split_first_chunk::<TAG_LEN>() else {
        return false;
    };
    // Nobody can make this tag without the key; the key is of this target alone.
    assert!(Opener::new(&[3; 32]).open(fixed, header, tag).is_err());
    head.check_payload(&Bytes::copy_from_slice(payload)).is_ok()
}

/// `HFHS`: any message, offered to every step.
pub fn handshake(data: &[u8]) {
    both(data, handshake_of);
}

fn handshake_of(data: &[u8]) -> bool {
    let secret = ClusterSecret::new(b"secret of the fuzz target").expect("it is not empty");
    let cluster = ClusterId::new(1);
    let me = Identity::node(Some(cluster), NodeId::new(2));
    let expected = Expected::node(cluster, NodeId::new(2));
    let client = || ClientHandshake::new(secret.clone(), Service::Drives, &me, expected, &[4; 32]);
    let server = |hello| ServerHandshake::new(secret.clone(), hello, &[5; 32]);
    let mut taken = data.len() == FIXED_LEN + TAG_LEN;
    if let Ok(hello) = data.try_into() {
        taken |= server(hello).is_ok();
    }
    if let Ok(challenge) = data.try_into() {
        taken |= client().prove(challenge).is_ok();
    }
    let hello = *client().hello();
    let server = server(&hello).expect("a hello of our own is well-formed");
    let challenge = *server.challenge();
    if let Ok(proof) = data.try_into() {
        let refused = server.accept(proof, &me, Service::Drives, 1);
        taken |= !matches!(&refused, Err(error) if error.reason() == "malformed");
        assert!(refused.is_err(), "nobody can prove without the secret");
    }
    let (proven, _) = client()
        .prove(&challenge)
        .expect("a challenge of our own is well-formed");
    if let Ok(accept) = data.try_into() {
        let refused = proven.accept(accept);
        taken |= !matches!(&refused, Err(error) if error.reason() == "malformed");
        assert!(refused.is_err(), "nobody can prove without the secret");
    }
    taken
}

/// `HFSB`.
pub fn superblock(data: &[u8]) {
    both(data, superblock_of);
}

fn superblock_of(data: &[u8]) -> bool {
    Superblock::decode(data).is_ok_and(|superblock| {
        assert_eq!(superblock.encode(), data);
        true
    })
}

/// `HFDC`.
pub fn checkpoint(data: &[u8]) {
    both(data, checkpoint_of);
}

fn checkpoint_of(data: &[u8]) -> bool {
    Checkpoint::decode(data).is_ok_and(|checkpoint| {
        let again = Checkpoint::decode(&checkpoint.encode());
        assert_eq!(again.as_ref(), Ok(&checkpoint));
        true
    })
}

/// `HFDB`.
pub fn batch(data: &[u8]) {
    both(data, batch_of);
}

fn batch_of(data: &[u8]) -> bool {
    BatchHeader::decode(data, 1 << 30).is_ok_and(|header| {
        let again = BatchHeader::decode(&header.encode(), 1 << 30);
        assert_eq!(again.as_ref(), Ok(&header));
        true
    })
}

/// `HFDM`.
pub fn mark(data: &[u8]) {
    both(data, mark_of);
}

fn mark_of(data: &[u8]) -> bool {
    LogMark::decode(data).is_ok_and(|mark| {
        assert_eq!(LogMark::decode(&mark.encode()), Ok(mark));
        true
    })
}

/// `HFDE`.
pub fn entry(data: &[u8]) {
    both(data, entry_of);
}

fn entry_of(data: &[u8]) -> bool {
    EntryHead::decode(data).is_ok_and(|head| {
        let again = EntryHead::decode(&head.entry.encode(head.log, head.batch));
        assert_eq!(again.as_ref(), Ok(&head));
        true
    })
}

//! A client that knows the protocol and breaks it.

use std::time::Duration;

use bytes::Bytes;
use holdfast_protocol::rpc::frame::{
    FIXED_LEN, FrameHead, FrameKind, HEADER_LEN_MAX, PAYLOAD_LEN_MAX, TAG_LEN,
};
use holdfast_protocol::rpc::handshake::{
    ACCEPT_LEN, CHALLENGE_LEN, ClientHandshake, Established, Expected, HELLO_LEN, Service,
};
use holdfast_protocol::rpc::wire::{Message, decode_answer, encode_call};
use holdfast_protocol::rpc::{DriveError, DriveReply, DriveRequest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{
    CLUSTER, NODE, Server, Setup, call, discard, eventually, gateway_identity, node_server,
    node_server_with, secret, stage,
};

fn greeting(nonce: u8) -> ClientHandshake {
    let expected = Expected::node(CLUSTER, NODE);
    let me = gateway_identity();
    ClientHandshake::new(secret(), Service::Drives, &me, expected, &[nonce; 32])
}

async fn connect(server: &Server) -> (TcpStream, Established) {
    let mut stream = TcpStream::connect(&server.addr).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let handshake = greeting(1);
    stream.write_all(handshake.hello()).await.unwrap();
    let mut challenge = [0; CHALLENGE_LEN];
    stream.read_exact(&mut challenge).await.unwrap();
    let (proven, proof) = handshake.prove(&challenge).unwrap();
    stream.write_all(&proof).await.unwrap();
    let mut accept = [0; ACCEPT_LEN];
    stream.read_exact(&mut accept).await.unwrap();
    (stream, proven.accept(&accept).unwrap())
}

fn frame(established: &mut Established, id: u64, message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    let sealer = &mut established.sealer;
    sealer
        .seal(FrameKind::Request, id, message, &mut bytes)
        .unwrap();
    message.payload.iter().for_each(|piece| bytes.extend(piece));
    bytes
}

fn stage_message() -> Message {
    encode_call(&call(stage(1, Bytes::from(vec![7; 300])))).unwrap()
}

async fn answer(stream: &mut TcpStream, established: &mut Established) -> (u64, Message) {
    let mut fixed = [0; FIXED_LEN];
    stream.read_exact(&mut fixed).await.unwrap();
    let head = FrameHead::decode(&fixed).unwrap();
    let mut header = vec![0; head.header_len as usize];
    stream.read_exact(&mut header).await.unwrap();
    let mut tag = [0; TAG_LEN];
    stream.read_exact(&mut tag).await.unwrap();
    established.opener.open(&fixed, &header, &tag).unwrap();
    assert_eq!(head.payload_len, 0);
    (head.request, Message::bare(header.into()).unwrap())
}

/// The server ends the connection without another byte.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut rest)).await;
    let ended = ended.expect("the server left the connection open");
    ended.is_err() || rest.is_empty()
}

async fn counted(server: &Server, reason: &str, count: u64) {
    eventually("the failure is counted", || {
        server.metrics.server().connection_failures(reason) == count
    })
    .await;
}

#[tokio::test]
async fn a_frame_is_answered_once_and_its_replay_closes_the_connection() {
    let (server, _node, _events) = node_server().await;
    let (mut stream, mut established) = connect(&server).await;
    let bytes = frame(&mut established, 9, &stage_message());
    stream.write_all(&bytes).await.unwrap();
    let (id, message) = answer(&mut stream, &mut established).await;
    assert_eq!(id, 9);
    let reply = decode_answer(&message.header, &Bytes::new()).unwrap();
    assert_eq!(reply, Ok(DriveReply::Done));
    stream.write_all(&bytes).await.unwrap();
    assert!(is_closed(&mut stream).await);
    counted(&server, "malformed", 1).await;
}

#[tokio::test]
async fn a_frame_of_one_connection_is_refused_on_another() {
    let (server, _node, _events) = node_server().await;
    let (_first, mut other) = connect(&server).await;
    let (mut stream, _established) = connect(&server).await;
    let bytes = frame(&mut other, 0, &stage_message());
    stream.write_all(&bytes).await.unwrap();
    assert!(is_closed(&mut stream).await);
    counted(&server, "malformed", 1).await;
}

#[tokio::test]
async fn frames_out_of_order_are_refused() {
    let (server, _node, _events) = node_server().await;
    let (mut stream, mut established) = connect(&server).await;
    let _first = frame(&mut established, 0, &stage_message());
    let second = frame(&mut established, 1, &stage_message());
    stream.write_all(&second).await.unwrap();
    assert!(is_closed(&mut stream).await);
}

#[tokio::test]
async fn a_frame_sent_back_to_its_sender_is_refused() {
    let (_, mut established) = {
        let (server, _node, _events) = node_server().await;
        connect(&server).await
    };
    let message = stage_message();
    let bytes = frame(&mut established, 0, &message);
    let (fixed, rest) = bytes.split_at(FIXED_LEN);
    let tag = &rest[message.header.len()..][..TAG_LEN];
    let refused = established.opener.open(
        fixed.try_into().unwrap(),
        &message.header,
        tag.try_into().unwrap(),
    );
    assert!(refused.is_err());
}

#[tokio::test]
async fn any_flipped_byte_of_a_frame_closes_the_connection() {
    let (server, node, _events) = node_server().await;
    let message = stage_message();
    let len = FIXED_LEN + message.header.len() + TAG_LEN + message.payload_len();
    for position in 0..len {
        let (mut stream, mut established) = connect(&server).await;
        let mut bytes = frame(&mut established, 0, &message);
        assert_eq!(bytes.len(), len);
        bytes[position] ^= 0x10;
        stream.write_all(&bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        assert!(is_closed(&mut stream).await, "byte {position}");
    }
    counted(&server, "malformed", len as u64).await;
    drop(node);
}

#[tokio::test]
async fn lengths_above_the_bounds_are_refused_before_anything_is_read() {
    let (server, _node, _events) = node_server().await;
    let heads = [
        (FrameKind::Request, HEADER_LEN_MAX + 1, 0),
        (FrameKind::Request, 0, PAYLOAD_LEN_MAX + 1),
        (FrameKind::Request, u32::MAX as usize, u32::MAX as usize),
        (FrameKind::Ping, 1, 0),
        (FrameKind::Cancel, 0, 1),
    ];
    for (kind, header, payload) in heads {
        let (mut stream, _established) = connect(&server).await;
        let head = FrameHead {
            kind,
            request: 0,
            header_len: header as u32,
            payload_len: payload as u32,
            payload_sum: 0,
        };
        stream.write_all(&head.encode()).await.unwrap();
        assert!(is_closed(&mut stream).await, "{kind:?} {header} {payload}");
    }
    counted(&server, "malformed", 5).await;
}

#[tokio::test]
async fn a_frame_that_breaks_off_closes_the_connection() {
    let (server, _node, _events) = node_server().await;
    let message = stage_message();
    let mut cuts = 0;
    for len in [1, FIXED_LEN - 1, FIXED_LEN, FIXED_LEN + 10, 450] {
        let (mut stream, mut established) = connect(&server).await;
        let bytes = frame(&mut established, 0, &message);
        stream.write_all(&bytes[..len]).await.unwrap();
        stream.shutdown().await.unwrap();
        assert!(is_closed(&mut stream).await);
        cuts += 1;
    }
    counted(&server, "closed", cuts).await;
}

#[tokio::test]
async fn a_well_sealed_message_without_sense_closes_the_connection() {
    let (server, _node, _events) = node_server().await;
    let call = stage_message();
    let senseless = [
        Message::bare(Bytes::new()).unwrap(),
        Message::bare(Bytes::from_static(b"HFNQ")).unwrap(),
        Message::bare(Bytes::from(vec![0xff; 1000])).unwrap(),
        Message::bare(call.header.clone()).unwrap(),
        Message::new(call.header.clone(), vec![Bytes::from(vec![0; 301])]).unwrap(),
    ];
    for message in &senseless {
        let (mut stream, mut established) = connect(&server).await;
        let bytes = frame(&mut established, 0, message);
        stream.write_all(&bytes).await.unwrap();
        assert!(is_closed(&mut stream).await);
    }
    counted(&server, "malformed", senseless.len() as u64).await;
}

#[tokio::test]
async fn two_requests_of_one_id_close_the_connection() {
    let (server, _node, mut events) = node_server().await;
    let (mut stream, mut established) = connect(&server).await;
    let held = encode_call(&call(discard(1))).unwrap();
    let mut bytes = frame(&mut established, 3, &held);
    bytes.extend(frame(&mut established, 3, &held));
    stream.write_all(&bytes).await.unwrap();
    assert!(is_closed(&mut stream).await);
    counted(&server, "closed", 1).await;
    events.close();
}

#[tokio::test]
async fn a_handshake_that_dawdles_is_cut_off() {
    let mut setup = Setup::real();
    setup.limits.handshake_timeout = Duration::from_millis(50);
    let (server, _node, _events) = node_server_with(setup).await;
    let hello = *greeting(1).hello();
    for len in [0, 1, HELLO_LEN - 1] {
        let mut stream = TcpStream::connect(&server.addr).await.unwrap();
        stream.write_all(&hello[..len]).await.unwrap();
        assert!(is_closed(&mut stream).await);
    }
    let mut stream = TcpStream::connect(&server.addr).await.unwrap();
    stream.write_all(&hello).await.unwrap();
    let mut challenge = [0; CHALLENGE_LEN];
    stream.read_exact(&mut challenge).await.unwrap();
    assert!(is_closed(&mut stream).await);
    eventually("all are counted", || {
        server.metrics.server().handshake_failures("timeout") == 4
    })
    .await;
}

#[tokio::test]
async fn a_recorded_handshake_opens_nothing() {
    let (server, _node, _events) = node_server().await;
    let handshake = greeting(1);
    let hello = *handshake.hello();
    let mut stream = TcpStream::connect(&server.addr).await.unwrap();
    stream.write_all(&hello).await.unwrap();
    let mut challenge = [0; CHALLENGE_LEN];
    stream.read_exact(&mut challenge).await.unwrap();
    let (_, proof) = handshake.prove(&challenge).unwrap();
    let mut stream = TcpStream::connect(&server.addr).await.unwrap();
    stream.write_all(&hello).await.unwrap();
    stream.write_all(&proof).await.unwrap();
    let mut fresh = [0; CHALLENGE_LEN];
    stream.read_exact(&mut fresh).await.unwrap();
    assert_ne!(fresh, challenge);
    assert!(is_closed(&mut stream).await);
    assert_eq!(server.metrics.server().handshake_failures("secret"), 1);
}

#[tokio::test]
async fn who_does_not_know_the_secret_learns_nothing_from_a_refusal() {
    let (server, _node, _events) = node_server().await;
    let mut hellos = vec![*greeting(1).hello()];
    let me = gateway_identity();
    let other = Expected::node(CLUSTER, holdfast_protocol::NodeId::new(1));
    for (service, expected) in [
        (Service::Control, Expected::node(CLUSTER, NODE)),
        (Service::Drives, other),
    ] {
        hellos.push(*ClientHandshake::new(secret(), service, &me, expected, &[1; 32]).hello());
    }
    for hello in hellos {
        let mut stream = TcpStream::connect(&server.addr).await.unwrap();
        stream.write_all(&hello).await.unwrap();
        let mut challenge = [0; CHALLENGE_LEN];
        stream.read_exact(&mut challenge).await.unwrap();
        // A proof of the right form, made without the secret.
        let guess = holdfast_protocol::rpc::handshake::ClusterSecret::new(b"guess").unwrap();
        let expected = Expected::node(CLUSTER, NODE);
        let handshake = ClientHandshake::new(guess, Service::Drives, &me, expected, &[1; 32]);
        let (_, proof) = handshake.prove(&challenge).unwrap();
        stream.write_all(&proof).await.unwrap();
        assert!(is_closed(&mut stream).await);
    }
    assert_eq!(server.metrics.server().handshake_failures("secret"), 3);
}

#[tokio::test]
async fn noise_instead_of_a_handshake_or_frames_is_survived() {
    let (server, _node, _events) = node_server().await;
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = |len: usize| -> Vec<u8> {
        (0..len)
            .map(|_| {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                seed as u8
            })
            .collect()
    };
    for round in 0..40 {
        let mut stream = TcpStream::connect(&server.addr).await.unwrap();
        let _ = stream.write_all(&noise(HELLO_LEN + round * 50)).await;
        assert!(is_closed(&mut stream).await);
        let (mut stream, mut established) = connect(&server).await;
        let bytes = frame(
            &mut established,
            0,
            &Message::bare(noise(200).into()).unwrap(),
        );
        stream.write_all(&bytes).await.unwrap();
        let _ = stream.write_all(&noise(5000)).await;
        assert!(is_closed(&mut stream).await);
    }
    let (mut stream, mut established) = connect(&server).await;
    let status = encode_call(&call(DriveRequest::Status)).unwrap();
    let bytes = frame(&mut established, 1, &status);
    stream.write_all(&bytes).await.unwrap();
    let (_, message) = answer(&mut stream, &mut established).await;
    let reply = decode_answer(&message.header, &Bytes::new()).unwrap();
    assert_eq!(reply, Err(DriveError::Full));
}

#[tokio::test]
async fn a_client_that_asks_and_reads_nothing_is_cut_off() {
    let (server, _node, _events) = node_server().await;
    let (mut stream, mut established) = connect(&server).await;
    let nothing = Message::default();
    let asks = async {
        loop {
            let mut bytes = Vec::new();
            for id in 0..1000 {
                let sealer = &mut established.sealer;
                sealer
                    .seal(FrameKind::Ping, id, &nothing, &mut bytes)
                    .unwrap();
            }
            if stream.write_all(&bytes).await.is_err() {
                break;
            }
        }
    };
    let cut = tokio::time::timeout(Duration::from_secs(30), asks).await;
    assert!(cut.is_ok(), "the server queues answers without end");
    counted(&server, "closed", 1).await;
}

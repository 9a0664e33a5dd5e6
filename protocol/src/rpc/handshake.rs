//! Who speaks: mutual authentication with the cluster secret.
//!
//! Owns: the four messages that open a connection (`HFHS`, `docs/formats/rpc.md`), what they prove,
//! and the keys of the frames that follow.
//! Leaves to others: sockets, deadlines, nonces, and counting failures.
//! Always: the client proves first, so that who merely connects learns nothing but a nonce; both
//! proofs cover every byte exchanged before, both identities and what the client expects; keys live
//! for one connection.

mod identity;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::frame::{Opener, Sealer};
use crate::codec::{FormatError, Reader, Writer};

pub use identity::{Expected, Identity, Role, Service};
use identity::{decode_who, encode_who};

/// First bytes of each message.
pub const MAGIC: [u8; 4] = *b"HFHS";
/// Newest version this release speaks.
pub const VERSION: u8 = 1;
/// Bytes of the first message, from the client.
pub const HELLO_LEN: usize = 113;
/// Bytes of the server's question.
pub const CHALLENGE_LEN: usize = 46;
/// Bytes of the client's proof.
pub const PROOF_LEN: usize = 46;
/// Bytes of the server's proof.
pub const ACCEPT_LEN: usize = 83;
/// Bytes of a nonce.
pub const NONCE_LEN: usize = 32;

const CLIENT_PROOF: &[u8] = b"holdfast rpc 1 client proof\0";
const SERVER_PROOF: &[u8] = b"holdfast rpc 1 server proof\0";
const CLIENT_FRAMES: &[u8] = b"holdfast rpc 1 client frames\0";
const SERVER_FRAMES: &[u8] = b"holdfast rpc 1 server frames\0";
const MASTER: &[u8] = b"holdfast rpc 1 master\0";

/// Why a connection was not opened. For the own log; the peer is told nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// There is no secret to prove anything with.
    #[error(
        "the cluster secret is empty: set HOLDFAST_CLUSTER_SECRET or HOLDFAST_CLUSTER_SECRET_FILE"
    )]
    EmptySecret,
    /// The peer sent something else.
    #[error("malformed handshake")]
    Malformed(#[from] FormatError),
    /// The peer does not know the cluster secret.
    #[error("the peer does not know the cluster secret")]
    Secret,
    /// The peer is, or looks for, somebody else.
    #[error("wrong identity: {found}, expected {expected}")]
    Identity {
        /// What the peer is (or whom it looks for).
        found: String,
        /// What was expected.
        expected: String,
    },
    /// The peer asks for a service that is not offered here.
    #[error("service {asked} is not offered here")]
    Service {
        /// What it asked for.
        asked: &'static str,
    },
}

impl HandshakeError {
    /// A short reason, for a metric's label.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::EmptySecret | Self::Secret => "secret",
            Self::Malformed(_) => "malformed",
            Self::Identity { .. } => "identity",
            Self::Service { .. } => "service",
        }
    }
}

/// The secret that all processes of a cluster share.
#[derive(Clone)]
pub struct ClusterSecret {
    master: [u8; 32],
}

impl ClusterSecret {
    /// Takes the secret as its bytes, without the white space around them.
    ///
    /// # Errors
    /// `EmptySecret` if nothing is left.
    pub fn new(secret: &[u8]) -> Result<Self, HandshakeError> {
        let secret = secret.trim_ascii();
        if secret.is_empty() {
            return Err(HandshakeError::EmptySecret);
        }
        let master = mac(secret, MASTER, &[]);
        Ok(Self { master })
    }
}

impl std::fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

fn mac(key: &[u8], label: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(label);
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// An opened connection.
#[derive(Debug)]
pub struct Established {
    /// Who the peer is, proven.
    pub peer: Identity,
    /// What the connection is for.
    pub service: Service,
    /// Makes the frames to the peer.
    pub sealer: Sealer,
    /// Accepts the frames of the peer.
    pub opener: Opener,
    /// How many requests the server takes at a time on this connection.
    pub in_flight_max: u32,
}

fn start(step: u8, capacity: usize) -> Writer {
    let mut out = Writer::format(MAGIC, VERSION, capacity);
    out.u8(step);
    out
}

fn finish<const N: usize>(out: Writer) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&out.finish());
    bytes
}

fn open(bytes: &[u8], step: u8) -> Result<Reader<'_>, FormatError> {
    let (_, mut input) = Reader::format(bytes, MAGIC, VERSION, "handshake")?;
    match input.u8()? == step {
        true => Ok(input),
        false => Err(FormatError::Invalid {
            what: "handshake step",
        }),
    }
}

/// What both sides exchanged before the server's proof, and the server's fields.
struct Transcript {
    master: [u8; 32],
    hello: [u8; HELLO_LEN],
    challenge: [u8; CHALLENGE_LEN],
    proof: [u8; PROOF_LEN],
    accept: [u8; ACCEPT_LEN - 40],
}

impl Transcript {
    fn mac(&self, label: &[u8]) -> [u8; 32] {
        let parts: [&[u8]; 4] = [&self.hello, &self.challenge, &self.proof, &self.accept];
        mac(&self.master, label, &parts)
    }
}

fn client_proof(
    secret: &ClusterSecret,
    hello: &[u8; HELLO_LEN],
    challenge: &[u8; CHALLENGE_LEN],
) -> [u8; 32] {
    mac(&secret.master, CLIENT_PROOF, &[hello, challenge])
}

/// The client's side, waiting for the challenge.
#[derive(Debug)]
pub struct ClientHandshake {
    secret: ClusterSecret,
    service: Service,
    expected: Expected,
    hello: [u8; HELLO_LEN],
}

impl ClientHandshake {
    /// Begins; `nonce` is random and used once. Send what [`ClientHandshake::hello`] gives.
    pub fn new(
        secret: ClusterSecret,
        service: Service,
        me: &Identity,
        expected: Expected,
        nonce: &[u8; NONCE_LEN],
    ) -> Self {
        let mut out = start(1, HELLO_LEN);
        out.u8(service as u8);
        me.encode(&mut out);
        encode_who(expected.role, expected.cluster, expected.id, &mut out);
        out.raw(nonce);
        Self {
            secret,
            service,
            expected,
            hello: finish(out),
        }
    }
    /// The first message.
    pub fn hello(&self) -> &[u8; HELLO_LEN] {
        &self.hello
    }
    /// Takes the challenge and gives the proof to send.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn prove(
        self,
        challenge: &[u8; CHALLENGE_LEN],
    ) -> Result<(ClientProven, [u8; PROOF_LEN]), HandshakeError> {
        let mut input = open(challenge, 2)?;
        input.array::<NONCE_LEN>()?;
        input.end()?;
        let mut out = start(3, PROOF_LEN);
        out.raw(&client_proof(&self.secret, &self.hello, challenge));
        let proof = finish(out);
        let (service, expected) = (self.service, self.expected);
        let transcript = Transcript {
            master: self.secret.master,
            hello: self.hello,
            challenge: *challenge,
            proof,
            accept: [0; ACCEPT_LEN - 40],
        };
        let proven = ClientProven {
            transcript,
            service,
            expected,
        };
        Ok((proven, proof))
    }
}

/// The client's side, waiting for the server's proof.
pub struct ClientProven {
    transcript: Transcript,
    service: Service,
    expected: Expected,
}

impl std::fmt::Debug for ClientProven {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ClientProven {{ expected: {} }}", self.expected)
    }
}

impl ClientProven {
    /// Takes the server's proof.
    ///
    /// # Errors
    /// `Malformed`, `Secret`, or `Identity` if it is proven to be somebody else.
    pub fn accept(mut self, accept: &[u8; ACCEPT_LEN]) -> Result<Established, HandshakeError> {
        let mut input = open(accept, 4)?;
        let peer = Identity::decode(&mut input)?;
        let in_flight_max = input.u32()?;
        let proof = input.array::<32>()?;
        input.end()?;
        self.transcript
            .accept
            .copy_from_slice(&accept[..ACCEPT_LEN - 40]);
        let right = self.transcript.mac(SERVER_PROOF).ct_eq(&proof);
        if !bool::from(right) {
            return Err(HandshakeError::Secret);
        }
        self.expected.check(&peer)?;
        Ok(Established {
            peer,
            service: self.service,
            sealer: Sealer::new(&self.transcript.mac(CLIENT_FRAMES)),
            opener: Opener::new(&self.transcript.mac(SERVER_FRAMES)),
            in_flight_max,
        })
    }
}

/// The server's side, waiting for the client's proof.
#[derive(Debug)]
pub struct ServerHandshake {
    secret: ClusterSecret,
    service: Service,
    client: Identity,
    expected: Expected,
    hello: [u8; HELLO_LEN],
    challenge: [u8; CHALLENGE_LEN],
}

impl ServerHandshake {
    /// Takes the client's first message; `nonce` is random and used once. Nothing is judged yet but
    /// its form: send what [`ServerHandshake::challenge`] gives.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn new(
        secret: ClusterSecret,
        hello: &[u8; HELLO_LEN],
        nonce: &[u8; NONCE_LEN],
    ) -> Result<Self, HandshakeError> {
        let mut input = open(hello, 1)?;
        let service = Service::decode(&mut input)?;
        let client = Identity::decode(&mut input)?;
        let (role, cluster, id) = decode_who(&mut input)?;
        input.array::<NONCE_LEN>()?;
        input.end()?;
        let mut out = start(2, CHALLENGE_LEN);
        out.raw(nonce);
        Ok(Self {
            secret,
            service,
            client,
            expected: Expected { role, cluster, id },
            hello: *hello,
            challenge: finish(out),
        })
    }
    /// The second message.
    pub fn challenge(&self) -> &[u8; CHALLENGE_LEN] {
        &self.challenge
    }
    /// Takes the client's proof; then, and only then, judges what it asks for. Gives the answer to
    /// send; on any error the connection is closed without one.
    ///
    /// # Errors
    /// `Malformed`, `Secret`, `Service`, or `Identity` if it looks for somebody else or is of
    /// another cluster.
    pub fn accept(
        self,
        proof: &[u8; PROOF_LEN],
        me: &Identity,
        offered: Service,
        in_flight_max: u32,
    ) -> Result<(Established, [u8; ACCEPT_LEN]), HandshakeError> {
        let mut input = open(proof, 3)?;
        let found = input.array::<32>()?;
        input.end()?;
        let right = client_proof(&self.secret, &self.hello, &self.challenge).ct_eq(&found);
        if !bool::from(right) {
            return Err(HandshakeError::Secret);
        }
        self.judge(me, offered)?;
        let mut out = start(4, ACCEPT_LEN);
        me.encode(&mut out);
        out.u32(in_flight_max);
        let mut transcript = Transcript {
            master: self.secret.master,
            hello: self.hello,
            challenge: self.challenge,
            proof: *proof,
            accept: [0; ACCEPT_LEN - 40],
        };
        transcript.accept.copy_from_slice(out.as_slice());
        out.raw(&transcript.mac(SERVER_PROOF));
        let established = Established {
            peer: self.client,
            service: self.service,
            sealer: Sealer::new(&transcript.mac(SERVER_FRAMES)),
            opener: Opener::new(&transcript.mac(CLIENT_FRAMES)),
            in_flight_max,
        };
        Ok((established, finish(out)))
    }

    fn judge(&self, me: &Identity, offered: Service) -> Result<(), HandshakeError> {
        if self.service != offered {
            return Err(HandshakeError::Service {
                asked: self.service.name(),
            });
        }
        self.expected.check(me)?;
        let foreign = matches!((self.client.cluster, me.cluster), (Some(a), Some(b)) if a != b);
        if foreign {
            return Err(HandshakeError::Identity {
                found: self.client.to_string(),
                expected: me.to_string(),
            });
        }
        Ok(())
    }
}

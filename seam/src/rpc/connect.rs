//! Opening a connection, from either end.
//!
//! Owns: moving the messages of the handshake.
//! Leaves to others: what they prove (`protocol::rpc::handshake`), deadlines (the callers').
//! Always: the server sends nothing after a failure.

use holdfast_protocol::rpc::handshake::{
    ACCEPT_LEN, CHALLENGE_LEN, ClientHandshake, ClusterSecret, Established, Expected, HELLO_LEN,
    Identity, NONCE_LEN, PROOF_LEN, ServerHandshake, Service,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::RpcError;
use crate::net::Connection;
use crate::rng::Rng;

fn nonce(rng: &dyn Rng) -> [u8; NONCE_LEN] {
    let mut nonce = [0; NONCE_LEN];
    rng.fill(&mut nonce);
    nonce
}

/// Opens `stream` as a client.
pub(super) async fn greet(
    stream: &mut dyn Connection,
    rng: &dyn Rng,
    secret: ClusterSecret,
    service: Service,
    me: &Identity,
    expected: Expected,
) -> Result<Established, RpcError> {
    let handshake = ClientHandshake::new(secret, service, me, expected, &nonce(rng));
    stream.write_all(handshake.hello()).await?;
    stream.flush().await?;
    let mut challenge = [0; CHALLENGE_LEN];
    stream.read_exact(&mut challenge).await?;
    let (proven, proof) = handshake.prove(&challenge)?;
    stream.write_all(&proof).await?;
    stream.flush().await?;
    let mut accept = [0; ACCEPT_LEN];
    if let Err(error) = stream.read_exact(&mut accept).await {
        return Err(RpcError::closed(format!(
            "{expected} refused the handshake ({error}): compare secret, identity and address"
        )));
    }
    Ok(proven.accept(&accept)?)
}

/// Opens `stream` as a server.
pub(super) async fn welcome(
    stream: &mut dyn Connection,
    rng: &dyn Rng,
    secret: ClusterSecret,
    offered: Service,
    me: &Identity,
    in_flight_max: u32,
) -> Result<Established, RpcError> {
    let mut hello = [0; HELLO_LEN];
    stream.read_exact(&mut hello).await?;
    let handshake = ServerHandshake::new(secret, &hello, &nonce(rng))?;
    stream.write_all(handshake.challenge()).await?;
    stream.flush().await?;
    let mut proof = [0; PROOF_LEN];
    stream.read_exact(&mut proof).await?;
    let (established, accept) = handshake.accept(&proof, me, offered, in_flight_max)?;
    stream.write_all(&accept).await?;
    stream.flush().await?;
    Ok(established)
}

//! How a shard node finds where to register.
//!
//! Owns: question and answer of `POST /admin/v1/join`, and the proofs in both.
//! Leaves to others: HTTP; the registration itself ([`crate::rpc::control`]).
//! Always: the secret does not travel; the answer's proof covers the question's nonce, so that an
//! old answer or a stranger's is not believed. Nothing but an address is learnt here, and the
//! connection to it is authenticated on its own.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// Bytes of a nonce.
pub const NONCE_LEN: usize = 32;
/// Question and gateway's clock may differ by so many milliseconds.
pub const SKEW_MS_MAX: u64 = 5 * 60 * 1000;

const QUESTION: &[u8] = b"holdfast join 1 question\0";
const ANSWER: &[u8] = b"holdfast join 1 answer\0";

/// What a node asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// Random, used once; hexadecimal.
    pub nonce: String,
    /// The node's clock, in milliseconds since 1970.
    pub time_ms: u64,
    /// The node; hexadecimal.
    pub node: String,
    /// Proves the cluster secret; hexadecimal.
    pub mac: String,
}

/// What the gateway answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinAnswer {
    /// Where to register, `host:port`; a wildcard host stands for the one that was asked.
    pub node_listen: String,
    /// Proves the cluster secret; hexadecimal.
    pub mac: String,
}

/// Why a question or an answer is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// Wrong proof, or malformed.
    #[error("the other end does not know the cluster secret")]
    Secret,
    /// The clocks differ too much.
    #[error("the clocks of node and gateway differ by more than five minutes")]
    Skewed,
}

impl JoinRequest {
    /// Asks; `nonce` is random and used once.
    pub fn new(secret: &[u8], nonce: [u8; NONCE_LEN], time_ms: u64, node: String) -> Self {
        let mut request = Self {
            nonce: hex::encode(nonce),
            time_ms,
            node,
            mac: String::new(),
        };
        request.mac = hex::encode(request.proof(secret));
        request
    }

    fn proof(&self, secret: &[u8]) -> [u8; 32] {
        let time = self.time_ms.to_le_bytes();
        mac(
            secret,
            QUESTION,
            &[self.nonce.as_bytes(), &time, self.node.as_bytes()],
        )
    }

    /// Checks the proof.
    ///
    /// # Errors
    /// `Secret`, `Skewed`.
    pub fn check(&self, secret: &[u8], now_ms: u64) -> Result<(), JoinError> {
        check(&self.mac, self.proof(secret))?;
        match self.time_ms.abs_diff(now_ms) <= SKEW_MS_MAX {
            true => Ok(()),
            false => Err(JoinError::Skewed),
        }
    }

    /// Answers.
    pub fn answer(&self, secret: &[u8], node_listen: String) -> JoinAnswer {
        let proof = self.answer_proof(secret, &node_listen);
        JoinAnswer {
            node_listen,
            mac: hex::encode(proof),
        }
    }

    fn answer_proof(&self, secret: &[u8], node_listen: &str) -> [u8; 32] {
        mac(
            secret,
            ANSWER,
            &[self.mac.as_bytes(), node_listen.as_bytes()],
        )
    }

    /// Checks an answer to this question.
    ///
    /// # Errors
    /// `Secret`.
    pub fn check_answer(&self, secret: &[u8], answer: &JoinAnswer) -> Result<(), JoinError> {
        check(&answer.mac, self.answer_proof(secret, &answer.node_listen))
    }
}

fn check(given: &str, expected: [u8; 32]) -> Result<(), JoinError> {
    let given = hex::decode(given).map_err(|_| JoinError::Secret)?;
    match bool::from(given.ct_eq(&expected)) {
        true => Ok(()),
        false => Err(JoinError::Secret),
    }
}

/// Each part with its length before it, so that no two lists of parts look alike.
fn mac(secret: &[u8], label: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.trim_ascii()).expect("HMAC takes keys of any length");
    mac.update(label);
    for part in parts {
        mac.update(&(part.len() as u64).to_le_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"a cluster secret, long enough";

    fn request() -> JoinRequest {
        JoinRequest::new(
            SECRET,
            [7; NONCE_LEN],
            1_000_000,
            "00000000000000ab".to_owned(),
        )
    }

    #[test]
    fn the_right_secret_is_believed_on_both_sides() {
        let request = request();
        assert_eq!(request.check(SECRET, 1_000_000 + SKEW_MS_MAX), Ok(()));
        let answer = request.answer(SECRET, "0.0.0.0:9002".to_owned());
        assert_eq!(request.check_answer(SECRET, &answer), Ok(()));
    }

    #[test]
    fn nothing_may_be_changed() {
        let good = request();
        let mut other_time = good.clone();
        other_time.time_ms += 1;
        let mut other_node = good.clone();
        other_node.node.push('0');
        let mut no_mac = good.clone();
        no_mac.mac.clear();
        for bad in [other_time, other_node, no_mac] {
            assert_eq!(
                bad.check(SECRET, 1_000_000),
                Err(JoinError::Secret),
                "{bad:?}"
            );
        }
        assert_eq!(
            good.check(b"another secret!!", 1_000_000),
            Err(JoinError::Secret)
        );
        let late = good.check(SECRET, 1_000_001 + SKEW_MS_MAX);
        assert_eq!(late, Err(JoinError::Skewed));
        let mut answer = good.answer(SECRET, "gateway:1".to_owned());
        answer.node_listen = "thief:1".to_owned();
        assert_eq!(good.check_answer(SECRET, &answer), Err(JoinError::Secret));
    }

    #[test]
    fn an_answer_fits_its_own_question_only() {
        let other = JoinRequest::new(SECRET, [8; NONCE_LEN], 1_000_000, String::new());
        let answer = other.answer(SECRET, "gateway:1".to_owned());
        assert_eq!(
            request().check_answer(SECRET, &answer),
            Err(JoinError::Secret)
        );
    }
}

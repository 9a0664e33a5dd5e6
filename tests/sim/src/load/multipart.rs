//! Multipart uploads of one client, from Create to Complete or Abort.

use bytes::Bytes;
use holdfast_gateway::auth::Caller;
use holdfast_gateway::object::Objects;
use holdfast_gateway::object::types::{
    CompleteUpload, CreateUpload, NamedPart, PutPart, WriteConditions,
};
use holdfast_protocol::Metadata;

use super::{Client, PART_LEN_MIN, bucket, full, incoming, object_key};
use crate::history::{Action, Condition, Outcome};
use crate::values::{body, etag_of};

impl Client {
    /// Uploads in one part, or rarely in two, and completes, aborts or leaves it.
    pub(super) async fn multipart(&mut self, key: &str) {
        let create = CreateUpload {
            bucket: bucket(),
            key: object_key(key),
            metadata: Metadata::default(),
            checksum: None,
            by: Caller::Anonymous,
        };
        let got = self
            .ask(|gateway| async move {
                gateway
                    .service
                    .create_upload(create)
                    .await
                    .map(|opened| opened.id)
            })
            .await;
        let Some(Ok(upload)) = got else { return };
        let mut lens = vec![self.len().max(8)];
        if self.dice.permille(10) {
            lens.insert(0, PART_LEN_MIN + 8);
        }
        let mut parts: Vec<Bytes> = Vec::new();
        for (at, len) in lens.into_iter().enumerate() {
            let seed = self.load.values.next() ^ (at as u64 + 1) << 48 ^ self.dice.u64() << 20;
            let bytes = body(seed, len);
            if !self.put_part(key, &upload, at as u16 + 1, &bytes).await {
                return;
            }
            // A part that is replaced must leave no trace.
            if self.dice.permille(100) && !self.put_part(key, &upload, at as u16 + 1, &bytes).await
            {
                return;
            }
            parts.push(bytes);
        }
        match self.dice.below(10) {
            0 => self.abort(key, &upload).await,
            1 => {}
            _ => self.complete(key, &upload, &parts).await,
        }
    }

    async fn put_part(&mut self, key: &str, upload: &str, number: u16, bytes: &Bytes) -> bool {
        let put = PutPart {
            bucket: bucket(),
            key: object_key(key),
            upload: upload.to_owned(),
            number,
            body: incoming(bytes, &mut self.dice, None),
            by: Caller::Anonymous,
        };
        let got = self
            .ask(|gateway| async move { gateway.service.put_part(put).await })
            .await;
        matches!(got, Some(Ok(_)))
    }

    async fn abort(&mut self, key: &str, upload: &str) {
        let (name, upload) = (object_key(key), upload.to_owned());
        let _ = self
            .ask(|gateway| async move {
                gateway
                    .service
                    .abort_upload(&bucket(), &name, &upload)
                    .await
            })
            .await;
    }

    async fn complete(&mut self, key: &str, upload: &str, parts: &[Bytes]) {
        let value = self.load.values.add_parts(parts);
        let named = parts.iter().enumerate().map(|(at, bytes)| NamedPart {
            number: at as u32 + 1,
            etag: etag_of(bytes),
            checksum: None,
        });
        let done = CompleteUpload {
            bucket: bucket(),
            key: object_key(key),
            upload: upload.to_owned(),
            parts: named.collect(),
            checksum: None,
            checksum_type: None,
            len: None,
            conditions: WriteConditions::default(),
            by: Caller::Anonymous,
        };
        let call = self.load.tick();
        let got = self
            .ask(|gateway| async move { gateway.service.complete_upload(done).await })
            .await;
        let outcome = match got {
            Some(Ok(completed)) => {
                if self.load.values.of(&completed.etag.to_string()) != value {
                    let what = format!("complete of {key} answers {}", completed.etag);
                    self.load.served_wrong(what);
                }
                Outcome::Ok
            }
            other => self.failed(other.map(|got| got.map(drop))),
        };
        let action = Action::Complete {
            key: full(key),
            value,
            condition: Condition::Always,
        };
        self.load.record(self.number, call, action, outcome);
    }
}

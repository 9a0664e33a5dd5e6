//! Multipart uploads of one client, from Create to Complete or Abort.

use bytes::Bytes;

use super::door::Upload;
use super::{Client, PART_LEN_MIN, at, full};
use crate::history::{Action, Condition, Outcome};
use crate::values::{body, etag_of};

impl Client {
    /// Uploads in one part, or rarely in two, and completes, aborts or leaves it.
    pub(super) async fn multipart(&mut self, key: &str) {
        let place = at(key);
        let Ok(upload) = self.ask(|door| door.create_upload(place)).await else {
            return;
        };
        let mut lens = vec![self.len().max(8)];
        if self.dice.permille(10) {
            lens.insert(0, PART_LEN_MIN + 8);
        }
        let mut parts: Vec<Bytes> = Vec::new();
        for (place, len) in lens.into_iter().enumerate() {
            let seed = self.load.values.next() ^ (place as u64 + 1) << 48 ^ self.dice.u64() << 20;
            let bytes = body(seed, len);
            let number = place as u16 + 1;
            if !self.put_part(key, &upload, number, &bytes).await {
                return;
            }
            // A part that is replaced must leave no trace.
            if self.dice.permille(100) && !self.put_part(key, &upload, number, &bytes).await {
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
        let (at, upload) = (at(key), upload.to_owned());
        let body = Upload::new(bytes, &mut self.dice, None);
        let put = self.ask(|door| door.put_part(at, upload, number, body));
        put.await.is_ok()
    }

    async fn abort(&mut self, key: &str, upload: &str) {
        let (at, upload) = (at(key), upload.to_owned());
        let _ = self.ask(|door| door.abort(at, upload)).await;
    }

    async fn complete(&mut self, key: &str, upload: &str, parts: &[Bytes]) {
        let value = self.load.values.add_parts(parts);
        let etags: Vec<String> = parts.iter().map(|bytes| etag_of(bytes)).collect();
        let (at, upload) = (at(key), upload.to_owned());
        let call = self.load.tick();
        let outcome = match self.ask(|door| door.complete(at, upload, etags)).await {
            Ok(etag) => {
                if self.load.values.of(&etag) != value {
                    let what = format!("complete of {key} answers {etag}");
                    self.load.served_wrong(what);
                }
                Outcome::Ok
            }
            other => self.failed(other.map(drop)),
        };
        let action = Action::Complete {
            key: full(key),
            value,
            condition: Condition::Always,
        };
        self.load.record(self.number, call, action, outcome);
    }
}

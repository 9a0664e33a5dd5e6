//! An S3 client over simulated connections.
//!
//! Owns: connections that are kept or not, the operations, and what an answer means.
//! Leaves to others: HTTP itself (hyper's client), what is sent ([`super::ask`]).
//! Always: what was not answered whole is silence, except the bytes of a GET.

use std::sync::{Arc, Mutex, PoisonError};

use holdfast_gateway::BucketName;
use holdfast_gateway::object::types::{
    ETagMatch, ListObjects, ListVersions, RangeSpec, VersionId, WriteConditions,
};
use holdfast_protocol::ByteRange;
use holdfast_seam::Net;
use http_body_util::BodyExt;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{HeaderMap, StatusCode};
use hyper_util::rt::TokioIo;

use super::ask::{Ask, Payload, Sent, path};
use super::xml::{element, elements, plain, unquoted};
use super::{At, Ended, Fetched, Got, Made, Page, Upload, Version, VersionPage, from_tags};
use crate::dice::Dice;
use crate::exec::{Exec, OUTSIDE};
use crate::net::SimNet;

/// A connection that a client keeps for its next request, and where it leads.
pub(crate) type Kept = Arc<Mutex<Option<(String, SendRequest<Sent>)>>>;

/// A client for one operation.
pub(crate) struct S3 {
    pub exec: Exec,
    pub net: SimNet,
    /// Where the gateway answers.
    pub addr: String,
    pub dice: Dice,
    pub kept: Kept,
}

/// An answer.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    cut: Option<String>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
    fn etag(&self) -> String {
        unquoted(self.header("etag").unwrap_or_default())
    }
    fn version(&self) -> Option<VersionId> {
        VersionId::parse(self.header("x-amz-version-id")?)
    }

    /// Why this is no success.
    fn ended(&self) -> Ended {
        let text = self.text();
        let code = element(&text, "Code").unwrap_or_default();
        // Not the ids, which no seed gives.
        let why = element(&text, "Message").unwrap_or_default();
        let said = || format!("{} {code}: {why}", self.status);
        match (self.status.as_u16(), code) {
            (_, "NoSuchKey") => Ended::NoSuchKey,
            (_, "NoSuchVersion") => Ended::NoSuchVersion,
            (_, "NoSuchBucket") => Ended::NoSuchBucket,
            (405, "MethodNotAllowed") => Ended::Marker,
            (_, "ConditionalRequestConflict") => Ended::Conflict,
            (304 | 412, _) => Ended::NotMet,
            // Of a HEAD there is nothing but the status.
            (404, "") => Ended::NoSuchKey,
            (500.., _) => Ended::Failed(said()),
            _ => Ended::Refused(said()),
        }
    }
}

impl S3 {
    /// The connection that was kept, or a new one.
    async fn connected(&mut self) -> Option<SendRequest<Sent>> {
        let kept = lock(&self.kept).take();
        if let Some((addr, mut sender)) = kept
            && addr == self.addr
            && !self.dice.permille(20)
            && sender.ready().await.is_ok()
        {
            return Some(sender);
        }
        let stream = self.net.connect(&self.addr).await.ok()?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        let drive = async move {
            let _ = connection.await;
        };
        self.exec
            .spawn(OUTSIDE, "client connection", Box::pin(drive));
        Some(sender)
    }

    /// Sends a request; what comes back, of whatever status.
    async fn exchange(&mut self, ask: Ask<'_>) -> Got<Answer> {
        let request = ask.signed(&mut self.dice).ok_or(Ended::Silent)?;
        let mut sender = self.connected().await.ok_or(Ended::Silent)?;
        let answer = sender.send_request(request).await;
        let (head, mut rest) = answer.map_err(|_| Ended::Silent)?.into_parts();
        let (mut body, mut cut) = (Vec::new(), None);
        while let Some(frame) = rest.frame().await {
            match frame {
                Ok(frame) => body.extend_from_slice(frame.data_ref().map_or(&[], |it| it)),
                Err(error) => cut = Some(error.to_string()),
            }
        }
        if cut.is_none() {
            *lock(&self.kept) = Some((self.addr.clone(), sender));
        }
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
            cut,
        })
    }

    /// As [`S3::exchange`], of a success, and whole.
    async fn ask(&mut self, ask: Ask<'_>) -> Got<Answer> {
        let answer = self.exchange(ask).await?;
        match (&answer.cut, answer.status.is_success()) {
            (Some(_), _) => Err(Ended::Silent),
            (None, true) => Ok(answer),
            (None, false) => Err(answer.ended()),
        }
    }

    pub async fn put(&mut self, at: At, body: &Upload, when: &WriteConditions) -> Got<Made> {
        let tags = |tags: &ETagMatch| match tags {
            ETagMatch::Any => "*".to_owned(),
            ETagMatch::OneOf(tags) => {
                let quoted: Vec<String> = tags.iter().map(|tag| format!("\"{tag}\"")).collect();
                quoted.join(", ")
            }
        };
        let mut ask = Ask::of("PUT", &at).sending(Payload::Body(body));
        if let Some(wanted) = &when.if_match {
            ask = ask.header("if-match", tags(wanted));
        }
        if let Some(unwanted) = &when.if_none_match {
            ask = ask.header("if-none-match", tags(unwanted));
        }
        let answer = self.ask(ask).await?;
        Ok(Made {
            etag: answer.etag(),
            version: answer.version(),
        })
    }

    pub async fn get(
        &mut self,
        at: At,
        version: Option<VersionId>,
        range: Option<RangeSpec>,
    ) -> Got<Fetched> {
        let mut ask = Ask::of("GET", &at).version(version);
        if let Some(RangeSpec::From {
            first,
            last: Some(last),
        }) = range
        {
            ask = ask.header("range", format!("bytes={first}-{last}"));
        }
        let answer = self.exchange(ask).await?;
        if !answer.status.is_success() {
            return Err(match answer.cut {
                Some(_) => Ended::Silent,
                None => answer.ended(),
            });
        }
        let range = match answer.header("content-range") {
            Some(text) => ranged(text).ok_or_else(|| Ended::Refused(text.to_owned()))?,
            None => {
                let len = answer.header("content-length");
                let len = len.and_then(|len| len.parse().ok());
                ByteRange {
                    start: 0,
                    end: len.unwrap_or(answer.body.len() as u64),
                }
            }
        };
        // A version's bytes never change; its tags do, and are asked for by themselves.
        let tags = match version {
            Some(_) => self.tags(at, version).await?,
            None => None,
        };
        Ok(Fetched {
            etag: answer.etag(),
            tags,
            range,
            bytes: answer.body,
            cut: answer.cut,
        })
    }

    async fn tags(&mut self, at: At, version: Option<VersionId>) -> Got<Option<String>> {
        let ask = Ask::of("GET", &at).with("tagging", "").version(version);
        let text = self.ask(ask).await?.text();
        let tags = elements(&text, &["Tag"]).into_iter().map(|(_, tag)| {
            let of = |name| plain(element(tag, name).unwrap_or_default());
            format!("{}={}", of("Key"), of("Value"))
        });
        let tags: Vec<String> = tags.collect();
        Ok((!tags.is_empty()).then(|| tags.join("&")))
    }

    pub async fn head(&mut self, at: At) -> Got<String> {
        Ok(self.ask(Ask::of("HEAD", &at)).await?.etag())
    }

    pub async fn list(&mut self, list: &ListObjects) -> Got<Page> {
        let mut ask = Ask::bucket("GET", &list.bucket)
            .with("list-type", 2)
            .with("prefix", &list.prefix)
            .with("max-keys", list.max);
        if let Some(after) = &list.after {
            ask = ask.with("start-after", after);
        }
        let text = self.ask(ask).await?.text();
        let entries = elements(&text, &["Contents"]).into_iter().map(|(_, it)| {
            let of = |name| element(it, name).unwrap_or_default();
            (plain(of("Key")), unquoted(of("ETag")))
        });
        let entries: Vec<(String, String)> = entries.collect();
        let is_cut = element(&text, "IsTruncated") == Some("true");
        let last = entries.last().map(|(key, _)| key.clone());
        Ok(Page {
            next: last.filter(|_| is_cut),
            entries,
        })
    }

    pub async fn delete(&mut self, at: At, version: Option<VersionId>) -> Got<Option<VersionId>> {
        let ask = Ask::of("DELETE", &at).version(version);
        Ok(self.ask(ask).await?.version())
    }

    pub async fn copy(&mut self, from: &At, to: At) -> Got<String> {
        let ask = Ask::of("PUT", &to).header("x-amz-copy-source", path(from));
        let text = self.ask(ask).await?.text();
        Ok(unquoted(element(&text, "ETag").unwrap_or_default()))
    }

    pub async fn create_upload(&mut self, at: At) -> Got<String> {
        let text = self.ask(Ask::of("POST", &at).with("uploads", "")).await?;
        let text = text.text();
        let id = element(&text, "UploadId").map(plain);
        id.ok_or_else(|| Ended::Refused(text.clone()))
    }

    pub async fn put_part(&mut self, at: At, upload: &str, number: u16, body: &Upload) -> Got<()> {
        let ask = Ask::of("PUT", &at)
            .with("partNumber", number)
            .with("uploadId", upload)
            .sending(Payload::Body(body));
        self.ask(ask).await.map(drop)
    }

    pub async fn abort(&mut self, at: At, upload: &str) -> Got<()> {
        let ask = Ask::of("DELETE", &at).with("uploadId", upload);
        self.ask(ask).await.map(drop)
    }

    pub async fn complete(&mut self, at: At, upload: &str, parts: &[String]) -> Got<String> {
        let part = |(part, etag): (usize, &String)| {
            let number = part + 1;
            format!("<Part><PartNumber>{number}</PartNumber><ETag>\"{etag}\"</ETag></Part>")
        };
        let parts: String = parts.iter().enumerate().map(part).collect();
        let text = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        let ask = Ask::of("POST", &at).with("uploadId", upload);
        let text = self.ask(ask.sending(Payload::Text(text))).await?.text();
        Ok(unquoted(element(&text, "ETag").unwrap_or_default()))
    }

    pub async fn make_bucket(&mut self, name: &BucketName) -> Got<()> {
        self.ask(Ask::bucket("PUT", name)).await.map(drop)
    }

    pub async fn drop_bucket(&mut self, name: &BucketName) -> Got<()> {
        self.ask(Ask::bucket("DELETE", name)).await.map(drop)
    }

    pub async fn tag(&mut self, at: At, version: Option<VersionId>, tag: &str) -> Got<()> {
        let (key, value) = from_tags(tag).unwrap_or((tag, ""));
        let text = format!(
            "<Tagging><TagSet><Tag><Key>{key}</Key><Value>{value}</Value></Tag></TagSet></Tagging>"
        );
        let ask = Ask::of("PUT", &at).with("tagging", "").version(version);
        self.ask(ask.sending(Payload::Text(text))).await.map(drop)
    }

    pub async fn versions(&mut self, list: &ListVersions) -> Got<VersionPage> {
        let keys = &list.keys;
        let mut ask = Ask::bucket("GET", &keys.bucket)
            .with("versions", "")
            .with("max-keys", keys.max);
        if let Some(after) = &keys.after {
            ask = ask.with("key-marker", after);
        }
        if let Some(version) = list.after_version {
            ask = ask.with("version-id-marker", version);
        }
        let text = self.ask(ask).await?.text();
        let versions = elements(&text, &["Version", "DeleteMarker"]).into_iter();
        let versions = versions.map(|(place, it)| {
            let of = |name| element(it, name).unwrap_or_default();
            Version {
                key: plain(of("Key")),
                id: of("VersionId").to_owned(),
                etag: (place == 0).then(|| unquoted(of("ETag"))),
                is_latest: of("IsLatest") == "true",
            }
        });
        let versions = versions.collect();
        let next = element(&text, "NextKeyMarker").map(|key| {
            let version = element(&text, "NextVersionIdMarker");
            (plain(key), version.and_then(VersionId::parse))
        });
        Ok(VersionPage { versions, next })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `bytes 0-9/100`.
fn ranged(text: &str) -> Option<ByteRange> {
    let (range, _) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    Some(ByteRange {
        start: first.parse().ok()?,
        end: last.parse::<u64>().ok()? + 1,
    })
}

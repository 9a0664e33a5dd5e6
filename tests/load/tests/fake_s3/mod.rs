//! A small S3 in memory, so that the harness is tested as a process against known answers.
//!
//! Owns: what the harness asks for and nothing more. Counts three drive syncs and one index sync
//! for every object written, so that syncs per request are known.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What the server does wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// One bit of every object that is read is flipped.
    FlippedBit,
    /// Objects are one byte short.
    ShortObjects,
    /// Every third PUT is refused with 503 SlowDown.
    SlowDown,
    /// Every third PUT is answered by closing the connection.
    Hangup,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Vec<u8>>,
    parts: BTreeMap<String, BTreeMap<u32, Vec<u8>>>,
    puts: u64,
}

pub struct FakeS3 {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct Request {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

struct Answer {
    status: u16,
    etag: Option<String>,
    body: Vec<u8>,
}

fn answer(status: u16, body: impl Into<Vec<u8>>) -> Answer {
    Answer {
        status,
        etag: None,
        body: body.into(),
    }
}

impl FakeS3 {
    /// Serves until the process ends.
    pub fn start(fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, state) = (stream.unwrap(), Arc::clone(&shared));
                std::thread::spawn(move || serve(&stream, &state, fault));
            }
        });
        Self { address, state }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn object_count(&self) -> usize {
        self.state.lock().unwrap().objects.len()
    }

    pub fn put_count(&self) -> u64 {
        self.state.lock().unwrap().puts
    }
}

fn serve(stream: &TcpStream, state: &Mutex<State>, fault: Fault) {
    stream.set_nodelay(true).unwrap();
    let mut input = BufReader::new(stream);
    while let Some(request) = read_request(&mut input) {
        let Some(answer) = handle(&request, &mut state.lock().unwrap(), fault) else {
            return;
        };
        let chunked = request.query.contains_key("list-type");
        let mut text = format!("HTTP/1.1 {} X\r\n", answer.status);
        if let Some(etag) = &answer.etag {
            text += &format!("ETag: {etag}\r\n");
        }
        let mut bytes = if chunked {
            text += "Transfer-Encoding: chunked\r\n\r\n";
            format!("{text}{:x}\r\n", answer.body.len()).into_bytes()
        } else {
            (text + &format!("Content-Length: {}\r\n\r\n", answer.body.len())).into_bytes()
        };
        if request.method != "HEAD" {
            bytes.extend(&answer.body);
        }
        if chunked {
            bytes.extend(b"\r\n0\r\n\r\n");
        }
        let mut output = stream;
        if output.write_all(&bytes).is_err() {
            return;
        }
    }
}

fn read_request(input: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    input.read_line(&mut line).ok().filter(|&len| len > 0)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        input.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_owned(), value.to_owned());
    }
    let len = headers
        .get("content-length")
        .map_or(0, |value| value.parse().unwrap());
    let mut body = vec![0; len];
    input.read_exact(&mut body).ok()?;
    if headers
        .get("content-encoding")
        .is_some_and(|value| value == "aws-chunked")
    {
        body = dechunk(&body);
        assert_eq!(
            headers["x-amz-decoded-content-length"],
            body.len().to_string()
        );
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let query = pairs
        .map(|(name, value)| (name.to_owned(), value.replace("%2F", "/")))
        .collect();
    Some(Request {
        method,
        path: path.to_owned(),
        query,
        headers,
        body,
    })
}

fn dechunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|two| two == b"\r\n").unwrap();
        let len = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        bytes = &bytes[end + 2..];
        if len == 0 {
            assert!(bytes.starts_with(b"x-amz-checksum-crc64nvme:"));
            return body;
        }
        body.extend(&bytes[..len]);
        bytes = &bytes[len + 2..];
    }
}

/// The answer; `None` hangs up.
fn handle(request: &Request, state: &mut State, fault: Fault) -> Option<Answer> {
    if request.path == "/metrics" {
        let (a, b) = (state.puts, 2 * state.puts);
        let text = format!(
            "holdfast_drive_syncs_total{{drive=\"0\"}} {a}\n\
             holdfast_drive_syncs_total{{drive=\"1\"}} {b}\nholdfast_index_syncs_total {a}\n"
        );
        return Some(answer(200, text));
    }
    let signed = request.headers.get("authorization").is_some_and(|value| {
        value.starts_with("AWS4-HMAC-SHA256 Credential=tester/") && value.contains("Signature=")
    });
    if !signed {
        return Some(answer(403, "<Error><Code>AccessDenied</Code></Error>"));
    }
    let key = request
        .path
        .splitn(3, '/')
        .nth(2)
        .unwrap_or_default()
        .to_owned();
    Some(match (request.method.as_str(), key.is_empty()) {
        ("PUT", true) => answer(409, "<Error><Code>BucketAlreadyOwnedByYou</Code></Error>"),
        ("HEAD", true) => answer(200, ""),
        ("GET", true) => list(request, state),
        ("PUT", false) => return put(request, state, key, fault),
        ("POST", false) => post(request, state, key),
        ("DELETE", false) => {
            state.objects.remove(&key);
            answer(204, "")
        }
        _ => get(request, state, &key, fault),
    })
}

fn put(request: &Request, state: &mut State, key: String, fault: Fault) -> Option<Answer> {
    state.puts += 1;
    let now = state.puts.is_multiple_of(3);
    match fault {
        Fault::SlowDown if now => {
            return Some(answer(503, "<Error><Code>SlowDown</Code></Error>"));
        }
        Fault::Hangup if now => return None,
        _ => {}
    }
    let mut done = answer(200, "");
    match (
        request.query.get("uploadId"),
        request.query.get("partNumber"),
    ) {
        (Some(id), Some(number)) => {
            let number = number.parse().unwrap();
            done.etag = Some(format!("\"{number}\""));
            state
                .parts
                .get_mut(id)
                .unwrap()
                .insert(number, request.body.clone());
        }
        _ => {
            state.objects.insert(key, request.body.clone());
        }
    }
    Some(done)
}

fn post(request: &Request, state: &mut State, key: String) -> Answer {
    match request.query.get("uploadId") {
        None => {
            let id = format!("u{}", state.parts.len());
            state.parts.insert(id.clone(), BTreeMap::new());
            answer(200, format!("<X><UploadId>{id}</UploadId></X>"))
        }
        Some(id) => {
            let parts = &state.parts[id];
            let named = String::from_utf8_lossy(&request.body)
                .matches("<Part>")
                .count();
            assert_eq!(named, parts.len());
            let whole = parts.values().flatten().copied().collect();
            state.objects.insert(key, whole);
            answer(200, "<CompleteMultipartUploadResult/>")
        }
    }
}

fn list(request: &Request, state: &State) -> Answer {
    let (prefix, after) = (&request.query["prefix"], &request.query["start-after"]);
    let max: usize = request.query["max-keys"].parse().unwrap();
    let keys = state
        .objects
        .keys()
        .filter(|key| key.starts_with(prefix) && *key > after);
    let keys: String = keys
        .take(max)
        .map(|key| format!("<Key>{key}</Key>"))
        .collect();
    answer(200, format!("<ListBucketResult>{keys}</ListBucketResult>"))
}

fn get(request: &Request, state: &State, key: &str, fault: Fault) -> Answer {
    let Some(object) = state.objects.get(key) else {
        return answer(404, "<Error><Code>NoSuchKey</Code></Error>");
    };
    let mut body = object.clone();
    match fault {
        Fault::FlippedBit => body[object.len() / 2] ^= 1,
        Fault::ShortObjects => body.truncate(object.len() - 1),
        _ => {}
    }
    match request
        .headers
        .get("range")
        .and_then(|range| range.strip_prefix("bytes="))
    {
        Some(range) => {
            let (first, last) = range.split_once('-').unwrap();
            let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
            answer(206, &body[first..=last])
        }
        None => answer(200, body),
    }
}

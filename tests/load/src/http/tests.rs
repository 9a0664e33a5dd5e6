//! The parser over good, awkward and bad answers, cut anywhere.

use std::io::{self, Read};

use super::{AnswerBuffer, Expect, Framing, Head};
use crate::failure::Failure;

/// Gives `bytes` in pieces of at most `step`.
struct Slow<'a> {
    bytes: &'a [u8],
    step: usize,
}

impl Read for Slow<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let step = self.step.min(out.len()).min(self.bytes.len());
        self.bytes.read(&mut out[..step])
    }
}

type Answer = (Head, Vec<u8>);

fn read(bytes: &[u8], step: usize, expect: Expect) -> Result<Answer, Failure> {
    let mut input = Slow { bytes, step };
    let mut buffer = AnswerBuffer::new();
    read_next(&mut buffer, &mut input, expect)
}

fn read_next(
    buffer: &mut AnswerBuffer,
    input: &mut Slow<'_>,
    expect: Expect,
) -> Result<Answer, Failure> {
    let head = buffer.head(input, expect)?;
    let mut body = Vec::new();
    let len = buffer.body(input, head.framing, &mut |piece| {
        body.extend_from_slice(piece)
    })?;
    assert_eq!(len, body.len() as u64);
    Ok((head, body))
}

const STEPS: [usize; 4] = [1, 2, 7, 1 << 20];

#[test]
fn an_answer_with_length_is_read_however_it_arrives() {
    let answer = b"HTTP/1.1 200 OK\r\nETag: \"abc\"\r\nContent-Length: 5\r\n\r\nhello";
    for step in STEPS {
        let (head, body) = read(answer, step, Expect::Body).unwrap();
        assert_eq!((head.status, head.content_length), (200, Some(5)));
        assert_eq!(head.etag.as_deref(), Some("\"abc\""));
        assert!(head.keep_alive);
        assert_eq!(body, b"hello");
    }
}

#[test]
fn chunks_extensions_and_trailers_are_read() {
    let answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
        5;a=b\r\nhello\r\nC\r\n world, you!\r\n0\r\nx-checksum: 1\r\n\r\n";
    for step in STEPS {
        assert_eq!(
            read(answer, step, Expect::Body).unwrap().1,
            b"hello world, you!"
        );
    }
}

#[test]
fn an_answer_without_length_ends_with_the_connection() {
    let answer = b"HTTP/1.0 200 OK\r\nServer: old\r\n\r\nuntil the end";
    for step in STEPS {
        let (head, body) = read(answer, step, Expect::Body).unwrap();
        assert!(!head.keep_alive);
        assert_eq!(body, b"until the end");
    }
}

#[test]
fn answers_to_head_and_204_have_no_body_whatever_they_announce() {
    let two = b"HTTP/1.1 200 OK\r\nContent-Length: 4096\r\n\r\n\
        HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    for step in STEPS {
        let mut input = Slow { bytes: two, step };
        let mut buffer = AnswerBuffer::new();
        let (head, body) = read_next(&mut buffer, &mut input, Expect::HeadOnly).unwrap();
        assert_eq!((head.content_length, body.len()), (Some(4096), 0));
        let (head, _) = read_next(&mut buffer, &mut input, Expect::Body).unwrap();
        assert_eq!(head.status, 204);
        assert_eq!(
            read_next(&mut buffer, &mut input, Expect::Body).unwrap().1,
            b"ok"
        );
    }
}

#[test]
fn interim_answers_are_skipped() {
    let answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    for step in STEPS {
        assert_eq!(read(answer, step, Expect::Body).unwrap().0.status, 200);
    }
}

#[test]
fn connection_close_is_obeyed() {
    let answer = b"HTTP/1.1 503 Slow Down\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let (head, _) = read(answer, 9, Expect::Body).unwrap();
    assert_eq!((head.status, head.keep_alive), (503, false));
}

#[test]
fn an_answer_cut_anywhere_is_an_error() {
    let plain = &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"[..];
    let chunked =
        &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"[..];
    for answer in [plain, chunked] {
        for len in 0..answer.len() {
            assert_eq!(
                read(&answer[..len], 3, Expect::Body),
                Err(Failure::Cut),
                "after {len}"
            );
        }
        assert!(read(answer, 3, Expect::Body).is_ok());
    }
}

#[test]
fn malformed_answers_are_errors() {
    for answer in [
        &b"SSH-2.0-OpenSSH_9\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n",
    ] {
        let failure = read(answer, 4, Expect::Body).unwrap_err();
        assert!(matches!(failure, Failure::Malformed(_)), "{failure}");
    }
    let endless = [
        b"HTTP/1.1 200 OK\r\nx: ".as_slice(),
        &vec![b'a'; super::BUFFER_LEN],
    ]
    .concat();
    assert!(matches!(
        read(&endless, 1 << 20, Expect::Body),
        Err(Failure::Malformed(_))
    ));
}

#[test]
fn bytes_behind_a_body_belong_to_the_next_answer() {
    let mut buffer = AnswerBuffer::new();
    let mut input = Slow {
        bytes: b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nAHTTP/1.1 404 No\r\n\
            Content-Length: 1\r\n\r\nB",
        step: 1 << 20,
    };
    assert_eq!(
        read_next(&mut buffer, &mut input, Expect::Body).unwrap().1,
        b"A"
    );
    let (head, body) = read_next(&mut buffer, &mut input, Expect::Body).unwrap();
    assert_eq!((head.status, body.as_slice()), (404, &b"B"[..]));
    assert_eq!(head.framing, Framing::Length(1));
}

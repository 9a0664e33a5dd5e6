//! Facts about the real disk.
use super::*;

#[test]
fn vectored_writes_land_in_order_and_are_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let file = RealDisk.open(&path, OpenMode::CreateNew).unwrap();
    file.write_all_at(&[b"abc", b"", b"defgh"], 10).unwrap();
    file.sync_data().unwrap();
    let mut back = [0_u8; 8];
    file.read_exact_at(&mut back, 10).unwrap();
    assert_eq!(&back, b"abcdefgh");
    assert_eq!(file.len().unwrap(), 18);
    assert!(file.read_exact_at(&mut back, 11).is_err());
}

#[test]
fn an_existing_file_is_not_created_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    RealDisk.open(&path, OpenMode::CreateNew).unwrap();
    let error = RealDisk.open(&path, OpenMode::CreateNew).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
}

#[test]
fn the_second_lock_is_refused_while_the_first_is_held() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let first = RealDisk.open(&path, OpenMode::CreateNew).unwrap();
    let second = RealDisk.open(&path, OpenMode::ReadWrite).unwrap();
    assert!(first.try_lock().unwrap());
    assert!(!second.try_lock().unwrap());
    drop(first);
    assert!(second.try_lock().unwrap());
}

#[test]
fn reading_now_returns_cached_bytes_or_declines() {
    let dir = tempfile::tempdir().unwrap();
    let file = RealDisk
        .open(&dir.path().join("file"), OpenMode::CreateNew)
        .unwrap();
    file.write_all_at(&[b"hello"], 0).unwrap();
    let mut back = [0_u8; 5];
    if let Some(len) = file.read_now(&mut back, 0).unwrap() {
        assert_eq!(&back[..len], &b"hello"[..len]);
    }
}

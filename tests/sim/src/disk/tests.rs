//! Facts about the simulated disk.
//!
//! Goal: it loses what a real disk may lose and nothing else. Method: examples over many seeds.

use std::collections::BTreeSet;

use super::*;

fn file(disk: &SimDisk, mode: OpenMode) -> Arc<dyn DiskFile> {
    disk.open(Path::new("/f"), mode).unwrap()
}

fn read(disk: &SimDisk) -> Vec<u8> {
    disk.contents(Path::new("/f")).unwrap()
}

#[test]
fn what_was_synced_survives_and_the_rest_may_not() {
    let (mut kept, mut lost, mut torn) = (0, 0, 0);
    for seed in 0..200 {
        let disk = SimDisk::new(seed);
        let f = file(&disk, OpenMode::CreateNew);
        f.write_all_at(&[&[1; 1024]], 0).unwrap();
        f.sync_data().unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        f.write_all_at(&[&[2; 1024]], 0).unwrap();
        disk.crash();
        assert!(f.read_exact_at(&mut [0], 0).is_err(), "the handle is stale");
        let bytes = read(&disk);
        match (bytes[0], bytes[1023]) {
            (2, 2) => kept += 1,
            (1, 1) => lost += 1,
            _ => torn += 1,
        }
        assert!(
            bytes[..512].iter().all(|b| *b == bytes[0]),
            "sectors are whole"
        );
    }
    assert!(kept > 20 && lost > 20 && torn > 20, "{kept} {lost} {torn}");
}

#[test]
fn names_survive_in_the_order_they_were_changed() {
    let mut seen = BTreeSet::new();
    for seed in 0..100 {
        let disk = SimDisk::new(seed);
        for name in ["/a", "/b", "/c"] {
            disk.open(Path::new(name), OpenMode::CreateNew).unwrap();
        }
        disk.crash();
        let names = disk.list(Path::new("/")).unwrap();
        assert!(names.iter().zip(["a", "b", "c"]).all(|(a, b)| a == b));
        seen.insert(names.len());
    }
    assert_eq!(seen.len(), 4, "every prefix occurs");
}

#[test]
fn a_failed_sync_is_not_repaired_by_the_next_one() {
    let mut lost = 0;
    for seed in 0..50 {
        let disk = SimDisk::new(seed);
        let f = file(&disk, OpenMode::CreateNew);
        disk.sync_dir(Path::new("/")).unwrap();
        f.write_all_at(&[&[1; 512]], 0).unwrap();
        disk.fail_sync(0);
        f.sync_data().unwrap_err();
        f.sync_data().unwrap();
        assert_eq!(read(&disk), [1; 512], "memory still shows it");
        disk.crash();
        lost += u32::from(read(&disk) != [1; 512]);
    }
    assert!(lost > 5);
}

#[test]
fn a_full_disk_overwrites_but_does_not_grow() {
    let disk = SimDisk::new(0);
    disk.set_capacity(8192);
    let f = file(&disk, OpenMode::CreateNew);
    f.write_all_at(&[&[0; 8192]], 0).unwrap();
    f.write_all_at(&[&[1; 8192]], 0).unwrap();
    let error = f.write_all_at(&[&[1]], 8192).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(disk.space(Path::new("/")).unwrap(), (8192, 0));
    disk.remove(Path::new("/f")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    assert_eq!(disk.used(), 0);
}

#[test]
fn after_the_power_is_cut_nothing_works_until_the_crash() {
    let disk = SimDisk::new(3);
    let f = file(&disk, OpenMode::CreateNew);
    disk.cut_power(1);
    f.write_all_at(&[&[1; 100]], 0).unwrap();
    f.sync_data().unwrap_err();
    f.read_exact_at(&mut [0], 0).unwrap_err();
    assert!(disk.open(Path::new("/f"), OpenMode::Read).is_err());
    disk.crash();
    disk.list(Path::new("/")).unwrap();
}

#[test]
fn a_spoiled_sector_reads_again_once_written() {
    let disk = SimDisk::new(4);
    let f = file(&disk, OpenMode::CreateNew);
    f.write_all_at(&[&[1; 1024]], 0).unwrap();
    assert!(disk.spoil(Path::new("/f"), 600));
    f.read_exact_at(&mut [0; 512], 0).unwrap();
    f.read_exact_at(&mut [0; 512], 200).unwrap_err();
    f.write_all_at(&[&[2; 512]], 512).unwrap();
    f.read_exact_at(&mut [0; 512], 200).unwrap();
}

#[test]
fn one_lock_at_a_time() {
    let disk = SimDisk::new(5);
    let first = file(&disk, OpenMode::CreateNew);
    let second = file(&disk, OpenMode::ReadWrite);
    assert!(first.try_lock().unwrap());
    assert!(!second.try_lock().unwrap());
    drop(first);
    assert!(second.try_lock().unwrap());
}

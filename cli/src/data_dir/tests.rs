//! Lock, stamp, keys.

use std::os::unix::fs::PermissionsExt;

use holdfast_protocol::Geometry;
use holdfast_seam::RealRng;

use super::*;
use crate::config::{Group, Layers, Role, Secret};
use crate::gateway::config::GatewayConfig;

fn config() -> GatewayConfig {
    GatewayConfig::read(&Layers::default().resolve(Role::Server).unwrap()).unwrap()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_second_holder_is_refused_and_told_who_the_first_is() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("data");
    let first = DataDir::open(&path).unwrap();
    assert_eq!(mode(&path), 0o700);
    let error = DataDir::open(&path).unwrap_err();
    let CliError::DataDirInUse { dir, pid } = &error else {
        panic!("{error}");
    };
    assert_eq!((dir, *pid), (&path, Some(std::process::id())));
    drop(first);
    DataDir::open(&path).unwrap();
}

#[test]
fn a_directory_with_something_else_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("thesis.tex"), "…").unwrap();
    assert!(matches!(
        DataDir::open(temp.path()),
        Err(CliError::Layout(_))
    ));
    assert!(!temp.path().join("lock").exists());
}

#[test]
fn a_stamp_round_trips_and_refuses_another_layout() {
    let temp = tempfile::tempdir().unwrap();
    let dir = DataDir::open(temp.path()).unwrap();
    assert_eq!(dir.stamp().unwrap(), None);
    let geometry = Geometry::new(4, 2).unwrap();
    let stamp = Stamp::new(&RealRng, true, geometry, 6);
    dir.set_stamp(&stamp).unwrap();
    assert_eq!(dir.stamp().unwrap().as_ref(), Some(&stamp));
    assert_eq!(mode(&temp.path().join("cluster.json")), 0o600);
    stamp.check(dir.path(), true, geometry, 6).unwrap();
    let other = Geometry::new(3, 2).unwrap();
    let error = stamp
        .check(dir.path(), true, other, 6)
        .unwrap_err()
        .to_string();
    assert!(error.contains("--geometry 4+2"), "{error}");
    let error = stamp
        .check(dir.path(), true, geometry, 7)
        .unwrap_err()
        .to_string();
    assert!(error.contains("--drives 6"), "{error}");
    assert!(stamp.check(dir.path(), false, geometry, 6).is_err());
    let newer = stamp.text().replace("\"format\": 1", "\"format\": 2");
    assert!(Stamp::parse(&newer, Path::new("cluster.json")).is_err());
}

#[test]
fn keys_are_made_once_and_kept_closed() {
    let temp = tempfile::tempdir().unwrap();
    let dir = DataDir::open(temp.path()).unwrap();
    let first = dir.keys(&config(), &RealRng).unwrap();
    assert!(first.new);
    assert_eq!(mode(&temp.path().join("credentials")), 0o600);
    let second = dir.keys(&config(), &RealRng).unwrap();
    assert!(!second.new);
    assert_eq!(second.access_key, first.access_key);
    assert_eq!(second.secret_key, first.secret_key);
    assert!(!format!("{first:?}").contains(first.secret_key.expose()));
    dir.master_key(&config(), &RealRng).unwrap();
    let key = std::fs::read(temp.path().join("master.key")).unwrap();
    dir.master_key(&config(), &RealRng).unwrap();
    assert_eq!(std::fs::read(temp.path().join("master.key")).unwrap(), key);
}

#[test]
fn configured_keys_win_and_are_not_written() {
    let temp = tempfile::tempdir().unwrap();
    let dir = DataDir::open(temp.path()).unwrap();
    let mut config = config();
    config.access_key = Some("ADMIN".to_owned());
    assert!(matches!(
        dir.keys(&config, &RealRng),
        Err(CliError::Usage(_))
    ));
    config.secret_key = Some(Secret::new("short".to_owned()));
    assert!(matches!(
        dir.keys(&config, &RealRng),
        Err(CliError::Usage(_))
    ));
    config.secret_key = Some(Secret::new("long enough".to_owned()));
    assert!(
        matches!(dir.keys(&config, &RealRng), Err(CliError::Usage(_))),
        "a space"
    );
    config.secret_key = Some(Secret::new("long-enough".to_owned()));
    let keys = dir.keys(&config, &RealRng).unwrap();
    assert_eq!((&*keys.access_key, keys.new), ("ADMIN", false));
    assert!(!temp.path().join("credentials").exists());
}

#[test]
fn too_few_drives_for_the_geometry_are_refused() {
    let geometry = Geometry::new(4, 2).unwrap();
    check_drives(geometry, 6).unwrap();
    assert!(check_drives(geometry, 5).is_err());
    assert!(check_drives(geometry, 2000).is_err());
}

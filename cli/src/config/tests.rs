//! Layers, unknown names, secrets, and that the page is current.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use super::value::{Scalar, Value};
use super::*;

fn layers(file: Option<&Path>, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Layers {
    let owned = |text: &&str| OsString::from(*text);
    Layers {
        flags: flags
            .iter()
            .map(|(key, text)| ((*key).into(), vec![(*text).into()]))
            .collect(),
        environment: environment
            .iter()
            .map(|(name, text)| (owned(name), owned(text)))
            .collect(),
        file: file.map(Path::to_owned),
    }
}

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("holdfast.toml");
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

fn region(layers: &Layers) -> String {
    layers.resolve(Role::Server).unwrap().get("region").unwrap()
}

#[test]
fn defaults_run() {
    for role in Role::ALL {
        let resolved = Layers::default().resolve(role).unwrap();
        match role {
            Role::Server | Role::Gateway => drop(GatewayConfig::read(&resolved).unwrap()),
            Role::ShardNode => drop(ShardNodeConfig::read(&resolved).unwrap()),
            Role::Client => drop(ClientConfig::read(&resolved).unwrap()),
        }
        if role != Role::Client {
            ProcessConfig::read(&resolved).unwrap();
        }
    }
}

#[test]
fn the_later_layer_wins() {
    let (_dir, path) = file("region = \"of-file\"");
    let variable = [("HOLDFAST_REGION", "of-variable")];
    let flag = [("region", "of-flag")];
    assert_eq!(region(&layers(None, &[], &[])), "us-east-1");
    assert_eq!(region(&layers(Some(&path), &[], &[])), "of-file");
    assert_eq!(region(&layers(Some(&path), &variable, &[])), "of-variable");
    assert_eq!(region(&layers(Some(&path), &variable, &flag)), "of-flag");
}

#[test]
fn lists_are_lists_in_every_layer() {
    let (_dir, path) = file("domain = [\"a.test\", \"b.test\"]");
    let domains = |layers: Layers| -> Vec<String> {
        layers.resolve(Role::Server).unwrap().get("domain").unwrap()
    };
    assert_eq!(domains(layers(None, &[], &[])), Vec::<String>::new());
    assert_eq!(domains(layers(Some(&path), &[], &[])), ["a.test", "b.test"]);
    let variable = [("HOLDFAST_DOMAIN", "c.test, d.test")];
    assert_eq!(
        domains(layers(Some(&path), &variable, &[])),
        ["c.test", "d.test"]
    );
}

#[test]
fn numbers_truths_sizes_and_durations_are_read_from_the_file() {
    let (_dir, path) = file(
        "drives = 7\nmetrics_auth = true\nwrite_buffer_bytes = \"1GiB\"\n\
         read_buffer_bytes = 4096\nheader_timeout = \"1m 30s\"",
    );
    let resolved = layers(Some(&path), &[], &[])
        .resolve(Role::Gateway)
        .unwrap();
    let config = GatewayConfig::read(&resolved).unwrap();
    assert_eq!(config.drives, 7);
    assert!(config.metrics_auth);
    assert_eq!(config.write_buffer_bytes.get(), 1 << 30);
    assert_eq!(config.read_buffer_bytes.get(), 4096);
    assert_eq!(config.header_timeout, Duration::from_secs(90));
}

#[test]
fn unknown_names_stop_the_start_and_name_the_nearest() {
    let (_dir, path) = file("lissten = \"x\"");
    let error = layers(Some(&path), &[], &[])
        .resolve(Role::Server)
        .unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("unknown key lissten; did you mean listen?"),
        "{error}"
    );
    let variable = [("HOLDFAST_GEOMETRIE", "4+2")];
    let error = layers(None, &variable, &[])
        .resolve(Role::Server)
        .unwrap_err();
    let expected = "unknown variable HOLDFAST_GEOMETRIE; did you mean HOLDFAST_GEOMETRY?";
    assert_eq!(error.to_string(), expected);
    let (_dir, path) = file("zzz = 1");
    let error = layers(Some(&path), &[], &[])
        .resolve(Role::Server)
        .unwrap_err();
    assert!(error.to_string().ends_with("unknown key zzz"), "{error}");
}

#[test]
fn settings_of_other_roles_are_refused_in_the_file_and_ignored_in_the_environment() {
    let (_dir, path) = file("join = \"http://gw:9001\"");
    let error = layers(Some(&path), &[], &[])
        .resolve(Role::Server)
        .unwrap_err();
    let expected = "join is not a setting of `holdfast server`";
    assert!(error.to_string().ends_with(expected), "{error}");
    let variables = [
        ("HOLDFAST_JOIN", "x"),
        ("HOLDFAST_TEST_TMP", "/tmp"),
        ("PATH", "/bin"),
    ];
    layers(None, &variables, &[]).resolve(Role::Server).unwrap();
}

#[test]
fn a_secret_comes_from_a_file_too_and_is_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    std::fs::write(&path, "not for your eyes\n").unwrap();
    let path = path.to_str().unwrap();
    let by_file = [("HOLDFAST_SECRET_KEY_FILE", path)];
    let resolved = layers(None, &by_file, &[]).resolve(Role::Server).unwrap();
    let secret: Option<Secret<String>> = resolved.get("secret_key").unwrap();
    assert_eq!(secret.unwrap().expose(), "not for your eyes");
    let entry = resolved
        .entries()
        .find(|entry| entry.setting.key == "secret_key")
        .unwrap();
    assert_eq!(entry.shown(), "[redacted]");
    let config = GatewayConfig::read(&resolved).unwrap();
    assert!(!format!("{config:?}").contains("eyes"));
    let both = [
        ("HOLDFAST_SECRET_KEY_FILE", path),
        ("HOLDFAST_SECRET_KEY", "other"),
    ];
    let error = layers(None, &both, &[]).resolve(Role::Server).unwrap_err();
    assert!(matches!(error, ConfigError::Both { .. }), "{error}");
    let missing = [("HOLDFAST_SECRET_KEY_FILE", "/nowhere/at/all")];
    let error = layers(None, &missing, &[])
        .resolve(Role::Server)
        .unwrap_err();
    assert!(matches!(error, ConfigError::ReadFile { .. }), "{error}");
}

#[test]
fn a_drive_is_not_out_before_it_is_down() {
    for (down, out, fits) in [
        ("2s", "30m", false),
        ("10m", "5m", false),
        ("3s", "3s", true),
    ] {
        let flags = [("down_after", down), ("out_after", out)];
        let resolved = layers(None, &[], &flags).resolve(Role::Server).unwrap();
        let workers = GatewayConfig::read(&resolved).unwrap().workers();
        assert_eq!(workers.is_ok(), fits, "{down} {out}");
        if let Err(error) = workers {
            assert!(error.to_string().contains("--down-after"), "{error}");
        }
    }
}

#[test]
fn a_bad_value_names_its_source_and_what_would_be_right() {
    let variable = [("HOLDFAST_PREWRITE_BYTES", "many")];
    let resolved = layers(None, &variable, &[]).resolve(Role::Server).unwrap();
    let error = DriveSettings::read(&resolved).unwrap_err().to_string();
    assert!(
        error.contains("HOLDFAST_PREWRITE_BYTES") && error.contains("64MiB"),
        "{error}"
    );
    let flag = [("geometry", "6")];
    let resolved = layers(None, &[], &flag).resolve(Role::Server).unwrap();
    let error = GatewayConfig::read(&resolved).unwrap_err().to_string();
    assert!(
        error.contains("--geometry") && error.contains("4+2"),
        "{error}"
    );
    let (_dir, path) = file("listen = { port = 9000 }");
    let error = layers(Some(&path), &[], &[])
        .resolve(Role::Server)
        .unwrap_err();
    assert!(matches!(error, ConfigError::Shape { .. }), "{error}");
    let (_dir, path) = file("listen =");
    let error = layers(Some(&path), &[], &[])
        .resolve(Role::Server)
        .unwrap_err();
    assert!(matches!(error, ConfigError::ParseFile { .. }), "{error}");
}

#[test]
fn sizes_and_addresses_are_checked() {
    assert_eq!(<Size as Scalar>::read("67108864").unwrap().get(), 64 << 20);
    assert_eq!(<Size as Scalar>::read("64 MiB").unwrap().get(), 64 << 20);
    for good in [
        "127.0.0.1:0",
        "[::1]:9000",
        "localhost:9000",
        "0.0.0.0:9000",
    ] {
        <Address as Scalar>::read(good).unwrap();
    }
    for bad in [
        "",
        "9000",
        ":9000",
        "::1:9000",
        "host:",
        "host:70000",
        "host:x",
    ] {
        assert!(<Address as Scalar>::read(bad).is_err(), "{bad:?}");
    }
    let given = ["a".to_owned(), "b".to_owned()];
    assert!(<String as Value>::read(&given).is_err());
}

#[test]
fn keys_of_a_role_are_unique() {
    for role in Role::ALL {
        let mut keys: Vec<&str> = role.settings().map(|setting| setting.key).collect();
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count, "{}", role.name());
    }
}

#[test]
fn the_page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let page = page::page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == page,
        "run `UPDATE_DOCS=1 cargo test -p holdfast` and commit the page"
    );
}

//! Facts about what lasts of settings.

use bytes::Bytes;
use holdfast_policy::{Grant, Grantee, Group, Permission};

use self::golden::GOLDEN;
use super::*;

mod golden;

const DOCUMENT: &str = concat!(
    r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": "*", "#,
    r#""Action": "s3:GetObject", "Resource": "arn:aws:s3:::photos/*"}}"#,
);

fn config(pairs: &[(&str, &str)]) -> Vec<(String, Bytes)> {
    let own = |&(name, text): &(&str, &str)| (name.to_owned(), Bytes::from(text.to_owned()));
    pairs.iter().map(own).collect()
}

pub(super) fn rule() -> CorsRule {
    CorsRule {
        id: Some("one".to_owned()),
        origins: vec!["https://*.example".to_owned()],
        methods: vec![CorsMethod::Get, CorsMethod::Put],
        headers: vec!["*".to_owned()],
        expose: vec!["ETag".to_owned()],
        max_age_s: Some(3000),
    }
}

fn lifecycle() -> Vec<LifecycleRule> {
    let plain = |prefix: Option<&str>| LifecycleFilter {
        prefix: prefix.map(str::to_owned),
        ..LifecycleFilter::default()
    };
    let all = LifecycleFilter {
        form: FilterForm::And,
        prefix: Some("logs/".to_owned()),
        tags: vec![("k".to_owned(), "v".to_owned())],
        larger: Some(1024),
        smaller: Some(2048),
    };
    let rule = |id: &str, filter, expiration| LifecycleRule {
        id: id.to_owned(),
        enabled: true,
        filter,
        expiration: Some(expiration),
        ..LifecycleRule::default()
    };
    let one = LifecycleRule {
        noncurrent: Some(NoncurrentExpiration {
            days: 7,
            keep: Some(3),
        }),
        ..rule("one", all, Expiration::Days(30))
    };
    let two = LifecycleRule {
        enabled: false,
        abort_days: Some(2),
        transitions: vec![to(When::Days(1), "COLD")],
        noncurrent_transitions: vec![from_noncurrent(3, Some(2), "COLD")],
        ..rule("two", plain(None), Expiration::Marker(true))
    };
    let three = rule("three", plain(Some("x")), Expiration::DateMs(86_400_000));
    vec![one, two, three]
}

fn logging() -> Logging {
    let format = KeyFormat::Partitioned(PartitionDate::EventTime);
    Logging::new("logs".to_owned(), "p/".to_owned(), Some(format)).unwrap()
}

fn inventories() -> Inventories {
    let mut all = Inventories::default();
    all.put(Inventory {
        id: "one".to_owned(),
        enabled: true,
        bucket: "lists".to_owned(),
        account: None,
        prefix: Some("of".to_owned()),
        format: InventoryFormat::Csv,
        versions: IncludedVersions::All,
        filter: Some("p/".to_owned()),
        frequency: Frequency::Weekly,
        fields: vec![InventoryField::Size, InventoryField::ETag],
    })
    .unwrap();
    all
}

pub(super) fn tell() -> Tell {
    Tell {
        id: "one".to_owned(),
        kind: TargetKind::Queue,
        arn: "arn:holdfast:notify:eu-test-1::hook".to_owned(),
        target: "hook".to_owned(),
        events: vec!["s3:ObjectCreated:*".to_owned()],
        prefix: "a/".to_owned(),
        suffix: ".jpg".to_owned(),
    }
}

pub(super) fn website(change: fn(&mut RoutingRule)) -> Result<Website, GatewayError> {
    let mut rule = RoutingRule {
        prefix: Some("old/".to_owned()),
        error: Some(404),
        to: Redirect {
            host: Some("a.test".to_owned()),
            protocol: Some(Protocol::Https),
            status: Some(302),
            key: Some(NewKey::Prefix("new/".to_owned())),
        },
    };
    change(&mut rule);
    let error = Some("error.html".to_owned());
    Website::pages("index.html".to_owned(), error, vec![rule])
}

#[test]
fn settings_v1_golden_texts_round_trip() {
    let pairs = [
        ("k".to_owned(), "v".to_owned()),
        ("empty".to_owned(), String::new()),
    ];
    let grants = vec![
        Grant::new(Grantee::Group(Group::AllUsers), Permission::ReadAcp),
        Grant::full("me"),
    ];
    let settings = Settings {
        cors: Some(Cors::new(vec![rule()]).unwrap()),
        tags: Some(Tags::new(pairs.to_vec()).unwrap()),
        payer: Some(Payer::Requester),
        versioning: Some(Versioning::Enabled),
        lock: Some(ObjectLock {
            default: Some(DefaultRetention {
                mode: RetentionMode::Governance,
                period: Period::Days(30),
            }),
        }),
        policy: Some(Policy::parse(DOCUMENT, "photos").unwrap()),
        ownership: Some(OwnershipControls {
            rule: Ownership::BucketOwnerPreferred,
        }),
        block: Some(PublicAccessBlock::ALL),
        acl: Some(Acl::new("me", grants).unwrap()),
        lifecycle: Some(Lifecycle::new(lifecycle()).unwrap().varying(true)),
        website: Some(website(|_| {}).unwrap()),
        notification: Some(Notification::new(vec![tell()]).unwrap()),
        logging: Some(logging()),
        inventory: Some(inventories()),
    };
    assert_eq!(Settings::decode(&config(&GOLDEN)).unwrap(), settings);
    assert_eq!(settings.encode().unwrap(), config(&GOLDEN));
    assert_eq!(Settings::decode(&[]).unwrap(), Settings::default());
    assert_eq!(Settings::default().encode().unwrap(), config(&[]));
}

#[test]
fn what_cannot_be_read_is_never_taken_for_not_configured() {
    for (name, text) in [
        ("cors", ""),
        ("cors", "{}"),
        ("cors", r#"{"v":2,"rules":[]}"#),
        ("cors", r#"{"v":1}"#),
        ("tagging", r#"{"v":1,"tags":[],"more":1}"#),
        ("requestPayment", r#"{"v":1,"payer":"Nobody"}"#),
        ("versioning", r#"{"v":1,"status":"Off"}"#),
        ("policy", r#"{"v":1,"bucket":"photos","document":"{}"}"#),
        ("ownershipControls", r#"{"v":1,"rule":"Nobody"}"#),
        ("publicAccessBlock", r#"{"v":1}"#),
        ("acl", r#"{"v":1,"owner":"me"}"#),
        ("lifecycle", r#"{"v":1}"#),
        (
            "lifecycle",
            r#"{"rules":[{"id":"a","enabled":true,"filter":{"form":"filter"},"move":1}],"v":1}"#,
        ),
        ("website", r#"{"v":1}"#),
        ("notification", r#"{"v":1}"#),
        (
            "logging",
            r#"{"v":1,"bucket":"b","prefix":"","format":"other"}"#,
        ),
        ("unheard-of", r#"{"v":1}"#),
    ] {
        let read = Settings::decode(&config(&[(name, text)]));
        assert!(read.is_err(), "{name} {text}");
    }
}

#[test]
fn what_is_too_large_to_be_read_again_is_not_written() {
    let with = |len: usize| {
        let mut rule = rule();
        rule.origins = vec!["\"".repeat(len)];
        Settings {
            cors: Some(Cors::new(vec![rule]).unwrap()),
            ..Settings::default()
        }
    };
    let fine = with(500_000).encode().unwrap();
    assert_eq!(Settings::decode(&fine).unwrap(), with(500_000));
    let error = with(600_000).encode().unwrap_err();
    assert!(matches!(error, GatewayError::TooLarge { .. }), "{error}");
}

type Change = fn(&mut LifecycleRule);

fn to(at: When, class: &str) -> Transition {
    let class = class.to_owned();
    Transition { at, class }
}

fn from_noncurrent(days: u32, keep: Option<u32>, class: &str) -> NoncurrentTransition {
    let class = class.to_owned();
    NoncurrentTransition { days, keep, class }
}

const FINE: [Change; 9] = [
    |rule| {
        rule.expiration = Some(Expiration::Days(9));
        rule.transitions = vec![to(When::Days(0), "A"), to(When::Days(8), "B")];
    },
    |rule| {
        rule.expiration = None;
        rule.transitions = vec![to(When::DateMs(0), "A")];
    },
    |rule| {
        rule.expiration = None;
        rule.noncurrent_transitions = vec![from_noncurrent(0, Some(100), "A")];
    },
    |_| {},
    |rule| rule.id = "x".repeat(255),
    |rule| rule.filter.prefix = Some("x".repeat(1024)),
    |rule| rule.filter.form = FilterForm::Prefix,
    |rule| rule.abort_days = Some(1),
    |rule| {
        rule.filter = LifecycleFilter::default();
        rule.filter.larger = Some(0);
    },
];

/// What is wrong, and how it is refused.
const BAD: [(Change, &str); 24] = [
    (
        |rule| rule.transitions = vec![to(When::Days(1), "A"), to(When::Days(2), "A")],
        "InvalidRequest",
    ),
    (
        |rule| {
            rule.expiration = None;
            rule.transitions = vec![to(When::Days(1), "A"), to(When::DateMs(0), "B")];
        },
        "InvalidRequest",
    ),
    (
        |rule| rule.transitions = vec![to(When::Days(0), "A")],
        "InvalidRequest",
    ),
    (
        |rule| {
            rule.expiration = Some(Expiration::Days(3));
            rule.transitions = vec![to(When::Days(3), "A")];
        },
        "InvalidArgument",
    ),
    (
        |rule| rule.noncurrent_transitions = vec![from_noncurrent(1, Some(101), "A")],
        "InvalidArgument",
    ),
    (
        |rule| {
            rule.noncurrent = Some(NoncurrentExpiration {
                days: 2,
                keep: None,
            });
            rule.noncurrent_transitions = vec![from_noncurrent(2, None, "A")];
        },
        "InvalidArgument",
    ),
    (|rule| rule.id = "x".repeat(256), "InvalidArgument"),
    (|rule| rule.expiration = None, "InvalidRequest"),
    (|rule| rule.filter.larger = Some(1), "MalformedDocument"),
    (
        |rule| rule.filter.form = FilterForm::And,
        "MalformedDocument",
    ),
    (
        |rule| {
            rule.filter.form = FilterForm::Prefix;
            rule.filter.prefix = None;
        },
        "MalformedDocument",
    ),
    (
        |rule| rule.filter.prefix = Some("x".repeat(1025)),
        "InvalidRequest",
    ),
    (
        |rule| {
            rule.filter.form = FilterForm::And;
            rule.filter.tags = vec![(String::new(), "v".to_owned())];
        },
        "InvalidRequest",
    ),
    (
        |rule| {
            rule.filter.form = FilterForm::And;
            rule.filter.tags = vec![("k".to_owned(), "v".repeat(257))];
        },
        "InvalidRequest",
    ),
    (
        |rule| {
            rule.filter.form = FilterForm::And;
            rule.filter.tags = vec![("k".to_owned(), "v".to_owned()); 2];
        },
        "InvalidRequest",
    ),
    (
        |rule| {
            rule.filter.form = FilterForm::And;
            rule.filter.tags = vec![("k".to_owned(), "v".to_owned())];
            rule.abort_days = Some(1);
        },
        "InvalidRequest",
    ),
    (
        |rule| {
            rule.filter.form = FilterForm::And;
            rule.filter.tags = vec![("k".to_owned(), "v".to_owned())];
            rule.expiration = Some(Expiration::Marker(true));
        },
        "InvalidRequest",
    ),
    (
        |rule| {
            rule.filter.form = FilterForm::And;
            rule.filter.larger = Some(1);
            rule.abort_days = Some(1);
        },
        "InvalidRequest",
    ),
    (
        |rule| {
            rule.filter = LifecycleFilter::default();
            rule.filter.smaller = Some(0);
        },
        "InvalidRequest",
    ),
    (
        |rule| {
            rule.filter.form = FilterForm::And;
            (rule.filter.larger, rule.filter.smaller) = (Some(5), Some(5));
        },
        "InvalidRequest",
    ),
    (|rule| keep(rule, 0), "InvalidArgument"),
    (|rule| keep(rule, 101), "InvalidArgument"),
    (
        |rule| {
            keep(rule, 1);
            rule.filter.form = FilterForm::Prefix;
        },
        "InvalidRequest",
    ),
    (
        |rule| {
            rule.filter = LifecycleFilter::default();
            rule.filter.tags = vec![("k".repeat(129), String::new())];
        },
        "InvalidRequest",
    ),
];

#[test]
fn rules_of_lifecycle_are_checked() {
    let with = |change: Change| {
        let mut rule = lifecycle().remove(2);
        change(&mut rule);
        Lifecycle::new(vec![rule])
    };
    for (at, change) in FINE.into_iter().enumerate() {
        assert!(with(change).is_ok(), "{at}");
    }
    for (at, (change, code)) in BAD.into_iter().enumerate() {
        let refused = format!("{:?}", with(change).unwrap_err());
        assert!(refused.starts_with(code), "{at}: {refused}");
    }
}

fn keep(rule: &mut LifecycleRule, keep: u32) {
    rule.noncurrent = Some(NoncurrentExpiration {
        days: 1,
        keep: Some(keep),
    });
}

#[test]
fn rules_of_lifecycle_have_names_of_their_own() {
    let nameless = |prefix: &str| LifecycleRule {
        id: String::new(),
        filter: LifecycleFilter {
            prefix: Some(prefix.to_owned()),
            ..LifecycleFilter::default()
        },
        ..lifecycle().remove(2)
    };
    let rules = vec![nameless("a"), nameless("b"), nameless("a")];
    let named = Lifecycle::new(rules.clone()).unwrap();
    let mut ids: Vec<&str> = named.rules().iter().map(|rule| rule.id.as_str()).collect();
    assert_eq!(Lifecycle::new(rules).unwrap(), named);
    ids.sort_unstable();
    ids.dedup();
    assert!(ids.len() == 3 && ids.iter().all(|id| !id.is_empty()));
    for count in [0, 1001] {
        assert!(
            Lifecycle::new(vec![nameless("a"); count]).is_err(),
            "{count}"
        );
    }
    assert!(Lifecycle::new(vec![nameless("a"); 1000]).is_ok());
    let mut twice = lifecycle();
    twice[1].id = "one".to_owned();
    assert!(Lifecycle::new(twice).is_err());
    let mut old_and_new = lifecycle();
    old_and_new[2].filter.form = FilterForm::Prefix;
    assert!(Lifecycle::new(old_and_new).is_err());
}

#[test]
fn days_are_positive_and_dates_are_midnights() {
    assert_eq!(positive_days("Days", "Expiration", 1).unwrap(), 1);
    assert_eq!(
        positive_days("Days", "Expiration", i32::MAX).unwrap(),
        2_147_483_647
    );
    assert!(positive_days("Days", "Expiration", 0).is_err());
    assert!(positive_days("Days", "Expiration", -1).is_err());
    assert_eq!(midnight(Some(86_400_000 * 3)).unwrap(), 86_400_000 * 3);
    assert!(midnight(Some(86_400_000 * 3 + 1000)).is_err());
    assert!(midnight(None).is_err());
}

#[test]
fn inventories_are_kept_in_order_and_what_is_wrong_is_refused() {
    let mut all = inventories();
    let one = all.get("one").unwrap().clone();
    for id in ["zero", "a", "one"] {
        let id = id.to_owned();
        all.put(Inventory { id, ..one.clone() }).unwrap();
    }
    let ids = |after| -> Vec<_> { all.after(after).iter().map(|i| i.id.clone()).collect() };
    assert_eq!(ids(None), ["a", "one", "zero"]);
    assert_eq!(ids(Some("a")), ["one", "zero"]);
    assert_eq!(ids(Some("b")), ["one", "zero"]);
    assert!(all.remove("one") && !all.remove("one"));
    let refused = |edit: fn(&mut Inventory)| {
        let mut inventory = one.clone();
        edit(&mut inventory);
        inventory.checked().is_err()
    };
    assert!(one.clone().checked().is_ok());
    assert!(refused(|i| i.id = String::new()));
    assert!(refused(|i| i.id = "a/b".to_owned()));
    assert!(refused(|i| i.id = "i".repeat(65)));
    assert!(refused(|i| i.prefix = Some("p".repeat(513))));
    assert!(refused(|i| i.fields.push(InventoryField::Size)));
}

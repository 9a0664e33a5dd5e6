//! The lasting form of every setting.
//!
//! Owns: one of each, as it is stored.
//! Leaves to others: reading and writing them.
//! Always: what was once stored is read; a form is never edited once it was released.

/// As written by version 1; never edited.
pub(super) const GOLDEN: [(&str, &str); 14] = [
    (
        "cors",
        concat!(
            r#"{"rules":[{"expose":["ETag"],"headers":["*"],"id":"one","max_age_s":3000,"#,
            r#""methods":["GET","PUT"],"origins":["https://*.example"]}],"v":1}"#,
        ),
    ),
    ("tagging", r#"{"tags":[["k","v"],["empty",""]],"v":1}"#),
    ("requestPayment", r#"{"payer":"Requester","v":1}"#),
    ("versioning", r#"{"status":"Enabled","v":1}"#),
    (
        "objectLock",
        r#"{"default":{"mode":"GOVERNANCE","period":{"days":30}},"v":1}"#,
    ),
    (
        "policy",
        concat!(
            r#"{"bucket":"photos","document":"{\"Version\": \"2012-10-17\", \"Statement\": {"#,
            r#"\"Effect\": \"Allow\", \"Principal\": \"*\", \"Action\": \"s3:GetObject\", "#,
            r#"\"Resource\": \"arn:aws:s3:::photos/*\"}}","v":1}"#,
        ),
    ),
    (
        "ownershipControls",
        r#"{"rule":"BucketOwnerPreferred","v":1}"#,
    ),
    (
        "publicAccessBlock",
        concat!(
            r#"{"block_public_acls":true,"block_public_policy":true,"#,
            r#""ignore_public_acls":true,"restrict_public_buckets":true,"v":1}"#,
        ),
    ),
    (
        "acl",
        concat!(
            r#"{"grants":[{"permission":"READ_ACP","to":{"group":"all-users"}},"#,
            r#"{"permission":"FULL_CONTROL","to":{"account":"me"}}],"owner":"me","v":1}"#,
        ),
    ),
    (
        "lifecycle",
        concat!(
            r#"{"rules":[{"enabled":true,"expiration":{"days":30},"filter":{"form":"and","#,
            r#""larger":1024,"prefix":"logs/","smaller":2048,"tags":[["k","v"]]},"id":"one","#,
            r#""noncurrent":{"days":7,"keep":3}},{"abort_days":2,"enabled":false,"#,
            r#""expiration":{"marker":true},"filter":{"form":"filter"},"id":"two","#,
            r#""noncurrent_transitions":[{"class":"COLD","days":3,"keep":2}],"#,
            r#""transitions":[{"at":{"days":1},"class":"COLD"}]},"#,
            r#"{"enabled":true,"expiration":{"date_ms":86400000},"filter":{"form":"filter","#,
            r#""prefix":"x"},"id":"three"}],"v":1,"varies":true}"#,
        ),
    ),
    (
        "website",
        concat!(
            r#"{"pages":{"error":"error.html","index":"index.html","rules":[{"error":404,"#,
            r#""prefix":"old/","to":{"host":"a.test","key":{"prefix":"new/"},"#,
            r#""protocol":"https","status":302}}]},"v":1}"#,
        ),
    ),
    (
        "notification",
        concat!(
            r#"{"tell":[{"arn":"arn:holdfast:notify:eu-test-1::hook","#,
            r#""events":["s3:ObjectCreated:*"],"id":"one","kind":"queue","prefix":"a/","#,
            r#""suffix":".jpg","target":"hook"}],"v":1}"#,
        ),
    ),
    (
        "logging",
        r#"{"bucket":"logs","format":{"partitioned":"EventTime"},"prefix":"p/","v":1}"#,
    ),
    (
        "inventory",
        concat!(
            r#"{"all":[{"account":null,"bucket":"lists","enabled":true,"fields":["Size","ETag"],"#,
            r#""filter":"p/","format":"CSV","frequency":"Weekly","id":"one","prefix":"of","#,
            r#""versions":"All"}],"v":1}"#,
        ),
    ),
];

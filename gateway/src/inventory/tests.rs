//! Facts about schedules, names and the two forms of lists.

use std::io::Read;

use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::record::{Field, RowAccessor};
use bytes::Bytes;

use super::*;
use crate::settings::{Frequency, IncludedVersions, Inventory, InventoryField};

/// 2026-11-22, a Sunday, 07:15.
const SUNDAY: u64 = 1_795_331_700_000;
const HOUR: u64 = 60 * 60 * 1000;

fn inventory(format: InventoryFormat, versions: IncludedVersions) -> Inventory {
    Inventory {
        id: "all".to_owned(),
        enabled: true,
        bucket: "lists".to_owned(),
        account: None,
        prefix: Some("of".to_owned()),
        format,
        versions,
        filter: None,
        frequency: Frequency::Daily,
        // In another order than that of lists.
        fields: vec![
            InventoryField::ETag,
            InventoryField::Size,
            InventoryField::LastModifiedDate,
            InventoryField::IsMultipartUploaded,
        ],
    }
}

fn row(key: &str) -> Vec<Value> {
    vec![
        Value::Text("photos".to_owned()),
        Value::Key(key.to_owned()),
        Value::Nothing,
        Value::Flag(true),
        Value::Flag(false),
        Value::Number(7),
        Value::Time(SUNDAY),
        Value::Text("d41d8".to_owned()),
        Value::Flag(false),
    ]
}

#[test]
fn a_list_is_due_once_a_day_or_from_sunday_to_sunday() {
    let day = schedule::since(Frequency::Daily, SUNDAY);
    assert_eq!(day, SUNDAY - 7 * HOUR - HOUR / 4);
    assert_eq!(schedule::since(Frequency::Daily, day), day);
    assert_eq!(schedule::since(Frequency::Daily, day - 1), day - 24 * HOUR);
    for hours in [0, 1, 24, 7 * 24 - 8] {
        let now = SUNDAY + hours * HOUR;
        assert_eq!(schedule::since(Frequency::Weekly, now), day, "{hours}");
    }
    let next = schedule::since(Frequency::Weekly, day + 7 * 24 * HOUR);
    assert_eq!(next, day + 7 * 24 * HOUR);
    assert_eq!(
        schedule::since(Frequency::Weekly, day - 1),
        day - 7 * 24 * HOUR
    );
    assert_eq!(schedule::since(Frequency::Weekly, HOUR), 0);
}

#[test]
fn names_are_those_of_s3_and_one_file_has_one_name() {
    let csv = inventory(InventoryFormat::Csv, IncludedVersions::All);
    let names = Names::new("photos", &csv);
    assert_eq!(
        names.manifest(SUNDAY),
        "of/photos/all/2026-11-22T07-15Z/manifest.json"
    );
    assert!(names.is_checksum("of/photos/all/2026-11-22T07-15Z/manifest.checksum"));
    assert!(!names.is_checksum("of/photos/all/2026-11-22T07-15Z/manifest.json"));
    assert!(!names.is_checksum("of/photos/all/data/manifest.checksum/x"));
    assert_eq!(
        names.symlink(SUNDAY),
        "of/photos/all/hive/dt=2026-11-22-07-15/symlink.txt"
    );
    let file = names.file(SUNDAY, 0);
    assert!(file.starts_with("of/photos/all/data/") && file.ends_with(".csv.gz"));
    assert_eq!(file, names.file(SUNDAY, 0));
    assert_ne!(file, names.file(SUNDAY, 1));
    assert_ne!(file, names.file(SUNDAY + 1, 0));
    // What comes by time sorts before all else.
    assert!(names.manifest(SUNDAY) < file);
}

#[test]
fn a_row_of_csv_is_one_line_whatever_is_in_its_key() {
    let keys = ["a b", "ü/\"x\",\n", "plain-1_2.3*/", "100%+"];
    let mut csv = csv::Csv::new();
    for key in keys {
        csv.add(&row(key)).unwrap();
    }
    let mut text = String::new();
    let bytes = csv.finish().unwrap();
    let mut reader = flate2::read::GzDecoder::new(bytes.as_slice());
    reader.read_to_string(&mut text).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let rest = "\"\",\"true\",\"false\",\"7\",\"2026-11-22T07:15:00.000Z\",\"d41d8\",\"false\"";
    let expected = ["a+b", "%C3%BC/%22x%22%2C%0A", "plain-1_2.3*/", "100%25%2B"];
    let expected = expected.map(|key| format!("\"photos\",\"{key}\",{rest}"));
    assert_eq!(lines, expected);
}

#[test]
fn parquet_has_the_values_and_the_gaps_that_were_added() {
    let of = inventory(InventoryFormat::Parquet, IncludedVersions::All);
    let columns = columns(&of);
    let mut file = Builder::new(of.format, &columns);
    assert!(file.is_empty());
    for key in ["a b", "ü"] {
        file.add(row(key)).unwrap();
    }
    let bytes = Bytes::from(file.finish().unwrap());
    let reader = SerializedFileReader::new(bytes).unwrap();
    let names: Vec<_> = reader
        .metadata()
        .file_metadata()
        .schema()
        .get_fields()
        .to_vec();
    let names: Vec<_> = names.iter().map(|field| field.name().to_owned()).collect();
    let expected: Vec<_> = columns.iter().map(|column| column.snake_name()).collect();
    assert_eq!(names, expected);
    let rows = reader.get_row_iter(None).unwrap();
    let rows: Vec<_> = rows.map(Result::unwrap).collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].get_string(1).unwrap(), "a b");
    assert_eq!(rows[1].get_string(1).unwrap(), "ü");
    let (_, version) = rows[0].get_column_iter().nth(2).unwrap();
    assert_eq!(*version, Field::Null);
    assert!(rows[0].get_bool(3).unwrap());
    assert_eq!(rows[0].get_long(5).unwrap(), 7);
    assert_eq!(
        rows[0].get_timestamp_millis(6).unwrap(),
        i64::try_from(SUNDAY).unwrap()
    );
}

#[test]
fn the_manifest_says_what_s3_says() {
    let of = inventory(InventoryFormat::Csv, IncludedVersions::Current);
    let file = File::new("of/photos/all/data/x.csv.gz".to_owned(), b"");
    let text = manifest("photos", &of, SUNDAY, std::slice::from_ref(&file));
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["sourceBucket"], "photos");
    assert_eq!(document["destinationBucket"], "arn:aws:s3:::lists");
    assert_eq!(document["version"], "2016-11-30");
    assert_eq!(document["creationTimestamp"], SUNDAY.to_string());
    assert_eq!(document["fileFormat"], "CSV");
    assert_eq!(
        document["fileSchema"],
        "Bucket, Key, Size, LastModifiedDate, ETag, IsMultipartUploaded"
    );
    assert_eq!(document["files"][0]["key"], file.key);
    assert_eq!(document["files"][0]["size"], 0);
    assert_eq!(
        document["files"][0]["MD5checksum"],
        "d41d8cd98f00b204e9800998ecf8427e"
    );
    assert_eq!(
        manifest::symlink(&of, &[file]),
        "s3://lists/of/photos/all/data/x.csv.gz\n"
    );
}

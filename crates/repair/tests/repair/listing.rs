//! Inventories of real buckets: the report is there when it is due, complete, and named by its
//! manifests; whatever stops a report, another try makes the same one.

use futures::StreamExt;
use inventory::{Configuration, Destination, Field, Format, Frequency, Report, Versions};
use metastore::api::{index::ListEntry, root::ConfigKind};
use objects::Objects;
use repair::{InventoryWorker, Settings, Step, Worker};
use types::{BucketSettings, UnixMillis};

use crate::{
    drain,
    support::{BUCKET, TestCluster, content, delete, enable_versioning, put},
};

const DAY_MS: u64 = 100_000;
const REPORTS: &str = "reports";

fn worker(objects: &Objects) -> InventoryWorker {
    let settings = Settings { lifecycle_day_ms: DAY_MS, ..Settings::default() };
    InventoryWorker::new(objects.clone(), &settings)
}

fn configuration(id: &str, format: Format) -> Configuration {
    Configuration {
        id: id.into(),
        enabled: true,
        versions: Versions::Current,
        prefix: None,
        frequency: Frequency::Daily,
        fields: vec![Field::Size],
        destination: Destination {
            bucket: REPORTS.into(),
            account: None,
            prefix: Some("inv".into()),
            format,
        },
        owner: "0wner".into(),
        made: UnixMillis(0),
    }
}

async fn set(objects: &Objects, configuration: &Configuration) {
    let (id, value) = (&configuration.id, Some(configuration.encode().into()));
    objects
        .set_named_bucket_config(BUCKET, ConfigKind::Inventory, id, value)
        .await
        .expect("the bucket is there");
}

/// A cluster whose pass of the first day is over.
async fn six() -> (std::sync::Arc<TestCluster>, Objects) {
    let (cluster, objects) = TestCluster::six().await;
    objects.create_bucket(REPORTS, BucketSettings::default()).await.expect("free");
    drain(&mut worker(&objects)).await;
    (cluster, objects)
}

async fn keys(objects: &Objects, bucket: &str, prefix: &str) -> Vec<String> {
    let page = objects.list(bucket, prefix, None, None, 1000).await.expect("a page");
    page.entries
        .into_iter()
        .filter_map(|entry| match entry {
            ListEntry::Object(object) => Some(object.key),
            ListEntry::CommonPrefix(_) => None,
        })
        .collect()
}

async fn get(objects: &Objects, key: &str) -> Vec<u8> {
    let head = objects.head(REPORTS, key, None).await.expect("there");
    let mut reader = objects.read(REPORTS, key, head, None).await.expect("there");
    let mut bytes = Vec::new();
    while let Some(frame) = reader.stream.next().await {
        bytes.extend_from_slice(&frame.expect("its bytes"));
    }
    bytes
}

/// The lines of all data files of the configuration's reports, by their manifests.
async fn reports(objects: &Objects, id: &str) -> Vec<Vec<String>> {
    let mut reports = Vec::new();
    for key in keys(objects, REPORTS, &format!("inv/{BUCKET}/{id}/")).await {
        if !key.ends_with("/manifest.json") {
            continue;
        }
        let manifest = get(objects, &key).await;
        let checksum = get(objects, &key.replace("manifest.json", "manifest.checksum")).await;
        assert_eq!(checksum, Report::checksum(&manifest));
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("JSON");
        let mut lines = Vec::new();
        for file in manifest["files"].as_array().expect("a list") {
            let bytes = get(objects, file["key"].as_str().expect("a key")).await;
            assert_eq!(file["size"], bytes.len());
            lines.extend(unzip(&bytes).lines().map(str::to_owned));
        }
        reports.push(lines);
    }
    reports
}

fn unzip(bytes: &[u8]) -> String {
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(bytes), &mut text)
        .expect("gzip of UTF-8");
    text
}

#[tokio::test]
async fn a_report_a_day_with_what_the_filter_lets_through() {
    let (cluster, objects) = six().await;
    for (key, bytes) in [("a/1", 5), ("a/2 ä", 6000), ("b", 7)] {
        put(&objects, key, &content(1, bytes)).await.expect("up");
    }
    set(&objects, &configuration("all", Format::Csv)).await;
    let filtered =
        Configuration { prefix: Some("a/".into()), ..configuration("filtered", Format::Csv) };
    set(&objects, &filtered).await;
    set(&objects, &Configuration { enabled: false, ..configuration("off", Format::Csv) }).await;
    set(&objects, &configuration("parquet", Format::Parquet)).await;
    let mut worker = worker(&objects);
    drain(&mut worker).await;
    assert_eq!(keys(&objects, REPORTS, "").await, [""; 0], "nothing before the next day");
    cluster.clock.advance(DAY_MS);
    drain(&mut worker).await;
    let line = |key: &str, size: u32| format!("\"{BUCKET}\",\"{key}\",\"{size}\"");
    let of_a = vec![line("a/1", 5), line("a/2%20%C3%A4", 6000)];
    let of_all = [of_a.clone(), vec![line("b", 7)]].concat();
    assert_eq!(reports(&objects, "all").await, [of_all]);
    assert_eq!(reports(&objects, "filtered").await, [of_a]);
    assert_eq!(reports(&objects, "off").await, [[""; 0]; 0]);
    let parquet = keys(&objects, REPORTS, &format!("inv/{BUCKET}/parquet/data/")).await;
    assert_eq!(parquet.len(), 1);
    assert!(get(&objects, &parquet[0]).await.starts_with(b"PAR1"));
    assert_eq!(worker.work().await.expect("a step"), Step::Idle, "once a day");
    cluster.clock.advance(DAY_MS);
    drain(&mut worker).await;
    assert_eq!(reports(&objects, "all").await.len(), 2);
    assert!(worker.status().1.contains("6 reports delivered, 0 given up"), "{}", worker.status().1);
}

#[tokio::test]
async fn versions_and_markers() {
    let (cluster, objects) = six().await;
    put(&objects, "k", &content(1, 5)).await.expect("up");
    enable_versioning(&objects).await;
    put(&objects, "k", &content(1, 6)).await.expect("up");
    delete(&objects, "k").await.expect("up");
    let all = Configuration { versions: Versions::All, ..configuration("all", Format::Csv) };
    set(&objects, &all).await;
    cluster.clock.advance(DAY_MS);
    drain(&mut worker(&objects)).await;
    let reports = reports(&objects, "all").await;
    let lines: Vec<Vec<&str>> = reports[0]
        .iter()
        .map(|line| line.split(',').map(|it| it.trim_matches('"')).collect())
        .collect();
    assert_eq!(lines.len(), 3);
    for (line, expected) in
        lines.iter().zip([["true", "true", ""], ["false", "false", "6"], ["false", "false", "5"]])
    {
        assert_eq!(&line[3..], expected, "{line:?}");
    }
    assert!(lines[0][2].len() == 32 && lines[1][2].len() == 32, "{lines:?}");
    assert_eq!(lines[2][2], "", "the null version");
}

/// In the pass, in a page, and when a data file has been announced that is not there yet.
#[tokio::test]
async fn a_report_that_is_cut_off_is_begun_again() {
    let (cluster, objects) = six().await;
    for number in 0..2500 {
        put(&objects, &format!("{number:04}"), &content(1, 1)).await.expect("up");
    }
    set(&objects, &configuration("all", Format::Csv)).await;
    cluster.clock.advance(DAY_MS);
    for steps in [1, 2, 2, 3] {
        let mut worker = worker(&objects);
        for _ in 0..steps {
            assert_eq!(worker.work().await.expect("a step"), Step::More);
            cluster.clock.advance(1);
        }
    }
    drain(&mut worker(&objects)).await;
    let reports = reports(&objects, "all").await;
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].len(), 2500);
    let data = keys(&objects, REPORTS, &format!("inv/{BUCKET}/all/data/")).await;
    assert_eq!(data.len(), 1, "one report, one file: {data:?}");
}

#[tokio::test]
async fn a_destination_that_is_gone_is_reported_and_the_others_go_on() {
    let (cluster, objects) = six().await;
    put(&objects, "k", &content(1, 5)).await.expect("up");
    let mut lost = configuration("a-lost", Format::Csv);
    lost.destination.bucket = "gone".into();
    set(&objects, &lost).await;
    set(&objects, &configuration("b", Format::Csv)).await;
    cluster.clock.advance(DAY_MS);
    let mut worker = worker(&objects);
    let mut failures = Vec::new();
    loop {
        match worker.work().await {
            Ok(Step::More) => {}
            Ok(Step::Idle) => break,
            Err(error) => failures.push(error.to_string()),
        }
        assert!(failures.len() < 10, "{failures:?}");
    }
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert!(failures[0].contains("a-lost") && failures[0].contains("gone"), "{failures:?}");
    assert_eq!(reports(&objects, "b").await.len(), 1);
    assert!(worker.status().1.contains("1 reports delivered, 1 given up"), "{}", worker.status().1);
}

#[tokio::test]
async fn on_demand_also_what_is_disabled() {
    let (cluster, objects) = six().await;
    put(&objects, "k", &content(1, 5)).await.expect("up");
    set(&objects, &Configuration { enabled: false, ..configuration("off", Format::Csv) }).await;
    let mut worker = worker(&objects);
    drain(&mut worker).await;
    let ask = |bucket: &'static str, id: &'static str| {
        let (metadata, at) =
            (objects.metadata().clone(), types::UnixMillis(objects.clock().now_ms()));
        async move { repair::inventory::request(&*metadata, bucket, id, at).await }
    };
    for (bucket, id) in [(BUCKET, "other"), ("nothing", "off"), (BUCKET, "no/id")] {
        let refused = ask(bucket, id).await.expect_err("refused");
        assert!(matches!(refused, repair::Error::Inventory { .. }), "{refused}");
    }
    ask(BUCKET, "off").await.expect("up");
    ask(BUCKET, "off").await.expect("up");
    drain(&mut worker).await;
    assert_eq!(reports(&objects, "off").await.len(), 1, "asked for twice, wanted once");
    cluster.clock.advance(60_000);
    ask(BUCKET, "off").await.expect("up");
    drain(&mut worker).await;
    assert_eq!(reports(&objects, "off").await.len(), 2);
    objects.set_named_bucket_config(BUCKET, ConfigKind::Inventory, "off", None).await.expect("up");
    ask(BUCKET, "off").await.expect_err("it is gone");
}

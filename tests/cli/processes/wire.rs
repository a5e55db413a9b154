//! A flipped bit anywhere on a link never makes a wrong record: the link ends with a reason, and the
//! next one brings both into step.

use std::net::SocketAddr;

use serde_json::{Value as Json, json};

use super::proxy::{Fault, Plan, Proxy, Way};
use crate::command::{Folder, Running, over};

/// Bytes of a link that are harmed in turn, each in a link of its own, both ways.
const FIRST: u64 = 0;
const LAST: u64 = 1_000;

/// Every so manyth byte. It shares no factor with the bits of a byte, so that all get their turn.
const STEP: u64 = 31;

#[test]
fn a_flipped_bit_never_makes_a_wrong_record() {
    let folder = Folder::new();
    let store = folder.file("hub.redb");
    let (_hub, url) = Running::hub(&store);
    let address: SocketAddr = url.trim_start_matches("ws://").parse().expect("an address");
    let proxy = Proxy::new(address, Plan::Calm);
    let (writer, reader) = (folder.file("writer.redb"), folder.file("reader.redb"));
    let mut written = Vec::new();
    let mut ended_well = 0;
    for (number, at) in (FIRST..LAST)
        .step_by(usize::try_from(STEP).expect("small"))
        .enumerate()
    {
        let record = json!({"n": number, "text": "abcdefgh".repeat(40)});
        let name = format!("r{number}");
        over(&writer, &["put", "notes", &name, &record.to_string()]).json();
        written.push(record);
        let mask = 1 << (number % 8);
        // What is written goes up from one store, and down to the other.
        for (store, way) in [(&writer, Way::Up), (&reader, Way::Down)] {
            proxy.turn(Plan::First(Fault::Corrupt { way, at, mask }));
            let ran = over(store, &["sync", proxy.url(), "--timeout", "1"]);
            assert!([0, 5, 6].contains(&ran.code), "byte {at}, {way:?}: {ran:?}");
            assert!(
                !ran.stderr.contains("panicked"),
                "byte {at}, {way:?}: {ran:?}"
            );
            assert_all_true(&over(store, &["export", "notes"]).json(), &written);
            // Most are in step by the next link, within the second. Where a length was harmed, the
            // other side waits for the rest.
            ended_well += u64::from(ran.code == 0);
        }
        proxy.turn(Plan::Calm);
        let digests = [&writer, &reader].map(|store| {
            let ran = over(store, &["sync", proxy.url(), "--timeout", "60"]);
            assert_eq!(ran.code, 0, "byte {at}: {ran:?}");
            ran.json()["digest"].clone()
        });
        assert_eq!(digests[0], digests[1], "after byte {at} was harmed");
    }
    let held = over(&reader, &["export", "notes"]).json();
    assert_eq!(held["count"], written.len());
    let harmed = proxy.counts()["corrupt"];
    assert!(harmed > 20 && ended_well > harmed, "{harmed}, {ended_well}");
}

/// Each record that is shown is one that was written, unharmed.
fn assert_all_true(exported: &Json, written: &[Json]) {
    for record in exported["records"].as_array().expect("a list") {
        let number = record["n"].as_u64().and_then(|it| usize::try_from(it).ok());
        let truth = &written[number.expect("a number")];
        assert_eq!(record["text"], truth["text"], "a harmed record is shown");
    }
}

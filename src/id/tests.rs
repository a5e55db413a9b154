use super::{CollectionId, RecordId, SpaceId};
use crate::entropy::Entropy;
use crate::time::WallTime;
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_record_id_reads_back_as_shown(bytes: [u8; 16]) {
        let id = RecordId::from_bytes(bytes);
        prop_assert_eq!(id.to_string().parse(), Ok(id));
        prop_assert_eq!(format!("automerge:{id}").parse(), Ok(id));
    }

    #[test]
    fn a_mistyped_record_id_is_refused(bytes: [u8; 16], at: prop::sample::Index) {
        let mut text = RecordId::from_bytes(bytes).to_string().into_bytes();
        let at = at.index(text.len());
        text[at] = if text[at] == b'2' { b'3' } else { b'2' };
        let text = String::from_utf8(text).unwrap();
        prop_assert!(text.parse::<RecordId>().is_err());
    }

    #[test]
    fn no_text_makes_the_parsers_panic(text: String) {
        drop((text.parse::<RecordId>(), text.parse::<SpaceId>(), text.parse::<CollectionId>()));
    }
}

#[test]
fn a_record_id_is_the_document_id_of_automerge_repo() {
    // Base58Check of these sixteen bytes, worked out by another program.
    let bytes = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    let id = RecordId::from_bytes(bytes);
    assert_eq!(id.to_string(), "1Bhh3pU9gLXZiNDL6PEa1Gs9fh");
}

#[test]
fn record_ids_sort_by_the_time_of_creation() {
    let mut entropy = Entropy::from_number(1);
    let early = RecordId::new(WallTime::from_millis(1_000), &mut entropy);
    let late = RecordId::new(WallTime::from_millis(1_001), &mut entropy);
    assert!(early < late);
}

#[test]
fn collection_names_are_plain() {
    for good in ["tasks", "a", "time-zones.v2_x"] {
        assert!(good.parse::<CollectionId>().is_ok(), "{good}");
    }
    for bad in ["", "Tasks", "1st", "a b", "ü", &"x".repeat(65)] {
        assert!(bad.parse::<CollectionId>().is_err(), "{bad}");
    }
}

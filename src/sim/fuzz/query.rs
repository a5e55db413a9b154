//! Queries from anyone, over records from anyone.

use std::str::FromStr;

use serde_json::Value as Json;

use crate::doc::Value;
use crate::error::ErrorKind;
use crate::id::RecordId;
use crate::query::{Cursor, Query, Selection};

/// Records of one input.
const RECORDS_MAX: usize = 16;

/// A query on the first line, and records as JSON on the others.
///
/// # Panics
/// Where a query that was read does not come back from its text; where it is refused with an error of
/// an unexpected kind; where pages of one record, each behind the cursor of the one before, are not
/// the whole result; and where a record is found that does not match.
pub fn query(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let first = lines.next().map(String::from_utf8_lossy);
    let text = first.unwrap_or_default();
    let query = match Query::from_str(&text) {
        Ok(query) => query,
        Err(error) => {
            assert!(
                matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::TooLarge),
                "what is no query is wrong input: {error:?}"
            );
            return;
        }
    };
    let shown = query.to_string();
    let again = Query::from_str(&shown).expect("what is shown is a query");
    assert_eq!(again, query, "and the same one");
    let parsed = lines.filter_map(|it| serde_json::from_slice::<Json>(it).ok());
    let values = parsed.filter_map(|it| Value::from_json(&it).ok());
    let records: Vec<_> = (0..).zip(values.take(RECORDS_MAX)).collect();
    pages_are_the_whole(query, &records);
}

fn pages_are_the_whole(query: Query, records: &[(u8, Value)]) {
    let all = query.clone().limit(u64::MAX);
    let (whole, is_more) = select(all, records);
    assert!(!is_more, "all are found");
    let mut page_query = query.limit(1);
    let mut joined = Vec::new();
    loop {
        let (page, is_more) = select(page_query.clone(), records);
        joined.extend(page.iter().map(|it| it.record));
        let Some(last) = page.last().filter(|_| is_more) else {
            break;
        };
        assert!(page_query.matches(&last.value), "what is found matches");
        let cursor = page_query.cursor(&last.position);
        let shown = Cursor::from_str(&cursor.to_string()).expect("a cursor is shown right");
        page_query = page_query.after(shown);
        page_query.check().expect("the cursor is of this order");
    }
    let whole: Vec<_> = whole.iter().map(|it| it.record).collect();
    assert_eq!(joined, whole, "pages joined are the whole");
}

fn select(query: Query, records: &[(u8, Value)]) -> (Vec<crate::query::Selected>, bool) {
    let mut selection = Selection::new(query);
    for (number, value) in records {
        selection.offer(RecordId::from_bytes([*number; 16]), value.clone());
    }
    selection.finish()
}

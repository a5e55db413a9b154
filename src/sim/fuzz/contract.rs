//! Contracts from anyone, and records from anyone under them.

use serde_json::Value as Json;

use crate::contract::{Contract, Rules, changelog, compare};
use crate::doc::Value;
use crate::error::ErrorKind;

/// A contract, or a JSON Schema, on the first line; another contract on the second; records as JSON on the
/// others.
///
/// # Panics
/// Where a contract that was read is not what its JSON, or its JSON Schema, reads back to; where something is refused with an error of an unexpected kind; where a version differs from itself; where
/// a record that keeps the contract breaks it with its JSON read as the contract says; and where what is made
/// of a record by that is not the same made once more, or breaks the contract once defaults are filled in.
pub fn contract(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let Some(one) = lines.next().and_then(read) else {
        return;
    };
    let json = one.to_json();
    let again = Contract::from_json(&json).expect("what is written is a contract");
    assert_eq!(again, one, "and the same one");
    assert_eq!(again.digest(), one.digest());
    let version = one.version();
    let schema = one.json_schema();
    let collection = one.collection().as_str();
    let back = Contract::from_json_schema(collection, version, &schema);
    let (back, left_out) = back.expect("its schema is read");
    assert_eq!(
        (back, left_out),
        (one.clone(), Vec::new()),
        "and says as much"
    );
    let same = compare(&one, &one);
    assert!(same.list.is_empty(), "nothing differs from itself");
    if let Some(two) = lines.next().and_then(read) {
        // Whatever is found: it can be shown.
        let found = compare(&one, &two);
        drop((found.check(), changelog(&one, &two)));
    }
    for line in lines {
        let parsed = serde_json::from_slice::<Json>(line).ok();
        if let Some(value) = parsed.and_then(|it| Value::from_json(&it).ok()) {
            record(&one, &value);
        }
    }
}

fn read(line: &[u8]) -> Option<Contract> {
    let text = String::from_utf8_lossy(line);
    let error = match text.parse::<Contract>() {
        Ok(contract) => return Some(contract),
        Err(error) => error,
    };
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
    let schema = serde_json::from_slice::<Json>(line).ok()?;
    match Contract::from_json_schema("imported", 1, &schema) {
        Ok((contract, _)) => Some(contract),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
            None
        }
    }
}

fn record(contract: &Contract, value: &Value) {
    let rules = Rules::default();
    for breach in contract.check(value, &rules) {
        assert!(!breach.to_string().is_empty(), "a breach is named");
    }
    let mut coerced = value.clone();
    contract.coerce(&mut coerced);
    if contract.check(value, &rules).is_empty() {
        let after = contract.check(&coerced, &rules);
        assert!(
            after.is_empty(),
            "kept as it was, broken as read: {after:?}"
        );
    }
    let mut twice = coerced.clone();
    contract.coerce(&mut twice);
    assert_eq!(
        twice, coerced,
        "what has the kinds of the contract keeps them"
    );
    let mut full = coerced.clone();
    contract.defaults(&mut full);
    // A rule across fields may not hold for the default of one of them.
    if contract.rules().is_empty() && contract.check(&coerced, &rules).is_empty() {
        let after = contract.check(&full, &rules);
        assert!(after.is_empty(), "defaults break nothing: {after:?}");
    }
}

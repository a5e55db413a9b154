use std::collections::BTreeMap;

use super::Value;

#[test]
fn placeholder_is_replaced() {
    assert_ne!(Value::Null, Value::Map(BTreeMap::new()));
}

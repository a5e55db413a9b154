//! What is written.

use serde_json::{Value as Json, json};

/// The small record: 8 fields, about 300 bytes.
pub(crate) fn small(number: usize) -> Json {
    json!({
        "id": number,
        "kind": "task",
        "title": format!("Water the plants in the house number {number}"),
        "notes": "Twice a week in summer, once in winter; the fern by the window wants more, the \
                  cactus hardly any, and nobody knows what the one in the hall is.",
        "assignee": "anna",
        "done": false,
        "priority": 3,
        "created_at": 1_700_000_000_000_u64,
    })
}

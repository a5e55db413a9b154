//! Tasks, and what goes for them on all devices.

use autosurgeon::Reconcile;
use serde::{Deserialize, Serialize};
use syncline::Result;
use syncline::conflict::Policy;
use syncline::contract::{Contract, Field};
use syncline::query::{Filter, Query, field};
use syncline::record::Text;

/// The collection that tasks are in.
pub const TASKS: &str = "tasks";

/// The columns of the board, by the names that tasks have for them.
pub const COLUMNS: [&str; 3] = ["open", "doing", "done"];

/// Longest title, in characters.
pub const TITLE_MAX: usize = 200;

/// Most tasks that a column shows.
const SHOWN_MAX: u64 = 500;

/// One task.
#[derive(Clone, Debug, Default, PartialEq, Reconcile, Serialize, Deserialize)]
pub struct Task {
    /// What is to be done. Two who correct it at the same time both have their way.
    pub title: Text,
    /// One of [`COLUMNS`].
    pub column: String,
    /// Where it stands in its column: between its neighbours' numbers.
    pub place: f64,
    /// Who does it.
    pub assignee: Option<String>,
}

/// What goes for tasks: every device checks and shows them by it.
///
/// # Errors
/// None, as long as the parts fit together.
pub fn contract() -> Result<Contract> {
    Contract::builder(TASKS, 1)
        .describe("What there is to do.")
        .field("title", Field::text().required().length(1..=200))
        .field(
            "column",
            Field::string()
                .required()
                .one_of(COLUMNS)
                .policy(Policy::LastWriter),
        )
        .field(
            "place",
            Field::number().required().policy(Policy::LastWriter),
        )
        .field(
            "assignee",
            Field::string().length(1..=40).policy(Policy::LastWriter),
        )
        .build()
}

/// The tasks of a column in their order, of which the title has `words` in it.
pub fn query(column: &str, words: &str) -> Query {
    let mut filter: Filter = field("column").eq(column);
    if !words.is_empty() {
        filter = filter.and(field("title").contains(words));
    }
    Query::filter(filter)
        .order_by(field("place"))
        .limit(SHOWN_MAX)
}

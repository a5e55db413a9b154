//! Contracts: what the records of a collection hold, by version.
//!
//! A [`Contract`] is declared by a program, travels as JSON, and says of each field its kind, its rules,
//! how conflicts in it are shown and whether it is secret; and of the collection its rules across fields,
//! its indexes, and which older versions may still read and write. It decides nothing by itself: it
//! checks a value ([`Contract::check`]), fills in defaults, and compares with its older versions.
//!
//! ```
//! use syncline::conflict::Policy;
//! use syncline::contract::{Comparison, Contract, Field, Rule, Rules};
//! use syncline::doc::Value;
//!
//! let contract = Contract::builder("tasks", 2)
//!     .field("title", Field::string().required().length(1..=200))
//!     .field("priority", Field::integer().range(0..=5).default(0).policy(Policy::Max))
//!     .field("status", Field::string().one_of(["open", "done"]))
//!     .field("email", Field::string().pattern("^[^@]+@[^@]+$").sensitive())
//!     .field("address.city", Field::string())
//!     .field("labels", Field::set())
//!     .field("steps", Field::list(Field::map().field("text", Field::text().required())))
//!     .field("start", Field::timestamp())
//!     .field("end", Field::timestamp())
//!     .rule(Rule::order("start", Comparison::AtMost, "end"))
//!     .index("by-priority", ["priority", "start"])
//!     .build()?;
//!
//! let task = serde_json::json!({"title": "Water the plants", "priority": 7, "later": "unknown"});
//! let breaches = contract.check(&Value::from_json(&task)?, &Rules::default());
//! assert_eq!(breaches.len(), 1);
//! assert_eq!(breaches[0].to_string(), "priority: an integer breaks 'range': it must be 0 to 5");
//! # Ok::<_, syncline::Error>(())
//! ```

pub mod builder;
pub mod changelog;
pub mod check;
mod coerce;
pub mod compare;
pub mod field;
pub mod gate;
mod json;
pub mod kind;
pub mod marks;
pub mod migration;
mod pattern;
mod place;
mod read;
pub mod rule;
mod schema;
mod sound;
pub mod span;

use std::collections::BTreeMap;

pub use builder::Builder;
pub use changelog::changelog;
pub use check::Breach;
pub(crate) use check::{judge_edit, said};
pub use compare::{Difference, Differences, Effect, compare};
pub use field::Field;
pub use gate::Gate;
pub use kind::Kind;
pub use marks::{IndexKey, Ownership, Retention};
pub use migration::{CustomMigration, Migration, Migrations, Reversible, Step};
pub use rule::{Comparison, CustomRule, Rule, Rules};
pub use span::{NumberRange, Span};

use crate::conflict::Policies;
use crate::doc::PathStep;
use crate::id::CollectionId;
use crate::limits;

/// What the records of one collection hold, at one version. Its parts go together: whatever made it has
/// checked that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    collection: CollectionId,
    version: u32,
    oldest_reader: u32,
    oldest_writer: u32,
    description: String,
    fields: BTreeMap<String, Field>,
    rules: Vec<Rule>,
    indexes: BTreeMap<String, Vec<IndexKey>>,
    ownership: Ownership,
    retention: Retention,
    migrations: Vec<Migration>,
    gate: Option<String>,
}

impl Contract {
    /// Starts to declare the contract of a collection at a version, from 1.
    pub fn builder(collection: &str, version: u32) -> Builder {
        Builder::new(collection, version)
    }

    /// The collection.
    pub const fn collection(&self) -> &CollectionId {
        &self.collection
    }

    /// Its version.
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// The oldest version whose programs may read records of this one.
    pub const fn oldest_reader(&self) -> u32 {
        self.oldest_reader
    }

    /// The oldest version whose programs may write to records of this one.
    pub const fn oldest_writer(&self) -> u32 {
        self.oldest_writer
    }

    /// For people; may be empty.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The fields by name; those of maps are in them.
    pub const fn fields(&self) -> &BTreeMap<String, Field> {
        &self.fields
    }

    /// The field at a path through maps, as in `address.city`.
    pub fn field(&self, path: &str) -> Option<&Field> {
        let mut fields = &self.fields;
        let (above, name) = match path.rsplit_once('.') {
            Some((above, name)) => (Some(above), name),
            None => (None, path),
        };
        for name in above.iter().flat_map(|it| it.split('.')) {
            fields = &fields.get(name)?.fields;
        }
        fields.get(name)
    }

    /// The rules across fields, sorted.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The indexes by name.
    pub const fn indexes(&self) -> &BTreeMap<String, Vec<IndexKey>> {
        &self.indexes
    }

    /// To whom records belong.
    pub const fn ownership(&self) -> &Ownership {
        &self.ownership
    }

    /// How long records are kept.
    pub const fn retention(&self) -> Retention {
        self.retention
    }

    /// Whether what stands at `path` is secret: a field on the way to it is.
    pub fn is_sensitive(&self, path: &[PathStep]) -> bool {
        let Some((PathStep::Key(name), rest)) = path.split_first() else {
            return false;
        };
        let mut next = self.fields.get(name);
        for step in rest {
            let Some(field) = next.filter(|it| !it.sensitive) else {
                break;
            };
            let named = match step {
                PathStep::Key(name) => field.fields.get(name),
                PathStep::Index(_) => None,
            };
            next = named.or(field.element.as_deref());
        }
        next.is_some_and(|it| it.sensitive)
    }

    /// About how many bytes of memory it takes at most: its compiled patterns are the most of it.
    pub fn size_hint(&self) -> usize {
        let fields: usize = self.fields.values().map(size_of_field).sum();
        let steps: usize = self.migrations.iter().map(|it| 1 + it.steps.len()).sum();
        let rules = self.rules.len() + self.indexes.len() + steps + 1;
        fields + rules * 4 * limits::CONTRACT_NAME_BYTES_MAX + self.description.len()
    }

    /// The gate on which it counts: see [`Gate`].
    pub fn gate(&self) -> Option<&str> {
        self.gate.as_deref()
    }

    /// Its conflict policies. Custom ones are defined by the program.
    pub fn policies(&self) -> Policies {
        let mut policies = Policies::default();
        collect(&self.fields, &mut Vec::new(), &mut policies);
        policies
    }
}

fn collect(fields: &BTreeMap<String, Field>, path: &mut Vec<PathStep>, policies: &mut Policies) {
    for (name, field) in fields {
        path.push(PathStep::from(name.as_str()));
        policies.set(path.clone(), field.policy.clone());
        collect(&field.fields, path, policies);
        path.pop();
    }
}

fn size_of_field(field: &Field) -> usize {
    let patterns = usize::from(field.pattern.is_some()) * limits::PATTERN_COMPILED_BYTES_MAX;
    let options = field.options.as_ref().map_or(0, Vec::len);
    let own = limits::CONTRACT_NAME_BYTES_MAX * (8 + options) + field.description.len();
    let inside = field.fields.values().map(size_of_field).sum::<usize>();
    let element = field.element.as_deref().map_or(0, size_of_field);
    patterns + own + inside + element
}

#[cfg(test)]
mod tests;

#[doc = include_str!("../../docs/guide/contracts.md")]
#[cfg(doctest)]
mod guide {}

#[doc = include_str!("../../docs/guide/evolution.md")]
#[cfg(doctest)]
mod evolution_guide {}

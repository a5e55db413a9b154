//! From what a program declares to a contract.

use std::collections::BTreeMap;

use super::{Contract, Field, IndexKey, Kind, Migration, Ownership, Retention, Rule, place, sound};
use crate::error::{Error, ErrorKind, Result};
use crate::id::CollectionId;
use crate::limits;

/// Declares a contract; [`Builder::build`] tells what does not go together.
#[derive(Clone, Debug)]
pub struct Builder {
    collection: String,
    version: u32,
    oldest_reader: u32,
    oldest_writer: u32,
    description: String,
    fields: Vec<(String, Field)>,
    rules: Vec<Rule>,
    indexes: Vec<(String, Vec<IndexKey>)>,
    ownership: Ownership,
    retention: Retention,
    migrations: Vec<Migration>,
    gate: Option<String>,
}

impl Builder {
    pub(super) fn new(collection: &str, version: u32) -> Self {
        Self {
            collection: collection.to_owned(),
            version,
            oldest_reader: 1,
            oldest_writer: 1,
            description: String::new(),
            fields: Vec::new(),
            rules: Vec::new(),
            indexes: Vec::new(),
            ownership: Ownership::Shared,
            retention: Retention::default(),
            migrations: Vec::new(),
            gate: None,
        }
    }

    /// The oldest version of the contract whose programs may read records of this one; 1 if nothing is
    /// said. Who may not read may not write.
    #[must_use]
    pub const fn oldest_reader(mut self, version: u32) -> Self {
        self.oldest_reader = version;
        if self.oldest_writer < version {
            self.oldest_writer = version;
        }
        self
    }

    /// The oldest version of the contract whose programs may write to records of this one; 1 if nothing
    /// is said.
    #[must_use]
    pub const fn oldest_writer(mut self, version: u32) -> Self {
        self.oldest_writer = version;
        self
    }

    /// For people.
    #[must_use]
    pub fn describe(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// A field. A path with dots declares a field of a map, and the maps on the way to it, as optional
    /// ones, where nobody else does: `address.city`.
    #[must_use]
    pub fn field(mut self, path: &str, field: Field) -> Self {
        self.fields.push((path.to_owned(), field));
        self
    }

    /// A rule across fields, or of the program's own.
    #[must_use]
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// An index over these fields, in the order in which they count. It is not unique: devices write
    /// apart. [`IndexKey::descending`] turns a field round.
    #[must_use]
    pub fn index<K: Into<IndexKey>>(
        mut self,
        name: &str,
        keys: impl IntoIterator<Item = K>,
    ) -> Self {
        let keys = keys.into_iter().map(Into::into).collect();
        self.indexes.push((name.to_owned(), keys));
        self
    }

    /// To whom records belong.
    #[must_use]
    pub fn ownership(mut self, ownership: Ownership) -> Self {
        self.ownership = ownership;
        self
    }

    /// How long records are kept.
    #[must_use]
    pub const fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// How records of an older version become those of a newer one, up to this. All of them stand in each
    /// contract, without a gap from the first on.
    #[must_use]
    pub fn migration(mut self, migration: Migration) -> Self {
        self.migrations.push(migration);
        self
    }

    /// The version counts only where this gate is open: see [`super::Gate`]. Until then a program works by
    /// the version before, which it declares as well.
    #[must_use]
    pub fn gate(mut self, name: &str) -> Self {
        self.gate = Some(name.to_owned());
        self
    }

    /// The contract.
    ///
    /// # Errors
    /// `InvalidInput`, led by the field, rule or index concerned: a name that does not fit or is there
    /// twice, a field that is not declared, a rule that does not go with its field's kind, an empty
    /// range, a bad pattern, a default or option that breaks the field's own rules, versions that do not
    /// go together, more than is allowed of anything.
    pub fn build(self) -> Result<Contract> {
        let collection = &self.collection;
        let doing = format!("the contract of '{}'", place::shorten(collection));
        let contract = self.assemble().and_then(|mut contract| {
            sound::check(&mut contract)?;
            Ok(contract)
        });
        contract.map_err(|what| Error::new(ErrorKind::InvalidInput, what).context(doing))
    }

    fn assemble(self) -> Result<Contract, String> {
        let collection: CollectionId = match self.collection.parse() {
            Ok(collection) => collection,
            Err(error) => return Err(format!("collection: {error}")),
        };
        let mut indexes = BTreeMap::new();
        for (name, keys) in self.indexes {
            if indexes.insert(name.clone(), keys).is_some() {
                let name = place::shorten(&name);
                return Err(format!("index '{name}': it is declared twice"));
            }
        }
        let mut rules = self.rules;
        rules.sort_unstable();
        rules.dedup();
        Ok(Contract {
            collection,
            version: self.version,
            oldest_reader: self.oldest_reader,
            oldest_writer: self.oldest_writer,
            description: self.description,
            fields: nest(self.fields)?,
            rules,
            indexes,
            ownership: self.ownership,
            retention: self.retention,
            migrations: self.migrations,
            gate: self.gate,
        })
    }
}

/// Puts fields with dots in their paths into the maps that they name.
fn nest(mut declared: Vec<(String, Field)>) -> Result<BTreeMap<String, Field>, String> {
    // Maps before what is in them.
    declared.sort_by_key(|(path, _)| path.split('.').count());
    let mut fields = BTreeMap::new();
    for (path, field) in declared {
        let shown = place::shorten(&path);
        if path.split('.').count() > limits::CONTRACT_DEPTH_MAX {
            let max = limits::CONTRACT_DEPTH_MAX;
            return Err(format!("{shown}: it is nested deeper than {max}"));
        }
        let mut map = &mut fields;
        let mut names = path.split('.').peekable();
        while let Some(name) = names.next() {
            if names.peek().is_none() {
                if map.insert(name.to_owned(), field).is_some() {
                    return Err(format!("{shown}: it is declared twice"));
                }
                break;
            }
            let outer = map.entry(name.to_owned()).or_insert_with(Field::map);
            if outer.kind != Kind::Map {
                return Err(format!("{shown}: '{name}' is no map"));
            }
            map = &mut outer.fields;
        }
    }
    Ok(fields)
}

//! What a contract carries for others: indexes, ownership, retention. Nothing here is enforced by the
//! contract itself.

/// After a path: each element of the list or set that is there.
const ELEMENTS: &str = "[]";

/// One field of an index, and which way it is sorted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IndexKey {
    /// The field's path, as in `address.city`; `tags[]` is each element of a list or set, `steps[].done` a
    /// field of each element.
    pub path: String,
    /// Whether the largest comes first.
    pub descending: bool,
}

impl IndexKey {
    /// The largest value of this field first.
    pub fn descending(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            descending: true,
        }
    }

    /// The path, up to the list or set of which each element has its place, and from there on; as a whole
    /// if there is none.
    pub fn parts(&self) -> (&str, Option<&str>) {
        match self.path.split_once(ELEMENTS) {
            Some((path, within)) => (path, Some(within.strip_prefix('.').unwrap_or(within))),
            None => (&self.path, None),
        }
    }
}

impl From<&str> for IndexKey {
    /// The smallest value first.
    fn from(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            descending: false,
        }
    }
}

/// To whom a record belongs. A mark: it is carried, compared and exported, and nothing enforces it yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Ownership {
    /// To all who may write to the space.
    #[default]
    Shared,
    /// To the author of its first change.
    Author,
    /// To whom the field at this path names.
    Field(String),
}

/// How long records are kept. A mark: it is carried, compared and exported, and nothing enforces it yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Retention {
    /// Days after a record's last change.
    pub age_days: Option<u32>,
    /// Most records of the collection; the oldest go first.
    pub records: Option<u64>,
    /// Days after a record's deletion.
    pub deleted_days: Option<u32>,
}

//! One field of a contract: its kind, and the rules for its values.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};

use super::pattern::Pattern;
use super::{Kind, NumberRange, Span};
use crate::conflict::Policy;
use crate::doc::Value;

/// What a contract says of one field.
///
/// Made by the function of its kind, narrowed by the methods; [`super::Builder::build`] finds what does
/// not go together. A field is optional unless it is [`Field::required`]: it may be absent or null.
///
/// ```
/// use syncline::contract::Field;
/// let name = Field::string().required().length(1..=80).pattern("^[A-Z]");
/// let steps = Field::list(Field::map().field("text", name).field("done", Field::bool()));
/// let prices = Field::map().values(Field::number().range(0.0..));
/// # drop((steps, prices));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub(super) kind: Kind,
    pub(super) required: bool,
    pub(super) sensitive: bool,
    pub(super) description: String,
    pub(super) default: Option<Value>,
    pub(super) policy: Policy,
    pub(super) range: Option<Span<Value>>,
    pub(super) length: Option<Span<u64>>,
    pub(super) pattern: Option<Pattern>,
    pub(super) options: Option<Vec<Value>>,
    /// Of lists and maps: what each element has to be.
    pub(super) element: Option<Box<Self>>,
    /// Of maps: the entries that have a name here.
    pub(super) fields: BTreeMap<String, Self>,
}

/// The kinds.
impl Field {
    /// A field of this kind.
    pub const fn new(kind: Kind) -> Self {
        Self {
            kind,
            required: false,
            sensitive: false,
            description: String::new(),
            default: None,
            policy: Policy::Automerge,
            range: None,
            length: None,
            pattern: None,
            options: None,
            element: None,
            fields: BTreeMap::new(),
        }
    }

    /// Yes or no.
    pub const fn bool() -> Self {
        Self::new(Kind::Bool)
    }

    /// A whole number.
    pub const fn integer() -> Self {
        Self::new(Kind::Integer)
    }

    /// Any number.
    pub const fn number() -> Self {
        Self::new(Kind::Number)
    }

    /// A string, replaced as a whole.
    pub const fn string() -> Self {
        Self::new(Kind::String)
    }

    /// A text that merges.
    pub const fn text() -> Self {
        Self::new(Kind::Text)
    }

    /// Bytes.
    pub const fn bytes() -> Self {
        Self::new(Kind::Bytes)
    }

    /// A point in time.
    pub const fn timestamp() -> Self {
        Self::new(Kind::Timestamp)
    }

    /// A counter.
    pub const fn counter() -> Self {
        Self::new(Kind::Counter)
    }

    /// A list of such elements.
    pub fn list(element: Self) -> Self {
        Self {
            element: Some(Box::new(element)),
            ..Self::new(Kind::List)
        }
    }

    /// A set.
    pub const fn set() -> Self {
        Self::new(Kind::Set)
    }

    /// A map or struct.
    pub const fn map() -> Self {
        Self::new(Kind::Map)
    }

    /// Anything: a field that only has a name.
    pub const fn any() -> Self {
        Self::new(Kind::Any)
    }
}

/// The rules.
impl Field {
    /// It must be there, unless it has a default, and must not be null.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// What is read where the field is absent. It is never written.
    #[must_use]
    pub fn default(mut self, value: impl Into<Value>) -> Self {
        self.default = Some(value.into());
        self
    }

    /// Its content is secret: it is masked where records are shown to others than their users.
    #[must_use]
    pub const fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }

    /// Which value is shown where several were written at the same time.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// For people.
    #[must_use]
    pub fn describe(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Bounds of a number, or of a timestamp in milliseconds. A NaN is in no range.
    #[must_use]
    pub fn range(mut self, range: impl NumberRange) -> Self {
        self.range = Some(range.span());
        self
    }

    /// Bounds of the number of characters of strings and texts, of bytes, of elements of lists and
    /// sets, of entries of maps.
    #[must_use]
    pub fn length(mut self, length: impl RangeBounds<usize>) -> Self {
        let number = |it: usize| u64::try_from(it).unwrap_or(u64::MAX);
        let min = match length.start_bound() {
            Bound::Included(min) => Some(number(*min)),
            Bound::Excluded(min) => Some(number(*min).saturating_add(1)),
            Bound::Unbounded => None,
        };
        let max = match length.end_bound() {
            Bound::Included(max) => Some(number(*max)),
            // Of nothing below zero `build` sees that it is empty.
            Bound::Excluded(0) => return self.span_of_length(Some(1), Some(0)),
            Bound::Excluded(max) => Some(number(*max).saturating_sub(1)),
            Bound::Unbounded => None,
        };
        self.length = None;
        self.span_of_length(min, max)
    }

    fn span_of_length(mut self, min: Option<u64>, max: Option<u64>) -> Self {
        self.length = Some(Span { min, max });
        self
    }

    /// A regular expression that strings and texts must match somewhere: hold it by `^` and `$`. There
    /// is no look-around and no reference back, and `\w`, `\d`, `\s` mean ASCII, so that it takes time in
    /// proportion to the text.
    #[must_use]
    pub fn pattern(mut self, pattern: &str) -> Self {
        self.pattern = Some(Pattern::new(pattern));
        self
    }

    /// The only values that are allowed; numbers count by what they are worth.
    #[must_use]
    pub fn one_of<V: Into<Value>>(mut self, values: impl IntoIterator<Item = V>) -> Self {
        self.options = Some(values.into_iter().map(Into::into).collect());
        self
    }

    /// Of a map: the entry of this name; of several of one name the last counts.
    #[must_use]
    pub fn field(mut self, name: &str, field: Self) -> Self {
        self.fields.insert(name.to_owned(), field);
        self
    }

    /// Of a map: what each entry has to be that has no name here.
    #[must_use]
    pub fn values(mut self, values: Self) -> Self {
        self.element = Some(Box::new(values));
        self
    }
}

/// What it says.
impl Field {
    /// What it holds.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it must be there.
    pub const fn is_required(&self) -> bool {
        self.required
    }

    /// Whether its content is secret.
    pub const fn is_sensitive(&self) -> bool {
        self.sensitive
    }

    /// What is read where it is absent.
    pub const fn default_value(&self) -> Option<&Value> {
        self.default.as_ref()
    }

    /// Which value is shown of several.
    pub const fn conflict_policy(&self) -> &Policy {
        &self.policy
    }

    /// For people; may be empty.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// What the elements of a list, or the unnamed entries of a map, have to be.
    pub fn element(&self) -> Option<&Self> {
        self.element.as_deref()
    }

    /// The named entries of a map.
    pub const fn fields(&self) -> &BTreeMap<String, Self> {
        &self.fields
    }
}

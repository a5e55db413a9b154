//! Filters as they are built in Rust.

use crate::doc::Value;
use crate::record::Timestamp;

/// A place in a record: the keys that lead to it through maps and structs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field(pub(super) Vec<String>);

/// The field at this path; dots part its keys, as in `"place.street"`. For keys that hold dots see
/// [`Field::of`].
pub fn field(path: &str) -> Field {
    Field::of(path.split('.'))
}

/// The element itself in the filter of [`Field::any`]; at the top, the record. In text, `it`.
pub const fn it() -> Field {
    Field(Vec::new())
}

#[expect(
    clippy::same_name_method,
    clippy::wrong_self_convention,
    reason = "conditions are made of a field, and take it; they are named as in the text"
)]
impl Field {
    /// The field that these keys lead to.
    pub fn of<'a>(keys: impl IntoIterator<Item = &'a str>) -> Self {
        Self(keys.into_iter().map(str::to_owned).collect())
    }

    /// It is there, of the literal's kind, and equal to it.
    pub fn eq(self, literal: impl Into<Literal>) -> Filter {
        self.compare(Comparison::Equal, literal)
    }

    /// The opposite of [`Field::eq`]: it is missing, of another kind, or not equal.
    pub fn ne(self, literal: impl Into<Literal>) -> Filter {
        self.compare(Comparison::NotEqual, literal)
    }

    /// It is there, of the literal's kind, and less.
    pub fn lt(self, literal: impl Into<Literal>) -> Filter {
        self.compare(Comparison::Less, literal)
    }

    /// It is there, of the literal's kind, and less or equal.
    pub fn le(self, literal: impl Into<Literal>) -> Filter {
        self.compare(Comparison::LessOrEqual, literal)
    }

    /// It is there, of the literal's kind, and greater.
    pub fn gt(self, literal: impl Into<Literal>) -> Filter {
        self.compare(Comparison::Greater, literal)
    }

    /// It is there, of the literal's kind, and greater or equal.
    pub fn ge(self, literal: impl Into<Literal>) -> Filter {
        self.compare(Comparison::GreaterOrEqual, literal)
    }

    fn compare(self, comparison: Comparison, literal: impl Into<Literal>) -> Filter {
        Filter(Term::Compare(self, comparison, literal.into()))
    }

    /// It equals one of these.
    pub fn is_in<L: Into<Literal>>(self, literals: impl IntoIterator<Item = L>) -> Filter {
        let literals = literals.into_iter().map(Into::into);
        Filter(Term::In(self, literals.collect()))
    }

    /// A text with these characters in it; a list with such an element; a
    /// [`Set`](crate::record::Set) with such an element, or a map with such a key.
    pub fn contains(self, literal: impl Into<Literal>) -> Filter {
        Filter(Term::Contains(self, literal.into()))
    }

    /// A text that starts with these characters.
    pub fn starts_with(self, start: impl Into<String>) -> Filter {
        Filter(Term::StartsWith(self, start.into()))
    }

    /// It is there, be it null.
    pub fn exists(self) -> Filter {
        Filter(Term::Exists(self))
    }

    /// It is missing or null.
    pub fn is_null(self) -> Filter {
        Filter(Term::IsNull(self))
    }

    /// An element of the list, or a value of the map, to which the filter applies. The fields of the
    /// filter are those of the element, which itself is [`it`].
    pub fn any(self, filter: Filter) -> Filter {
        Filter(Term::Element(self, Box::new(filter.0)))
    }

    /// An order by this field, the least first.
    pub const fn ascending(self) -> OrderBy {
        let is_descending = false;
        OrderBy {
            field: self,
            is_descending,
        }
    }

    /// An order by this field, the greatest first.
    pub const fn descending(self) -> OrderBy {
        let is_descending = true;
        OrderBy {
            field: self,
            is_descending,
        }
    }

    /// What is there in a record.
    pub(super) fn find<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        value.at(&self.0)
    }
}

/// One column of an order. Records in which the field is missing come where null is; see
/// [`crate::query::order`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderBy {
    pub(super) field: Field,
    pub(super) is_descending: bool,
}

impl OrderBy {
    /// The keys that lead to its field.
    pub fn path(&self) -> &[String] {
        &self.field.0
    }

    /// Whether the greatest comes first.
    pub const fn is_descending(&self) -> bool {
        self.is_descending
    }
}

impl From<Field> for OrderBy {
    /// The least first.
    fn from(field: Field) -> Self {
        field.ascending()
    }
}

/// Which records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(pub(super) Term);

impl Filter {
    /// Both apply.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(Term::all([self.0, other.0]))
    }

    /// One of them applies, or both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(Term::either([self.0, other.0]))
    }

    /// It does not apply.
    #[must_use]
    #[expect(
        clippy::should_implement_trait,
        reason = "it stands in one row with `and` and `or`"
    )]
    pub fn not(self) -> Self {
        Self(Term::Not(Box::new(self.0)))
    }
}

/// What a filter is made of. `All` and `Either` hold two terms or more, and none of their own kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Term {
    All(Vec<Self>),
    Either(Vec<Self>),
    Not(Box<Self>),
    Compare(Field, Comparison, Literal),
    In(Field, Vec<Literal>),
    Contains(Field, Literal),
    StartsWith(Field, String),
    Exists(Field),
    IsNull(Field),
    Element(Field, Box<Self>),
}

impl Term {
    /// All of these, one at least.
    pub(super) fn all(terms: impl IntoIterator<Item = Self>) -> Self {
        let mut flat = Vec::new();
        for term in terms {
            if let Self::All(inner) = term {
                flat.extend(inner);
            } else {
                flat.push(term);
            }
        }
        Self::sole(flat).unwrap_or_else(Self::All)
    }

    /// One of these, of which there is one at least.
    pub(super) fn either(terms: impl IntoIterator<Item = Self>) -> Self {
        let mut flat = Vec::new();
        for term in terms {
            if let Self::Either(inner) = term {
                flat.extend(inner);
            } else {
                flat.push(term);
            }
        }
        Self::sole(flat).unwrap_or_else(Self::Either)
    }

    fn sole(mut terms: Vec<Self>) -> Result<Self, Vec<Self>> {
        match terms.pop() {
            Some(only) if terms.is_empty() => Ok(only),
            Some(last) => {
                terms.push(last);
                Err(terms)
            }
            None => Err(terms),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What fields are compared with: null, a boolean, a number, a timestamp or a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Literal(pub(super) Value);

impl Literal {
    /// Null. A field that is missing does not equal it; see [`Field::is_null`].
    pub const NULL: Self = Self(Value::Null);
}

impl From<bool> for Literal {
    fn from(yes: bool) -> Self {
        Self(Value::Bool(yes))
    }
}

macro_rules! whole_numbers {
    ($($type:ty),*) => {
        $(impl From<$type> for Literal {
            fn from(number: $type) -> Self {
                Self(Value::Int(i64::from(number)))
            }
        })*
    };
}

whole_numbers!(i8, i16, i32, i64, u8, u16, u32);

impl From<u64> for Literal {
    fn from(number: u64) -> Self {
        // One number, one literal.
        Self(i64::try_from(number).map_or(Value::Uint(number), Value::Int))
    }
}

impl From<f64> for Literal {
    fn from(number: f64) -> Self {
        let number = if number.is_nan() { f64::NAN } else { number };
        Self(Value::Float(number))
    }
}

impl From<&str> for Literal {
    fn from(text: &str) -> Self {
        Self(Value::from(text))
    }
}

impl From<String> for Literal {
    fn from(text: String) -> Self {
        Self(Value::Str(text))
    }
}

impl From<Timestamp> for Literal {
    fn from(time: Timestamp) -> Self {
        Self(Value::Timestamp(time.as_millis()))
    }
}

//! Rules across fields, and the program's own ones.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::place;
use crate::doc::{Value, guarded};
use crate::error::{Error, ErrorKind, Result};

/// What two fields have to be to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Comparison {
    /// The left one is smaller.
    Less,
    /// The left one is not larger.
    AtMost,
    /// They are worth the same.
    Equal,
    /// They are not.
    Unequal,
    /// The left one is not smaller.
    AtLeast,
    /// The left one is larger.
    Greater,
}

impl Comparison {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Less, "less"),
        (Self::AtMost, "at-most"),
        (Self::Equal, "equal"),
        (Self::Unequal, "unequal"),
        (Self::AtLeast, "at-least"),
        (Self::Greater, "greater"),
    ];

    /// Whether it holds, by [`Value::order`].
    pub fn holds(self, left: &Value, right: &Value) -> bool {
        let order = left.order(right);
        match self {
            Self::Less => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::Equal => order.is_eq(),
            Self::Unequal => order.is_ne(),
            Self::AtLeast => order.is_ge(),
            Self::Greater => order.is_gt(),
        }
    }

    /// Its name, stable across versions.
    pub fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(it, _)| *it == self);
        found.map_or("", |(_, name)| name)
    }

    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Less => "less than",
            Self::AtMost => "at most",
            Self::Equal => "equal to",
            Self::Unequal => "other than",
            Self::AtLeast => "at least",
            Self::Greater => "greater than",
        }
    }
}

impl FromStr for Comparison {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.iter().find(|(_, name)| *name == text);
        found.map(|(it, _)| *it).ok_or_else(|| {
            let names = Self::ALL.map(|(_, name)| name).join(", ");
            let message = format!(
                "there is no comparison '{}'; there are {names}",
                place::shorten(text)
            );
            Error::new(ErrorKind::InvalidInput, message)
        })
    }
}

/// A rule that is about more than the value of one field, or that the program brings itself.
///
/// Paths are names with dots, `address.city`, and lead through maps.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Rule {
    /// How two fields compare, where both are there.
    Order {
        /// The path of one.
        left: String,
        /// What it has to be to the other.
        comparison: Comparison,
        /// The path of the other.
        right: String,
    },
    /// A function of the program's own, called where the field is there.
    Custom {
        /// The name under which the program defines it in [`Rules`].
        name: String,
        /// Its version, from 1: another function is another version.
        version: u32,
        /// The field that it is given; empty for the whole record.
        path: String,
    },
}

impl Rule {
    /// The field at `left` is so to the one at `right`.
    pub fn order(left: &str, comparison: Comparison, right: &str) -> Self {
        Self::Order {
            left: left.to_owned(),
            comparison,
            right: right.to_owned(),
        }
    }

    /// The program's own rule of this name and version holds for the field at `path`.
    pub fn custom(name: &str, version: u32, path: &str) -> Self {
        Self::Custom {
            name: name.to_owned(),
            version,
            path: path.to_owned(),
        }
    }

    /// The short name under which a breach of it is told.
    pub fn name(&self) -> String {
        match self {
            Self::Order { .. } => "order".to_owned(),
            Self::Custom { name, version, .. } => format!("custom:{name}@{version}"),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Order {
                left,
                comparison,
                right,
            } => write!(f, "`{left}` is {} `{right}`", comparison.words()),
            Self::Custom { path, .. } if path.is_empty() => {
                write!(f, "`{}` holds for the record", self.name())
            }
            Self::Custom { path, .. } => write!(f, "`{}` holds for `{path}`", self.name()),
        }
    }
}

/// A rule of the program's own. Functions and closures are.
///
/// It should go by its argument alone: no clock, nothing that differs between devices. What it is given
/// comes from anyone; a panic in it counts as a breach.
pub trait CustomRule: Send + Sync {
    /// Whether the rule holds for `value`.
    ///
    /// # Errors
    /// Why not, in words that stand in the program's text: they can't show the value, which may be
    /// secret.
    fn check(&self, value: &Value) -> std::result::Result<(), &'static str>;
}

impl<F> CustomRule for F
where
    F: Fn(&Value) -> std::result::Result<(), &'static str> + Send + Sync,
{
    fn check(&self, value: &Value) -> std::result::Result<(), &'static str> {
        self(value)
    }
}

/// The program's own rules, by name and version.
///
/// ```
/// use syncline::contract::Rules;
/// use syncline::doc::Value;
/// let mut rules = Rules::default();
/// rules.define("even", 1, |value: &Value| match value {
///     Value::Int(number) if number % 2 == 0 => Ok(()),
///     _ => Err("it must be an even number"),
/// })?;
/// assert!(rules.define("No Such Name", 1, |_: &Value| Ok(())).is_err());
/// # Ok::<_, syncline::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Rules(BTreeMap<(String, u32), Arc<dyn CustomRule>>);

impl Rules {
    /// Says what `name` at `version` means, in place of what it meant before.
    ///
    /// # Errors
    /// `InvalidInput` if the name is empty, too long or has other characters than lower-case letters,
    /// digits, `-` and `_`, or the version is 0.
    pub fn define(
        &mut self,
        name: &str,
        version: u32,
        rule: impl CustomRule + 'static,
    ) -> Result<()> {
        place::check_name(name, version).map_err(|it| Error::new(ErrorKind::InvalidInput, it))?;
        self.0.insert((name.to_owned(), version), Arc::new(rule));
        Ok(())
    }

    /// Whether the rule is defined.
    pub fn has(&self, name: &str, version: u32) -> bool {
        self.0.contains_key(&(name.to_owned(), version))
    }

    /// Calls a rule; why it does not hold.
    pub(super) fn run(
        &self,
        name: &str,
        version: u32,
        value: &Value,
    ) -> std::result::Result<(), &'static str> {
        let Some(rule) = self.0.get(&(name.to_owned(), version)) else {
            return Err("this program does not define the rule");
        };
        // What a panic says may show the value.
        guarded(|| rule.check(value)).unwrap_or(Err("the rule panicked"))
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

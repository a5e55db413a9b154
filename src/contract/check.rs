//! Whether a record keeps its contract.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Contract, Field, Kind, Rule, Rules, Span, place};
use crate::doc::value::show_path;
use crate::doc::{PathStep, Value};
use crate::error::{Error, ErrorKind, Result};
use crate::limits;

/// One rule of a contract that a record breaks: where, which rule, and what class of value stands there;
/// never the value.
///
/// Its text is a sentence for people:
///
/// ```
/// use syncline::contract::{Contract, Field, Rules};
/// use syncline::doc::Value;
/// let contract = Contract::builder("tasks", 1).field("title", Field::string().length(1..=9)).build()?;
/// let task = Value::Map([("title".to_owned(), Value::from("much too long"))].into());
/// let breaches = contract.check(&task, &Rules::default());
/// assert_eq!(breaches[0].to_string(), "title: a string breaks 'length': it must be 1 to 9 long");
/// # Ok::<_, syncline::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The field. Keys that are data, in a sensitive map, are left out with what is below them; others are
    /// shortened where they are longer than the name of a field may be.
    pub path: Vec<PathStep>,
    /// The rule's short name, stable across versions: `required`, `kind`, `range`, `length`, `pattern`,
    /// `one-of`, `order`, `custom:NAME@VERSION`.
    pub rule: String,
    /// What is there, by [`Value::class`]; "nothing" where nothing is.
    pub class: &'static str,
    /// What the rule asks for.
    pub expected: String,
}

/// The class of what is not there.
const NOTHING: &str = "nothing";

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            rule,
            class,
            expected,
        } = self;
        let path = show_path(path);
        if *class == NOTHING {
            return write!(
                f,
                "{path}: it is missing, which breaks '{rule}': {expected}"
            );
        }
        write!(f, "{path}: {class} breaks '{rule}': {expected}")
    }
}

impl Contract {
    /// All breaches of this contract by a record, fields by name and then the rules across them; of more
    /// than [`limits::BREACHES_MAX`] the first ones.
    ///
    /// Fields that are not declared are no breach, nor are reserved keys such as `$deleted`. A rule of
    /// the program's own that `rules` does not define is one, wherever there is a value for it.
    pub fn check(&self, value: &Value, rules: &Rules) -> Vec<Breach> {
        let mut checker = Checker::new(rules);
        let Value::Map(map) = value else {
            checker.breach("kind", Some(value), "it must be a map".to_owned());
            return checker.breaches;
        };
        checker.fields(&self.fields, map);
        for rule in &self.rules {
            checker.rule(rule, value);
        }
        checker.breaches
    }

    /// As [`Contract::check`], but rules that `rules` does not define are passed over: a program defines all
    /// of its own, and those of others are theirs to check.
    pub(crate) fn check_own(&self, value: &Value, rules: &Rules) -> Vec<Breach> {
        let mut breaches = self.check(value, rules);
        if !breaches.is_empty() {
            let unknown = self.undefined(rules).into_iter().map(Rule::name);
            let unknown: BTreeSet<_> = unknown.collect();
            breaches.retain(|it| !unknown.contains(&it.rule));
        }
        breaches
    }

    /// The rules of the program's own that this contract names and `rules` does not define.
    pub fn undefined<'c>(&'c self, rules: &Rules) -> Vec<&'c Rule> {
        let is_undefined = |it: &&Rule| match it {
            Rule::Order { .. } => false,
            Rule::Custom { name, version, .. } => !rules.has(name, *version),
        };
        self.rules.iter().filter(is_undefined).collect()
    }
}

/// Breaches as one sentence.
pub(crate) fn said<'a>(breaches: impl IntoIterator<Item = &'a Breach>) -> String {
    let mut text = String::new();
    let mut more = 0;
    for breach in breaches {
        if text.len() >= limits::BREACHES_BYTES_MAX {
            more += 1;
            continue;
        }
        if !text.is_empty() {
            text.push_str("; ");
        }
        let breach = breach.to_string();
        text.extend(breach.chars().take(limits::BREACH_CHARS_MAX));
    }
    if more > 0 {
        text.push_str("; and ");
        text.push_str(&more.to_string());
        text.push_str(" more");
    }
    text
}

/// All breaches of a record after an edit as one sentence, if there are any.
///
/// What others broke keeps nobody from editing the rest: only what the record did not break before is held
/// against the edit.
///
/// # Errors
/// [`ErrorKind::Breach`], naming what the edit breaks; what `before` gives.
pub(crate) fn judge_edit(
    now: &[Breach],
    before: impl FnOnce() -> Result<Vec<Breach>>,
) -> Result<Option<String>> {
    if now.is_empty() {
        return Ok(None);
    }
    let before = before()?;
    let new = new_breaches(now, &before);
    if new.is_empty() {
        return Ok(Some(said(now)));
    }
    let message = format!("the edit breaks the contract: {}", said(new));
    Err(Error::new(ErrorKind::Breach, message))
}

/// Those breaches that were not there before. An element of a list that broke its contract does so
/// wherever it stands by now.
fn new_breaches<'a>(now: &'a [Breach], before: &[Breach]) -> Vec<&'a Breach> {
    // There are more than are told of: where one is mended another comes up.
    if before.len() >= limits::BREACHES_MAX {
        return Vec::new();
    }
    let anywhere = |it: &Breach| {
        let mut it = it.clone();
        for step in &mut it.path {
            if let PathStep::Index(index) = step {
                *index = 0;
            }
        }
        it
    };
    let mut before: Vec<_> = before.iter().map(anywhere).collect();
    let mut is_new = |it: &&Breach| {
        let it = anywhere(it);
        let known = before.iter().position(|known| *known == it);
        known.map(|at| before.swap_remove(at)).is_none()
    };
    now.iter().filter(|it| is_new(it)).collect()
}

/// Goes through a record.
pub(super) struct Checker<'r> {
    pub(super) breaches: Vec<Breach>,
    rules: &'r Rules,
    path: Vec<PathStep>,
    /// Whether what is gone through is secret.
    sensitive: bool,
    /// How much of the path may be shown, where that is not all.
    shown: Option<usize>,
    /// Bytes of text that may still be matched with patterns.
    room: usize,
}

impl<'r> Checker<'r> {
    pub(super) const fn new(rules: &'r Rules) -> Self {
        Self {
            breaches: Vec::new(),
            rules,
            path: Vec::new(),
            sensitive: false,
            shown: None,
            room: limits::PATTERN_TEXT_BYTES_MAX,
        }
    }

    fn is_full(&self) -> bool {
        self.breaches.len() >= limits::BREACHES_MAX
    }

    fn breach(&mut self, rule: &str, value: Option<&Value>, expected: String) {
        if self.is_full() {
            return;
        }
        let shown = self.shown.unwrap_or(self.path.len());
        self.breaches.push(Breach {
            path: self.path.iter().take(shown).map(short).collect(),
            rule: rule.to_owned(),
            class: value.map_or(NOTHING, Value::class),
            expected,
        });
    }

    fn fields(&mut self, fields: &BTreeMap<String, Field>, map: &BTreeMap<String, Value>) {
        for (name, field) in fields {
            self.path.push(PathStep::from(name.as_str()));
            self.field(field, map.get(name));
            self.path.pop();
        }
    }

    pub(super) fn field(&mut self, field: &Field, value: Option<&Value>) {
        match value {
            _ if self.is_full() => {}
            None => {
                if field.required && field.default.is_none() {
                    self.breach("required", None, "it must be there".to_owned());
                }
            }
            Some(Value::Null) => {
                if field.required {
                    self.breach("required", value, "it must not be null".to_owned());
                }
            }
            Some(value) => {
                let outer = self.sensitive;
                self.sensitive |= field.sensitive;
                if field.kind.fits(value) {
                    self.value(field, value);
                    self.inside(field, value);
                } else {
                    let expected = format!("its kind is {}", field.kind);
                    self.breach("kind", Some(value), expected);
                }
                self.sensitive = outer;
            }
        }
    }

    /// The rules for a value of the right kind itself.
    fn value(&mut self, field: &Field, value: &Value) {
        if let Some(range) = &field.range
            && !in_range(range, value)
        {
            self.breach(
                "range",
                Some(value),
                format!("it must be {}", range.words()),
            );
        }
        if let Some(length) = &field.length
            && !length_of(value).is_some_and(|it| length.contains(it))
        {
            let expected = format!("it must be {} long", length.words());
            self.breach("length", Some(value), expected);
        }
        if let Some(pattern) = &field.pattern
            && let Some(text) = value.as_str()
        {
            let room = self.room.checked_sub(text.len());
            self.room = room.unwrap_or(0);
            if room.is_none() {
                let expected = "too much text of the record stands under patterns".to_owned();
                self.breach("pattern", Some(value), expected);
            } else if !pattern.matches(text) {
                let expected = format!("it must match {}", pattern.source());
                self.breach("pattern", Some(value), expected);
            }
        }
        if let Some(options) = &field.options
            && options.binary_search_by(|it| it.order(value)).is_err()
        {
            let expected = format!("it must be one of {} values", options.len());
            self.breach("one-of", Some(value), expected);
        }
    }

    /// The values in a list or map.
    fn inside(&mut self, field: &Field, value: &Value) {
        if let Value::Map(map) = value
            && field.kind == Kind::Map
        {
            self.fields(&field.fields, map);
        }
        let Some(element) = &field.element else {
            return;
        };
        if let Value::List(list) = value {
            for (index, value) in list.iter().enumerate() {
                self.element(element, PathStep::Index(index), value);
            }
        } else if let Value::Map(map) = value {
            let outer = self.shown;
            if self.sensitive && outer.is_none() {
                self.shown = Some(self.path.len());
            }
            for (key, value) in map {
                if !field.fields.contains_key(key) {
                    self.element(element, PathStep::from(key.as_str()), value);
                }
            }
            self.shown = outer;
        }
    }

    fn element(&mut self, element: &Field, step: PathStep, value: &Value) {
        self.path.push(step);
        self.field(element, Some(value));
        self.path.pop();
    }

    fn rule(&mut self, rule: &Rule, record: &Value) {
        let there = |path: &str| {
            let found = record.get(&place::steps(path));
            found.filter(|it| !matches!(it, Value::Null))
        };
        match rule {
            Rule::Order {
                left,
                comparison,
                right,
            } => {
                if let (Some(a), Some(b)) = (there(left), there(right))
                    && !comparison.holds(a, b)
                {
                    let expected = format!("it must be {} '{right}'", comparison.words());
                    self.at(left, rule, a, expected);
                }
            }
            Rule::Custom {
                name,
                version,
                path,
            } => {
                if let Some(value) = there(path)
                    && let Err(why) = self.rules.run(name, *version, value)
                {
                    self.at(path, rule, value, why.to_owned());
                }
            }
        }
    }

    fn at(&mut self, path: &str, rule: &Rule, value: &Value, expected: String) {
        self.path = place::steps(path);
        self.breach(&rule.name(), Some(value), expected);
        self.path.clear();
    }
}

/// A step as a breach names it: a key that is data may be megabytes.
fn short(step: &PathStep) -> PathStep {
    match step {
        PathStep::Key(key) if key.len() > limits::CONTRACT_NAME_BYTES_MAX => {
            PathStep::Key(place::shorten(key))
        }
        PathStep::Key(_) | PathStep::Index(_) => step.clone(),
    }
}

fn in_range(range: &Span<Value>, value: &Value) -> bool {
    let number = if let Value::Timestamp(millis) = value {
        Value::Int(*millis)
    } else {
        value.clone()
    };
    if matches!(number, Value::Float(it) if it.is_nan()) {
        return false;
    }
    let Span { min, max } = range;
    min.as_ref().is_none_or(|min| min.order(&number).is_le())
        && max.as_ref().is_none_or(|max| max.order(&number).is_ge())
}

fn length_of(value: &Value) -> Option<u64> {
    let length = match value {
        Value::Str(text) | Value::Text(text) => text.chars().count(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Uint(_)
        | Value::Float(_)
        | Value::Timestamp(_)
        | Value::Counter(_)
        | Value::Unknown { .. } => return None,
    };
    u64::try_from(length).ok()
}

//! Queries as text, which reads back as the same query.

use std::fmt::{self, Display, Formatter};

use super::filter::{Comparison, Field, Filter, Literal, OrderBy, Term};
use super::{IndexedBy, Query, lex};
use crate::doc::Value;

impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        parts.extend(self.filter.as_ref().map(Filter::to_string));
        if !self.order.is_empty() {
            parts.push(format!("order by {}", order(&self.order)));
        }
        parts.extend(self.after.as_ref().map(|it| format!("after \"{it}\"")));
        parts.extend(self.limit.map(|it| format!("limit {it}")));
        f.write_str(&parts.join(" "))
    }
}

/// An order as it stands after `order by`.
pub(super) fn order(order: &[OrderBy]) -> String {
    let columns = order.iter().map(OrderBy::to_string);
    columns.collect::<Vec<_>>().join(", ")
}

impl Display for OrderBy {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.field)?;
        f.write_str(if self.is_descending { " desc" } else { "" })
    }
}

impl Display for IndexedBy {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            by: OrderBy {
                field,
                is_descending,
            },
            elements,
        } = self;
        write!(f, "{field}")?;
        if let Some(within) = elements {
            let (dot, within) = if within.0.is_empty() {
                ("", String::new())
            } else {
                (".", within.to_string())
            };
            write!(f, "[]{dot}{within}")?;
        }
        f.write_str(if *is_descending { " desc" } else { "" })
    }
}

impl Display for Filter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Display for Term {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(terms) => join(f, terms, " and ", Self::is_either),
            Self::Either(terms) => join(f, terms, " or ", |_| false),
            Self::Not(term) => {
                f.write_str("not ")?;
                enclose(f, term, term.is_all() || term.is_either())
            }
            Self::Compare(field, comparison, literal) => {
                write!(f, "{field} {} {literal}", comparison.symbol())
            }
            Self::In(field, literals) => {
                let literals: Vec<_> = literals.iter().map(Literal::to_string).collect();
                write!(f, "{field} in ({})", literals.join(", "))
            }
            Self::Contains(field, literal) => write!(f, "{field} contains {literal}"),
            Self::StartsWith(field, start) => {
                write!(f, "{field} starts with {}", Quoted(start))
            }
            Self::Exists(field) => write!(f, "{field} exists"),
            Self::IsNull(field) => write!(f, "{field} is null"),
            Self::Element(field, term) => write!(f, "any {field} ({term})"),
        }
    }
}

fn join(
    f: &mut Formatter<'_>,
    terms: &[Term],
    between: &str,
    is_enclosed: impl Fn(&Term) -> bool,
) -> fmt::Result {
    for (index, term) in terms.iter().enumerate() {
        if index > 0 {
            f.write_str(between)?;
        }
        enclose(f, term, is_enclosed(term))?;
    }
    Ok(())
}

fn enclose(f: &mut Formatter<'_>, term: &Term, is_enclosed: bool) -> fmt::Result {
    if is_enclosed {
        write!(f, "({term})")
    } else {
        write!(f, "{term}")
    }
}

impl Comparison {
    pub(super) const fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("it");
        }
        for (index, key) in self.0.iter().enumerate() {
            let is_plain = lex::is_word(key) && (index > 0 || !lex::is_reserved(key));
            f.write_str(if index > 0 { "." } else { "" })?;
            if is_plain {
                f.write_str(key)?;
            } else {
                write!(f, "`{}`", key.replace('`', "``"))?;
            }
        }
        Ok(())
    }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Value::Bool(yes) => write!(f, "{yes}"),
            Value::Int(number) | Value::Counter(number) => write!(f, "{number}"),
            Value::Uint(number) => write!(f, "{number}"),
            Value::Float(number) => show_float(f, *number),
            Value::Str(text) | Value::Text(text) => write!(f, "{}", Quoted(text)),
            Value::Timestamp(millis) => show_time(f, *millis),
            // The others are no literals.
            Value::Null
            | Value::Bytes(_)
            | Value::List(_)
            | Value::Map(_)
            | Value::Unknown { .. } => f.write_str("null"),
        }
    }
}

fn show_float(f: &mut Formatter<'_>, number: f64) -> fmt::Result {
    if number.is_nan() {
        return f.write_str("nan");
    }
    if number.is_infinite() {
        return f.write_str(if number > 0.0 {
            "infinity"
        } else {
            "-infinity"
        });
    }
    // With a point or an exponent, so that it is read as a float again.
    write!(f, "{number:?}")
}

fn show_time(f: &mut Formatter<'_>, millis: i64) -> fmt::Result {
    let stamp = jiff::Timestamp::from_millisecond(millis);
    let text = stamp.map(|it| it.to_string()).unwrap_or_default();
    if lex::is_time(&text) {
        return f.write_str(&text);
    }
    // A year that has not four digits.
    write!(f, "@{millis}")
}

/// A text in quotes.
struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for char in self.0.chars() {
            match char {
                '"' | '\\' => write!(f, "\\{char}")?,
                '\n' => f.write_str("\\n")?,
                '\t' => f.write_str("\\t")?,
                _ if char.is_control() => write!(f, "\\u{{{:x}}}", u32::from(char))?,
                _ => write!(f, "{char}")?,
            }
        }
        f.write_str("\"")
    }
}

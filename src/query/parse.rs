//! Reads queries from text, by recursive descent of bounded depth.

use std::str::FromStr;

use super::filter::{Comparison, Field, Filter, Literal, OrderBy, Term};
use super::lex::{self, Fault, Placed, Token};
use super::{Cursor, Query};
use crate::doc::Value;
use crate::error::{Error, ErrorKind, Result};
use crate::limits;

/// Characters of the query that an error shows around the place.
const SHOWN_CHARS: usize = 72;

/// Of those, how many come before the place at most.
const SHOWN_BEFORE: usize = 40;

const OPERATORS: &str =
    "= != < <= > >=, in, contains, starts with, exists, is null, or not before one of them";

pub(super) fn check_length(bytes: usize) -> Result<()> {
    let max = limits::QUERY_BYTES_MAX;
    if bytes > max {
        let message = format!("a query is {max} bytes of text at most, and this is {bytes}");
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    Ok(())
}

impl FromStr for Query {
    type Err = Error;

    /// # Errors
    /// `InvalidInput` if it is no query: the text names the column (from 1, in characters), what is
    /// there, what could be there, and shows the place. `TooLarge` if it is longer than
    /// [`limits::QUERY_BYTES_MAX`].
    fn from_str(text: &str) -> Result<Self> {
        check_length(text.len())?;
        let query = read(text).map_err(|it| explain(text, &it))?;
        query.check()?;
        Ok(query)
    }
}

/// A fault as it is told to people.
fn explain(text: &str, fault: &Fault) -> Error {
    let before = text.get(..fault.at).unwrap_or(text).chars().count();
    let skipped = before.saturating_sub(SHOWN_BEFORE);
    let plain = |it: char| if it.is_control() { ' ' } else { it };
    let mut line = String::from(if skipped > 0 { "…" } else { "" });
    let indent = line.chars().count() + before - skipped;
    line.extend(text.chars().skip(skipped).take(SHOWN_CHARS).map(plain));
    let is_cut = text.chars().count() > skipped + SHOWN_CHARS;
    line.push_str(if is_cut { "…" } else { "" });
    let Fault {
        found, expected, ..
    } = fault;
    let hint = fault.hint.as_ref().map(|it| format!("; {it}"));
    let message = format!(
        "column {}: found {found}, expected {expected}{}\n  {line}\n  {:indent$}^",
        before + 1,
        hint.unwrap_or_default(),
        "",
    );
    Error::new(ErrorKind::InvalidInput, message)
}

fn read(text: &str) -> Result<Query, Fault> {
    let mut parser = Parser {
        tokens: lex::tokens(text)?,
        next: 0,
        depth: 0,
    };
    let query = parser.query()?;
    match parser.peek() {
        Token::End => Ok(query),
        Token::Word(_) | Token::Name(_) | Token::Literal(_) | Token::Sign(_) => {
            Err(parser.fault("and, or, order by, after, limit or the end"))
        }
    }
}

struct Parser<'a> {
    tokens: Vec<Placed<'a>>,
    next: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> &Token<'a> {
        self.tokens
            .get(self.next)
            .map_or(&Token::End, |it| &it.token)
    }

    /// The byte of the next token.
    fn at(&self) -> usize {
        let place = self.tokens.get(self.next).or_else(|| self.tokens.last());
        place.map_or(0, |it| it.at)
    }

    fn fault(&self, expected: &'static str) -> Fault {
        Fault {
            at: self.at(),
            found: self.peek().shown(),
            expected,
            hint: None,
        }
    }

    /// Takes this word of the language if it is next.
    fn word(&mut self, wanted: &str) -> bool {
        let is_next = matches!(self.peek(), Token::Word(it) if it.eq_ignore_ascii_case(wanted));
        self.next += usize::from(is_next);
        is_next
    }

    fn expect_word(&mut self, wanted: &'static str) -> Result<(), Fault> {
        if self.word(wanted) {
            return Ok(());
        }
        Err(self.fault(wanted))
    }

    fn sign(&mut self, wanted: &'static str) -> bool {
        let is_next = *self.peek() == Token::Sign(wanted);
        self.next += usize::from(is_next);
        is_next
    }

    fn expect_sign(&mut self, wanted: &'static str) -> Result<(), Fault> {
        if self.sign(wanted) {
            return Ok(());
        }
        Err(self.fault(wanted))
    }

    /// Reads what stands one level deeper.
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.depth >= limits::QUERY_DEPTH_MAX {
            let hint = format!("{} levels are the limit", limits::QUERY_DEPTH_MAX);
            return Err(Fault {
                hint: Some(hint),
                ..self.fault("less nesting")
            });
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn query(&mut self) -> Result<Query, Fault> {
        let mut query = Query::default();
        let starts_clause = matches!(
            self.peek(),
            Token::Word(it) if ["order", "after", "limit"].iter().any(|word| it.eq_ignore_ascii_case(word))
        );
        if !starts_clause && *self.peek() != Token::End {
            query.filter = Some(Filter(self.either()?));
        }
        if self.word("order") {
            self.expect_word("by")?;
            query.order = self.columns()?;
        }
        if self.word("after") {
            query.after = Some(self.cursor()?);
        }
        if self.word("limit") {
            query.limit = Some(self.limit()?);
        }
        Ok(query)
    }

    fn columns(&mut self) -> Result<Vec<OrderBy>, Fault> {
        let mut columns = Vec::new();
        loop {
            if columns.len() >= limits::ORDER_COLUMNS_MAX {
                let hint = format!("{} columns are the limit", limits::ORDER_COLUMNS_MAX);
                return Err(Fault {
                    hint: Some(hint),
                    ..self.fault("fewer columns")
                });
            }
            let field = self.field()?;
            columns.push(if self.word("desc") {
                field.descending()
            } else {
                self.word("asc");
                field.ascending()
            });
            if !self.sign(",") {
                return Ok(columns);
            }
        }
    }

    fn cursor(&mut self) -> Result<Cursor, Fault> {
        let cursor = match self.peek() {
            Token::Literal(Literal(Value::Str(text))) => text.parse().ok(),
            Token::Literal(_) | Token::Word(_) | Token::Name(_) | Token::Sign(_) | Token::End => {
                None
            }
        };
        let cursor = cursor.ok_or_else(|| self.fault("a cursor in quotes, as a page gives it"))?;
        self.next += 1;
        Ok(cursor)
    }

    fn limit(&mut self) -> Result<u64, Fault> {
        let number = match self.peek() {
            Token::Literal(Literal(Value::Int(number))) => u64::try_from(*number).ok(),
            Token::Literal(Literal(Value::Uint(number))) => Some(*number),
            Token::Literal(_) | Token::Word(_) | Token::Name(_) | Token::Sign(_) | Token::End => {
                None
            }
        };
        let number = number.filter(|it| *it > 0);
        let number = number.ok_or_else(|| self.fault("a number of records, 1 or more"))?;
        self.next += 1;
        Ok(number)
    }

    fn either(&mut self) -> Result<Term, Fault> {
        let mut terms = vec![self.all()?];
        while self.word("or") {
            terms.push(self.all()?);
        }
        Ok(Term::either(terms))
    }

    fn all(&mut self) -> Result<Term, Fault> {
        let mut terms = vec![self.term()?];
        while self.word("and") {
            terms.push(self.term()?);
        }
        Ok(Term::all(terms))
    }

    fn term(&mut self) -> Result<Term, Fault> {
        if self.word("not") {
            let term = self.deeper(Self::term)?;
            return Ok(Term::Not(Box::new(term)));
        }
        if self.word("any") {
            let field = self.field()?;
            self.expect_sign("(")?;
            let term = self.deeper(Self::either)?;
            self.expect_sign(")")?;
            return Ok(Term::Element(field, Box::new(term)));
        }
        if self.sign("(") {
            let term = self.deeper(Self::either)?;
            self.expect_sign(")")?;
            return Ok(term);
        }
        let field = self.field()?;
        self.condition(field)
    }

    /// What is asked of a field.
    fn condition(&mut self, field: Field) -> Result<Term, Fault> {
        for comparison in Comparison::ALL {
            if self.sign(comparison.symbol()) {
                return Ok(Term::Compare(field, comparison, self.literal()?));
            }
        }
        if self.word("exists") {
            return Ok(Term::Exists(field));
        }
        if self.word("is") {
            let is_not = self.word("not");
            self.expect_word("null")?;
            return Ok(negated(is_not, Term::IsNull(field)));
        }
        let is_not = self.word("not");
        if self.word("in") {
            let literals = self.literals()?;
            return Ok(negated(is_not, Term::In(field, literals)));
        }
        if self.word("contains") {
            let literal = self.literal()?;
            return Ok(negated(is_not, Term::Contains(field, literal)));
        }
        if self.word("starts") {
            self.expect_word("with")?;
            let start = self.text()?;
            return Ok(negated(is_not, Term::StartsWith(field, start)));
        }
        Err(if is_not {
            self.fault("in, contains or starts with")
        } else {
            self.fault(OPERATORS)
        })
    }

    fn field(&mut self) -> Result<Field, Fault> {
        let expected = "the name of a field";
        let first = match self.peek() {
            Token::Word(it) if it.eq_ignore_ascii_case("it") => None,
            Token::Word(word) if lex::is_reserved(word) => {
                let hint = format!("a field of this name is written `{word}`, in backticks");
                return Err(Fault {
                    hint: Some(hint),
                    ..self.fault(expected)
                });
            }
            Token::Word(word) => Some((*word).to_owned()),
            Token::Name(name) => Some(name.clone()),
            Token::Literal(_) | Token::Sign(_) | Token::End => return Err(self.fault(expected)),
        };
        self.next += 1;
        let mut keys = Vec::from_iter(first);
        while !keys.is_empty() && self.sign(".") {
            keys.push(match self.peek() {
                Token::Word(word) => (*word).to_owned(),
                Token::Name(name) => name.clone(),
                Token::Literal(_) | Token::Sign(_) | Token::End => {
                    return Err(self.fault("the name of a field inside"));
                }
            });
            self.next += 1;
        }
        Ok(Field(keys))
    }

    fn literals(&mut self) -> Result<Vec<Literal>, Fault> {
        self.expect_sign("(")?;
        let mut literals = Vec::new();
        if self.sign(")") {
            return Ok(literals);
        }
        loop {
            literals.push(self.literal()?);
            if self.sign(")") {
                return Ok(literals);
            }
            if !self.sign(",") {
                return Err(self.fault("a comma or )"));
            }
        }
    }

    fn literal(&mut self) -> Result<Literal, Fault> {
        let literal = match self.peek() {
            Token::Literal(literal) => Some(literal.clone()),
            Token::Word(word) => constant(word),
            Token::Name(_) | Token::Sign(_) | Token::End => None,
        };
        let Some(literal) = literal else {
            let hint = match self.peek() {
                Token::Word(_) | Token::Name(_) => Some("texts stand in quotes".to_owned()),
                Token::Literal(_) | Token::Sign(_) | Token::End => None,
            };
            return Err(Fault {
                hint,
                ..self.fault("a value: \"text\", 5, true, null or 2026-12-01")
            });
        };
        self.next += 1;
        Ok(literal)
    }

    fn text(&mut self) -> Result<String, Fault> {
        let text = match self.peek() {
            Token::Literal(Literal(Value::Str(text))) => Some(text.clone()),
            Token::Literal(_) | Token::Word(_) | Token::Name(_) | Token::Sign(_) | Token::End => {
                None
            }
        };
        let text = text.ok_or_else(|| self.fault("a text in quotes"))?;
        self.next += 1;
        Ok(text)
    }
}

fn negated(is_not: bool, term: Term) -> Term {
    if is_not {
        return Term::Not(Box::new(term));
    }
    term
}

fn constant(word: &str) -> Option<Literal> {
    let constants = [
        ("true", Literal::from(true)),
        ("false", Literal::from(false)),
        ("null", Literal::NULL),
        ("nan", Literal::from(f64::NAN)),
        ("infinity", Literal::from(f64::INFINITY)),
    ];
    let mut constants = constants.into_iter();
    constants
        .find(|(name, _)| name.eq_ignore_ascii_case(word))
        .map(|(_, literal)| literal)
}

impl Comparison {
    const ALL: [Self; 6] = [
        Self::Equal,
        Self::NotEqual,
        Self::Less,
        Self::LessOrEqual,
        Self::Greater,
        Self::GreaterOrEqual,
    ];
}

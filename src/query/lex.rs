//! The words of a query's text.

use std::iter::Peekable;
use std::str::CharIndices;

use super::filter::Literal;
use crate::doc::Value;
use crate::record::Timestamp;

/// Words that are no names of fields unless they stand in backticks or behind a point.
const RESERVED: &[&str] = &[
    "after", "and", "any", "asc", "by", "contains", "desc", "exists", "false", "in", "infinity",
    "is", "it", "limit", "nan", "not", "null", "or", "order", "starts", "true", "with",
];

/// One word, number, text or sign.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'a> {
    /// A name, or a word of the language.
    Word(&'a str),
    /// A name in backticks.
    Name(String),
    Literal(Literal),
    Sign(&'static str),
    End,
}

/// A token and the byte at which it starts.
#[derive(Clone, Debug)]
pub(super) struct Placed<'a> {
    pub(super) token: Token<'a>,
    pub(super) at: usize,
}

/// What does not fit, and where.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    /// The byte.
    pub(super) at: usize,
    pub(super) found: String,
    pub(super) expected: &'static str,
    pub(super) hint: Option<String>,
}

/// Whether it can stand as a name without backticks.
pub(super) fn is_word(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(starts_word) && chars.all(continues_word)
}

/// Whether it is a word of the language, in either case.
pub(super) fn is_reserved(word: &str) -> bool {
    RESERVED.iter().any(|it| it.eq_ignore_ascii_case(word))
}

fn starts_word(char: char) -> bool {
    char.is_alphabetic() || char == '_'
}

fn continues_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// Whether a number's text is that of a date or time.
pub(super) fn is_time(text: &str) -> bool {
    let (year, rest) = text.as_bytes().split_at(text.len().min(4));
    year.len() == 4 && year.iter().all(u8::is_ascii_digit) && rest.first() == Some(&b'-')
}

/// The tokens of a text, `End` last.
pub(super) fn tokens(text: &str) -> Result<Vec<Placed<'_>>, Fault> {
    let mut lexer = Lexer {
        text,
        chars: text.char_indices().peekable(),
    };
    let mut tokens = Vec::new();
    loop {
        lexer.take_while(char::is_whitespace);
        let at = lexer.at();
        let token = lexer.next_token(at)?;
        let is_last = token == Token::End;
        tokens.push(Placed { token, at });
        if is_last {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    chars: Peekable<CharIndices<'a>>,
}

impl<'a> Lexer<'a> {
    /// The byte of the next character.
    fn at(&mut self) -> usize {
        self.chars.peek().map_or(self.text.len(), |(at, _)| *at)
    }

    fn take_while(&mut self, keeps: impl Fn(char) -> bool) {
        while self.chars.next_if(|(_, char)| keeps(*char)).is_some() {}
    }

    fn next_is(&mut self, wanted: char) -> bool {
        self.chars.next_if(|(_, char)| *char == wanted).is_some()
    }

    /// The text from a byte on to where it is read.
    fn since(&mut self, start: usize) -> &'a str {
        let end = self.at();
        self.text.get(start..end).unwrap_or_default()
    }

    fn next_token(&mut self, at: usize) -> Result<Token<'a>, Fault> {
        let Some((_, first)) = self.chars.next() else {
            return Ok(Token::End);
        };
        match first {
            '(' => Ok(Token::Sign("(")),
            ')' => Ok(Token::Sign(")")),
            ',' => Ok(Token::Sign(",")),
            '.' => Ok(Token::Sign(".")),
            '=' => self.alone(at, "=", "one = is enough"),
            '<' if self.next_is('=') => Ok(Token::Sign("<=")),
            '<' if self.next_is('>') => Err(unknown(at, "<>", "write !=")),
            '<' => Ok(Token::Sign("<")),
            '>' if self.next_is('=') => Ok(Token::Sign(">=")),
            '>' => Ok(Token::Sign(">")),
            '!' if self.next_is('=') => Ok(Token::Sign("!=")),
            '!' => Err(unknown(at, "!", "write != or not")),
            '&' => Err(unknown(at, "&", "write and")),
            '|' => Err(unknown(at, "|", "write or")),
            '"' | '\'' => self.quoted(at, first),
            '`' => self.name(at),
            '@' => {
                self.take_while(|it| it == '-' || it.is_ascii_digit());
                millis(at, self.since(at))
            }
            _ if first == '-' || first.is_ascii_digit() => {
                self.take_while(|it| it.is_alphanumeric() || ".:+-".contains(it));
                number(at, self.since(at))
            }
            _ if starts_word(first) => {
                self.take_while(continues_word);
                Ok(Token::Word(self.since(at)))
            }
            _ => Err(unknown(at, &first.to_string(), "texts stand in quotes")),
        }
    }

    fn alone(&mut self, at: usize, sign: &'static str, hint: &str) -> Result<Token<'a>, Fault> {
        if self.next_is('=') {
            return Err(unknown(at, "==", hint));
        }
        Ok(Token::Sign(sign))
    }

    fn quoted(&mut self, at: usize, quote: char) -> Result<Token<'a>, Fault> {
        let mut text = String::new();
        while let Some((here, char)) = self.chars.next() {
            match char {
                _ if char == quote => return Ok(Token::Literal(Literal::from(text))),
                '\\' => text.push(self.escaped(here)?),
                _ => text.push(char),
            }
        }
        Err(Fault {
            at,
            found: "a text without end".to_owned(),
            expected: "a quote at its end",
            hint: Some(format!("a quote in a text is written \\{quote}")),
        })
    }

    /// What a backslash and the next characters stand for.
    fn escaped(&mut self, at: usize) -> Result<char, Fault> {
        let char = match self.chars.next() {
            Some((_, char @ ('"' | '\'' | '\\'))) => Some(char),
            Some((_, 'n')) => Some('\n'),
            Some((_, 't')) => Some('\t'),
            Some((_, 'u')) if self.next_is('{') => {
                let start = self.at();
                self.take_while(|it| it.is_ascii_hexdigit());
                let code = u32::from_str_radix(self.since(start), 16).ok();
                let closes = self.next_is('}');
                code.and_then(char::from_u32).filter(|_| closes)
            }
            Some(_) | None => None,
        };
        char.ok_or_else(|| Fault {
            at,
            found: "a backslash".to_owned(),
            expected: "one of \\\" \\' \\\\ \\n \\t \\u{e4}",
            hint: Some("a backslash itself is written \\\\".to_owned()),
        })
    }

    fn name(&mut self, at: usize) -> Result<Token<'a>, Fault> {
        let mut name = String::new();
        while let Some((_, char)) = self.chars.next() {
            if char == '`' && !self.next_is('`') {
                return Ok(Token::Name(name));
            }
            name.push(char);
        }
        Err(Fault {
            at,
            found: "a name without end".to_owned(),
            expected: "a backtick at its end",
            hint: None,
        })
    }
}

fn unknown(at: usize, found: &str, hint: &str) -> Fault {
    Fault {
        at,
        found: format!("'{found}'"),
        expected: "a field, a value or an operator",
        hint: Some(hint.to_owned()),
    }
}

fn millis<'a>(at: usize, text: &str) -> Result<Token<'a>, Fault> {
    let millis = text.strip_prefix('@').and_then(|it| it.parse().ok());
    let time = millis.map(Timestamp::from_millis);
    time.map(|it| Token::Literal(Literal::from(it)))
        .ok_or_else(|| Fault {
            at,
            found: shown(text),
            expected: "milliseconds since 1970 behind @",
            hint: None,
        })
}

fn number<'a>(at: usize, text: &str) -> Result<Token<'a>, Fault> {
    if is_time(text) {
        return time(at, text);
    }
    if text.eq_ignore_ascii_case("-infinity") {
        return Ok(Token::Literal(Literal::from(f64::NEG_INFINITY)));
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_whole = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
    let starts = digits.starts_with(|it: char| it.is_ascii_digit());
    let literal = if is_whole {
        let int = text.parse::<i64>().map(Literal::from);
        int.or_else(|_| text.parse::<u64>().map(Literal::from)).ok()
    } else {
        let float = text.parse::<f64>().ok();
        float
            .filter(|it| starts && it.is_finite())
            .map(Literal::from)
    };
    literal.map(Token::Literal).ok_or_else(|| Fault {
        at,
        found: shown(text),
        expected: "a number such as 5, -1.5 or 1e9, or a date such as 2026-12-01",
        hint: is_whole.then(|| "it does not fit 64 bits; write it as a float".to_owned()),
    })
}

fn time<'a>(at: usize, text: &str) -> Result<Token<'a>, Fault> {
    let day = || format!("{text}T00:00:00Z");
    let stamp = if text.len() == "2026-12-01".len() {
        day().parse::<jiff::Timestamp>()
    } else {
        text.parse()
    };
    let exact = |it: &jiff::Timestamp| it.subsec_nanosecond() % 1_000_000 == 0;
    let stamp = stamp
        .ok()
        .filter(exact)
        .map(jiff::Timestamp::as_millisecond);
    let time = stamp.map(Timestamp::from_millis);
    time.map(|it| Token::Literal(Literal::from(it)))
        .ok_or_else(|| Fault {
            at,
            found: shown(text),
            expected: "a date such as 2026-12-01 or a time such as 2026-12-01T10:00:00Z",
            hint: Some("a time needs its zone, and counts milliseconds at most".to_owned()),
        })
}

/// A piece of the text in quotes, cut where it is long.
fn shown(text: &str) -> String {
    let cut = if text.chars().count() > 40 { "…" } else { "" };
    let kept: String = text.chars().take(40).collect();
    format!("'{kept}{cut}'")
}

impl Token<'_> {
    /// As it is named in an error.
    pub(super) fn shown(&self) -> String {
        match self {
            Token::Word(word) => shown(word),
            Token::Name(name) => shown(name),
            Token::Literal(Literal(Value::Str(_) | Value::Text(_))) => "a text".to_owned(),
            Token::Literal(literal) => shown(&literal.to_string()),
            Token::Sign(sign) => shown(sign),
            Token::End => "the end".to_owned(),
        }
    }
}

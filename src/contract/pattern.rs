//! Patterns of strings and texts.

use regex_lite::{Regex, RegexBuilder};

use crate::limits;

/// A regular expression, by the syntax of the crate `regex-lite`: no look-around, no references back,
/// classes like `\w` and `\d` mean ASCII. It may match anywhere in a text; `^` and `$` hold it.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    source: String,
    compiled: Result<Regex, String>,
}

impl Pattern {
    pub(super) fn new(source: &str) -> Self {
        let max = limits::PATTERN_BYTES_MAX;
        let compiled = if source.len() > max {
            Err(format!("it is over {max} bytes"))
        } else {
            let mut builder = RegexBuilder::new(source);
            builder.size_limit(limits::PATTERN_COMPILED_BYTES_MAX);
            builder.build().map_err(|error| error.to_string())
        };
        Self {
            source: source.to_owned(),
            compiled,
        }
    }

    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// What is wrong with it.
    pub(super) fn fault(&self) -> Option<&str> {
        self.compiled.as_ref().err().map(String::as_str)
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        self.compiled.as_ref().is_ok_and(|it| it.is_match(text))
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Pattern {}

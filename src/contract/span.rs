//! Bounds of numbers and lengths.

use std::ops::{RangeFrom, RangeInclusive, RangeToInclusive};

use crate::doc::Value;

/// A least and a greatest, either of which may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span<T> {
    /// The least that is allowed.
    pub min: Option<T>,
    /// The greatest that is allowed.
    pub max: Option<T>,
}

impl Span<Value> {
    pub(super) fn words(&self) -> String {
        self.show(|it| it.to_json().to_string())
    }
}

impl Span<u64> {
    pub(super) fn words(&self) -> String {
        self.show(u64::to_string)
    }

    pub(super) fn contains(&self, it: u64) -> bool {
        self.min.is_none_or(|min| min <= it) && self.max.is_none_or(|max| it <= max)
    }
}

impl<T> Span<T> {
    fn show(&self, end: impl Fn(&T) -> String) -> String {
        match (&self.min, &self.max) {
            (Some(min), Some(max)) => format!("{} to {}", end(min), end(max)),
            (Some(min), None) => format!("at least {}", end(min)),
            (None, Some(max)) => format!("at most {}", end(max)),
            (None, None) => "anything".to_owned(),
        }
    }
}

/// What [`super::Field::range`] takes: `0..=5`, `0.5..`, `..=100`.
pub trait NumberRange {
    /// As a span of numbers.
    fn span(self) -> Span<Value>;
}

macro_rules! number_ranges {
    ($($number:ty, $value:path;)*) => {$(
        impl NumberRange for RangeInclusive<$number> {
            fn span(self) -> Span<Value> {
                let (min, max) = self.into_inner();
                Span { min: Some($value(min)), max: Some($value(max)) }
            }
        }

        impl NumberRange for RangeFrom<$number> {
            fn span(self) -> Span<Value> {
                Span { min: Some($value(self.start)), max: None }
            }
        }

        impl NumberRange for RangeToInclusive<$number> {
            fn span(self) -> Span<Value> {
                Span { min: None, max: Some($value(self.end)) }
            }
        }
    )*};
}

number_ranges! {
    i64, Value::Int;
    f64, Value::Float;
}

impl NumberRange for Span<Value> {
    fn span(self) -> Self {
        self
    }
}

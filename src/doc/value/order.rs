//! One order over all values, the same on every replica: what is larger, and what is sorted first.

use std::cmp::Ordering;

use super::Value;

impl Value {
    /// Compares two values of any kinds: null, booleans, numbers, timestamps, strings and texts,
    /// bytes, lists, maps, unknown kinds, in this order.
    ///
    /// Numbers compare by what they are worth, whatever their kinds and without rounding; all NaNs
    /// are equal and above the rest. Strings compare with texts, character by character; lists
    /// element by element; maps entry by entry, sorted by key. So values may be equal here that `==`
    /// tells apart.
    ///
    /// ```
    /// use std::cmp::Ordering;
    /// use syncline::doc::Value;
    /// assert_eq!(Value::Int(1).order(&Value::Float(1.0)), Ordering::Equal);
    /// assert_eq!(Value::Uint(u64::MAX).order(&Value::Float(1e30)), Ordering::Less);
    /// assert_eq!(Value::from("b").order(&Value::Int(7)), Ordering::Greater);
    /// ```
    pub fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Timestamp(a), Self::Timestamp(b)) => a.cmp(b),
            (Self::Str(a) | Self::Text(a), Self::Str(b) | Self::Text(b)) => a.cmp(b),
            (Self::Bytes(a), Self::Bytes(b)) => a.cmp(b),
            (Self::List(a), Self::List(b)) => {
                let unequal = a.iter().zip(b).map(|(a, b)| a.order(b));
                first_unequal(unequal).then(a.len().cmp(&b.len()))
            }
            (Self::Map(a), Self::Map(b)) => {
                let unequal = a
                    .iter()
                    .zip(b)
                    .map(|((a_key, a), (b_key, b))| a_key.cmp(b_key).then_with(|| a.order(b)));
                first_unequal(unequal).then(a.len().cmp(&b.len()))
            }
            (
                Self::Unknown { type_code, bytes },
                Self::Unknown {
                    type_code: other_code,
                    bytes: other_bytes,
                },
            ) => type_code
                .cmp(other_code)
                .then_with(|| bytes.cmp(other_bytes)),
            _ => match (self.number(), other.number()) {
                (Some(a), Some(b)) => a.order(b),
                _ => self.rank().cmp(&other.rank()),
            },
        }
    }

    /// Whether both have a place in the same part of the order: numbers of all kinds do, strings and texts.
    pub const fn is_kind_of(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::Int(_) | Self::Uint(_) | Self::Float(_) | Self::Counter(_) => 2,
            Self::Timestamp(_) => 3,
            Self::Str(_) | Self::Text(_) => 4,
            Self::Bytes(_) => 5,
            Self::List(_) => 6,
            Self::Map(_) => 7,
            Self::Unknown { .. } => 8,
        }
    }

    /// What a number is worth; a timestamp is none.
    pub fn number(&self) -> Option<Number> {
        match self {
            Self::Int(number) | Self::Counter(number) => Some(Number::Whole((*number).into())),
            Self::Uint(number) => Some(Number::Whole((*number).into())),
            Self::Float(number) => Some(Number::Float(*number)),
            Self::Null
            | Self::Bool(_)
            | Self::Timestamp(_)
            | Self::Str(_)
            | Self::Text(_)
            | Self::Bytes(_)
            | Self::List(_)
            | Self::Map(_)
            | Self::Unknown { .. } => None,
        }
    }
}

/// A number apart from how it is kept.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    /// A whole number of up to 64 bits, with or without a sign.
    Whole(i128),
    /// A floating-point number.
    Float(f64),
}

impl Number {
    fn order(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => a.cmp(&b),
            (Self::Float(a), Self::Float(b)) => floats(a, b),
            (Self::Whole(a), Self::Float(b)) => whole_with_float(a, b),
            (Self::Float(a), Self::Whole(b)) => whole_with_float(b, a).reverse(),
        }
    }
}

/// Both zeros are equal, and so are all NaNs, above the rest.
fn floats(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b)
        .unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

fn whole_with_float(whole: i128, float: f64) -> Ordering {
    if float.is_nan() {
        return Ordering::Less;
    }
    // Saturates: beyond 128 bits it is beyond all whole numbers here.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the whole part is what is wanted; the rest is compared after it"
    )]
    let floor = float.floor() as i128;
    whole.cmp(&floor).then(if float.fract() == 0.0 {
        Ordering::Equal
    } else {
        Ordering::Less
    })
}

fn first_unequal(mut orders: impl Iterator<Item = Ordering>) -> Ordering {
    orders
        .find(|it| *it != Ordering::Equal)
        .unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::any_value;
    use super::*;

    fn kinds() -> Vec<Value> {
        let json = r#"[null, false, true, -9223372036854775808, -1.5, -1, 0, 0.5, 1, 9007199254740992,
            9007199254740993, 18446744073709551615, 1e300, "a", "b", [], [1], [1, 0], [2], {},
            {"a": 1}, {"a": 2}, {"b": 0}]"#;
        let Value::List(list) = Value::from_json(&serde_json::from_str(json).unwrap()).unwrap()
        else {
            unreachable!()
        };
        list
    }

    #[test]
    fn values_stand_in_the_order_of_the_docs() {
        let mut all = kinds();
        let at = all.iter().position(|it| *it == Value::from("a")).unwrap();
        all.splice(at..at, [Value::Float(f64::NAN), Value::Timestamp(i64::MIN)]);
        for (a, left) in all.iter().enumerate() {
            for (b, right) in all.iter().enumerate() {
                assert_eq!(left.order(right), a.cmp(&b), "{left:?} and {right:?}");
            }
        }
    }

    #[test]
    fn what_is_worth_the_same_is_equal_whatever_its_kind() {
        let equal = [
            [Value::Int(3), Value::Uint(3)],
            [Value::Counter(3), Value::Float(3.0)],
            [Value::Float(0.0), Value::Float(-0.0)],
            [Value::Str("x".into()), Value::Text("x".into())],
            [Value::Float(f64::NAN), Value::Float(-f64::NAN)],
        ];
        for [a, b] in equal {
            assert_eq!(a.order(&b), Ordering::Equal, "{a:?} and {b:?}");
        }
        let large = Value::Float(9_007_199_254_740_992.0);
        assert_eq!(
            Value::Int(9_007_199_254_740_993).order(&large),
            Ordering::Greater
        );
        assert_eq!(
            Value::Int(i64::MAX).order(&Value::Float(f64::INFINITY)),
            Ordering::Less
        );
        assert_eq!(Value::Int(-2).order(&Value::Float(-1.5)), Ordering::Less);
        assert_eq!(Value::Int(-1).order(&Value::Float(-1.5)), Ordering::Greater);
    }

    proptest! {
        #[test]
        fn it_is_an_order(a in any_value(), b in any_value(), c in any_value()) {
            prop_assert_eq!(a.order(&b), b.order(&a).reverse());
            prop_assert_eq!(a.order(&a), Ordering::Equal);
            if a.order(&b).is_le() && b.order(&c).is_le() {
                prop_assert!(a.order(&c).is_le());
            }
        }
    }
}

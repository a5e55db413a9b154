//! One order over all values, as bytes: keys compare as the values that they are made of.
//!
//! The order is that of [`Value::order`](crate::doc::Value::order), in which nothing counts as null.
//!
//! Of one value the first [`ORDER_KEY_BYTES_MAX`](crate::limits::ORDER_KEY_BYTES_MAX) bytes of its key
//! count; values that differ only after that are equal here.

pub(super) use crate::doc::order_key as append;

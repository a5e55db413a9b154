//! What queries may be, and what they may hold.

/// Longest query as text, in bytes: a thousand ids in a list fit.
pub const QUERY_BYTES_MAX: usize = 64 * 1024;

/// Deepest nesting of a query's parentheses, `not` and `any`. Each is a few frames of the stack.
pub const QUERY_DEPTH_MAX: usize = 32;

/// Most columns of a query's order.
pub const ORDER_COLUMNS_MAX: usize = 8;

/// What counts of one value in an order, in bytes of its key: about so many characters of a text.
/// Keys stand in cursors.
pub const ORDER_KEY_BYTES_MAX: usize = 512;

/// Views that one step of building an index takes, and entries that one of removing it does: edits are
/// written between steps.
pub const INDEX_STEP_RECORDS: usize = 256;

/// Bytes of views after which such a step ends.
pub const INDEX_STEP_BYTES: usize = 1 << 20;

/// Most records in the result of a live query. With a limit it holds up to three times as many, since
/// some may come into it next.
pub const LIVE_RECORDS_MAX: usize = 100_000;

/// Least number of records beyond its limit that a live query holds after it has read the collection.
pub const LIVE_MARGIN: usize = 64;

/// Bytes of the keys that one record has in one index: some thousand elements of a list. What has more is
/// looked at beside the index.
pub const INDEX_RECORD_BYTES_MAX: usize = 1 << 16;

/// Parts of an index that one query reads: the values that `in` names, of all columns together.
pub const QUERY_SPANS_MAX: usize = 256;

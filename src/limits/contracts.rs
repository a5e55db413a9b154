//! What contracts and conflict policies may be.

use std::time::Duration;

/// How far a clock may be behind what it has seen written, and its writer still goes on from there:
/// a clock that is further ahead pulls nobody along.
pub const CLOCK_TRUST: Duration = Duration::from_secs(5 * 60);

/// Contracts that a node keeps in memory, of all its spaces; those beyond are not looked at.
pub const CONTRACTS_MAX: usize = 1_024;

/// Memory of the contracts that a node keeps because others put them into its spaces, in bytes, by
/// [`Contract::size_hint`](crate::contract::Contract::size_hint): one of the largest is 34 MB. Those
/// beyond are not looked at.
pub const CONTRACTS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Conflicts of one record that are listed.
pub const CONFLICTS_LISTED_MAX: usize = 1_024;

/// Length of a custom policy's name, in bytes.
pub const POLICY_NAME_BYTES_MAX: usize = 64;

/// Largest contract as JSON, in bytes. Contracts travel and are stored like records.
pub const CONTRACT_BYTES_MAX: usize = 256 * 1024;

/// Most fields of a contract, nested ones included: all of them are looked at for each record.
pub const CONTRACT_FIELDS_MAX: usize = 1_024;

/// Deepest nesting of a contract's fields. A record may be nested deeper where nothing is declared.
pub const CONTRACT_DEPTH_MAX: usize = 16;

/// Most rules across fields of a contract.
pub const CONTRACT_RULES_MAX: usize = 256;

/// Most indexes of a contract: each of them is written with each record.
pub const CONTRACT_INDEXES_MAX: usize = 32;

/// Most fields of one index.
pub const INDEX_FIELDS_MAX: usize = 8;

/// Gates that a node keeps in memory, of all its spaces; those beyond stay shut.
pub const GATES_MAX: usize = 1_024;

/// Most replicas that one gate names.
pub const GATE_REPLICAS_MAX: usize = 1_024;

/// Most steps of all migrations of a contract together: each record that is read runs through all.
pub const MIGRATION_STEPS_MAX: usize = 256;

/// Records that a migration of a collection writes in one commit: other edits wait for no more.
pub const MIGRATION_BATCH_RECORDS: usize = 64;

/// Records that could not be migrated whose reasons a report has; the rest is counted.
pub const MIGRATION_FAILURES_MAX: usize = 1_024;

/// Longest name of a contract's field, index or custom rule, in bytes.
pub const CONTRACT_NAME_BYTES_MAX: usize = 128;

/// Longest pattern of a field, in bytes.
pub const PATTERN_BYTES_MAX: usize = 1_024;

/// Largest pattern once it is compiled, in bytes: about a thousand states, each of which may cost a
/// step for every character of a text.
pub const PATTERN_COMPILED_BYTES_MAX: usize = 32 * 1024;

/// Bytes of one record's texts that are matched with patterns. Together with the size of a pattern this
/// bounds the time that a record can take which was made to be slow.
pub const PATTERN_TEXT_BYTES_MAX: usize = 64 * 1024;

/// Most breaches of its contract that are told of one record.
pub const BREACHES_MAX: usize = 100;

/// Bytes of text about the breaches of one record after which the rest is only counted: it stands in the
/// quarantine, and of a record that was made for it, it would be megabytes.
pub const BREACHES_BYTES_MAX: usize = 4 * 1024;

/// Characters that are told of one of them.
pub const BREACH_CHARS_MAX: usize = 1_024;

/// After opening, until a node looks whether views were judged by another contract than now: programs
/// declare theirs first.
pub const RULE_AFTER: Duration = Duration::from_secs(1);

//! How a change says that it takes another one back: by how its message begins.
//!
//! `undo:` or `redo:`, the hash of what is taken back in 64 hex digits, and then nothing, or a space and
//! the reason.

use super::RevisionKind;
use crate::id::ChangeHash;

const UNDO: &str = "undo:";
const REDO: &str = "redo:";
const HASH_DIGITS: usize = 64;

/// What a message says: what the change was made as, and why.
pub(super) fn read(message: Option<&str>) -> (RevisionKind, Option<&str>) {
    let marked = message.and_then(|it| {
        undone(it, UNDO)
            .map(|(hash, reason)| (RevisionKind::Undo(hash), reason))
            .or_else(|| undone(it, REDO).map(|(hash, reason)| (RevisionKind::Redo(hash), reason)))
    });
    marked.unwrap_or((RevisionKind::Edit, message))
}

/// Whether a message would pass for that of an undo or redo.
pub(in crate::doc) fn is_mark(message: &str) -> bool {
    read(Some(message)).0 != RevisionKind::Edit
}

/// The message of a change.
pub(super) fn write(kind: RevisionKind, reason: Option<&str>) -> Option<String> {
    let mark = match kind {
        RevisionKind::Edit => return reason.map(str::to_owned),
        RevisionKind::Undo(hash) => format!("{UNDO}{hash}"),
        RevisionKind::Redo(hash) => format!("{REDO}{hash}"),
    };
    Some(match reason {
        None => mark,
        Some(reason) => format!("{mark} {reason}"),
    })
}

fn undone<'a>(message: &'a str, prefix: &str) -> Option<(ChangeHash, Option<&'a str>)> {
    let (digits, rest) = message
        .strip_prefix(prefix)?
        .split_at_checked(HASH_DIGITS)?;
    let hash = digits.parse().ok()?;
    match rest.strip_prefix(' ') {
        Some(reason) => Some((hash, Some(reason))),
        None => rest.is_empty().then_some((hash, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_as_it_was_written() {
        let hash = ChangeHash::from_bytes([0xab; 32]);
        for kind in [
            RevisionKind::Edit,
            RevisionKind::Undo(hash),
            RevisionKind::Redo(hash),
        ] {
            for reason in [None, Some("moved by Ana"), Some("")] {
                let message = write(kind, reason);
                assert_eq!(read(message.as_deref()), (kind, reason));
            }
        }
    }

    #[test]
    fn what_only_begins_like_a_mark_is_a_reason() {
        let digits = "ab".repeat(32);
        for reason in [
            "undo: a mistake".to_owned(),
            "undo:".to_owned(),
            format!("undo:{digits}."),
            format!("Undo:{digits}"),
            format!("undo:{}ü", "a".repeat(63)),
        ] {
            assert_eq!(
                read(Some(&reason)),
                (RevisionKind::Edit, Some(reason.as_str()))
            );
            assert!(!is_mark(&reason));
        }
        assert!(is_mark(&format!("undo:{digits}")));
        assert!(is_mark(&format!("redo:{} x", digits.to_uppercase())));
    }
}

//! Going back to a version of a record.

use super::{is_deleted, read_value};
use crate::doc::{Change, Document, EditMeta, Value, Version};
use crate::error::{Error, ErrorKind, Result};

/// Makes the record what it was at a version, deleted or not. None if it is already.
///
/// # Errors
/// `NotFound` if there is no record, no such version, or nothing at that time, `InvalidInput` if a
/// short hash means several.
pub fn restore_version(
    doc: &mut Document,
    meta: EditMeta,
    version: &Version,
) -> Result<Option<Change>> {
    let heads = doc.heads();
    if heads.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, "there is no such record"));
    }
    let then = doc.version(&heads, version)?;
    if then.is_empty() {
        let message = format!("the record did not exist at {version}; delete it instead");
        return Err(Error::new(ErrorKind::NotFound, message));
    }
    let value = doc.value_at(&then)?;
    let time = meta.time;
    let ((), change) = doc.edit(meta, |edit| {
        if let Value::Map(map) = read_value(&value).as_ref() {
            edit.put_map(map)?;
        }
        if is_deleted(&value) {
            edit.mark_deleted(time)
        } else {
            edit.restore()
        }
    })?;
    Ok(change)
}

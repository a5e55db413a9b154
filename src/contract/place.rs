//! Names and paths as they stand in contracts.

use crate::doc::PathStep;
use crate::limits;

/// The steps of a path of names with dots; none of the empty one.
pub(super) fn steps(path: &str) -> Vec<PathStep> {
    if path.is_empty() {
        return Vec::new();
    }
    path.split('.').map(PathStep::from).collect()
}

/// What is wrong with the name of an index, or a custom rule of this version.
pub(super) fn check_name(name: &str, version: u32) -> Result<(), String> {
    let fits = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || "-_".contains(it);
    let max = limits::CONTRACT_NAME_BYTES_MAX;
    if name.is_empty() || name.len() > max || !name.chars().all(fits) {
        return Err(format!(
            "'{}' is no name: 1 to {max} lower-case letters, digits, '-' and '_'",
            shorten(name)
        ));
    }
    if version == 0 {
        return Err(format!("'{name}' has version 0; versions are from 1"));
    }
    Ok(())
}

/// What is wrong with the name of a field. What stands in paths does not fit, and `$` is ours.
pub(super) fn check_field_name(name: &str) -> Result<(), String> {
    let max = limits::CONTRACT_NAME_BYTES_MAX;
    let bad = |it: char| it.is_control() || ".[]*".contains(it);
    if name.is_empty() || name.len() > max || name.starts_with('$') || name.contains(bad) {
        return Err(format!(
            "'{}' is no name of a field: 1 to {max} bytes without '.', '[', ']', '*', and without '$' \
             in front",
            shorten(name)
        ));
    }
    Ok(())
}

/// As much of a text as an error should show.
pub(super) fn shorten(text: &str) -> String {
    let mut shown: String = text.chars().take(60).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown.escape_debug().to_string()
}

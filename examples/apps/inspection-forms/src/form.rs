//! What a form asks.

use std::fmt::Write as _;
use std::path::Path;

use syncline::contract::Contract;
use syncline::{Error, ErrorKind, Result};

/// Reads a form from a file.
///
/// # Errors
/// `Io` if the file can't be read, `InvalidInput` if it is no contract, with the place of what is wrong.
pub fn read(file: &Path) -> Result<Contract> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        let message = format!("cannot read {}: {error}", file.display());
        Error::new(ErrorKind::Io, message)
    })?;
    let contract = text.parse::<Contract>();
    contract.map_err(|error| error.context(file.display()))
}

/// The questions, one a line.
pub fn show(form: &Contract) -> String {
    let mut shown = format!("{}, version {}\n", form.collection(), form.version());
    for (name, field) in form.fields() {
        let needed = if field.is_required() { ", needed" } else { "" };
        // Writing into a string does not fail.
        let _infallible = writeln!(
            shown,
            "  {name:14} {} ({}{needed})",
            field.description(),
            field.kind()
        );
    }
    shown
}

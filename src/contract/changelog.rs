//! What changed from one version of a contract to the next, in Markdown for people.

use std::fmt::Write as _;

use super::compare::{Difference, compare};
use super::{Contract, Effect};

/// The section of a contract's changelog about `new`, which follows `old`: breaks first.
///
/// ```
/// use syncline::contract::{Contract, Field, changelog};
/// let old = Contract::builder("tasks", 1).field("title", Field::string()).build()?;
/// let new = Contract::builder("tasks", 2).field("title", Field::string()).field("due", Field::timestamp());
/// let section = changelog(&old, &new.build()?);
/// assert_eq!(section, "\
/// ### Version 2
///
/// Read by programs of version 1 and newer, written by those of version 1 and newer.
///
/// Compatible:
///
/// - `due`: new optional field, timestamp. Older programs carry it along unread.
/// ");
/// # Ok::<_, syncline::Error>(())
/// ```
pub fn changelog(old: &Contract, new: &Contract) -> String {
    let found = compare(old, new);
    let Contract {
        version,
        oldest_reader,
        oldest_writer,
        ..
    } = new;
    let mut text = format!(
        "## Version {version}\n\nRead by programs of version {oldest_reader} and newer, written by \
         those of version {oldest_writer} and newer.\n"
    );
    let effects = [
        Effect::BreaksBoth,
        Effect::BreaksReaders,
        Effect::BreaksWriters,
        Effect::Degraded,
        Effect::Compatible,
    ];
    for effect in effects {
        let mut some = found
            .list
            .iter()
            .filter(|it| it.effect == effect)
            .peekable();
        if some.peek().is_none() {
            continue;
        }
        // Writing into a string does not fail.
        write!(text, "\n{}:\n\n", capital(&effect.to_string())).unwrap_or_default();
        some.for_each(|it| item(&mut text, it));
    }
    if found.list.is_empty() {
        text.push_str("\nNothing changed.\n");
    }
    text
}

fn item(text: &mut String, difference: &Difference) {
    let Difference {
        place,
        change,
        reason,
        ..
    } = difference;
    let reason = capital(reason);
    writeln!(text, "- `{place}`: {change}. {reason}.").unwrap_or_default();
}

fn capital(text: &str) -> String {
    let mut rest = text.chars();
    let first = rest.next().map(|it| it.to_ascii_uppercase());
    first.into_iter().chain(rest).collect()
}

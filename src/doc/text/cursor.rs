//! A place in a text that moves along with what others write.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::{Error, ErrorKind};
use crate::limits;

/// A place in a text: in front of one of its characters, or at its end.
///
/// It stays with that character wherever others move it by what they write, and is good on every
/// replica that has the character. Once the character is deleted, the cursor stands where it was: in
/// front of the next one that is left. At the end means at the end, also when others append.
///
/// As text it is short, and what it says is nobody's affair:
///
/// ```
/// use syncline::doc::Cursor;
///
/// let cursor: Cursor = "12@0a0b".parse()?;
/// assert_eq!(cursor.to_string(), "12@0a0b");
/// assert!("12@".parse::<Cursor>().is_err());
/// # Ok::<(), syncline::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Cursor(pub(super) automerge::Cursor);

impl Eq for Cursor {}

/// Longest text of a cursor: a number of 64 bits, a sign and an actor in hex.
const TEXT_BYTES_MAX: usize = 24 + 2 * limits::ACTOR_BYTES_MAX;

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        // Automerge looks at the first byte of whatever it is given.
        let allowed = |byte: u8| byte.is_ascii_digit() || b"abcdefs@-".contains(&byte);
        let is_sound =
            !text.is_empty() && text.len() <= TEXT_BYTES_MAX && text.bytes().all(allowed);
        let actor = text.split_once('@').map(|it| it.1);
        let has_actor = actor.is_none_or(|it| !it.is_empty());
        let parsed = if is_sound && has_actor {
            automerge::Cursor::try_from(text).ok()
        } else {
            None
        };
        // One cursor has one text.
        let parsed = parsed.filter(|it| it.to_string() == text);
        parsed.map(Self).ok_or_else(|| {
            let shown: String = text.chars().take(40).collect();
            let message = format!("'{shown}' is no cursor; take one from a text");
            Error::new(ErrorKind::InvalidInput, message)
        })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor({self})")
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

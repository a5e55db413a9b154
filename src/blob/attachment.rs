//! How a record refers to a blob.
//!
//! A reference is one text, so that it is replaced as a whole and two people who attach different
//! files at once never mix them: `blob:`, the id in hex, `;size=` and the bytes, and where they are
//! known `;type=` and the media type, `;name=` and the name, which goes on to the end. The id behind
//! its mark is found in the bytes of a change without reading the document.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, ErrorKind, Result};
use crate::id::BlobId;
use crate::limits;

/// What every reference begins with.
const MARK: &str = "blob:";
/// Bytes of the mark and the id in hex.
const NAMING_BYTES: usize = MARK.len() + 64;

/// A field's reference to a blob: what it is, how large, and what it was called.
///
/// Fields of a record have this type. It is written and merged as one value. The bytes themselves
/// are put, got and fetched apart, see [`Blobs`](crate::node::Blobs).
///
/// ```
/// use syncline::blob::Attachment;
/// let id = "ab".repeat(32).parse()?;
/// let photo = Attachment::new(id, 70_000).with_type("image/png")?.with_name("fern.png")?;
/// let text = photo.to_string();
/// assert!(text.ends_with(";size=70000;type=image/png;name=fern.png"));
/// assert_eq!(text.parse::<Attachment>()?, photo);
/// assert!(photo.with_type("no type").is_err());
/// # Ok::<_, syncline::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attachment {
    id: BlobId,
    size: u64,
    media_type: Option<String>,
    name: Option<String>,
}

impl Attachment {
    /// A reference to the blob `id` of `size` bytes.
    pub const fn new(id: BlobId, size: u64) -> Self {
        Self {
            id,
            size,
            media_type: None,
            name: None,
        }
    }

    /// The same, saying what the bytes are, as in `image/png`.
    ///
    /// # Errors
    /// `InvalidInput` if it is no media type of RFC 6838.
    pub fn with_type(mut self, media_type: &str) -> Result<Self> {
        if !is_media_type(media_type) {
            let message = format!("'{media_type}' is not a media type, as in image/png");
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        self.media_type = Some(media_type.to_owned());
        Ok(self)
    }

    /// The same, saying what the file was called.
    ///
    /// # Errors
    /// `InvalidInput` if it is empty, over [`limits::ATTACHMENT_NAME_BYTES_MAX`] bytes, or has
    /// control characters.
    pub fn with_name(mut self, name: &str) -> Result<Self> {
        if !is_name(name) {
            let max = limits::ATTACHMENT_NAME_BYTES_MAX;
            let message = format!("a name has 1 to {max} bytes and no control characters");
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        self.name = Some(name.to_owned());
        Ok(self)
    }

    /// The blob.
    pub const fn id(&self) -> BlobId {
        self.id
    }

    /// Bytes of the blob, as whoever wrote the reference says.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// What the bytes are, if the writer said so.
    pub fn media_type(&self) -> Option<&str> {
        self.media_type.as_deref()
    }

    /// What it was called, if the writer said so. It comes from others: make sure that it is no path
    /// before a file is called so.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The reference that `text` is, if it is one as [`Attachment`] writes it.
    pub fn read(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(MARK)?;
        let (id, rest) = rest.split_once(";size=")?;
        let (rest, name) = match rest.split_once(";name=") {
            Some((rest, name)) => (rest, Some(name)),
            None => (rest, None),
        };
        let (size, media_type) = match rest.split_once(";type=") {
            Some((size, media_type)) => (size, Some(media_type)),
            None => (rest, None),
        };
        let read = Self {
            id: id.parse().ok()?,
            size: size.parse().ok()?,
            media_type: media_type.map(str::to_owned),
            name: name.map(str::to_owned),
        };
        let fits = read.media_type().is_none_or(is_media_type) && read.name().is_none_or(is_name);
        // One reference, one text: capital digits and leading zeros are none.
        (fits && read.to_string() == text).then_some(read)
    }
}

impl fmt::Display for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MARK}{};size={}", self.id, self.size)?;
        if let Some(media_type) = &self.media_type {
            write!(f, ";type={media_type}")?;
        }
        if let Some(name) = &self.name {
            write!(f, ";name={name}")?;
        }
        Ok(())
    }
}

impl FromStr for Attachment {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let message = "not a reference to an attachment, as in blob:<64 hex digits>;size=<bytes>";
        Self::read(text).ok_or_else(|| Error::new(ErrorKind::InvalidInput, message))
    }
}

impl Serialize for Attachment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Attachment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The blobs that are named anywhere in these bytes, such as those of a change: each mark that an id
/// in hex follows. More may be found than the record refers to, never less.
pub fn named_in(bytes: &[u8]) -> Vec<BlobId> {
    let mut named = Vec::new();
    let places = bytes.windows(NAMING_BYTES);
    for place in places.filter(|it| it.starts_with(MARK.as_bytes())) {
        let digits = place.get(MARK.len()..).unwrap_or_default();
        let id = std::str::from_utf8(digits).ok();
        named.extend(id.and_then(|it| it.parse::<BlobId>().ok()));
    }
    named.sort_unstable();
    named.dedup();
    named
}

fn is_name(name: &str) -> bool {
    let fits = (1..=limits::ATTACHMENT_NAME_BYTES_MAX).contains(&name.len());
    fits && !name.chars().any(char::is_control)
}

fn is_media_type(text: &str) -> bool {
    let is_part = |part: &str| {
        let mut bytes = part.bytes();
        let starts = bytes.next().is_some_and(|it| it.is_ascii_alphanumeric());
        starts && bytes.all(|it| it.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&it))
    };
    let fits = text.len() <= limits::MEDIA_TYPE_BYTES_MAX;
    fits && text
        .split_once('/')
        .is_some_and(|(kind, sub)| is_part(kind) && is_part(sub))
}

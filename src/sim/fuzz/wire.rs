//! Frames from anyone.

use bytes::Bytes;

use crate::limits;
use crate::wire::{self, Message};

/// One frame, as a transport would hand it over.
///
/// # Panics
/// Where what was decoded does not encode to something that decodes to the same, and where two
/// uncompressed encodings stand for one message.
pub fn wire(data: &[u8]) {
    let frame = Bytes::copy_from_slice(data);
    let Ok(decoded) = wire::decode(&frame, limits::FRAME_BYTES_MAX) else {
        return;
    };
    if matches!(decoded.message, Message::Unknown { .. }) {
        return;
    }
    let again = wire::encode(decoded.correlation, &decoded.message);
    let is_same = |bytes: Vec<u8>| {
        let second = wire::decode(&Bytes::from(bytes), usize::MAX);
        assert_eq!(
            second.as_ref(),
            Ok(&decoded),
            "what was encoded decodes to the same"
        );
    };
    is_same(again.clone());
    is_same(wire::seal(again.clone()));
    let is_compressed = data.get(1).is_some_and(|flags| flags & 1 == 1);
    if !is_compressed && !has_extensions(&decoded.message) {
        assert_eq!(again, data, "one message has one encoding");
    }
}

/// Messages in which later versions may add what this one drops.
const fn has_extensions(message: &Message) -> bool {
    matches!(
        message,
        Message::Hello(_) | Message::Open(_) | Message::Bye { .. } | Message::Error { .. }
    )
}

//! Messages as automerge-repo 2.5.6 wrote them.

use ::bytes::Bytes;

use crate::repo::Message;
use crate::repo::message::Metadata;

fn hex(digits: &str) -> Bytes {
    let bytes = digits.as_bytes().chunks(2);
    let byte = |it: &[u8]| u8::from_str_radix(std::str::from_utf8(it).unwrap(), 16).unwrap();
    bytes.map(byte).collect::<Vec<u8>>().into()
}

#[test]
fn a_captured_conversation_is_understood() {
    let join = "b900046474797065646a6f696e6873656e646572496463636c696c706565724d65746164617461b900026973746f726167654964f76b6973457068656d6572616cf57819737570706f7274656450726f746f636f6c56657273696f6e73816131";
    let metadata = Metadata {
        storage: None,
        is_ephemeral: true,
    };
    let expected = Message::Join {
        sender: "cli".to_owned(),
        versions: vec!["1".to_owned()],
        metadata,
    };
    assert_eq!(Message::decode(&hex(join)), Ok(expected));
}

//! Undo and redo, alone and among others.

use super::tests::{actor, json};
use super::*;
use crate::doc::{DELETED_KEY, Edit, EditMeta, PathStep, Undone, Value};
use crate::limits;

pub(super) fn meta() -> EditMeta {
    EditMeta::at(WallTime::from_millis(5_000))
}

pub(super) fn path(steps: &[&str]) -> Vec<PathStep> {
    steps.iter().map(|it| PathStep::from(*it)).collect()
}

pub(super) fn edit(document: &mut Document, work: impl FnOnce(&mut Edit<'_>) -> Result<(), Error>) {
    document.edit::<_, Error>(meta(), work).unwrap();
}

fn set(document: &mut Document, steps: &[&str], value: &str) {
    let value = json(&format!("[{value}]"));
    let value = value.get(&[0.into()]).unwrap();
    edit(document, |edit| edit.set(&path(steps), value));
}

pub(super) fn splice(document: &mut Document, at: usize, delete: usize, insert: &str) {
    edit(document, |edit| {
        edit.splice_text(&path(&["t"]), at, delete, insert)
    });
}

pub(super) fn undo(document: &mut Document) -> Undone {
    document.undo(meta()).unwrap().unwrap().0
}

pub(super) fn redo(document: &mut Document) -> Undone {
    document.redo(meta()).unwrap().unwrap().0
}

/// A document that `number` writes to, with this record in it, made by somebody else.
fn document(number: u8, record: &str) -> Document {
    let mut maker = Document::new(&actor(99));
    edit(&mut maker, |edit| edit.set(&[], &json(record)));
    let saved = maker.save().unwrap();
    Document::load(&actor(number), [saved.as_slice()]).unwrap()
}

pub(super) fn pair(record: &str) -> (Document, Document) {
    (document(1, record), document(2, record))
}

/// Both get what the other has.
pub(super) fn meet(a: &mut Document, b: &mut Document) {
    for _ in 0..2 {
        let (_, changes) = Document::open_saved(&actor(98), &a.save().unwrap()).unwrap();
        b.apply(&changes).unwrap();
        std::mem::swap(a, b);
    }
    assert_eq!(a.heads(), b.heads());
    assert_eq!(a.value().unwrap(), b.value().unwrap());
}

pub(super) fn restarted(document: &Document, number: u8) -> Document {
    Document::load(&actor(number), [document.save().unwrap().as_slice()]).unwrap()
}

fn shown(document: &Document) -> serde_json::Value {
    document.value().unwrap().to_json()
}

#[test]
fn what_is_undone_says_so_in_the_history_and_why() {
    let mut document = document(1, r#"{"n": 1}"#);
    let mut why = meta();
    why.message = Some("counted".to_owned());
    let edited = document.edit::<_, Error>(why, |edit| edit.set(&path(&["n"]), &2.into()));
    let edited = edited.unwrap().1.unwrap().hash();
    let mut why = meta();
    why.message = Some("miscounted".to_owned());
    let (undone, change) = document.undo(why).unwrap().unwrap();
    assert_eq!(undone.change, edited);
    assert_eq!(undone.reason.as_deref(), Some("counted"));
    assert_eq!(undone.by, change.hash());
    assert_eq!(
        change.message(),
        Some(format!("undo:{edited} miscounted").as_str())
    );
    let history = document.history(&document.heads(), 1, None).unwrap();
    assert_eq!(history.list[0].kind, RevisionKind::Undo(edited));
    assert_eq!(history.list[0].reason.as_deref(), Some("miscounted"));
    let redone = redo(&mut document);
    assert_eq!(redone.change, change.hash());
    assert_eq!(redone.reason.as_deref(), Some("miscounted"));
    let history = document.history(&document.heads(), 1, None).unwrap();
    assert_eq!(history.list[0].kind, RevisionKind::Redo(change.hash()));
}

#[test]
fn a_reason_can_t_pass_for_a_mark() {
    let mut document = document(1, r#"{"n": 1}"#);
    set(&mut document, &["n"], "2");
    for mark in ["undo:", "redo:"] {
        let mut forged = meta();
        forged.message = Some(format!("{mark}{}", ChangeHash::from_bytes([1; 32])));
        let edited =
            document.edit::<_, Error>(forged.clone(), |edit| edit.set(&path(&["n"]), &3.into()));
        assert_eq!(edited.unwrap_err().kind(), ErrorKind::InvalidInput);
        let undone = document.undo(forged).unwrap_err();
        assert_eq!(undone.kind(), ErrorKind::InvalidInput);
    }
    let mut long = meta();
    long.message = Some("x".repeat(limits::CHANGE_MESSAGE_BYTES_MAX));
    let undone = document.undo(long).unwrap_err();
    assert_eq!(undone.kind(), ErrorKind::TooLarge);
    assert_eq!(shown(&document), serde_json::json!({"n": 2}));
}

#[test]
fn a_creation_is_undone_by_a_deletion_and_a_deletion_by_restoring() {
    let mut document = Document::new(&actor(1));
    assert_eq!(document.undo(meta()).unwrap(), None);
    edit(&mut document, |edit| edit.set(&[], &json(r#"{"n": 1}"#)));
    undo(&mut document);
    assert!(document.is_deleted().unwrap());
    assert_eq!(document.undo(meta()).unwrap(), None);
    redo(&mut document);
    assert!(!document.is_deleted().unwrap());
    edit(&mut document, |edit| {
        edit.mark_deleted(WallTime::from_millis(7))
    });
    undo(&mut document);
    assert!(!document.is_deleted().unwrap());
    redo(&mut document);
    let value = document.value().unwrap();
    assert_eq!(
        value.get(&path(&[DELETED_KEY])),
        Some(&Value::Timestamp(7)),
        "as it was, not as of now"
    );
}

#[test]
fn a_record_in_which_others_work_is_not_deleted() {
    let mut a = Document::new(&actor(1));
    edit(&mut a, |edit| edit.set(&[], &json(r#"{"n": 1}"#)));
    let mut b = restarted(&a, 2);
    set(&mut b, &["m"], "2");
    meet(&mut a, &mut b);
    let undone = undo(&mut a);
    assert_eq!(undone.kept, [vec![]]);
    assert!(!a.is_deleted().unwrap());
    assert_eq!(a.undo(meta()).unwrap(), None, "it counts as undone");
    meet(&mut a, &mut b);
}

#[test]
fn an_edit_of_one_s_own_leaves_nothing_to_redo() {
    let mut document = document(1, r#"{"n": 1}"#);
    assert_eq!(document.redo(meta()).unwrap(), None);
    set(&mut document, &["n"], "2");
    undo(&mut document);
    set(&mut document, &["n"], "3");
    assert_eq!(document.redo(meta()).unwrap(), None);
    undo(&mut document);
    assert_eq!(shown(&document), serde_json::json!({"n": 1}));
}

#[test]
fn what_others_have_written_since_is_kept_and_named() {
    let (mut a, mut b) = pair(r#"{"x": 1, "y": 1, "z": {"u": 1, "v": 1}}"#);
    edit(&mut a, |edit| {
        edit.set(&[], &json(r#"{"x": 2, "y": 2, "z": {"u": 2, "v": 2}}"#))
    });
    meet(&mut a, &mut b);
    set(&mut b, &["y"], "3");
    set(&mut b, &["z", "v"], "3");
    meet(&mut a, &mut b);
    let undone = undo(&mut a);
    assert_eq!(undone.kept, [path(&["y"]), path(&["z", "v"])]);
    let expected = serde_json::json!({"x": 1, "y": 3, "z": {"u": 1, "v": 3}});
    assert_eq!(shown(&a), expected);
    redo(&mut a);
    let expected = serde_json::json!({"x": 2, "y": 3, "z": {"u": 2, "v": 3}});
    assert_eq!(shown(&a), expected);
    meet(&mut a, &mut b);
}

#[test]
fn the_same_value_written_by_another_is_kept_too() {
    let (mut a, mut b) = pair(r#"{"done": false}"#);
    set(&mut a, &["done"], "true");
    set(&mut b, &["done"], "true");
    meet(&mut a, &mut b);
    assert_eq!(undo(&mut a).kept, [path(&["done"])]);
    assert_eq!(shown(&a), serde_json::json!({"done": true}));
}

#[test]
fn a_counter_loses_what_was_added_whatever_others_add() {
    let (mut a, mut b) = pair(r#"{"c": {"$counter": 10}}"#);
    set(&mut a, &["c"], "13");
    set(&mut b, &["c"], "14");
    meet(&mut a, &mut b);
    assert_eq!(undo(&mut a).kept, Vec::<Vec<PathStep>>::new());
    assert_eq!(shown(&a), serde_json::json!({"c": 14}));
    redo(&mut a);
    meet(&mut a, &mut b);
    assert_eq!(shown(&b), serde_json::json!({"c": 17}));
}

#[test]
fn a_text_loses_what_was_typed_and_keeps_what_others_typed_in_it() {
    let (mut a, mut b) = pair(r#"{"t": {"$text": "one two"}}"#);
    splice(&mut a, 4, 3, "three four");
    meet(&mut a, &mut b);
    splice(&mut b, 9, 0, "[B]");
    splice(&mut b, 0, 1, "O");
    meet(&mut a, &mut b);
    assert_eq!(shown(&a), serde_json::json!({"t": "One three[B] four"}));
    undo(&mut a);
    assert_eq!(shown(&a), serde_json::json!({"t": "One two[B]"}));
    redo(&mut a);
    assert_eq!(shown(&a), serde_json::json!({"t": "One three[B] four"}));
    meet(&mut a, &mut b);
}

#[test]
fn what_others_removed_too_does_not_come_back() {
    let (mut a, mut b) = pair(r#"{"t": {"$text": "abcdef"}, "l": [1, 2, 3, 4], "k": 1}"#);
    splice(&mut a, 1, 4, "");
    set(&mut a, &["l"], "[1, 4]");
    edit(&mut a, |edit| edit.remove(&path(&["k"])));
    splice(&mut b, 2, 1, "");
    set(&mut b, &["l"], "[1, 3, 4]");
    edit(&mut b, |edit| edit.remove(&path(&["k"])));
    meet(&mut a, &mut b);
    assert_eq!(undo(&mut a).kept, [path(&["k"])]);
    let kept = undo(&mut a).kept;
    assert_eq!(kept, [path(&["l"])], "what is not there has no place");
    assert_eq!(undo(&mut a).kept, [path(&["t"])]);
    let expected = serde_json::json!({"t": "abdef", "l": [1, 3, 4]});
    assert_eq!(shown(&a), expected);
    meet(&mut a, &mut b);
}

#[test]
fn what_is_put_back_has_what_others_changed_in_it_meanwhile() {
    let record = r#"{"l": [{"id": 1, "n": 1}, {"id": 2, "n": 1}], "m": {"t": {"$text": "one"}}}"#;
    let (mut a, mut b) = pair(record);
    set(&mut a, &["l"], r#"[{"id": 2, "n": 1}]"#);
    edit(&mut a, |edit| edit.remove(&path(&["m"])));
    let first = ["l".into(), PathStep::from(0), "n".into()];
    edit(&mut b, |edit| edit.set(&first, &Value::Int(9)));
    edit(&mut b, |edit| {
        edit.splice_text(&path(&["m", "t"]), 3, 0, " two")
    });
    meet(&mut a, &mut b);
    assert_eq!(shown(&a), serde_json::json!({"l": [{"id": 2, "n": 1}]}));
    undo(&mut a);
    undo(&mut a);
    let expected = serde_json::json!({
        "l": [{"id": 1, "n": 9}, {"id": 2, "n": 1}],
        "m": {"t": "one two"},
    });
    assert_eq!(shown(&a), expected);
    meet(&mut a, &mut b);
}

#[test]
fn what_was_made_and_others_work_in_stays_whole() {
    let (mut a, mut b) = pair(r#"{"l": []}"#);
    set(&mut a, &["l"], r#"[{"id": 1, "n": 1}, {"id": 2, "n": 1}]"#);
    set(&mut a, &["m"], r#"{"x": 1, "y": 1}"#);
    meet(&mut a, &mut b);
    set(&mut b, &["m", "x"], "2");
    let first = ["l".into(), PathStep::from(0), "n".into()];
    edit(&mut b, |edit| edit.set(&first, &Value::Int(9)));
    // Back to what it was, but not by whoever made it.
    edit(&mut b, |edit| edit.set(&first, &Value::Int(1)));
    meet(&mut a, &mut b);
    assert_eq!(undo(&mut a).kept, [path(&["m"])]);
    assert_eq!(undo(&mut a).kept, [vec!["l".into(), PathStep::from(0)]]);
    let expected = serde_json::json!({"l": [{"id": 1, "n": 1}], "m": {"x": 2, "y": 1}});
    assert_eq!(shown(&a), expected);
}

#[test]
fn what_was_typed_in_what_was_removed_and_put_back_can_be_undone() {
    let mut a = document(1, r#"{"l": [{"t": {"$text": "one"}}]}"#);
    let text = ["l".into(), PathStep::from(0), "t".into()];
    edit(&mut a, |edit| edit.splice_text(&text, 3, 0, " two"));
    set(&mut a, &["l"], "[]");
    undo(&mut a);
    let mut b = restarted(&a, 2);
    edit(&mut b, |edit| edit.splice_text(&text, 0, 0, "[B] "));
    meet(&mut a, &mut b);
    undo(&mut a);
    assert_eq!(shown(&a), serde_json::json!({"l": [{"t": "[B] one"}]}));
}

use automerge::transaction::Transactable as _;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::doc::{Change, EditMeta};
use crate::id::ActorId;
use crate::time::WallTime;

fn path() -> Vec<PathStep> {
    vec![PathStep::from("text")]
}

fn meta() -> EditMeta {
    EditMeta::at(WallTime::from_millis(1_700_000_000_000))
}

fn edit(document: &mut Document, work: impl FnOnce(&mut Edit<'_>) -> Result<()>) -> Option<Change> {
    document.edit::<_, Error>(meta(), work).unwrap().1
}

/// Two replicas of a record with this text.
fn pair(text: &str) -> (Document, Document) {
    let mut a = Document::new(&ActorId::from_bytes(vec![1; 16]));
    let mut b = Document::new(&ActorId::from_bytes(vec![2; 16]));
    let change = edit(&mut a, |edit| {
        edit.set(&path(), &Value::Text(text.to_owned()))
    });
    b.apply(&[change.unwrap()]).unwrap();
    (a, b)
}

fn mark(name: &str, range: Range<usize>) -> Mark {
    Mark {
        range,
        name: name.to_owned(),
        value: Value::Bool(true),
    }
}

/// The spans as text: marked characters in brackets behind the names of their marks.
fn shown(document: &Document) -> String {
    let spans = document.spans(&path()).unwrap();
    let span = |it: TextSpan| {
        let names: Vec<_> = it.marks.keys().map(String::as_str).collect();
        if names.is_empty() {
            it.text
        } else {
            format!("{}[{}]", names.join("+"), it.text)
        }
    };
    spans.into_iter().map(span).collect()
}

/// Makes both have all that either has written.
fn meet(a: &mut Document, b: &mut Document, ours: Option<Change>, theirs: Option<Change>) {
    b.apply(&ours.into_iter().collect::<Vec<_>>()).unwrap();
    a.apply(&theirs.into_iter().collect::<Vec<_>>()).unwrap();
    assert_eq!(a.heads(), b.heads());
}

#[test]
fn marks_count_characters_and_go_along_with_what_is_written() {
    let (mut a, mut b) = pair("grüße 🎉 an alle");
    let bold = edit(&mut a, |edit| {
        edit.mark(&path(), &mark("bold", 6..7), Expand::After)
    });
    let more = edit(&mut b, |edit| {
        edit.splice_text(&path(), 0, 1, "Viele G")?;
        edit.splice_text(&path(), 14, 0, "🎂")
    });
    meet(&mut a, &mut b, bold, more);
    assert_eq!(
        shown(&a),
        "Viele Grüße 🎉 🎂an alle".replace('🎉', "bold[🎉]")
    );
    assert_eq!(shown(&a), shown(&b));
}

#[test]
fn what_is_written_at_the_ends_is_marked_as_was_said() {
    for (expand, expected) in [
        (Expand::Neither, "a<x[bc]>d"),
        (Expand::Before, "ax[<bc]>d"),
        (Expand::After, "a<x[bc>]d"),
        (Expand::Both, "ax[<bc>]d"),
    ] {
        let (mut a, _) = pair("abcd");
        edit(&mut a, |edit| edit.mark(&path(), &mark("x", 1..3), expand));
        edit(&mut a, |edit| edit.splice_text(&path(), 3, 0, ">"));
        edit(&mut a, |edit| edit.splice_text(&path(), 1, 0, "<"));
        assert_eq!(shown(&a), expected, "{expand:?}");
    }
}

#[test]
fn marks_of_two_people_overlap_and_one_is_taken_off_where_it_is() {
    let (mut a, mut b) = pair("The fox jumped");
    let bold = edit(&mut a, |edit| {
        edit.mark(&path(), &mark("bold", 0..7), Expand::After)
    });
    let italic = edit(&mut b, |edit| {
        edit.mark(&path(), &mark("italic", 4..14), Expand::After)
    });
    meet(&mut a, &mut b, bold, italic);
    assert_eq!(shown(&a), "bold[The ]bold+italic[fox]italic[ jumped]");
    let off = edit(&mut a, |edit| edit.unmark(&path(), &(5..9), "italic"));
    meet(&mut a, &mut b, off, None);
    assert_eq!(shown(&b), "bold[The ]bold+italic[f]bold[ox] jitalic[umped]");
}

#[test]
fn of_two_values_of_one_name_both_show_the_same() {
    let (mut a, mut b) = pair("colour");
    let colour = |value: &str| Mark {
        value: Value::from(value),
        ..mark("colour", 0..6)
    };
    let red = edit(&mut a, |edit| {
        edit.mark(&path(), &colour("red"), Expand::Neither)
    });
    let blue = edit(&mut b, |edit| {
        edit.mark(&path(), &colour("blue"), Expand::Neither)
    });
    meet(&mut a, &mut b, red, blue);
    let spans = a.spans(&path()).unwrap();
    assert_eq!(spans, b.spans(&path()).unwrap());
    assert_eq!(spans.len(), 1);
}

#[test]
fn marks_are_in_the_history_and_in_a_saved_document_and_in_no_value() {
    let (mut a, _) = pair("abc");
    let before = a.heads();
    let value = a.value().unwrap();
    edit(&mut a, |edit| {
        edit.mark(&path(), &mark("bold", 0..2), Expand::After)
    });
    assert_eq!(a.value().unwrap(), value);
    let saved = a.save().unwrap();
    let actor = ActorId::from_bytes(vec![3; 16]);
    let (loaded, _) = Document::open_saved(&actor, &saved).unwrap();
    assert_eq!(shown(&loaded), "bold[ab]c");
    let then = loaded.spans_at(&path(), &before).unwrap();
    assert_eq!(then.len(), 1);
    assert!(then[0].marks.is_empty());
}

#[test]
fn an_undo_leaves_marks_and_says_so() {
    let (mut a, _) = pair("abc");
    edit(&mut a, |edit| {
        edit.splice_text(&path(), 3, 0, "def")?;
        edit.mark(&path(), &mark("bold", 0..2), Expand::After)
    });
    let undone = a.undo(meta()).unwrap().unwrap().0;
    assert_eq!(undone.kept, [path()]);
    assert_eq!(shown(&a), "bold[ab]c");
    // A text that goes with its marks keeps nothing.
    let other = vec![PathStep::from("other")];
    edit(&mut a, |edit| {
        edit.set(&other, &Value::Text("new".to_owned()))?;
        edit.mark(&other, &mark("bold", 0..2), Expand::After)
    });
    let undone = a.undo(meta()).unwrap().unwrap().0;
    assert!(undone.kept.is_empty(), "{:?}", undone.kept);
}

#[test]
fn what_is_no_mark_is_refused_and_writes_nothing() {
    let (mut a, _) = pair("abc");
    edit(&mut a, |edit| {
        edit.set(&[PathStep::from("n")], &Value::Int(1))
    });
    let heads = a.heads();
    let value = |value| Mark {
        value,
        ..mark("x", 0..1)
    };
    let long = "x".repeat(limits::MARK_VALUE_BYTES_MAX + 1);
    let name = "x".repeat(limits::MARK_NAME_BYTES_MAX + 1);
    let at = |steps: &[&str]| {
        steps
            .iter()
            .map(|it| PathStep::from(*it))
            .collect::<Vec<_>>()
    };
    #[expect(clippy::reversed_empty_ranges, reason = "what a caller may get wrong")]
    let backwards = 2..1;
    let wrong = [
        (path(), mark("x", 1..1), ErrorKind::InvalidInput),
        (path(), mark("x", backwards), ErrorKind::InvalidInput),
        (path(), mark("x", 2..4), ErrorKind::InvalidInput),
        (path(), mark("x", 0..usize::MAX), ErrorKind::InvalidInput),
        (path(), mark("", 0..1), ErrorKind::InvalidInput),
        (path(), mark(&name, 0..1), ErrorKind::TooLarge),
        (path(), value(Value::Str(long)), ErrorKind::TooLarge),
        (path(), value(Value::Null), ErrorKind::InvalidInput),
        (
            path(),
            value(Value::List(Vec::new())),
            ErrorKind::InvalidInput,
        ),
        (at(&["n"]), mark("x", 0..1), ErrorKind::InvalidInput),
        (at(&["nothing"]), mark("x", 0..1), ErrorKind::InvalidInput),
        (
            at(&["text", "deeper"]),
            mark("x", 0..1),
            ErrorKind::InvalidInput,
        ),
        (Vec::new(), mark("x", 0..1), ErrorKind::InvalidInput),
    ];
    for (path, mark, kind) in wrong {
        let marked = a.edit::<_, Error>(meta(), |edit| edit.mark(&path, &mark, Expand::Both));
        let error = marked.unwrap_err();
        assert_eq!(error.kind(), kind, "{path:?} {mark:?}: {error}");
    }
    assert_eq!(a.heads(), heads);
    assert!(a.spans(&at(&["n"])).is_err());
    assert!(a.cursor(&path(), 4).is_err());
}

#[test]
fn a_cursor_stays_with_its_character_on_every_replica_and_then_where_it_was() {
    let (mut a, mut b) = pair("abcdef");
    let third = a.cursor(&path(), 2).unwrap();
    let end = a.cursor(&path(), 6).unwrap();
    let again: Cursor = third.to_string().parse().unwrap();
    assert_eq!(again, third);
    let json = serde_json::to_string(&third).unwrap();
    assert_eq!(serde_json::from_str::<Cursor>(&json).unwrap(), third);
    let more = edit(&mut b, |edit| edit.splice_text(&path(), 0, 1, "xyz"));
    meet(&mut a, &mut b, None, more);
    for document in [&a, &b] {
        assert_eq!(document.position(&path(), &third).unwrap(), Some(4));
        assert_eq!(document.position(&path(), &end).unwrap(), Some(8));
    }
    let gone = edit(&mut b, |edit| edit.splice_text(&path(), 4, 2, ""));
    meet(&mut a, &mut b, None, gone);
    // In front of the next one that is left, of "xyzbef" the e.
    assert_eq!(a.position(&path(), &third).unwrap(), Some(4));
}

#[test]
fn a_cursor_of_what_has_not_arrived_or_of_another_text_stands_nowhere() {
    let (mut a, b) = pair("abc");
    let other = vec![PathStep::from("other")];
    edit(&mut a, |edit| edit.splice_text(&path(), 3, 0, "new"));
    let new = a.cursor(&path(), 4).unwrap();
    assert_eq!(b.position(&path(), &new).unwrap(), None);
    edit(&mut a, |edit| {
        edit.set(&other, &Value::Text("elsewhere".to_owned()))
    });
    let elsewhere = a.cursor(&other, 4).unwrap();
    assert_eq!(a.position(&path(), &elsewhere).unwrap(), None);
    let stranger: Cursor = "7@0a0b".parse().unwrap();
    assert_eq!(a.position(&path(), &stranger).unwrap(), None);
    // Operations that are no characters, and numbers beyond all.
    let own = a.cursor(&path(), 0).unwrap().to_string();
    let actor = own.split_once('@').unwrap().1;
    for number in [0, 1, 9_999, u64::from(u32::MAX), u64::MAX] {
        for sign in ["", "-"] {
            let Ok(forged) = format!("{sign}{number}@{actor}").parse::<Cursor>() else {
                continue;
            };
            let at = a.position(&path(), &forged).unwrap();
            assert!(at.is_none_or(|it| it <= 6), "{forged}");
        }
    }
    // In an edit, too: it goes on, and finds what it has just written.
    edit(&mut a, |edit| {
        edit.splice_text(&path(), 0, 0, "é")?;
        let written = edit.cursor(&path(), 0)?;
        assert_eq!(edit.position(&path(), &written)?, Some(0));
        assert_eq!(edit.position(&path(), &new)?, Some(5));
        assert_eq!(edit.position(&path(), &elsewhere)?, None);
        edit.splice_text(&path(), 0, 1, "")
    });
    assert_eq!(shown(&a), "abcnew");
}

#[test]
fn a_block_of_another_library_takes_the_place_that_it_has_in_the_text() {
    let (mut a, _) = pair("ab");
    let (_, text) = a.inner.get(ROOT, "text").unwrap().unwrap();
    let mut tx = a.inner.transaction();
    tx.split_block(&text, 1).unwrap();
    tx.commit();
    let spans = a.spans(&path()).unwrap();
    let together: String = spans.into_iter().map(|it| it.text).collect();
    let value = a.value().unwrap();
    assert_eq!(
        Some(together.as_str()),
        value.get(&path()).and_then(Value::as_str)
    );
}

proptest! {
    #[test]
    fn no_text_makes_a_cursor_panic(text in "\\PC{0,8}|-?[0-9]{0,25}@?[0-9a-f]{0,140}|[se]") {
        if let Ok(cursor) = text.parse::<Cursor>() {
            prop_assert_eq!(cursor.to_string(), text);
            let (a, _) = pair("abc");
            let at = a.position(&path(), &cursor).unwrap();
            prop_assert!(at.is_none_or(|it| it <= 3));
        }
    }
}

#[derive(Clone, Debug)]
enum Act {
    Write(Index, usize),
    Remove(Index, usize),
    Mark(Index, usize, u8, u8),
    Unmark(Index, usize, u8),
}

fn any_act() -> impl Strategy<Value = Act> {
    let at = any::<Index>;
    prop_oneof![
        4 => (at(), 1_usize..4).prop_map(|(at, count)| Act::Write(at, count)),
        2 => (at(), 1_usize..4).prop_map(|(at, count)| Act::Remove(at, count)),
        3 => (at(), 1_usize..6, 0_u8..3, 0_u8..4)
            .prop_map(|(at, count, name, expand)| Act::Mark(at, count, name, expand)),
        1 => (at(), 1_usize..6, 0_u8..3).prop_map(|(at, count, name)| Act::Unmark(at, count, name)),
    ]
}

fn plain(document: &Document) -> Vec<char> {
    let value = document.value().unwrap();
    let text = value.get(&path()).and_then(Value::as_str).unwrap();
    text.chars().collect()
}

/// Does one thing to a text; characters are never written twice.
fn act(
    document: &mut Document,
    act: &Act,
    fresh: &mut impl Iterator<Item = char>,
) -> Option<Change> {
    let length = plain(document).len();
    let range = |at: &Index, count: usize| {
        let start = at.index(length);
        start..(start + count).min(length)
    };
    if length == 0 && !matches!(act, Act::Write(..)) {
        return None;
    }
    edit(document, |edit| match act {
        Act::Write(at, count) => {
            let text: String = fresh.take(*count).collect();
            edit.splice_text(&path(), at.index(length + 1), 0, &text)
        }
        Act::Remove(at, count) => {
            let range = range(at, *count);
            edit.splice_text(&path(), range.start, range.len(), "")
        }
        Act::Mark(at, count, name, expand) => {
            let expand = match expand {
                0 => Expand::Neither,
                1 => Expand::Before,
                2 => Expand::After,
                _ => Expand::Both,
            };
            edit.mark(
                &path(),
                &mark(&format!("m{name}"), range(at, *count)),
                expand,
            )
        }
        Act::Unmark(at, count, name) => {
            edit.unmark(&path(), &range(at, *count), &format!("m{name}"))
        }
    })
}

proptest! {
    #[test]
    fn marks_and_cursors_agree_on_two_replicas_whatever_both_do(
        rounds in prop::collection::vec(
            (prop::collection::vec(any_act(), 0..4), prop::collection::vec(any_act(), 0..4)),
            1..5,
        ),
    ) {
        let mut fresh = ('\u{4e00}'..'\u{9fff}').chain('\u{1f300}'..'\u{1f5ff}');
        let start: String = fresh.by_ref().take(8).collect();
        let (mut a, mut b) = pair(&start);
        let before = plain(&a);
        let cursors: Vec<_> = (0..8).map(|at| a.cursor(&path(), at).unwrap()).collect();
        for (ours, theirs) in &rounds {
            let ours: Vec<_> = ours.iter().filter_map(|it| act(&mut a, it, &mut fresh)).collect();
            let theirs: Vec<_> =
                theirs.iter().filter_map(|it| act(&mut b, it, &mut fresh)).collect();
            b.apply(&ours).unwrap();
            a.apply(&theirs).unwrap();
            prop_assert_eq!(a.spans(&path()).unwrap(), b.spans(&path()).unwrap());
            let now = plain(&a);
            let together: Vec<char> =
                a.spans(&path()).unwrap().iter().flat_map(|it| it.text.chars()).collect();
            prop_assert_eq!(&together, &now);
            for (index, cursor) in cursors.iter().enumerate() {
                let at = a.position(&path(), cursor).unwrap().expect("it has arrived");
                prop_assert_eq!(b.position(&path(), cursor).unwrap(), Some(at));
                let place = |it: &char| now.iter().position(|other| other == it);
                if let Some(place) = place(&before[index]) {
                    prop_assert_eq!(at, place);
                } else {
                    // Where it was: behind what was in front of it, in front of what was behind.
                    prop_assert!(before[..index].iter().filter_map(place).all(|it| it < at));
                    prop_assert!(before[index..].iter().filter_map(place).all(|it| it >= at));
                }
            }
        }
        // It can be stored, and loads as the same.
        let actor = ActorId::from_bytes(vec![3; 16]);
        let (loaded, _) = Document::open_saved(&actor, &a.save().unwrap()).unwrap();
        prop_assert_eq!(loaded.spans(&path()).unwrap(), a.spans(&path()).unwrap());
    }
}

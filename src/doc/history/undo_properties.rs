//! Undo and redo of whatever is done, alone and among others.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;

use super::tests::actor;
use super::undo_tests::{edit, meet, meta, pair, path, redo, restarted, splice, undo};
use super::*;
use crate::doc::value::tests::any_value;
use crate::doc::{Change, Edit, PathStep, Value};

/// One edit of a record with a text, a counter, a list and whatever else.
#[derive(Clone, Debug)]
enum Act {
    Set(String, Value),
    Remove(String),
    Splice(Index, usize, String),
    Add(i64),
    Insert(Index, Value),
    Change(Index, Value),
    Take(Index),
    Replace(BTreeMap<String, Value>),
    Delete,
    Restore,
    Restart,
}

fn any_act() -> impl Strategy<Value = Act> {
    let key = || "[a-ctcl]";
    prop_oneof![
        3 => (key(), any_value()).prop_map(|(key, value)| Act::Set(key, value)),
        1 => key().prop_map(Act::Remove),
        4 => (any::<Index>(), 0_usize..5, "[xyzé]{0,5}").prop_map(|(at, delete, insert)| Act::Splice(at, delete, insert)),
        2 => (-9_i64..9).prop_map(Act::Add),
        2 => (any::<Index>(), any_value()).prop_map(|(at, value)| Act::Insert(at, value)),
        2 => (any::<Index>(), any_value()).prop_map(|(at, value)| Act::Change(at, value)),
        2 => any::<Index>().prop_map(Act::Take),
        1 => prop::collection::btree_map(key(), any_value(), 1..4).prop_map(Act::Replace),
        1 => Just(Act::Delete),
        1 => Just(Act::Restore),
        1 => Just(Act::Restart),
    ]
}

fn act(edit: &mut Edit<'_>, act: &Act) -> Result<(), Error> {
    let (text, list) = (path(&["t"]), path(&["l"]));
    let length = |edit: &Edit<'_>| match edit.get(&list) {
        Ok(Some(Value::List(list))) => list.len(),
        _ => 0,
    };
    let element = |at: usize| vec![PathStep::from("l"), PathStep::from(at)];
    match act {
        Act::Set(key, value) => edit.set(&path(&[key]), value),
        Act::Remove(key) => edit.remove(&path(&[key])),
        Act::Splice(at, delete, insert) => {
            let Some(Value::Text(now)) = edit.get(&text)? else {
                return edit.set(&text, &Value::Text(insert.clone()));
            };
            let length = now.chars().count();
            let at = at.index(length + 1);
            edit.splice_text(&text, at, (*delete).min(length - at), insert)
        }
        Act::Add(by) => match edit.get(&path(&["c"]))? {
            Some(Value::Counter(now)) if now.checked_add(*by).is_some() => {
                edit.increment(&path(&["c"]), *by)
            }
            _ => edit.set(&path(&["c"]), &Value::Counter(*by)),
        },
        Act::Insert(at, value) => {
            let Ok(Some(Value::List(mut now))) = edit.get(&list) else {
                return edit.set(&list, &Value::List(vec![value.clone()]));
            };
            now.insert(at.index(now.len() + 1), value.clone());
            edit.set(&list, &Value::List(now))
        }
        Act::Change(at, value) => match length(edit) {
            0 => Ok(()),
            length => edit.set(&element(at.index(length)), value),
        },
        Act::Take(at) => match length(edit) {
            0 => Ok(()),
            length => edit.remove(&element(at.index(length))),
        },
        Act::Replace(map) => edit.put_map(map),
        Act::Delete => edit.mark_deleted(WallTime::from_millis(3)),
        Act::Restore => edit.restore(),
        Act::Restart => Ok(()),
    }
}

/// The values of a list or text, each with what says whose it is.
fn texts(document: &Document) -> String {
    let value = document.value().unwrap();
    let text = value.get(&path(&["t"])).and_then(|it| it.as_str());
    text.unwrap_or_default().to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn undos_lead_back_to_what_was_there_and_redos_forth_again(
        acts in prop::collection::vec(any_act(), 1..14),
        back in any::<Index>(),
    ) {
        let mut document = Document::new(&actor(1));
        let mut values = Vec::new();
        for it in &acts {
            if matches!(it, Act::Restart) && !values.is_empty() {
                document = restarted(&document, 1);
            }
            let edited = document.edit::<_, Error>(meta(), |edit| act(edit, it)).unwrap();
            if edited.1.is_some() {
                values.push(document.value().unwrap());
            }
        }
        prop_assume!(values.len() > 1);
        for round in 0..2 {
            let depth = if round == 0 { back.index(values.len()) } else { values.len() - 1 };
            for value in values.iter().rev().skip(1).take(depth) {
                prop_assert!(undo(&mut document).kept.is_empty());
                prop_assert_eq!(&document.value().unwrap(), value);
                if round == 1 {
                    document = restarted(&document, 1);
                }
            }
            let forth = values.iter().skip(values.len() - depth);
            for value in forth {
                prop_assert!(redo(&mut document).kept.is_empty());
                prop_assert_eq!(&document.value().unwrap(), value);
            }
            prop_assert_eq!(document.redo(meta()).unwrap(), None);
        }
        for _ in 0..values.len() {
            undo(&mut document);
        }
        prop_assert!(document.is_deleted().unwrap());
        prop_assert_eq!(document.undo(meta()).unwrap(), None);
    }

    #[test]
    fn entries_that_another_has_written_since_are_kept_and_all_others_are_back(
        steps in prop::collection::vec((any::<bool>(), any::<bool>(), "[a-d]", 0_i64..3), 1..24),
    ) {
        let (mut a, mut b) = pair(r#"{"a": 0, "b": 0, "c": 0, "d": 0}"#);
        // What the other wrote, in order, and of each own change: where, the record before it, and
        // how much of the other's was known.
        let (mut theirs, mut own, mut known) = (Vec::new(), Vec::new(), 0);
        for (meets, is_own, key, number) in steps {
            if meets {
                meet(&mut a, &mut b);
                known = theirs.len();
            }
            let document = if is_own { &mut a } else { &mut b };
            let before = document.value().unwrap();
            let edited = document.edit::<_, Error>(meta(), |edit| {
                edit.set(&path(&[&key]), &Value::Int(number))
            });
            if edited.unwrap().1.is_none() {
                continue;
            }
            if is_own {
                own.push((key, before, known));
            } else {
                theirs.push(key);
            }
        }
        meet(&mut a, &mut b);
        let mut expected = a.value().unwrap();
        for (key, before, known) in own.into_iter().rev() {
            let is_touched = theirs[known..].contains(&key);
            let place = path(&[&key]);
            let kept = is_touched && before.get(&place) != expected.get(&place);
            if let (false, Value::Map(map)) = (is_touched, &mut expected) {
                map.insert(key, before.get(&place).unwrap().clone());
            }
            prop_assert_eq!(undo(&mut a).kept, if kept { vec![place] } else { vec![] });
            prop_assert_eq!(&a.value().unwrap(), &expected);
        }
        prop_assert_eq!(a.undo(meta()).unwrap(), None);
        meet(&mut a, &mut b);
        prop_assert_eq!(b.value().unwrap(), expected);
    }

    #[test]
    fn of_a_text_all_own_letters_go_and_all_of_another_stay_in_their_order(
        steps in prop::collection::vec(
            (any::<bool>(), any::<bool>(), any::<Index>(), 0_usize..3), 1..24,
        ),
        alone in any::<bool>(),
    ) {
        let (mut a, mut b) = pair(r#"{"t": {"$text": "....."}}"#);
        let mut letters = ('A'..='Z').cycle();
        for (meets, is_own, at, delete) in steps {
            if meets {
                meet(&mut a, &mut b);
            }
            let letter = letters.next().unwrap();
            if is_own {
                // Own letters may go again, and come back, and go.
                let text: Vec<char> = texts(&a).chars().collect();
                let at = at.index(text.len() + 1);
                let own = text[at..].iter().take_while(|it| it.is_ascii_lowercase());
                let delete = own.take(delete).count();
                splice(&mut a, at, delete, &letter.to_lowercase().to_string());
                if delete > 0 && alone {
                    undo(&mut a);
                }
            } else {
                let length = texts(&b).chars().count();
                splice(&mut b, at.index(length + 1), 0, &letter.to_string());
            }
        }
        meet(&mut a, &mut b);
        let expected: String = texts(&a).chars().filter(|it| !it.is_ascii_lowercase()).collect();
        while let Some((undone, _)) = a.undo(meta()).unwrap() {
            prop_assert!(undone.kept.is_empty());
        }
        prop_assert_eq!(texts(&a), expected);
        meet(&mut a, &mut b);
    }

    #[test]
    fn undo_among_others_never_fails_and_makes_sound_changes(
        ours in prop::collection::vec((any::<bool>(), any_act(), 0_u8..4), 1..12),
        theirs in prop::collection::vec(any_act(), 12),
    ) {
        let (mut a, mut b) = pair(r#"{"t": {"$text": "some text"}, "l": [1, 2, 3], "c": {"$counter": 1}}"#);
        for ((meets, own, moves), other) in ours.iter().zip(&theirs) {
            if *meets {
                meet(&mut a, &mut b);
            }
            edit(&mut a, |edit| act(edit, own));
            edit(&mut b, |edit| act(edit, other));
            let taken = match moves {
                0 => a.undo(meta()).unwrap(),
                1 => b.undo(meta()).unwrap(),
                2 => a.redo(meta()).unwrap(),
                _ => None,
            };
            if let Some((undone, change)) = taken {
                let again = Change::verify(change.bytes().clone()).unwrap();
                prop_assert_eq!(again.hash(), undone.by);
            }
        }
        meet(&mut a, &mut b);
        let mut count = 0;
        while a.undo(meta()).unwrap().is_some() {
            count += 1;
        }
        meet(&mut a, &mut b);
        a = restarted(&a, 1);
        for _ in 0..count {
            prop_assert!(a.redo(meta()).unwrap().is_some());
        }
        meet(&mut a, &mut b);
    }
}

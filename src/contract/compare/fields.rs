//! What changes in fields.
//!
//! Older programs meet newer records in two ways. As readers they expect what the older contract
//! promised: that a field is there, of its kind. As writers they keep the older rules only, and newer
//! programs then check what they wrote by the newer ones.

use std::collections::BTreeMap;

use super::{Difference, Effect, difference, names};
use crate::contract::{Field, Kind, Span};
use crate::doc::Value;

pub(super) fn compare(
    old: &BTreeMap<String, Field>,
    new: &BTreeMap<String, Field>,
    list: &mut Vec<Difference>,
) {
    let map = |fields: &BTreeMap<String, Field>| Field {
        fields: fields.clone(),
        ..Field::map()
    };
    Fields { list }.inside(&map(old), &map(new), "");
}

struct Fields<'l> {
    list: &'l mut Vec<Difference>,
}

impl Fields<'_> {
    fn say(&mut self, place: &str, change: String, effect: Effect, reason: &'static str) {
        self.list.push(difference(place, change, effect, reason));
    }

    /// The named fields of a map. Where only one version names a field, the other's rule for unnamed ones
    /// goes for it too.
    fn inside(&mut self, old: &Field, new: &Field, above: &str) {
        for name in names(&old.fields, &new.fields) {
            let place = if above.is_empty() {
                name.clone()
            } else {
                format!("{above}.{name}")
            };
            match (old.fields.get(name), new.fields.get(name)) {
                (Some(before), Some(after)) => self.field(before, after, &place),
                (None, Some(field)) => {
                    self.added(field, &place);
                    if let Some(unnamed) = &old.element {
                        self.field(unnamed, field, &place);
                    }
                }
                (Some(field), None) => {
                    self.removed(field, &place);
                    if let Some(unnamed) = &new.element {
                        self.field(field, unnamed, &place);
                    }
                }
                (None, None) => {}
            }
        }
    }

    fn added(&mut self, field: &Field, place: &str) {
        let kind = field.kind;
        let (change, effect, reason) = if field.required && field.default.is_none() {
            (
                format!("new required field, {kind}"),
                Effect::BreaksWriters,
                "older writers leave it out, and there is no default",
            )
        } else if field.required {
            (
                format!("new field, {kind}, with a default"),
                Effect::Compatible,
                "where older writers leave it out its default is read",
            )
        } else {
            (
                format!("new optional field, {kind}"),
                Effect::Compatible,
                "older programs carry it along unread",
            )
        };
        self.say(place, change, effect, reason);
    }

    fn removed(&mut self, field: &Field, place: &str) {
        if field.required && field.default.is_none() {
            self.say(
                place,
                "removed, and was required".to_owned(),
                Effect::BreaksReaders,
                "older readers need it, and newer writers leave it out",
            );
        } else {
            self.say(
                place,
                "removed".to_owned(),
                Effect::Degraded,
                "older programs go on to show and write it, newer ones carry it along unread",
            );
        }
    }

    fn field(&mut self, old: &Field, new: &Field, place: &str) {
        let is_same = old.kind == new.kind;
        if !is_same {
            self.kind(old.kind, new.kind, place);
        }
        self.presence(old, new, place);
        if is_same || is_wider(old.kind, new.kind) || is_wider(new.kind, old.kind) {
            self.rules(old, new, place);
        }
        if is_same {
            self.inside(old, new, place);
            let any = Field::any();
            let before = old.element.as_deref().unwrap_or(&any);
            let after = new.element.as_deref().unwrap_or(&any);
            if before != after {
                let place = format!("{place}{}", new.kind.step_to_element());
                self.field(before, after, &place);
            }
        }
        if old.policy != new.policy {
            self.say(
                place,
                format!(
                    "its conflict policy was {} and is {}",
                    old.policy, new.policy
                ),
                Effect::Degraded,
                "until all are upgraded, replicas of both versions show different outcomes",
            );
        }
        match (old.sensitive, new.sensitive) {
            (false, true) => self.say(
                place,
                "sensitive now".to_owned(),
                Effect::Degraded,
                "older programs do not mask it",
            ),
            (true, false) => self.say(
                place,
                "no longer sensitive".to_owned(),
                Effect::Compatible,
                "older programs mask it still",
            ),
            _ => {}
        }
    }

    fn kind(&mut self, old: Kind, new: Kind, place: &str) {
        let change = format!("its kind was {old} and is {new}");
        if is_wider(new, old) {
            let reason = "older readers can't read what is allowed now";
            self.say(place, change, Effect::BreaksReaders, reason);
        } else if is_wider(old, new) {
            let reason = "older writers write what is not allowed any more";
            self.say(place, change, Effect::BreaksWriters, reason);
        } else {
            let reason = "neither reads what the other writes";
            self.say(place, change, Effect::BreaksBoth, reason);
        }
    }

    /// Whether it has to be there, and what is read where it is not.
    fn presence(&mut self, old: &Field, new: &Field, place: &str) {
        match (old.required, new.required) {
            (false, true) => self.say(
                place,
                "required now".to_owned(),
                Effect::BreaksWriters,
                "older writers leave it out or make it null",
            ),
            (true, false) => self.say(
                place,
                "no longer required".to_owned(),
                Effect::BreaksReaders,
                "older readers need it, and newer writers may leave it out or make it null",
            ),
            _ => {}
        }
        if old.default == new.default {
            return;
        }
        if old.required && new.required && new.default.is_none() {
            self.say(
                place,
                "its default is gone, and it is required".to_owned(),
                Effect::BreaksWriters,
                "older writers leave it out",
            );
        } else {
            self.say(
                place,
                "its default changed".to_owned(),
                Effect::Degraded,
                "where it is absent, programs of both versions read different values",
            );
        }
    }

    fn rules(&mut self, old: &Field, new: &Field, place: &str) {
        let less = |a: &Value, b: &Value| a.order(b).is_lt();
        let range = moved(old.range.as_ref(), new.range.as_ref(), less);
        self.moved(range, "range", place);
        let length = moved(old.length.as_ref(), new.length.as_ref(), |a, b| a < b);
        self.moved(length, "length", place);
        let before = old.options.as_deref();
        self.moved(
            chosen(before, new.options.as_deref()),
            "choice of values",
            place,
        );
        match (&old.pattern, &new.pattern) {
            (None, Some(_)) => self.moved(Some(Moved::Tighter), "pattern", place),
            (Some(_), None) => self.moved(Some(Moved::Looser), "pattern", place),
            (Some(before), Some(after)) if before != after => self.say(
                place,
                "its pattern changed".to_owned(),
                Effect::Degraded,
                "nobody can tell whether what older programs accept is accepted still",
            ),
            _ => {}
        }
    }

    fn moved(&mut self, moved: Option<Moved>, what: &str, place: &str) {
        match moved {
            None => {}
            Some(Moved::Tighter) => self.say(
                place,
                format!("its {what} allows less"),
                Effect::BreaksWriters,
                "older writers write what is not allowed any more",
            ),
            Some(Moved::Looser) => self.say(
                place,
                format!("its {what} allows more"),
                Effect::Degraded,
                "older programs refuse to write what is allowed now",
            ),
            Some(Moved::Both) => self.say(
                place,
                format!("its {what} allows other values"),
                Effect::BreaksWriters,
                "older writers write what is not allowed any more",
            ),
        }
    }
}

/// Whether all values of the second kind are of the first one too.
fn is_wider(wide: Kind, narrow: Kind) -> bool {
    wide == Kind::Any || (wide, narrow) == (Kind::Number, Kind::Integer)
}

/// How what is allowed has changed.
#[derive(Clone, Copy)]
enum Moved {
    Tighter,
    Looser,
    Both,
}

impl Moved {
    /// From whether less is allowed, and whether more is.
    const fn new(less_more: [bool; 2]) -> Option<Self> {
        match less_more {
            [true, true] => Some(Self::Both),
            [true, false] => Some(Self::Tighter),
            [false, true] => Some(Self::Looser),
            [false, false] => None,
        }
    }
}

fn moved<'s, T>(
    old: Option<&'s Span<T>>,
    new: Option<&'s Span<T>>,
    less: impl Fn(&T, &T) -> bool,
) -> Option<Moved> {
    let ends = |it: Option<&'s Span<T>>| {
        let ends = it.map(|it| (it.min.as_ref(), it.max.as_ref()));
        ends.unwrap_or((None, None))
    };
    let ((old_min, old_max), (new_min, new_max)) = (ends(old), ends(new));
    // No least is less than any, no greatest is greater.
    let lower = |a: Option<&T>, b: Option<&T>| match (a, b) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(a), Some(b)) => less(a, b),
    };
    let higher = |a: Option<&T>, b: Option<&T>| match (a, b) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(a), Some(b)) => less(b, a),
    };
    let tighter = lower(old_min, new_min) || higher(old_max, new_max);
    let looser = lower(new_min, old_min) || higher(new_max, old_max);
    Moved::new([tighter, looser])
}

fn chosen(old: Option<&[Value]>, new: Option<&[Value]>) -> Option<Moved> {
    let (Some(old), Some(new)) = (old, new) else {
        return Moved::new([new.is_some(), old.is_some()]);
    };
    let lacks = |all: &[Value], one: &Value| all.binary_search_by(|it| it.order(one)).is_err();
    let less = old.iter().any(|it| lacks(new, it));
    let more = new.iter().any(|it| lacks(old, it));
    Moved::new([less, more])
}

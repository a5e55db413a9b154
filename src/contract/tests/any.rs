//! Contracts of all kinds, made up.

use proptest::prelude::*;

use super::super::{
    Builder, Comparison, Contract, Field, IndexKey, Kind, Migration, Ownership, Retention, Rule,
    Span,
};
use crate::conflict::Policy;
use crate::doc::Value;

/// Any contract that can be built.
pub(super) fn any_contract() -> impl Strategy<Value = Contract> {
    let names = prop::collection::btree_map("[a-c\u{e4} @/\"]{1,3}", any_field(), 0..5);
    let rest = (1_u32..4, 1_u32..4, "[a\u{e4}\n\"]{0,3}", any::<u8>());
    (names, rest).prop_map(|(fields, (version, oldest, description, bits))| {
        let mut builder = Contract::builder("things", version)
            .oldest_reader(oldest.min(version))
            .describe(description);
        let names: Vec<_> = fields.keys().cloned().collect();
        for (name, field) in fields {
            builder = builder.field(&name, field);
        }
        if version > 1 {
            let migration = Migration::new(1, version)
                .rename("zip", "post.code")
                .custom("own_1", 2);
            let convert = |it: Migration| it.convert("yes", Kind::String, "no", Kind::Counter);
            let migration = if oldest > 1 {
                convert(migration)
            } else {
                migration
            };
            builder = builder.migration(migration).gate("new-things");
        }
        let builder = marked(builder, names.first().map(String::as_str), bits);
        builder.build().unwrap()
    })
}

/// With rules, indexes and marks, by the bits.
fn marked(mut builder: Builder, name: Option<&str>, bits: u8) -> Builder {
    let has = |bit: u8| bits >> bit & 1 == 1;
    if let Some(name) = name {
        if has(0) {
            builder = builder.rule(Rule::order(name, Comparison::AtMost, name));
        }
        if has(1) {
            let key = if has(2) {
                IndexKey::descending(name)
            } else {
                name.into()
            };
            builder = builder.index("by-it", [key]);
        }
        if has(3) {
            builder = builder.ownership(Ownership::Field(name.to_owned()));
        }
    }
    if has(4) {
        builder = builder
            .rule(Rule::custom("vat_1", 7, ""))
            .rule(Rule::custom("vat", 1, ""));
    }
    if has(5) {
        builder = builder.ownership(Ownership::Author);
    }
    if has(6) {
        builder = builder.retention(Retention {
            age_days: Some(30),
            records: has(7).then_some(u64::MAX),
            deleted_days: Some(0),
        });
    }
    builder
}

fn any_field() -> impl Strategy<Value = Field> {
    let leaf = (0..12_usize, any::<u16>()).prop_map(|(kind, bits)| plain(Kind::ALL[kind], bits));
    leaf.prop_recursive(3, 12, 3, |inner| {
        let fields = prop::collection::btree_map("[a-c]{1,2}", inner.clone(), 0..3);
        prop_oneof![
            inner
                .clone()
                .prop_map(|it| Field::list(element(it)).length(1..)),
            (fields, inner, any::<bool>()).prop_map(|(fields, values, has)| {
                let map = fields
                    .into_iter()
                    .fold(Field::map(), |map, (name, field)| map.field(&name, field));
                if has {
                    map.values(element(values))
                } else {
                    map
                }
            }),
        ]
    })
}

/// Two fields that often differ in one or two things only.
pub(super) fn any_two_fields() -> impl Strategy<Value = (Field, Field)> {
    let flips = (0..16_u16, 0..16_u16);
    let similar = (0..12_usize, 0..6_u8, any::<u16>(), flips, 0..3_u8);
    let similar = similar.prop_map(|(kind, other, bits, (a, b), inside)| {
        let kind = Kind::ALL[kind];
        let other = match other {
            0 => Kind::Any,
            1 => Kind::Number,
            _ => kind,
        };
        let fields = [plain(kind, bits), plain(other, bits ^ (1 << a) ^ (1 << b))];
        let [old, new] = fields.map(|field| match inside {
            0 => field,
            1 => Field::list(element(field)),
            _ => Field::map().field("a", field),
        });
        (old, new)
    });
    prop_oneof![3 => similar, 1 => (any_field(), any_field())]
}

/// The same without what does not go with elements.
fn element(mut field: Field) -> Field {
    field.default = None;
    without_policies(&mut field);
    field
}

fn without_policies(field: &mut Field) {
    field.policy = Policy::Automerge;
    field.fields.values_mut().for_each(without_policies);
    if let Some(element) = &mut field.element {
        without_policies(element);
    }
}

/// A field with rules that go with its kind, by the bits.
fn plain(kind: Kind, bits: u16) -> Field {
    let has = |bit: u16| bits >> bit & 1 == 1;
    let mut field = Field::new(kind);
    field.required = has(0);
    field.sensitive = has(1);
    if has(2) {
        field = field.describe("\u{e4}\u{1f600}\"");
    }
    if has(3) {
        field = field.policy(if has(4) {
            Policy::Max
        } else {
            "custom:a-b@3".parse().unwrap()
        });
    }
    if has(5) && kind.has_range() {
        let float = Value::Float(-0.0);
        field = field.range(Span {
            min: has(6).then_some(if has(7) { float } else { Value::Int(-9) }),
            max: has(8).then_some(Value::Uint(u64::MAX)),
        });
    }
    if has(5) && kind.has_length() {
        field = field.length(..=9);
    }
    if has(7) && kind.has_pattern() {
        field = field.pattern(r#"^([ab"\\]*|bc)$"#);
    }
    let some: Option<[Value; 2]> = match kind {
        Kind::Integer => Some([Value::Uint(1), Value::Int(i64::MAX)]),
        Kind::Number => Some([Value::Float(0.1), Value::Float(1.0)]),
        Kind::String => Some(["a".into(), "bc".into()]),
        Kind::Text => Some([Value::Text("a".to_owned()), "b".into()]),
        Kind::Timestamp => Some([Value::Timestamp(0), Value::Timestamp(i64::MAX)]),
        Kind::Counter => Some([Value::Counter(1), Value::Uint(2)]),
        Kind::Bool => Some([true.into(), false.into()]),
        Kind::Bytes => Some([Value::Bytes(vec![]), Value::Bytes(vec![255])]),
        Kind::Any => Some([
            Value::Float(f64::NAN),
            Value::Map([("$a".to_owned(), true.into())].into()),
        ]),
        Kind::List | Kind::Set | Kind::Map => None,
    };
    if let Some([a, b]) = some {
        if has(9) {
            field = field.one_of([b, a.clone()]);
        }
        if has(10) {
            field = field.default(a);
        }
    }
    field
}

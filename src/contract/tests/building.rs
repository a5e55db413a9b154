//! What goes together, and what does not.

use super::super::{
    Builder, Comparison, Contract, Field, IndexKey, Kind, Ownership, Rule, Rules, Span,
};
use super::things;
use crate::conflict::Policy;
use crate::doc::Value;
use crate::error::ErrorKind;
use crate::limits;

/// Why what is declared is refused.
fn refusal(declare: impl FnOnce(Builder) -> Builder) -> String {
    let error = declare(Contract::builder("things", 3)).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    error.to_string()
}

#[track_caller]
fn refused(expected: &str, declare: impl FnOnce(Builder) -> Builder) {
    let text = refusal(declare);
    let expected = format!("the contract of 'things': {expected}");
    assert!(text.starts_with(&expected), "{text}");
}

#[test]
fn names_and_versions_have_to_fit() {
    for name in ["", "No Such Name", "a b"] {
        let error = Contract::builder(name, 1).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    let error = Contract::builder("things", 0).build().unwrap_err();
    assert!(error.to_string().contains("versions are from 1"), "{error}");
    refused("oldest_writer: it is 4, above", |it| it.oldest_writer(4));
    refused("oldest_writer: it is 4, above", |it| it.oldest_reader(4));
    refused("oldest_writer: it is 1, below", |it| {
        it.oldest_reader(2).oldest_writer(1)
    });
    refused("version", |it| it.oldest_reader(0));
    for name in ["", "$id", "a[0]", "a*", "\n", "a..b", ".", "a.$b"] {
        let text = refusal(|it| it.field(name, Field::any()));
        assert!(text.contains("is no name of a field"), "{name:?}: {text}");
    }
    let long = "x".repeat(limits::CONTRACT_NAME_BYTES_MAX + 1);
    assert!(refusal(|it| it.field(&long, Field::any())).len() < 300);
    refused("a.b: it is declared twice", |it| {
        it.field("a.b", Field::any()).field("a.b", Field::any())
    });
    refused("a.b: 'a' is no map", |it| {
        it.field("a.b", Field::any()).field("a", Field::string())
    });
}

#[test]
fn who_may_not_read_may_not_write() {
    let contract = Contract::builder("things", 3).oldest_reader(2);
    let contract = contract.build().unwrap();
    assert_eq!((contract.oldest_reader(), contract.oldest_writer()), (2, 2));
}

#[test]
fn paths_with_dots_declare_maps_in_any_order() {
    let inside = |it: Builder| it.field("a.b.c", Field::bool());
    let outside = |it: Builder| it.field("a", Field::map().required());
    let first = things(|it| outside(inside(it)));
    assert_eq!(first, things(|it| inside(outside(it))));
    assert!(first.field("a").unwrap().is_required());
    assert_eq!(first.field("a.b").unwrap().kind(), Kind::Map);
    assert_eq!(first.field("a.b.c").unwrap().kind(), Kind::Bool);
    for path in ["", "b", "a.c", "a.b.c.d", "a.", "."] {
        assert!(first.field(path).is_none(), "{path}");
    }
}

#[test]
fn rules_and_indexes_name_declared_fields() {
    let declared = |it: Builder| {
        it.field("a", Field::integer())
            .field("s", Field::string())
            .field(
                "list",
                Field::list(Field::map().field("x", Field::integer())),
            )
    };
    refused("rule 'order': 'b' is no declared", |it| {
        declared(it).rule(Rule::order("a", Comparison::Less, "b"))
    });
    refused(
        "rule 'order': 'a', integer, does not compare with 's'",
        |it| declared(it).rule(Rule::order("a", Comparison::Less, "s")),
    );
    refused("rule 'order': 'list.x' is no declared", |it| {
        declared(it).rule(Rule::order("a", Comparison::Less, "list.x"))
    });
    refused("rule 'custom:vat@1': 'b' is no declared", |it| {
        declared(it).rule(Rule::custom("vat", 1, "b"))
    });
    refused("rule 'custom:vat@0': 'vat' has version 0", |it| {
        declared(it).rule(Rule::custom("vat", 0, "a"))
    });
    refused("rule 'custom:VAT@1': 'VAT' is no name", |it| {
        declared(it).rule(Rule::custom("VAT", 1, "a"))
    });
    refused("index 'by-b': 'b' is no declared", |it| {
        declared(it).index("by-b", ["b"])
    });
    refused("index 'by-a': 'a' is in it twice", |it| {
        declared(it).index("by-a", [IndexKey::from("a"), IndexKey::descending("a")])
    });
    refused("index 'by-a': it has no fields", |it| {
        declared(it).index("by-a", Vec::<&str>::new())
    });
    refused("index 'by-a': it is declared twice", |it| {
        declared(it).index("by-a", ["a"]).index("by-a", ["s"])
    });
    for path in ["list[].y", "list[].", "list[]x", "list[].x.y", "list[][]"] {
        let reason = format!("index 'by-it': '{path}' is no declared field of elements");
        refused(&reason, |it| declared(it).index("by-it", [path]));
    }
    refused("index 'by-it': 's[]': string has no elements", |it| {
        declared(it).index("by-it", ["s[]"])
    });
    refused("index 'by-it': one of its fields may be", |it| {
        declared(it).index("by-it", ["list[]", "a", "list[].x"])
    });
    for path in ["list[]", "list[].x"] {
        let contract = declared(Contract::builder("tasks", 1)).index("by-it", [path]);
        let contract = contract.build().unwrap();
        assert_eq!(Contract::from_json(&contract.to_json()).unwrap(), contract);
    }
    refused("index 'By A' is no name", |it| {
        declared(it).index("By A", ["a"])
    });
    refused("ownership: 'owner' is no declared", |it| {
        declared(it).ownership(Ownership::Field("owner".to_owned()))
    });
}

#[test]
fn a_rule_goes_with_its_fields_kind() {
    let span = |min, max| Span { min, max };
    let cases = [
        (Field::string().range(0..=1), "a range does not go"),
        (Field::bool().length(1..), "a length does not go"),
        (Field::integer().pattern("a"), "a pattern does not go"),
        (Field::set().one_of(["a"]), "a choice of values does not go"),
        (
            Field::list(Field::any()).field("a", Field::any()),
            "a field inside",
        ),
        (Field::set().values(Field::bool()), "a kind of elements"),
        (
            Field::integer().range(span(Some(6.into()), Some(5.into()))),
            "the range is empty",
        ),
        (Field::number().range(f64::NAN..), "an end of the range"),
        (
            Field::number().range(span(Some("a".into()), None)),
            "an end of the range",
        ),
        (Field::string().length(..0), "the length is empty"),
        (
            Field::string().one_of::<&str>([]),
            "the choice of values is empty",
        ),
        (Field::any().one_of([Value::Null]), "null is no choice"),
        (
            Field::string().one_of([1]),
            "one of the values breaks its 'kind'",
        ),
        (
            Field::integer().range(0..).one_of([-1]),
            "one of the values breaks its 'range'",
        ),
        (Field::string().pattern("(a"), "the pattern is not one"),
        (
            Field::string().pattern("a{1000}{1000}"),
            "the pattern is not one",
        ),
        (Field::string().pattern("(?=a)"), "the pattern is not one"),
        (
            Field::string().pattern(&"a".repeat(1_025)),
            "the pattern is not one: it is over",
        ),
        (
            Field::integer().default("a"),
            "the default breaks its 'kind'",
        ),
        (
            Field::integer().range(1..).default(0),
            "the default breaks its 'range'",
        ),
        (
            Field::string().one_of(["a"]).default("b"),
            "the default breaks its 'one-of'",
        ),
        (Field::any().default(Value::Null), "null is no default"),
        (
            Field::map()
                .field("a", Field::bool().required())
                .default(Value::Map([].into())),
            "the default breaks its 'required'",
        ),
    ];
    for (field, expected) in cases {
        refused(&format!("field: {expected}"), |it| it.field("field", field));
    }
}

#[test]
fn an_element_has_no_default_and_no_policy() {
    refused("a[]: an element has no default", |it| {
        it.field("a", Field::list(Field::integer().default(1)))
    });
    refused("a.*.b: a policy does not go", |it| {
        let inner = Field::map().field("b", Field::integer().policy(Policy::Max));
        it.field("a", Field::map().values(inner))
    });
}

#[test]
fn there_are_bounds() {
    let many = |count: usize| {
        let mut builder = Contract::builder("things", 1);
        for n in 0..count {
            builder = builder.field(&format!("f{n}"), Field::any());
        }
        builder.build()
    };
    assert!(many(limits::CONTRACT_FIELDS_MAX).is_ok());
    let error = many(limits::CONTRACT_FIELDS_MAX + 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let nested = |depth| (1..depth).fold(Field::any(), |inner, _| Field::map().field("a", inner));
    assert!(!refusal(|it| it.field("a", nested(limits::CONTRACT_DEPTH_MAX + 1))).is_empty());
    let deepest = nested(limits::CONTRACT_DEPTH_MAX);
    assert_eq!(things(|it| it.field("a", deepest)).fields().len(), 1);
    refused("index 'i': ", |it| {
        let names: Vec<_> = (0..=limits::INDEX_FIELDS_MAX)
            .map(|n| format!("f{n}"))
            .collect();
        let it = names
            .iter()
            .fold(it, |it, name| it.field(name, Field::any()));
        it.index("i", names.iter().map(String::as_str))
    });
    let long = "x".repeat(limits::CONTRACT_BYTES_MAX);
    assert!(refusal(|it| it.describe(long)).contains("bytes as JSON"));
}

#[test]
fn what_says_the_same_is_equal() {
    let first = things(|it| {
        it.field("a", Field::list(Field::any()).length(0..))
            .field("b", Field::integer().one_of([3, 1, 2, 1]))
            .field("c", Field::counter().default(Value::Uint(7)))
            .field("d", Field::text().default("x"))
            .field(
                "e",
                Field::number().range(Span {
                    min: Some(Value::Uint(1)),
                    max: None,
                }),
            )
            .rule(Rule::custom("r", 1, ""))
            .rule(Rule::order("b", Comparison::Less, "c"))
            .rule(Rule::custom("r", 1, ""))
    });
    let second = things(|it| {
        it.rule(Rule::order("b", Comparison::Less, "c"))
            .rule(Rule::custom("r", 1, ""))
            .field("d", Field::text().default(Value::Text("x".to_owned())))
            .field("e", Field::number().range(1..))
            .field("c", Field::counter().default(Value::Counter(7)))
            .field("b", Field::integer().one_of([1, 2, 3]))
            .field("a", Field::new(Kind::List))
    });
    assert_eq!(first, second);
    assert_eq!(first.to_json().to_string(), second.to_json().to_string());
    assert_eq!(first.digest(), second.digest());
    assert_ne!(first.digest(), things(|it| it).digest());
}

#[test]
fn so_much_text_is_matched_with_patterns_and_no_more() {
    let contract = things(|it| it.field("a", Field::list(Field::string().pattern("b"))));
    let text = "a".repeat(limits::PATTERN_TEXT_BYTES_MAX / 16);
    let texts: Vec<_> = (0..17).map(|_| Value::from(text.as_str())).collect();
    let record = Value::Map([("a".to_owned(), Value::List(texts))].into());
    let breaches = contract.check(&record, &Rules::default());
    assert_eq!(breaches.len(), 17);
    assert!(breaches[15].expected.starts_with("it must match"));
    assert!(breaches[16].expected.starts_with("too much text"));
}

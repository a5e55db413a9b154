//! The textual form.

use proptest::prelude::*;

use super::super::{Cursor, Field, Query, field};
use super::{any_query, id, json};
use crate::error::ErrorKind;
use crate::limits;
use crate::record::Timestamp;

fn parse(text: &str) -> Query {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_query_is_read_from_its_text(query in any_query(), place in prop::option::of(super::record())) {
        let after = place.map(|it| query.cursor(&query.position(id(1), &it)));
        let query = Query { after, ..query };
        prop_assert_eq!(parse(&query.to_string()), query);
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        if let Ok(query) = text.parse::<Query>() {
            prop_assert_eq!(parse(&query.to_string()), query);
        }
    }

    #[test]
    fn any_words_are_read_or_refused(words in prop::collection::vec(prop::sample::select(&[
        "a", "b", ".", "(", ")", "=", "!=", "<", "and", "or", "not", "any", "in", "contains",
        "starts with", "is", "null", "exists", "order by", "desc", "limit", "5", "-1.5", "\"x\"",
        "2026-12-01", ",", "it", "after", "`", "'", "@1",
    ][..]), 0..14)) {
        let text = words.join(" ");
        match text.parse::<Query>() {
            Ok(query) => prop_assert_eq!(parse(&query.to_string()), query),
            Err(error) => prop_assert_eq!(error.kind(), ErrorKind::InvalidInput),
        }
    }
}

/// Each text is read as the query beside it, and so is what that shows itself as.
fn all_mean<const N: usize>(pairs: [(&str, Query); N]) {
    for (text, query) in pairs {
        assert_eq!(parse(text), query, "{text}");
        assert_eq!(parse(&query.to_string()), query, "{query}");
    }
}

#[test]
fn clauses_in_text_mean_what_the_builder_means() {
    let noon = Timestamp::from_millis(1_796_126_400_000);
    let pairs = [
        ("", Query::all()),
        ("order by a", Query::all().order_by(field("a"))),
        ("limit 3", Query::all().limit(3)),
        (
            "done = false and due < 2026-12-01 order by due limit 20",
            Query::filter(
                field("done")
                    .eq(false)
                    .and(field("due").lt(Timestamp::from_millis(1_796_083_200_000))),
            )
            .order_by(field("due"))
            .limit(20),
        ),
        (
            "a = 2026-12-01T12:00:00Z or a = 2026-12-01T13:00:00+01:00 or a = @1796126400000",
            Query::filter(
                field("a")
                    .eq(noon)
                    .or(field("a").eq(noon))
                    .or(field("a").eq(noon)),
            ),
        ),
        (
            "A = 1 OR b.c != 'x' AND NOT d IS NULL ORDER BY a DESC, b ASC",
            Query::filter(
                field("A")
                    .eq(1)
                    .or(field("b.c").ne("x").and(field("d").is_null().not())),
            )
            .order_by(field("a").descending())
            .order_by(field("b")),
        ),
    ];
    all_mean(pairs);
}

#[test]
fn conditions_in_text_mean_what_the_builder_means() {
    let pairs = [
        (
            r#"(a >= 1 or a <= -1.5) and labels contains "x" and t starts with "y""#,
            Query::filter(
                field("a")
                    .ge(1)
                    .or(field("a").le(-1.5))
                    .and(field("labels").contains("x"))
                    .and(field("t").starts_with("y")),
            ),
        ),
        (
            "any steps (done = false and it exists) and a not in (1, null, true) and b > 0",
            Query::filter(
                field("steps")
                    .any(field("done").eq(false).and(super::super::it().exists()))
                    .and(
                        field("a")
                            .is_in([
                                super::Literal::from(1),
                                super::Literal::NULL,
                                super::Literal::from(true),
                            ])
                            .not(),
                    )
                    .and(field("b").gt(0)),
            ),
        ),
        (
            "`odd ``name`.order.`x.y` is not null and `order` not contains 1",
            Query::filter(
                Field::of(["odd `name", "order", "x.y"])
                    .is_null()
                    .not()
                    .and(field("order").contains(1).not()),
            ),
        ),
    ];
    all_mean(pairs);
}

#[test]
fn an_error_names_the_place_what_is_there_and_what_could_be() {
    let message = |text: &str| {
        let error = text.parse::<Query>().expect_err(text);
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
        error.to_string()
    };
    assert_eq!(
        message("grün = order"),
        "column 8: found 'order', expected a value: \"text\", 5, true, null or 2026-12-01; \
         texts stand in quotes\n  grün = order\n         ^"
    );
    for (text, starts, says) in [
        ("a", "column 2: found the end,", "contains"),
        ("a = ", "column 5: found the end,", "a value"),
        ("a == 1", "column 3: found '==',", "one = is enough"),
        ("a <> 1", "column 3: found '<>',", "write !="),
        ("a = 1 && b = 2", "column 7: found '&',", "write and"),
        ("a = 1 b = 2", "column 7: found 'b',", "and, or, order by"),
        ("order = 1", "column 7: found '=',", "by"),
        (
            "a = 1 and limit = 2",
            "column 11: found 'limit',",
            "`limit`, in backticks",
        ),
        ("(a = 1", "column 7: found the end,", ")"),
        ("a = \"x", "column 5: found a text without end,", "\\\""),
        ("a = 'x\\q'", "column 7: found a backslash,", "\\\\"),
        ("`a = 1", "column 1: found a name without end,", "backtick"),
        ("a in (1 2)", "column 9: found '2',", "comma"),
        ("a starts \"x\"", "column 10: found a text,", "with"),
        ("a starts with 5", "column 15: found '5',", "quotes"),
        (
            "a = 2026-13-01",
            "column 5: found '2026-13-01',",
            "2026-12-01",
        ),
        (
            "a = 2026-12-01T10:00:00",
            "column 5: found '2026",
            "its zone",
        ),
        (
            "a = 99999999999999999999",
            "column 5: found '9999",
            "as a float",
        ),
        ("a = 1e999", "column 5: found '1e999',", "a number"),
        ("a = 1 limit 0", "column 13: found '0',", "1 or more"),
        (
            "a = 1 limit 5 order by b",
            "column 15: found 'order',",
            "the end",
        ),
        ("a = 1 after \"zz\"", "column 13: found a text,", "a cursor"),
        ("a is 5", "column 6: found '5',", "null"),
        ("a = 1 ; drop", "column 7: found ';',", "quotes"),
    ] {
        let message = message(text);
        assert!(message.starts_with(starts), "{text}: {message}");
        assert!(message.contains(says), "{text}: {message}");
    }
}

#[test]
fn a_long_text_is_shown_around_the_place() {
    let text = format!("{} and b = = and {}", vec!["a = 1"; 40].join(" and "), "c");
    let message = text.parse::<Query>().unwrap_err().to_string();
    let lines: Vec<_> = message.lines().collect();
    let at = lines[2].chars().count() - 1;
    assert_eq!(lines[1].chars().nth(at), Some('='));
    assert!(
        lines[1].starts_with("  …") && lines[1].chars().count() < 80,
        "{message}"
    );
}

#[test]
fn depth_length_columns_and_limit_have_their_bounds() {
    let nested = |depth: usize| format!("{}a = 1{}", "(".repeat(depth), ")".repeat(depth));
    parse(&nested(limits::QUERY_DEPTH_MAX));
    let deep = nested(limits::QUERY_DEPTH_MAX + 1);
    let deep = deep.parse::<Query>().unwrap_err();
    assert_eq!(deep.kind(), ErrorKind::InvalidInput);
    assert!(deep.to_string().contains("32 levels"), "{deep}");
    let very = nested(20_000).parse::<Query>().unwrap_err();
    assert_eq!(very.kind(), ErrorKind::InvalidInput);
    let long = format!("a = \"{}\"", "x".repeat(limits::QUERY_BYTES_MAX));
    let long = long.parse::<Query>().unwrap_err();
    assert_eq!(long.kind(), ErrorKind::TooLarge);
    let wide = |columns| format!("order by {}", vec!["a"; columns].join(", "));
    parse(&wide(limits::ORDER_COLUMNS_MAX));
    let wide = wide(limits::ORDER_COLUMNS_MAX + 1).parse::<Query>();
    assert_eq!(wide.unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn what_is_built_has_the_same_bounds() {
    let nots = |depth| (0..depth).fold(field("a").eq(1), |it, _| it.not());
    Query::filter(nots(limits::QUERY_DEPTH_MAX))
        .check()
        .unwrap();
    let nots = Query::filter(nots(limits::QUERY_DEPTH_MAX + 1));
    assert_eq!(nots.check().unwrap_err().kind(), ErrorKind::InvalidInput);
    let turns = |depth| {
        (0..depth).fold(field("a").eq(1), |it, _| {
            it.or(field("b").eq(1)).and(field("c").eq(1))
        })
    };
    let most = Query::filter(turns(limits::QUERY_DEPTH_MAX));
    most.check().unwrap();
    assert_eq!(parse(&most.to_string()), most);
    let turns = Query::filter(turns(limits::QUERY_DEPTH_MAX + 1));
    assert_eq!(turns.check().unwrap_err().kind(), ErrorKind::InvalidInput);
    let long = Query::filter(field("a").eq("x".repeat(limits::QUERY_BYTES_MAX)));
    assert_eq!(long.check().unwrap_err().kind(), ErrorKind::TooLarge);
    let none = Query::all().limit(0);
    assert_eq!(none.check().unwrap_err().kind(), ErrorKind::InvalidInput);
    let wide = (0..=limits::ORDER_COLUMNS_MAX).fold(Query::all(), |it, _| it.order_by(field("a")));
    assert_eq!(wide.check().unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_cursor_is_of_one_order_and_not_damaged() {
    let query = Query::all().order_by(field("a"));
    let cursor = query.cursor(&query.position(id(7), &json(r#"{"a": "x"}"#)));
    let text = cursor.to_string();
    assert_eq!(text.parse::<Cursor>().unwrap(), cursor);
    query.clone().after(cursor.clone()).check().unwrap();
    let filtered = Query::filter(field("b").exists()).order_by(field("a"));
    filtered.after(cursor.clone()).check().unwrap();
    let others = [
        Query::all(),
        Query::all().order_by(field("b")),
        Query::all().order_by(field("a").descending()),
    ];
    for other in others {
        let error = other.after(cursor.clone()).check().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    for at in 0..text.len() {
        let mut damaged = text.clone().into_bytes();
        damaged[at] = if damaged[at] == b'0' { b'1' } else { b'0' };
        let damaged = String::from_utf8(damaged).unwrap().parse::<Cursor>();
        let refused = damaged.and_then(|it| query.clone().after(it).check());
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput, "{at}");
    }
    for text in ["", "0", "zz", &"ab".repeat(15), &"ab".repeat(10_000)] {
        assert!(text.parse::<Cursor>().is_err());
    }
    let query = query.after(cursor);
    assert_eq!(parse(&query.to_string()), query);
}

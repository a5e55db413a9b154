//! A note as one text, for who has no window.

use std::ops::Range;

use syncline::doc::{TextSpan, Value};

/// The text with its marks as in Markdown, `|` where the caret is, `[` and `]` around what is selected, and
/// `<name>` where others are.
pub fn show(spans: &[TextSpan], selection: &Range<usize>, others: &[(String, usize)]) -> String {
    let mut shown = String::new();
    let mut at = 0;
    for span in spans {
        let (open, close) = signs(span);
        shown.push_str(&open);
        for letter in span.text.chars() {
            points(&mut shown, at, selection, others);
            shown.push(letter);
            at += 1;
        }
        shown.push_str(&close);
    }
    points(&mut shown, at, selection, others);
    shown
}

fn points(shown: &mut String, at: usize, selection: &Range<usize>, others: &[(String, usize)]) {
    for (name, _) in others.iter().filter(|it| it.1 == at) {
        shown.push('<');
        shown.push_str(name);
        shown.push('>');
    }
    if selection.is_empty() && selection.start == at {
        shown.push('|');
    } else if selection.start == at {
        shown.push('[');
    } else if selection.end == at && !selection.is_empty() {
        shown.push(']');
    }
}

fn signs(span: &TextSpan) -> (String, String) {
    let (mut open, mut close) = (String::new(), String::new());
    if span.marks.get("bold") == Some(&Value::Bool(true)) {
        open.push_str("**");
        close.insert_str(0, "**");
    }
    if span.marks.get("italic") == Some(&Value::Bool(true)) {
        open.push('_');
        close.insert(0, '_');
    }
    if let Some(Value::Str(address)) = span.marks.get("link") {
        open.push('(');
        close.insert_str(0, &format!(" -> {address})"));
    }
    (open, close)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use syncline::doc::{TextSpan, Value};

    use super::show;

    fn span(text: &str, marks: &[(&str, Value)]) -> TextSpan {
        let marks = marks
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        TextSpan {
            text: text.to_owned(),
            marks: marks.collect::<BTreeMap<_, _>>(),
        }
    }

    #[test]
    fn marks_and_carets_stand_where_they_are() {
        let spans = [
            span("The ", &[]),
            span(
                "fox",
                &[("bold", Value::Bool(true)), ("link", Value::from("x.org"))],
            ),
            span(" jumps", &[("italic", Value::Bool(true))]),
        ];
        let others = [("Ben".to_owned(), 0), ("Eve".to_owned(), 13)];
        let shown = show(&spans, &(4..7), &others);
        assert_eq!(shown, "<Ben>The **([fox -> x.org)**_] jumps_<Eve>");
        assert_eq!(show(&[], &(0..0), &[]), "|");
    }
}

//! What a form asks, and a filled in one, as lines of text.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value as Json;
use syncline::contract::Contract;
use syncline::doc::value::show_path;
use syncline::node::FieldConflict;
use syncline::record::Attachment;
use syncline::{Error, ErrorKind, Result};

/// Reads a form from a file.
///
/// # Errors
/// `Io` if the file can't be read, `InvalidInput` if it is no contract, with the place of what is wrong.
pub fn read(file: &Path) -> Result<Contract> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        let message = format!(
            "cannot read {}: {error}; --form names the form",
            file.display()
        );
        Error::new(ErrorKind::Io, message)
    })?;
    let contract = text.parse::<Contract>();
    contract.map_err(|error| error.context(file.display()))
}

/// The questions, one a line, and what may be answered.
pub fn questions(form: &Contract) -> String {
    let written = form.to_json();
    let mut shown = format!("{}, version {}\n", form.collection(), form.version());
    for (name, field) in form.fields() {
        let mut allowed = vec![field.kind().to_string()];
        if field.is_required() {
            allowed.push("needed".to_owned());
        }
        if let Some(rules) = written.get("fields").and_then(|it| it.get(name)) {
            allowed.extend(rules_of(rules));
        }
        let (what, allowed) = (field.description(), allowed.join(", "));
        // Writing into a string does not fail.
        let _infallible = writeln!(shown, "  {name:14} {what} ({allowed})");
    }
    shown
}

/// What the rules of a field allow.
fn rules_of(field: &Json) -> Vec<String> {
    let mut allowed = Vec::new();
    if let Some(options) = field.get("one_of").and_then(Json::as_array) {
        let options: Vec<_> = options.iter().map(value).collect();
        allowed.push(options.join(" or "));
    }
    for (rule, unit) in [("range", ""), ("length", " long")] {
        let span = field.get(rule);
        let end = |name| span.and_then(|it| it.get(name)).map(value);
        match (end("min"), end("max")) {
            (None, None) => {}
            (Some(min), None) => allowed.push(format!("{min}{unit} at least")),
            (None, Some(max)) => allowed.push(format!("{max}{unit} at most")),
            (Some(min), Some(max)) => allowed.push(format!("{min} to {max}{unit}")),
        }
    }
    if let Some(pattern) = field.get("pattern").and_then(Json::as_str) {
        allowed.push(format!("like {pattern}"));
    }
    allowed
}

/// The answers of a filled in form, one a line, `-` where there is none. Those that this version of the form does
/// not ask for come last: another version wrote them, and they are kept.
pub fn answers(form: &Contract, record: &Json) -> String {
    let mut shown = String::new();
    for name in form.fields().keys() {
        let answer = record.get(name).map(value).unwrap_or_default();
        let answer = if answer.is_empty() { "-" } else { &answer };
        let _infallible = writeln!(shown, "  {name:14} {answer}");
    }
    let all = record.as_object().into_iter().flatten();
    for (name, answer) in all.filter(|(name, _)| form.field(name).is_none()) {
        let answer = value(answer);
        let _infallible = writeln!(
            shown,
            "  {name:14} {answer} (of another version of the form)"
        );
    }
    shown
}

/// The fields that were answered in several ways at the same time, one a line, and which answer counts.
pub fn conflicts(conflicts: &[FieldConflict]) -> String {
    let mut shown = String::new();
    for conflict in conflicts {
        let explained = &conflict.explanation;
        let candidates = explained.candidates.iter();
        let candidates: Vec<_> = candidates.map(|it| value(&it.value.to_json())).collect();
        let _infallible = writeln!(
            shown,
            "! {} was answered {} at the same time; {} counts, by {}",
            show_path(&explained.path),
            candidates.join(" and "),
            value(&explained.outcome.value.to_json()),
            explained.policy
        );
    }
    shown
}

/// An answer as people read it.
fn value(json: &Json) -> String {
    if let Some(time) = json.get("$time").and_then(Json::as_str) {
        return time.to_owned();
    }
    if let Some(photo) = attachment(json) {
        return format!(
            "{}, {} bytes",
            photo.name().unwrap_or("photo"),
            photo.size()
        );
    }
    match json {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        Json::Array(all) => {
            let all = all.iter().enumerate();
            let all: Vec<_> = all
                .map(|(at, it)| format!("{}. {}", at + 1, value(it)))
                .collect();
            all.join("; ")
        }
        // 9.0 without the fraction.
        Json::Number(number) if number.is_f64() => {
            number.as_f64().map(|it| it.to_string()).unwrap_or_default()
        }
        Json::Bool(_) | Json::Number(_) | Json::Object(_) => json.to_string(),
    }
}

/// An attachment as it is in JSON.
pub(crate) fn attachment(json: &Json) -> Option<Attachment> {
    let named = json.get("$blob")?;
    let id = named.get("id")?.as_str()?.parse().ok()?;
    let attachment = Attachment::new(id, named.get("size")?.as_u64()?);
    match named.get("name").and_then(Json::as_str) {
        Some(name) => attachment.with_name(name).ok(),
        None => Some(attachment),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use syncline::contract::{Contract, Field};

    use super::{answers, questions};

    #[test]
    fn questions_say_what_may_be_answered_and_answers_are_shown_by_them() {
        let form = Contract::builder("forms", 3)
            .field(
                "site",
                Field::string().required().length(1..=80).describe("Where"),
            )
            .field("bar", Field::number().range(0.5..))
            .field("state", Field::string().one_of(["good", "worn"]))
            .field("code", Field::string().pattern("^A").length(..=5))
            .field("due", Field::timestamp())
            .build()
            .unwrap();
        assert_eq!(
            questions(&form),
            "\
forms, version 3
  bar             (number, 0.5 at least)
  code            (string, 5 long at most, like ^A)
  due             (timestamp)
  site           Where (string, needed, 1 to 80 long)
  state           (string, good or worn)
"
        );
        let blob = json!({"$blob": {"id": "ab".repeat(32), "size": 7, "name": "p.png"}});
        let record = json!({
            "site": "Weir", "bar": 2.0, "due": {"$time": "2027-01-15T09:00:00.000Z"}, "photos": [blob, "x"],
        });
        assert_eq!(
            answers(&form, &record),
            "  bar            2
  code           -
  due            2027-01-15T09:00:00.000Z
  site           Weir
  state          -
  photos         1. p.png, 7 bytes; 2. x (of another version of the form)
"
        );
    }
}

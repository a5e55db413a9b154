//! What somebody types for a field: `name=value`.

use serde_json::{Map, Value as Json, json};
use syncline::contract::{Contract, Kind};

/// What is to be done to a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It gets this value, of JSON.
    Set(Json),
    /// It goes up by so much.
    Add(i64),
}

/// Reads `name=value` by the kind that the form has for the field.
///
/// # Errors
/// What is wrong with it, for people.
pub fn parse(form: &Contract, text: &str) -> Result<(String, Answer), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} is not FIELD=VALUE"))?;
    let field = form
        .field(name)
        .ok_or_else(|| format!("the form has no field {name:?}"))?;
    let wrong = |what: &str| format!("{name}: {value:?} is no {what}");
    let answer = match field.kind() {
        Kind::Bool => json!(
            value
                .parse::<bool>()
                .map_err(|it| format!("{}: {it}", wrong("true or false")))?
        ),
        Kind::Integer => json!(
            value
                .parse::<i64>()
                .map_err(|it| format!("{}: {it}", wrong("whole number")))?
        ),
        Kind::Number => json!(
            value
                .parse::<f64>()
                .map_err(|it| format!("{}: {it}", wrong("number")))?
        ),
        Kind::Counter => {
            let by = value.parse::<i64>();
            let by = by.map_err(|it| format!("{}: {it}", wrong("number to count by, as in +1")))?;
            return Ok((name.to_owned(), Answer::Add(by)));
        }
        Kind::String | Kind::Text => json!(value),
        Kind::Timestamp => json!({ "$time": value }),
        Kind::Bytes | Kind::List | Kind::Set | Kind::Map | Kind::Any => {
            return Err(format!("{name} is not filled in by hand"));
        }
        _ => return Err(format!("{name} is of a kind that this program does not know")),
    };
    Ok((name.to_owned(), Answer::Set(answer)))
}

/// Answers that set fields, as a patch of the record; and those that count.
pub fn split(answers: Vec<(String, Answer)>) -> (Json, Vec<(String, i64)>) {
    let (mut patch, mut counts) = (Map::new(), Vec::new());
    for (name, answer) in answers {
        match answer {
            Answer::Set(value) => drop(patch.insert(name, value)),
            Answer::Add(by) => counts.push((name, by)),
        }
    }
    (Json::Object(patch), counts)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use syncline::contract::{Contract, Field};

    use super::{Answer, parse};

    #[test]
    fn answers_are_read_by_the_kind_of_their_field() {
        let form = Contract::builder("forms", 1)
            .field("site", Field::string())
            .field("bar", Field::number())
            .field("defects", Field::counter())
            .field("photos", Field::list(Field::string()))
            .build()
            .unwrap();
        let read = |text| parse(&form, text);
        assert_eq!(
            read("site=a=b").unwrap(),
            ("site".to_owned(), Answer::Set(json!("a=b")))
        );
        assert_eq!(read("bar=2.5").unwrap().1, Answer::Set(json!(2.5)));
        assert_eq!(read("defects=+2").unwrap().1, Answer::Add(2));
        for wrong in ["site", "bar=high", "defects=", "photos=x", "colour=red"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}

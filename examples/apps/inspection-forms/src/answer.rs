//! What somebody types for a field: `name=value`.

use std::fmt::Display;
use std::str::FromStr;

use serde_json::{Value as Json, json};
use syncline::contract::{Contract, Kind};
use syncline::doc::Value;

/// What is to be done to a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It gets this value, of JSON; null takes the answer back.
    Set(Json),
    /// It goes up by so much.
    Add(i64),
}

/// Reads `name=value` by the kind that the form has for the field. Without a value it takes the answer back.
///
/// # Errors
/// What is wrong with it, for people.
pub fn parse(form: &Contract, text: &str) -> Result<(String, Answer), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} is not FIELD=VALUE"))?;
    let field = form
        .field(name)
        .ok_or_else(|| format!("the form has no field {name:?}; see form"))?;
    let answer = match field.kind() {
        Kind::Counter => typed(value, "a number to count by, as in +1").map(Answer::Add),
        // A text stays, if empty: others may be writing into it.
        Kind::Text => Ok(Answer::Set(json!(value))),
        Kind::Bytes | Kind::List | Kind::Set | Kind::Map | Kind::Any => {
            return Err(format!("{name} is not filled in by hand"));
        }
        _ if value.is_empty() => Ok(Answer::Set(Json::Null)),
        Kind::String => Ok(Answer::Set(json!(value))),
        Kind::Bool => typed::<bool>(value, "true or false").map(|it| Answer::Set(json!(it))),
        Kind::Integer => typed::<i64>(value, "a whole number").map(|it| Answer::Set(json!(it))),
        Kind::Number => fraction(value).map(|it| Answer::Set(json!(it))),
        Kind::Timestamp => time(value).map(Answer::Set),
        _ => {
            return Err(format!(
                "{name} is of a kind that this program does not know"
            ));
        }
    };
    let answer = answer.map_err(|why| format!("{name}: {value:?} is not {why}"))?;
    Ok((name.to_owned(), answer))
}

fn typed<T: FromStr<Err: Display>>(text: &str, what: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("{what}: {error}"))
}

fn fraction(text: &str) -> Result<f64, String> {
    let number = typed::<f64>(text, "a number, as in 3.5")?;
    // JSON has no other ones, and null takes an answer back.
    if !number.is_finite() {
        return Err("an amount".to_owned());
    }
    Ok(number)
}

fn time(text: &str) -> Result<Json, String> {
    let time = json!({ "$time": text });
    Value::from_json(&time).map_err(|_of_json| "a time, as in 2027-01-15T09:00:00Z".to_owned())?;
    Ok(time)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};
    use syncline::contract::{Contract, Field};

    use super::{Answer, parse};

    #[test]
    fn answers_are_read_by_the_kind_of_their_field() {
        let form = Contract::builder("forms", 1)
            .field("site", Field::string())
            .field("open", Field::bool())
            .field("bar", Field::number())
            .field("defects", Field::counter())
            .field("notes", Field::text())
            .field("due", Field::timestamp())
            .field("photos", Field::list(Field::string()))
            .build()
            .unwrap();
        let read = |text| parse(&form, text);
        let set = |text| read(text).unwrap().1;
        assert_eq!(
            read("site=a=b").unwrap(),
            ("site".to_owned(), Answer::Set(json!("a=b")))
        );
        assert_eq!(set("bar=2.5"), Answer::Set(json!(2.5)));
        assert_eq!(set("open=true"), Answer::Set(json!(true)));
        assert_eq!(set("defects=+2"), Answer::Add(2));
        assert_eq!(
            set("due=2027-01-15T09:00:00Z"),
            Answer::Set(json!({"$time": "2027-01-15T09:00:00Z"}))
        );
        assert_eq!(set("bar="), Answer::Set(Json::Null), "it is taken back");
        assert_eq!(
            set("notes="),
            Answer::Set(json!("")),
            "others may be writing into it"
        );
        for (wrong, words) in [
            ("site", "is not FIELD=VALUE"),
            ("bar=high", "is not a number"),
            ("bar=NaN", "is not an amount"),
            ("bar=1e999", "is not an amount"),
            ("open=perhaps", "is not true or false"),
            ("defects=", "as in +1"),
            ("due=tomorrow", "as in 2027-01-15T09:00:00Z"),
            ("photos=x", "not filled in by hand"),
            ("colour=red", "no field \"colour\""),
        ] {
            let told = read(wrong).unwrap_err();
            assert!(told.contains(words), "{told}");
        }
    }
}

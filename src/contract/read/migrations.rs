//! Migrations from JSON.

use serde_json::Value as Json;

use super::{Object, Read, at};
use crate::contract::{Kind, Migration, Step};
use crate::error::Error;

pub(in crate::contract) fn read(json: Option<&Json>, path: &str) -> Read<Vec<Migration>> {
    let Some(json) = json else {
        return Ok(Vec::new());
    };
    let list = json
        .as_array()
        .ok_or_else(|| at(path, "it is not a list"))?;
    let list = list.iter().enumerate();
    list.map(|(index, json)| migration(json, &format!("{path}[{index}]")))
        .collect()
}

fn migration(json: &Json, path: &str) -> Read<Migration> {
    let mut object = Object::new(json, path)?;
    let (from, to) = (object.number("from")?, object.number("to")?);
    let mut migration = Migration::new(object.needed("from", from)?, object.needed("to", to)?);
    let steps = object.list("steps")?;
    for (index, json) in object.needed("steps", steps)?.iter().enumerate() {
        let place = format!("{}[{index}]", object.place("steps"));
        migration.steps.push(step(json, &place)?);
    }
    object.done()?;
    Ok(migration)
}

fn step(json: &Json, path: &str) -> Read<Step> {
    let mut object = Object::new(json, path)?;
    let step = if let Some(from) = object.string("rename")? {
        let to = target(&mut object)?;
        let from = from.to_owned();
        Step::Rename { from, to }
    } else if let Some(from) = object.string("convert")? {
        let (was, is) = (kind(&mut object, "was")?, kind(&mut object, "is")?);
        let to = target(&mut object)?;
        let from = from.to_owned();
        Step::Convert { from, was, to, is }
    } else {
        let (name, version) = object.custom()?;
        let name = name.to_owned();
        Step::Custom { name, version }
    };
    object.done()?;
    Ok(step)
}

fn target(object: &mut Object<'_>) -> Read<String> {
    let to = object.string("to")?;
    object.needed("to", to).map(str::to_owned)
}

fn kind(object: &mut Object<'_>, key: &'static str) -> Read<Kind> {
    let kind = object.string(key)?;
    let kind = object.needed(key, kind)?.parse();
    kind.map_err(|it: Error| at(&object.place(key), &it.to_string()))
}

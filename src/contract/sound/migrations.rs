//! Whether the migrations of a contract follow each other, and their steps go together.

use super::{Sound, bound};
use crate::contract::migration::is_whole;
use crate::contract::{Contract, Kind, Migration, Step, place};
use crate::limits;

pub(super) fn check(contract: &mut Contract) -> Sound {
    contract.migrations.sort_by_key(|it| (it.from, it.to));
    let mut before: Option<&Migration> = None;
    for migration in &contract.migrations {
        let shown = format!("migration {} to {}", migration.from, migration.to);
        follows(before, migration, contract.version).map_err(|it| format!("{shown}: {it}"))?;
        for step in &migration.steps {
            check_step(contract, step).map_err(|it| format!("{shown}: {step}: {it}"))?;
        }
        before = Some(migration);
    }
    let steps: Vec<_> = all(contract).collect();
    bound(
        "steps of migrations",
        steps.len(),
        limits::MIGRATION_STEPS_MAX,
    )?;
    for (index, step) in steps.iter().enumerate() {
        let Some((from, _)) = step.paths() else {
            continue;
        };
        let mut later = steps.iter().skip(index).filter_map(|it| it.paths());
        if later.any(|(_, to)| meet(from, to)) {
            return Err(format!(
                "migrations: {step}: a later step writes there again, so that it would never be done"
            ));
        }
    }
    Ok(())
}

fn all(contract: &Contract) -> impl Iterator<Item = &Step> {
    contract.migrations.iter().flat_map(Migration::steps)
}

fn follows(before: Option<&Migration>, migration: &Migration, version: u32) -> Sound {
    let Migration { from, to, .. } = migration;
    if *from == 0 || to <= from || *to > version {
        return Err(format!(
            "it leads from a version, from 1, to a later one, up to the contract's own, {version}"
        ));
    }
    match before {
        Some(before) if before.from == *from => {
            Err("there are two that begin with this version".to_owned())
        }
        Some(before) if before.to > *from => Err(format!(
            "one before it leads to version {} already",
            before.to
        )),
        Some(before) if before.to < *from => Err(format!(
            "there is a gap: the one before it leads to version {} only",
            before.to
        )),
        Some(_) | None => Ok(()),
    }
}

fn check_step(contract: &Contract, step: &Step) -> Sound {
    if let Step::Custom { name, version } = step {
        return place::check_name(name, *version);
    }
    let Some((from, to)) = step.paths() else {
        return Ok(());
    };
    for path in [from, to] {
        let mut names = path.split('.');
        names.try_for_each(place::check_field_name)?;
        let levels = path.split('.').count();
        bound("levels of fields", levels, limits::CONTRACT_DEPTH_MAX)?;
    }
    if meet(from, to) {
        return Err(
            "a field moves to another place: neither its own, nor one inside of it".to_owned(),
        );
    }
    if let Some(field) = contract.field(from) {
        let kind = field.kind();
        return Err(format!("`{from}`, {kind}, is a field still"));
    }
    if let Step::Convert { was, is, .. } = step {
        if !is_whole(*was) {
            return Err(format!(
                "{was} does not convert: others may be writing into it meanwhile"
            ));
        }
        if !is_whole(*is) && !matches!(is, Kind::Text | Kind::Counter) {
            return Err(format!("nothing converts to {is}"));
        }
    }
    Ok(())
}

/// Whether two paths are the same, or one leads into the other.
fn meet(a: &str, b: &str) -> bool {
    let (a, b) = (place::steps(a), place::steps(b));
    a.starts_with(&b) || b.starts_with(&a)
}

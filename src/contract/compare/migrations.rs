//! How the migrations of two versions differ.

use super::{Difference, Effect, difference};
use crate::contract::Contract;

pub(super) fn compare(old: &Contract, new: &Contract, list: &mut Vec<Difference>) {
    for before in &old.migrations {
        let place = format!("migration {} to {}", before.from, before.to);
        match new.migrations.iter().find(|it| it.from == before.from) {
            Some(after) if after == before => {}
            Some(_) => list.push(difference(
                &place,
                "changed".to_owned(),
                Effect::Degraded,
                "programs of both versions make different things of older records",
            )),
            None => list.push(difference(
                &place,
                "removed".to_owned(),
                Effect::Degraded,
                "records that were not migrated by now stay as they are",
            )),
        }
    }
    for after in &new.migrations {
        if !old.migrations.iter().any(|it| it.from == after.from) {
            let steps: Vec<_> = after.steps.iter().map(ToString::to_string).collect();
            list.push(difference(
                &format!("migration {} to {}", after.from, after.to),
                format!("new: {}", steps.join("; ")),
                Effect::Degraded,
                "older programs do not find what is migrated where they look for it",
            ));
        }
    }
}

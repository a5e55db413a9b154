//! Contracts as records: in each space those that it has are a collection of its own.

use std::ops::ControlFlow;

use serde_json::Value as Json;

use crate::contract::Contract;
use crate::doc::Value;
use crate::error::Result;
use crate::id::{CollectionId, RecordId, RecordKey, SpaceId};
use crate::limits;
use crate::record;
use crate::replica::Rows;
use crate::store::Snapshot;

/// The collection of each space in which its contracts are, a record for each version.
pub(super) const CONTRACTS: &str = "syncline.contracts";

/// The field of such a record that holds the contract, as JSON.
const CONTRACT: &str = "contract";

/// The contracts that a store has of a space; no more records are looked at than may be contracts.
pub(super) fn contracts(
    snapshot: &dyn Snapshot,
    space: SpaceId,
    visit: &mut dyn FnMut(Contract),
) -> Result<()> {
    first_views(
        snapshot,
        (space, CONTRACTS),
        limits::CONTRACTS_MAX,
        &mut |key, value| {
            if let Some(contract) = read(key, value) {
                visit(contract);
            }
        },
    )
}

/// The views of the first records of a collection of ours in a space.
pub(super) fn first_views(
    snapshot: &dyn Snapshot,
    (space, collection): (SpaceId, &str),
    max: usize,
    visit: &mut dyn FnMut(&RecordKey, &Value),
) -> Result<()> {
    let collection: CollectionId = collection.parse()?;
    let rows = Rows::new(snapshot);
    let Some(number) = rows.number(space, Some(&collection))? else {
        return Ok(());
    };
    let mut looked = 0;
    rows.views(number, &mut |record, view| {
        let key = RecordKey {
            space,
            collection: collection.clone(),
            record,
        };
        if let Ok(value) = Value::from_bytes(&view.value) {
            visit(&key, &value);
        }
        looked += 1;
        if looked < max {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })
}

/// Whether a contract is one of contracts: it could keep all others out.
pub(super) fn rules_itself(contract: &Contract) -> bool {
    contract.collection().as_str() == CONTRACTS
}

/// The record in which a version of a contract is: the same on every device.
pub(super) fn record_of(contract: &Contract) -> RecordId {
    RecordId::named(&format!("{}@{}", contract.collection(), contract.version()))
}

/// A contract as its record holds it.
pub(super) fn to_record(contract: &Contract) -> Json {
    serde_json::json!({
        "collection": contract.collection().as_str(),
        "version": contract.version(),
        CONTRACT: contract.to_json().to_string(),
    })
}

/// The contract in a record. What is none, or in another's place, is left alone: anybody who writes in
/// the space may have put it there.
pub(super) fn read(key: &RecordKey, value: &Value) -> Option<Contract> {
    if record::is_deleted(value) {
        return None;
    }
    let text = value.as_map()?.get(CONTRACT)?.as_str()?;
    match text.parse::<Contract>() {
        Ok(contract) if rules_itself(&contract) => None,
        Ok(contract) if record_of(&contract) == key.record => Some(contract),
        Ok(_) => {
            tracing::warn!(record = %key, "a contract stands in the place of another; it is left alone");
            None
        }
        Err(error) => {
            tracing::warn!(record = %key, %error, "what stands there is no contract; it is left alone");
            None
        }
    }
}

//! `contract declare` and `contract show`: the contracts of a space.

use serde_json::json;
use syncline::SpaceId;
use syncline::contract::Contract;

use crate::args::StoreArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::store;

pub(crate) async fn declare(
    args: &StoreArgs,
    space: SpaceId,
    contract: &Contract,
    out: Output,
) -> Result<(), Failure> {
    let node = store::open(store::builder(&args.store, space)).await?;
    let outcome = async { Ok(node.publish(contract).await?) };
    let is_new = store::close(&node, outcome.await).await?;
    let (collection, version) = (contract.collection(), contract.version());
    out.say(if is_new {
        format!("version {version} of the contract of {collection} is in the space")
    } else {
        format!("version {version} of the contract of {collection} was in the space already")
    })?;
    out.object(&json!({"collection": collection.as_str(), "version": version, "changed": is_new}))
}

pub(crate) async fn show(
    args: &StoreArgs,
    space: SpaceId,
    collection: &str,
    out: Output,
) -> Result<(), Failure> {
    let node = store::open_existing(&args.store, space).await?;
    let outcome = async { Ok(node.contract(collection)?) };
    let Some(contract) = store::close(&node, outcome.await).await? else {
        let message = format!("'{collection}' has no contract here");
        return Err(Failure::not_found(message));
    };
    let json = contract.to_json();
    out.say(format!("{json:#}"))?;
    out.object(&json!({"collection": collection, "version": contract.version(), "contract": json}))
}

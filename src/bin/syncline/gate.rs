//! `gate`: for which replicas new versions of contracts count.

use clap::Subcommand;
use clap::builder::NonEmptyStringValueParser as NotEmpty;
use serde_json::{Value as Json, json};
use syncline::contract::Gate;
use syncline::{Node, ReplicaId, SpaceId};

use crate::args::StoreArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::store;
use crate::text::table;

#[derive(Debug, Subcommand)]
pub(crate) enum GateCommand {
    /// Put a gate into the space, in place of one of that name.
    Set {
        #[command(flatten)]
        store: StoreArgs,
        /// The gate, as contracts name it.
        #[arg(value_parser = NotEmpty::new())]
        name: String,
        /// For which share of all replicas it is open, in thousandths. A larger one has all of a smaller.
        #[arg(long, value_name = "PER_MILLE", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1_000))]
        share: u16,
        /// A replica for which it is open whatever the share; may be repeated.
        #[arg(long, value_name = "REPLICA")]
        replica: Vec<ReplicaId>,
    },
    /// List the gates of the space, and whether they are open for this replica.
    List {
        #[command(flatten)]
        store: StoreArgs,
    },
}

pub(crate) async fn run(command: GateCommand, space: SpaceId, out: Output) -> Result<(), Failure> {
    match command {
        GateCommand::Set {
            store,
            name,
            share,
            replica,
        } => {
            let mut replicas = replica.into_iter();
            let gate = replicas.try_fold(Gate::new(&name)?.share(share)?, Gate::name_replica)?;
            set(&store, space, &gate, out).await
        }
        GateCommand::List { store } => list(&store, space, out).await,
    }
}

async fn set(args: &StoreArgs, space: SpaceId, gate: &Gate, out: Output) -> Result<(), Failure> {
    let node = store::open(store::builder(&args.store, space)).await?;
    let outcome = async {
        let changed = node.set_gate(gate).await?;
        Ok((changed, shown(&node, gate)))
    };
    let (changed, mut object) = store::close(&node, outcome.await).await?;
    let (name, share) = (gate.name(), gate.per_mille());
    out.say(format!(
        "{name} is open for {share} of 1,000 replicas, and {} by name",
        gate.replicas().len()
    ))?;
    if let Json::Object(map) = &mut object {
        map.insert("changed".to_owned(), json!(changed));
    }
    out.object(&object)
}

async fn list(args: &StoreArgs, space: SpaceId, out: Output) -> Result<(), Failure> {
    let node = store::open_existing(&args.store, space).await?;
    let gates: Vec<_> = node
        .gates()
        .iter()
        .map(|it| (it.clone(), shown(&node, it)))
        .collect();
    store::close(&node, Ok(())).await?;
    let rows = gates.iter().map(|(gate, object)| {
        let here = if object["open"] == true {
            "open here"
        } else {
            "shut here"
        };
        vec![
            gate.name().to_owned(),
            format!("{} of 1,000", gate.per_mille()),
            format!("{} by name", gate.replicas().len()),
            here.to_owned(),
        ]
    });
    for line in table(&rows.collect::<Vec<_>>()) {
        out.say(line)?;
    }
    let gates: Json = gates.into_iter().map(|(_, object)| object).collect();
    out.object(&json!({"gates": gates}))
}

fn shown(node: &Node, gate: &Gate) -> Json {
    json!({
        "name": gate.name(),
        "per_mille": gate.per_mille(),
        "replicas": gate.replicas().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "open": node.is_open(gate.name()),
    })
}

//! `doctor`: whether a store agrees with itself, and what can be made again.

use serde_json::{Value as Json, json};
use syncline::SpaceId;
use syncline::replica::{self, Rows};
use syncline::store::{RedbOptions, RedbStore, Store as _};

use crate::args::DoctorArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::text::counted;

/// Complaints about one space that are shown.
const COMPLAINTS_SHOWN: usize = 20;

/// What was found in one space.
struct Finding {
    space: SpaceId,
    complaints: Vec<String>,
}

pub(crate) fn run(args: &DoctorArgs, out: Output) -> Result<(), Failure> {
    let path = &args.store.store;
    if !path.exists() {
        return Err(Failure::no_store(path));
    }
    let of_store = |error: syncline::Error| Failure::from(error).of_store();
    let open = RedbStore::open(path, RedbOptions::default());
    let mut store = open.map_err(|it| of_store(it.into()))?;
    let pages = store.verify().map_err(|it| of_store(it.into()))?;
    out.say(if pages {
        "pages: sound"
    } else {
        "pages: redb found damage and repaired it"
    })?;
    let repaired = if args.repair {
        let repaired = replica::repair(&store).map_err(of_store)?;
        out.say(format!("sums made again: {}", counted(repaired, "row")))?;
        Some(repaired)
    } else {
        None
    };
    let findings = examine(&store).map_err(of_store)?;
    for finding in &findings {
        tell(finding, out)?;
    }
    if findings.is_empty() {
        out.say("no records")?;
    }
    store.close().map_err(|it| of_store(it.into()))?;
    let is_sound = findings.iter().all(|it| it.complaints.is_empty());
    out.object(&json!({
        "sound": is_sound,
        "pages_sound": pages,
        "rows_repaired": repaired,
        "spaces": spaces(&findings),
    }))?;
    if is_sound {
        return Ok(());
    }
    Err(Failure::damaged_store(path, args.repair))
}

fn examine(store: &RedbStore) -> Result<Vec<Finding>, syncline::Error> {
    let snapshot = store.snapshot()?;
    let rows = Rows::new(snapshot.as_ref());
    let mut findings = Vec::new();
    for space in rows.spaces()? {
        let complaints = rows.verify(space)?;
        findings.push(Finding { space, complaints });
    }
    Ok(findings)
}

fn tell(finding: &Finding, out: Output) -> Result<(), Failure> {
    let Finding { space, complaints } = finding;
    if complaints.is_empty() {
        return out.say(format!("space {space}: sound"));
    }
    let count = u64::try_from(complaints.len()).unwrap_or(u64::MAX);
    out.say(format!("space {space}: {}", counted(count, "complaint")))?;
    for complaint in complaints.iter().take(COMPLAINTS_SHOWN) {
        out.say(format!("  {complaint}"))?;
    }
    Ok(())
}

fn spaces(findings: &[Finding]) -> Vec<Json> {
    let spaces = findings.iter().map(|it| {
        let space = it.space.to_string();
        json!({"space": space, "complaints": it.complaints})
    });
    spaces.collect()
}

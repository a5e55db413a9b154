//! C5, how the changes that a peer lacks of one record travel: each in a compressed frame as ours do,
//! as one of Automerge's bundles, or as the whole document.

use automerge::transaction::Transactable as _;
use automerge::{Automerge, ObjType, ROOT};
use bytes::Bytes;
use syncline::id::{CorrelationId, Lsn};
use syncline::wire::{self, ChangeGroup, Changes, Class, Message};
use syncline::{RecordId, SpaceId};

use super::Plan;
use crate::measure::{Watch, figure};
use crate::report::{Report, Row};
use crate::workload::{self, Typing};

/// Keystrokes that the peer has already.
const BEFORE: usize = 5_000;

pub(super) fn measure(plan: &Plan<'_>, report: &mut Report) -> anyhow::Result<()> {
    let typing = Typing::load(plan.args.trace.as_deref(), BEFORE + 1_000)?;
    let mut document = Automerge::new();
    let mut tx = document.transaction();
    let text = tx.put_object(ROOT, "body", ObjType::Text)?;
    tx.commit();
    for (at, delete, insert) in typing.patches.iter().take(BEFORE) {
        keystroke(&mut document, &text, (*at, *delete, insert))?;
    }
    let known = document.get_heads();
    let mut typed = 0;
    for count in [1, 10, 100, 1_000] {
        for (at, delete, insert) in typing
            .patches
            .iter()
            .skip(BEFORE + typed)
            .take(count - typed)
        {
            keystroke(&mut document, &text, (*at, *delete, insert))?;
        }
        typed = count;
        let work = format!("{count} keystrokes after {BEFORE} in a text");
        row(report, work, &document, &known)?;
    }
    for edits in [1, 10, 100] {
        let mut document = workload::document(1)?;
        let known = document.get_heads();
        for priority in 0..edits {
            let mut tx = document.transaction();
            tx.put(ROOT, "priority", priority + 10)?;
            tx.commit();
        }
        let work = format!("{edits} edits of a small record");
        row(report, work, &document, &known)?;
    }
    Ok(())
}

fn keystroke(
    document: &mut Automerge,
    text: &automerge::ObjId,
    (at, delete, insert): (usize, usize, &str),
) -> anyhow::Result<()> {
    let mut tx = document.transaction();
    tx.splice_text(text, at, isize::try_from(delete)?, insert)?;
    tx.commit();
    Ok(())
}

fn row(
    report: &mut Report,
    work: String,
    document: &Automerge,
    known: &[automerge::ChangeHash],
) -> anyhow::Result<()> {
    let mut lacking = document.get_changes(known);
    let hashes: Vec<_> = lacking.iter().map(automerge::Change::hash).collect();
    let changes: Vec<_> = lacking
        .iter_mut()
        .map(|it| Bytes::from(it.bytes().into_owned()))
        .collect();
    let raw: usize = changes.iter().map(Bytes::len).sum();
    let watch = Watch::start();
    let sealed = wire::seal(frame(changes));
    let sealing = watch.seconds();
    let watch = Watch::start();
    let bundle = document.bundle(hashes)?;
    let bundling = watch.seconds();
    let watch = Watch::start();
    let saved = document.save();
    let saving = watch.seconds();
    report.row(
        Row::new("C5", work, "bytes")
            .ours(figure(sealed.len()))
            .floor("one bundle", figure(bundle.bytes().len()))
            .over_floor()
            .note(format!(
                "The changes themselves {raw} bytes; the whole document {}. Sealing the frame {:.0} µs; \
                 bundling {:.0} µs and saving {:.0} µs in a document that is loaded already.",
                saved.len(),
                sealing * 1e6,
                bundling * 1e6,
                saving * 1e6
            )),
    );
    Ok(())
}

fn frame(changes: Vec<Bytes>) -> Vec<u8> {
    let group = ChangeGroup {
        collection: "tasks".parse().unwrap_or_else(|_| unreachable!("a name")),
        record: RecordId::named("one"),
        correlation: CorrelationId(0),
        done: false,
        changes,
    };
    let changes = Changes {
        space: SpaceId::named("bench"),
        class: Class::Bulk,
        upto: Lsn(0),
        groups: vec![group],
    };
    wire::encode(CorrelationId(1), &Message::Changes(changes))
}

//! P10 of the peers: what their folders weigh after the same edits.

use automerge::Automerge;

use super::Plan;
use super::size::Held;
use crate::measure::{Files, figure};
use crate::peers::{samod, subduction};
use crate::report::{Row, SAMOD, SUBDUCTION, say, show};

/// How the peers fold.
const FOLDING: &str = "subduction keeps every commit until its application makes fragments of old \
                       ones, at about each 256th, which this one does not; samod folds a document \
                       by itself once it is in more than ten files. Neither can be asked to, so \
                       that theirs is the same compacted.";

/// The folders of the peers.
#[derive(Default)]
pub(super) struct Folders(Vec<(&'static str, Held, Files)>);

impl Folders {
    /// Records that were each edited so often.
    pub(super) async fn edited(
        plan: &Plan<'_>,
        [subduction, samod]: [usize; 2],
        edits: usize,
    ) -> Self {
        let mut folders = Self::default();
        let files = match plan.folder(&format!("size-subduction-{edits}")) {
            Ok(folder) => subduction::edited_files(&folder, (subduction, edits)).await,
            Err(error) => Err(error),
        };
        folders.add(SUBDUCTION, Held::Records(subduction), files);
        let files = match plan.folder(&format!("size-samod-{edits}")) {
            Ok(folder) => samod::edited_files(&folder, (samod, edits)).await,
            Err(error) => Err(error),
        };
        folders.add(SAMOD, Held::Records(samod), files);
        folders
    }

    /// The same text, with all of its keystrokes.
    pub(super) async fn typed(plan: &Plan<'_>, document: &Automerge) -> Self {
        let mut folders = Self::default();
        let files = match plan.folder("size-text-subduction") {
            Ok(folder) => subduction::typed_files(&folder, document).await,
            Err(error) => Err(error),
        };
        folders.add(SUBDUCTION, Held::Text, files);
        let files = match plan.folder("size-text-samod") {
            Ok(folder) => samod::typed_files(&folder, document.clone()).await,
            Err(error) => Err(error),
        };
        folders.add(SAMOD, Held::Text, files);
        folders
    }

    fn add(&mut self, name: &'static str, held: Held, files: anyhow::Result<Files>) {
        match files {
            Ok(files) => {
                say(&format!("{name}, {held:?}: {files:?}"));
                self.0.push((name, held, files));
            }
            Err(error) => say(&format!("{name}, {held:?}: failed: {error:#}")),
        }
    }

    /// Puts the peers' figures into a row of a store that holds this.
    pub(super) fn fill(&self, mut row: Row, held: Held) -> Row {
        for (name, theirs, files) in &self.0 {
            let (_, weight) = theirs.weight(files.bytes);
            row = row.peer(name, Some(weight));
            if let Held::Records(records) = theirs
                && *theirs != held
            {
                row = row.peer_at(name, records.to_string());
            }
            if files.disk_bytes > 2 * files.bytes {
                let (unit, weight) = theirs.weight(files.disk_bytes);
                row = row.note(format!(
                    "{name}'s are {} files, which take {} {unit} of the disk, in whole blocks.",
                    show(figure(files.count)),
                    show(weight),
                ));
            }
        }
        if self.0.is_empty() {
            return row;
        }
        row.note(FOLDING)
    }
}

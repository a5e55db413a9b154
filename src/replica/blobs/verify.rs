//! Whether what is stored of blobs is what their names say.

use super::rows::BlobRow;
use crate::error::{ErrorKind, Result};
use crate::id::{BlobId, SpaceId};
use crate::limits;
use crate::replica::read::Rows;

impl Rows<'_> {
    /// The chunks of a blob that are not what they should be, of those that should be here; `None`
    /// if that can't be told, because its manifest is damaged or missing.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn damaged_chunks(&self, space: SpaceId, blob: BlobId) -> Result<Option<Vec<u32>>> {
        let Some(number) = self.number(space, None)? else {
            return Ok(Some(Vec::new()));
        };
        match self.blob_row(number, blob)? {
            Some(row) => self.damage(blob, &row),
            None => Ok(Some(Vec::new())),
        }
    }

    fn damage(&self, blob: BlobId, row: &BlobRow) -> Result<Option<Vec<u32>>> {
        let manifest = match self.manifest(row.number) {
            Err(error) if error.kind() == ErrorKind::StoreCorrupt => None,
            manifest => manifest?,
        };
        let is_right = |it: &crate::blob::Manifest| it.id() == blob && it.size() == row.size;
        let Some(manifest) = manifest.filter(is_right) else {
            return Ok(None);
        };
        let mut damaged = Vec::new();
        for index in (0..manifest.count()).filter(|it| row.has(*it)) {
            let chunk = match self.stored_chunk(row.number, index) {
                Err(error) if error.kind() == ErrorKind::StoreCorrupt => None,
                chunk => chunk?,
            };
            if !chunk.is_some_and(|it| manifest.holds(index, &it)) {
                damaged.push(index);
            }
        }
        Ok(Some(damaged))
    }

    /// What is wrong with the blobs of a space.
    pub(in crate::replica) fn verify_blobs(
        &self,
        space: SpaceId,
        complaints: &mut Vec<String>,
    ) -> Result<()> {
        let mut after = None;
        loop {
            let known = self.blobs(space, after, limits::BLOB_COLLECT_ROWS)?;
            for it in &known {
                match self.damaged_chunks(space, it.id)? {
                    None => complaints.push(format!("blob {}: its manifest is damaged", it.id)),
                    Some(chunks) if !chunks.is_empty() => {
                        let (count, of) = (chunks.len(), it.stock.chunks);
                        complaints.push(format!(
                            "blob {}: {count} of {of} chunks are damaged",
                            it.id
                        ));
                    }
                    Some(_) => {}
                }
            }
            match known.last() {
                Some(last) if known.len() >= limits::BLOB_COLLECT_ROWS => after = Some(last.id),
                _ => return Ok(()),
            }
        }
    }
}

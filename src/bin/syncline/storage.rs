//! The folder in which automerge-repo's adapter for Node's file system keeps documents, and samod the
//! same way: `2x/abc…/snapshot/…` and `2x/abc…/incremental/…`, an id cut after two characters.
//!
//! Files are found by where they are, since names are made differently by different programs. No
//! symbolic link is followed.

use std::ffi::OsStr;
use std::fs::{self, DirEntry, File, FileType};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use syncline::{RecordId, limits};

use crate::failure::Failure;

/// What a document's files are in; `sync-state` beside them is of no use elsewhere.
const KINDS: [&str; 2] = ["snapshot", "incremental"];

/// Where such a storage keeps its own name, which is none of a document.
const ADAPTER_ID: &str = "st/orage-adapter-id";

/// A storage folder. It is read and never written.
#[derive(Debug)]
pub(crate) struct Storage {
    root: PathBuf,
    /// Documents in it, readable or not.
    pub(crate) documents: u64,
}

/// Something that could not be taken in.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The document that it is of, if that can be told.
    pub(crate) id: Option<RecordId>,
    /// The file or folder, within the storage.
    pub(crate) file: PathBuf,
    pub(crate) reason: String,
}

impl Refusal {
    pub(crate) fn of(id: RecordId, file: &Path, reason: String) -> Self {
        let (id, file) = (Some(id), file.to_owned());
        Self { id, file, reason }
    }
}

/// A document's folder.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) id: RecordId,
    /// Within the storage.
    pub(crate) folder: PathBuf,
}

/// The files of one document that could be read, with what is in them, and what is wrong with others.
#[derive(Debug, Default)]
pub(crate) struct Files {
    pub(crate) names: Vec<PathBuf>,
    pub(crate) contents: Vec<Vec<u8>>,
    pub(crate) refusals: Vec<Refusal>,
}

impl Storage {
    /// Looks whether the folder is such a storage, and counts its documents.
    pub(crate) fn open(root: &Path) -> Result<Self, Failure> {
        let shown = root.display();
        let unreadable = |error: &io::Error| Failure::io(&format!("cannot read {shown}"), error);
        if !fs::metadata(root).map_err(|it| unreadable(&it))?.is_dir() {
            let message = format!("{shown} is a file, not the folder of an automerge-repo storage");
            return Err(Failure::input(message));
        }
        let is_empty = fs::read_dir(root)
            .map_err(|it| unreadable(&it))?
            .next()
            .is_none();
        let mut storage = Self {
            root: root.to_owned(),
            documents: 0,
        };
        let mut is_storage = root.join(ADAPTER_ID).is_file();
        let mut documents = 0;
        for found in storage.documents() {
            documents += 1;
            // A link with a name of two letters does not make it one.
            is_storage |= found.map_or_else(|it| it.file.components().count() > 1, |_| true);
        }
        storage.documents = documents;
        if !is_storage {
            let what = if is_empty {
                "is empty"
            } else {
                "holds nothing of the form 2x/abc…/snapshot"
            };
            return Err(Failure::input(format!(
                "{shown} {what}; give the folder that NodeFSStorageAdapter, or samod's FilesystemStorage, \
                 was made with"
            )));
        }
        Ok(storage)
    }

    /// The folders of documents, and what stands in their places and is none. Nothing of it is held.
    pub(crate) fn documents(&self) -> impl Iterator<Item = Result<Found, Refusal>> {
        let prefixes = self.entries(Path::new(""), None).filter(|it| match it {
            Ok(it) => is_prefix(&it.file_name()),
            Err(_) => true,
        });
        prefixes.flat_map(|prefix| self.below(prefix))
    }

    /// What is in one of the folders that are named by the first two characters of ids.
    fn below<'a>(
        &'a self,
        prefix: Result<DirEntry, Refusal>,
    ) -> Box<dyn Iterator<Item = Result<Found, Refusal>> + 'a> {
        let name = match prefix.map(|it| (it.file_name(), it.file_type())) {
            // A value that an application keeps for itself may have a name so short.
            Ok((_, Ok(kind))) if kind.is_file() => return Box::new(std::iter::empty()),
            Ok((name, kind)) => match as_folder(name.as_ref(), kind, None) {
                Ok(()) => name,
                Err(refusal) => return Box::new(std::iter::once(Err(refusal))),
            },
            Err(refusal) => return Box::new(std::iter::once(Err(refusal))),
        };
        let entries = self.entries(Path::new(&name), None);
        let found = move |it: Result<DirEntry, Refusal>| match it {
            Ok(entry) => self.document(&name, &entry).transpose(),
            Err(refusal) => Some(Err(refusal)),
        };
        Box::new(entries.filter_map(found))
    }

    /// The document whose folder this is; none if it is something else that an application keeps.
    fn document(&self, prefix: &OsStr, entry: &DirEntry) -> Result<Option<Found>, Refusal> {
        let folder = Path::new(prefix).join(entry.file_name());
        let id = id_of(
            &prefix.to_string_lossy(),
            &entry.file_name().to_string_lossy(),
        );
        let has_files = || {
            let mut kinds = KINDS.iter().map(|it| self.kind_of(&folder.join(it)));
            kinds.any(|it| it.is_some())
        };
        match (id, as_folder(&folder, entry.file_type(), id)) {
            (Some(id), Ok(())) => Ok(has_files().then_some(Found { id, folder })),
            (Some(_), Err(refusal)) => Err(refusal),
            (None, Ok(())) if has_files() => Err(Refusal {
                id: None,
                file: folder,
                reason:
                    "its name does not parse as a document id: base58 of 16 bytes with its checksum"
                        .to_owned(),
            }),
            (None, _) => Ok(None),
        }
    }

    /// Reads the files of a document, if they are within the limits of one.
    pub(crate) fn read(&self, found: &Found) -> Files {
        let mut files = Files::default();
        let id = Some(found.id);
        // With one byte more than there may be, so that what is too much is seen to be.
        let mut room = limits::DOCUMENT_BYTES_MAX + 1;
        for name in KINDS {
            let folder = found.folder.join(name);
            let Some(kind) = self.kind_of(&folder) else {
                continue;
            };
            if let Err(refusal) = as_folder(&folder, kind, id) {
                files.refusals.push(refusal);
                continue;
            }
            for entry in self.entries(&folder, id) {
                let file =
                    entry.and_then(|it| self.file(&folder.join(it.file_name()), id, &mut room));
                match file {
                    Ok((name, content)) => {
                        files.names.push(name);
                        files.contents.push(content);
                    }
                    Err(refusal) => files.refusals.push(refusal),
                }
                if files.names.len() + files.refusals.len() > limits::DOCUMENT_PIECES_MAX {
                    let max = limits::DOCUMENT_PIECES_MAX;
                    return too_large(found, &format!("over {max} files"));
                }
                if room == 0 {
                    let max = limits::DOCUMENT_BYTES_MAX;
                    return too_large(found, &format!("over {max} bytes"));
                }
            }
        }
        files
    }

    fn file(
        &self,
        name: &Path,
        id: Option<RecordId>,
        room: &mut usize,
    ) -> Result<(PathBuf, Vec<u8>), Refusal> {
        let refuse = |reason: String| Refusal {
            id,
            file: name.to_owned(),
            reason,
        };
        let path = self.root.join(name);
        let unreadable = |error: io::Error| refuse(format!("cannot read it: {error}"));
        let kind = path.symlink_metadata().map_err(unreadable)?.file_type();
        if !kind.is_file() {
            return Err(refuse(format!("{} in place of a file", said(kind))));
        }
        let mut content = Vec::new();
        let most = u64::try_from(*room).unwrap_or(u64::MAX);
        let read = File::open(path).and_then(|it| it.take(most).read_to_end(&mut content));
        read.map_err(unreadable)?;
        *room -= content.len();
        Ok((name.to_owned(), content))
    }

    /// What is in a folder of the storage, as it comes.
    fn entries(
        &self,
        folder: &Path,
        id: Option<RecordId>,
    ) -> impl Iterator<Item = Result<DirEntry, Refusal>> + use<> {
        let file = folder.to_owned();
        let refuse = move |error: io::Error| Refusal {
            id,
            file: file.clone(),
            reason: format!("cannot read it: {error}"),
        };
        let (entries, failed) = match fs::read_dir(self.root.join(folder)) {
            Ok(entries) => (Some(entries), None),
            Err(error) => (None, Some(Err(error))),
        };
        let all = entries.into_iter().flatten().chain(failed);
        all.map(move |it| it.map_err(&refuse))
    }

    /// What stands under this name; none if nothing does.
    fn kind_of(&self, name: &Path) -> Option<io::Result<FileType>> {
        match self.root.join(name).symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            found => Some(found.map(|it| it.file_type())),
        }
    }
}

/// Whether something is a folder, or what it is instead.
fn as_folder(file: &Path, kind: io::Result<FileType>, id: Option<RecordId>) -> Result<(), Refusal> {
    let reason = match kind {
        Ok(kind) if kind.is_dir() => return Ok(()),
        Ok(kind) => format!("{} in place of a folder", said(kind)),
        Err(error) => format!("cannot read it: {error}"),
    };
    let file = file.to_owned();
    Err(Refusal { id, file, reason })
}

fn too_large(found: &Found, what: &str) -> Files {
    let reason = format!("it has {what}, the limit of a document");
    Files {
        refusals: vec![Refusal::of(found.id, &found.folder, reason)],
        ..Files::default()
    }
}

fn said(kind: FileType) -> &'static str {
    if kind.is_symlink() {
        "a symbolic link, which is not followed,"
    } else if kind.is_dir() {
        "a folder"
    } else if kind.is_file() {
        "a file"
    } else {
        "something that is no file"
    }
}

/// Two letters or digits, as base58 has them, and ids of older kinds.
fn is_prefix(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.len() == 2 && name.iter().all(u8::is_ascii_alphanumeric)
}

/// The id that was cut into these two. Where the file system takes capitals for small letters, ids
/// that begin alike but for that share a folder, so that its name may be another's: the checksum tells.
fn id_of(prefix: &str, rest: &str) -> Option<RecordId> {
    let flipped = |it: char| {
        if it.is_ascii_uppercase() {
            it.to_ascii_lowercase()
        } else {
            it.to_ascii_uppercase()
        }
    };
    let [first, second] = prefix.chars().collect::<Vec<_>>().try_into().ok()?;
    let firsts = [first, flipped(first)];
    let names = firsts.map(|it| [second, flipped(second)].map(|then| format!("{it}{then}{rest}")));
    names.as_flattened().iter().find_map(|it| it.parse().ok())
}

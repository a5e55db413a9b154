//! The folder of the demo's three stores.

use std::path::{Path, PathBuf};

use syncline::entropy::Entropy;

use crate::failure::Failure;

/// A folder that goes when the demo ends, unless it is to be kept.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    /// A new folder of ours among the system's temporary files.
    pub(super) fn temporary() -> Result<Self, Failure> {
        let entropy = Entropy::from_os();
        let number = entropy.map_or(0, |mut it| it.number());
        let name = format!("syncline-demo-{}-{number:016x}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // Fails if it exists, so that it is nobody else's.
        create_private(&path).map_err(|error| uncreated(&path, &error))?;
        Ok(Self { path, keep: false })
    }

    /// The folder at `path`, which must hold nothing yet.
    pub(super) fn kept(path: PathBuf) -> Result<Self, Failure> {
        std::fs::create_dir_all(&path).map_err(|error| uncreated(&path, &error))?;
        let mut entries = std::fs::read_dir(&path).map_err(|error| uncreated(&path, &error))?;
        if entries.next().is_some() {
            let shown = path.display();
            return Err(Failure::usage(format!(
                "{shown} is not empty; name a new folder"
            )));
        }
        Ok(Self { path, keep: true })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn is_kept(&self) -> bool {
        self.keep
    }

    /// The file of a replica's store.
    pub(super) fn store(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.redb"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            // What cannot be removed is the system's to clean up; there is nobody to tell.
            drop(std::fs::remove_dir_all(&self.path));
        }
    }
}

fn create_private(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn uncreated(path: &Path, error: &std::io::Error) -> Failure {
    Failure::io(&format!("cannot use the folder {}", path.display()), error)
}

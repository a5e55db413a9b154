//! Files that are stores, and files that are not.

use tempfile::tempdir;

use super::*;

crate::store_conformance!(
    conformance,
    in || tempdir().unwrap(),
    |folder| RedbStore::open(folder.path().join("store"), RedbOptions::default()).unwrap()
);

use automerge::transaction::{CommitOptions, Transactable as _};

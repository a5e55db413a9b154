//! Every metric and every span of the library, by name, in one place.
//!
//! Metrics go through the `metrics` facade: whoever runs a node installs a recorder, and
//! [`describe`] tells it what the names mean. Without a recorder they cost next to nothing. Names
//! and labels are stable: dashboards and alerts are built on them.
//!
//! No label holds what a record says. Peers are named by replica id, of which there are few.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// How a metric moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name, as exporters show it.
    pub name: &'static str,
    /// How it moves.
    pub kind: Kind,
    /// What is counted or measured.
    pub unit: Unit,
    /// The labels that every point of it has.
    pub labels: &'static [&'static str],
    /// What it tells, for people.
    pub meaning: &'static str,
}

/// The labels of metrics.
pub mod label {
    /// A peer's replica id; its address where it is about dialling.
    pub const PEER: &str = "peer";
    /// The stable name of a refusal or violation.
    pub const CODE: &str = "code";
    /// Why a document was loaded: `edit` or `view`.
    pub const CAUSE: &str = "cause";
}

/// The names of tracing spans. What is about a change carries its id as the field `correlation`,
/// from its capture through frames and hubs to where it is applied: the one to search for.
pub mod span {
    /// A local write, from the call to its commit.
    pub const CAPTURE: &str = "capture";
    /// Changes from a peer, from the frame to the batch.
    pub const APPLY: &str = "apply";
    /// One atomic write to the store.
    pub const COMMIT: &str = "commit";
    /// One link, from opening to its end.
    pub const LINK: &str = "link";
    /// One attempt to reach a peer.
    pub const DIAL: &str = "dial";
    /// A view brought up to its record's heads.
    pub const PROJECT: &str = "project";
    /// A record's loose changes put into a snapshot.
    pub const FOLD: &str = "fold";
    /// The whole graph of a folded record made again.
    pub const UNFOLD: &str = "unfold";
}

macro_rules! metrics {
    ($($constant:ident = $name:literal $kind:ident $unit:ident [$($label:ident)*] $meaning:literal;)*) => {
        $(
            #[doc = $meaning]
            pub const $constant: &str = $name;
        )*

        /// All metrics.
        pub const METRICS: &[Metric] = &[$(
            Metric {
                name: $constant,
                kind: Kind::$kind,
                unit: Unit::$unit,
                labels: &[$(label::$label),*],
                meaning: $meaning,
            },
        )*];
    };
}

metrics! {
    COMMITS = "syncline_commits_total" Counter Count []
        "Atomic writes to the store.";
    FSYNCS = "syncline_fsyncs_total" Counter Count []
        "Writes that waited for the disk; fewer than local writes, since writers share them.";
    LOCAL_CHANGES = "syncline_local_changes_total" Counter Count []
        "Changes made here and committed.";
    APPLIED_CHANGES = "syncline_applied_changes_total" Counter Count []
        "Changes of others committed here.";
    DUPLICATE_CHANGES = "syncline_duplicate_changes_total" Counter Count []
        "Changes that came though they were here already.";
    QUARANTINE_ENTRIES = "syncline_quarantine_entries" Gauge Count []
        "Changes that could not be applied and are kept with their reason.";
    RECEIVED_BYTES = "syncline_received_bytes_total" Counter Bytes []
        "Bytes of frames received, as they travelled.";
    SENT_BYTES = "syncline_sent_bytes_total" Counter Bytes []
        "Bytes of frames sent, as they travelled.";
    RECEIVED_FRAMES = "syncline_received_frames_total" Counter Count []
        "Frames received.";
    SENT_FRAMES = "syncline_sent_frames_total" Counter Count []
        "Frames sent.";
    LINKS_OPEN = "syncline_links_open" Gauge Count []
        "Links that are open, in both directions of dialling.";
    BACKLOG_CHANGES = "syncline_backlog_changes" Gauge Count [PEER]
        "Log entries that a peer has not acknowledged yet.";
    RECONNECTS = "syncline_reconnects_total" Counter Count [PEER]
        "Dials after the first, whatever came of them.";
    BREAKER_STATE = "syncline_breaker_state" Gauge Count [PEER]
        "Circuit breaker of a peer: 0 closed, 1 half-open, 2 open.";
    SESSIONS_REFUSED = "syncline_sessions_refused_total" Counter Count [CODE]
        "Sessions that one side refused, by code.";
    VIOLATIONS = "syncline_violations_total" Counter Count [CODE]
        "Breaches of the protocol by peers, by code.";
    REPLICATION_MATERIALISED = "syncline_replication_materialised_total" Counter Count []
        "Documents loaded in order to replicate: only to unfold a graph, anything else is a defect.";
    GRAPHS_UNFOLDED = "syncline_graphs_unfolded_total" Counter Count []
        "Snapshots taken apart in the engine's turn because a change met what was folded long ago.";
    GRAPHS_UNFOLDED_APART = "syncline_graphs_unfolded_apart_total" Counter Count []
        "Snapshots taken apart by a worker because a change from elsewhere met what was folded long ago.";
    DOCUMENTS_LOADED = "syncline_documents_loaded_total" Counter Count [CAUSE]
        "Documents loaded away from replication, by cause.";
    VIEWS_PROJECTED = "syncline_views_projected_total" Counter Count []
        "Views brought up to their record's heads.";
    RECORDS_FOLDED = "syncline_records_folded_total" Counter Count []
        "Records whose loose changes went into their snapshot.";
    CHANGES_FOLDED = "syncline_changes_folded_total" Counter Count []
        "Changes that went from the log into snapshots.";
    PRESENCES = "syncline_presences" Gauge Count []
        "Presences of others that are known, those just taken back included.";
    PRESENCE_HEARD = "syncline_presence_heard_total" Counter Count []
        "Presence messages of peers, whatever became of them.";
    PRESENCE_DROPPED = "syncline_presence_dropped_total" Counter Count []
        "Presence messages dropped: they came too fast, or there was no room.";
    PRESENCE_UNREADABLE = "syncline_presence_unreadable_total" Counter Count []
        "Presences passed over because they are not of the type that they were read as.";
    REPO_EPHEMERAL_DROPPED = "syncline_repo_ephemeral_dropped_total" Counter Count []
        "Ephemeral messages of automerge-repo clients that were dropped: too fast, too large, or no room.";
    REPO_CLIENTS = "syncline_repo_clients" Gauge Count []
        "Clients of automerge-repo that are linked.";
    REPO_MESSAGES = "syncline_repo_messages_total" Counter Count []
        "Messages of automerge-repo clients, whatever became of them.";
    BLOB_CHUNKS = "syncline_blob_chunks_received_total" Counter Count []
        "Parts of attachments that came from peers.";
    BLOBS_COMPLETE = "syncline_blobs_complete_total" Counter Count []
        "Attachments that were put here, or of which the last part came.";
    BLOBS_COLLECTED = "syncline_blobs_collected_total" Counter Count []
        "Attachments that were removed because nothing refers to them.";
    VIEWS_STALE = "syncline_views_stale" Gauge Count []
        "Records whose view is behind their heads.";
}

/// Tells the installed recorder what the metrics mean. Call it once the recorder is installed.
pub fn describe() {
    for metric in METRICS {
        let Metric {
            name,
            kind,
            unit,
            labels: _,
            meaning,
        } = *metric;
        match kind {
            Kind::Counter => describe_counter!(name, unit, meaning),
            Kind::Gauge => describe_gauge!(name, unit, meaning),
            Kind::Histogram => describe_histogram!(name, unit, meaning),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Mutex;

    use metrics::{
        Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString,
        with_local_recorder,
    };

    use super::*;

    type Description = (&'static str, Option<Unit>, String);

    #[derive(Default)]
    struct Described(Mutex<BTreeMap<String, Description>>);

    impl Described {
        fn note(&self, kind: &'static str, name: &KeyName, unit: Option<Unit>, text: &str) {
            let mut all = self.0.lock().unwrap();
            all.insert(name.as_str().to_owned(), (kind, unit, text.to_owned()));
        }
    }

    impl Recorder for Described {
        fn describe_counter(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
            self.note("counter", &name, unit, &text);
        }

        fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
            self.note("gauge", &name, unit, &text);
        }

        fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
            self.note("histogram", &name, unit, &text);
        }

        fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
            Counter::noop()
        }

        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    #[test]
    fn a_recorder_learns_every_metric_with_kind_unit_and_meaning() {
        let recorder = Described::default();
        with_local_recorder(&recorder, describe);
        let described = recorder.0.into_inner().unwrap();
        assert_eq!(described.len(), METRICS.len());
        for metric in METRICS {
            let (kind, unit, text) = &described[metric.name];
            assert_eq!(*kind, format!("{:?}", metric.kind).to_lowercase());
            assert_eq!((unit, text.as_str()), (&Some(metric.unit), metric.meaning));
        }
    }

    #[test]
    fn names_are_unique_and_tell_kind_and_unit() {
        let names: BTreeSet<_> = METRICS.iter().map(|it| it.name).collect();
        assert_eq!(names.len(), METRICS.len());
        for metric in METRICS {
            let name = metric.name;
            assert!(name.starts_with("syncline_"), "{name}");
            let counts = name.ends_with("_total");
            assert_eq!(counts, metric.kind == Kind::Counter, "{name}");
            let stem = name.trim_end_matches("_total");
            assert_eq!(
                stem.ends_with("_bytes"),
                metric.unit == Unit::Bytes,
                "{name}"
            );
            assert_eq!(
                stem.ends_with("_seconds"),
                metric.unit == Unit::Seconds,
                "{name}"
            );
        }
    }
}

//! What people do with attachments in made up runs.

use std::time::Duration;

use super::parts;
use crate::blob::{Attachment, Manifest};
use crate::doc::Value;
use crate::engine::BlobRequest;
use crate::entropy::Entropy;
use crate::error::{ErrorKind, Result};
use crate::id::BlobId;
use crate::limits;
use crate::replica::FetchRule;
use crate::sim::class::Class;
use crate::sim::field::field;
use crate::sim::oracle::{Failure, Kind, Verdict};
use crate::sim::perform::key;
use crate::sim::run::Run;
use crate::sim::scenario::{Profile, Scenario};
use crate::sim::step::Step;
use crate::sim::world::World;

/// How long a blob is kept in made up runs to which nothing refers.
pub(in crate::sim) const GRACE: Duration = Duration::from_secs(20);

/// What the rule of some hosts lets through: blobs of one chunk.
const SMALL_BYTES: u64 = 60_000;

/// Which attachments a host fetches by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    None,
    OnRequest,
    SmallNotes,
    All,
}

impl Rule {
    /// The rule of a host. The first one is a hub for many: it has what records name, or gets it once
    /// somebody asks, or passes nothing on.
    pub(super) fn of(seed: u64, host: usize) -> Self {
        let number = u64::try_from(host).unwrap_or(0);
        let kind = Entropy::from_number(seed ^ (number + 1) << 48).below(5);
        match (host, kind) {
            (0, 0 | 1) | (_, 4) => Self::All,
            (0, 2 | 3) => Self::OnRequest,
            (_, 3) => Self::SmallNotes,
            _ => Self::None,
        }
    }

    /// How large a blob may be that a record of a collection names; none if it is not fetched.
    pub(super) fn bound(self, collection: &str) -> Option<u64> {
        match self {
            Self::All => Some(limits::BLOB_BYTES_DEFAULT),
            Self::SmallNotes if collection == "notes" => Some(SMALL_BYTES),
            Self::None | Self::OnRequest | Self::SmallNotes => None,
        }
    }
}

/// Which attachments a host of a made up run fetches by itself.
pub(in crate::sim) fn rule(seed: u64, host: usize) -> FetchRule {
    match Rule::of(seed, host) {
        Rule::None => FetchRule::none(),
        Rule::OnRequest => FetchRule::none().and_on_request(),
        Rule::All => FetchRule::all(),
        Rule::SmallNotes => {
            let notes = World::key("notes", crate::id::RecordId::named("any")).collection;
            FetchRule::only([notes]).up_to(SMALL_BYTES)
        }
    }
}

/// The bytes of a blob of a run: none, a few, a chunk to the byte, or some chunks.
fn content(seed: u64, blob: u64) -> Vec<u8> {
    let mut entropy = Entropy::from_number(seed ^ (blob + 1) << 40);
    let chunk = limits::BLOB_CHUNK_BYTES;
    let some = |entropy: &mut Entropy, max| usize::try_from(entropy.below(max)).unwrap_or(0);
    let length = match entropy.below(8) {
        0 => some(&mut entropy, 3),
        1..=3 => some(&mut entropy, 20_000),
        4 => chunk,
        _ => chunk * (1 + some(&mut entropy, 3)) + some(&mut entropy, 30_000),
    };
    let mut bytes = vec![0; length];
    entropy.fill(&mut bytes);
    bytes
}

/// Has people attach files to records in between the other steps of a scenario.
pub(in crate::sim) fn mix(scenario: &mut Scenario, entropy: &mut Entropy) {
    let steps = std::mem::take(&mut scenario.steps);
    for step in steps {
        scenario.steps.push(step);
        if entropy.below(6) == 0 {
            let drawn = drawn(scenario, entropy);
            scenario.steps.extend(drawn);
        }
    }
}

fn drawn(scenario: &Scenario, entropy: &mut Entropy) -> Vec<Step> {
    let below = |entropy: &mut Entropy, bound: usize| {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX);
        usize::try_from(entropy.below(bound)).unwrap_or(0)
    };
    let host = below(entropy, scenario.hosts);
    let record = below(entropy, scenario.records);
    let many = if scenario.profile == Profile::Wide {
        2
    } else {
        6
    };
    let blob = entropy.below(many);
    let step = match entropy.below(16) {
        0..=5 => Step::Attach {
            host,
            blob,
            record: (entropy.below(4) > 0).then_some(record),
        },
        6 => Step::Refer { host, record, blob },
        7 => Step::LeavePut {
            host,
            blob,
            told: entropy.below(2) == 0,
        },
        8 => Step::Unfetch {
            host,
            blob,
            remove: entropy.below(2) == 0,
        },
        9 | 10 => Step::Collect { host },
        _ => return fetched(entropy, (host, blob)),
    };
    vec![step]
}

/// Somebody wants an attachment; now and then what brings it ends in the middle.
fn fetched(entropy: &mut Entropy, (host, blob): (usize, u64)) -> Vec<Step> {
    let mut steps = vec![Step::Fetch { host, blob }];
    if entropy.below(2) == 0 {
        let millis = entropy.below(1_500);
        steps.push(Step::Run { millis });
        steps.push(match entropy.below(3) {
            0 => Step::Kill { host },
            _ => Step::Sever { host, other: None },
        });
    }
    steps
}

impl Run<'_> {
    /// Does what a step does with attachments.
    pub(in crate::sim) fn attend_to_blobs(&mut self, step: &Step) -> Verdict {
        match step {
            Step::Attach { host, blob, record } if self.works(*host) => {
                let put = self.put(*host, *blob)?;
                if let (Some(attachment), Some(record)) = (put, record) {
                    self.refer(*host, *record, &attachment)?;
                }
            }
            Step::Refer { host, record, blob } if self.works(*host) => {
                let bytes = content(self.scenario.seed, *blob);
                let size = u64::try_from(bytes.len()).unwrap_or(0);
                if let Some(id) = self.known_content(bytes) {
                    self.refer(*host, *record, &Attachment::new(id, size))?;
                }
            }
            Step::LeavePut { host, blob, told } if self.works(*host) => {
                let bytes = content(self.scenario.seed, *blob);
                let chunks = parts(&bytes).map(|it| it.1).unwrap_or_default();
                let begun = self.world.begin_blob(*host, chunks);
                if let (Ok(number), true) = (begun, *told) {
                    let given_up = self.world.blob(*host, BlobRequest::Abandon(number));
                    self.excuse_blobs(*host, given_up.map(drop))?;
                }
            }
            Step::Fetch { host, blob } if self.works(*host) => {
                if let Some(id) = self.known_content(content(self.scenario.seed, *blob)) {
                    let asked = self.world.fetch_blob(*host, id);
                    let ticket = self.excuse_blobs(*host, asked)?;
                    self.oracle.blobs.waits(ticket.map(|it| (*host, it)), id);
                }
            }
            Step::Unfetch { host, blob, remove } if self.works(*host) => {
                if let Some(id) = self.known_content(content(self.scenario.seed, *blob)) {
                    self.unfetch(*host, id, *remove)?;
                }
            }
            Step::Collect { host } if self.works(*host) => {
                let asked = self.world.blob(*host, BlobRequest::Collect);
                self.excuse_blobs(*host, asked)?;
            }
            _ => {}
        }
        self.observe()
    }

    fn put(&mut self, host: usize, blob: u64) -> std::result::Result<Option<Attachment>, Failure> {
        let bytes = content(self.scenario.seed, blob);
        let Some(id) = self.known_content(bytes.clone()) else {
            return Ok(None);
        };
        self.oracle.blobs.meddle((host, id));
        let put = self.world.put_blob(host, &bytes);
        let put = self.excuse_blobs(host, put)?;
        if put.is_some() {
            self.classes.reach(Class::BlobPut);
            let now = self.world.now_of(host).wall;
            self.oracle.blobs.acknowledged((host, id), now);
        }
        Ok(put)
    }

    fn refer(&mut self, host: usize, record: usize, attachment: &Attachment) -> Verdict {
        let text = Value::Str(attachment.to_string());
        let write = self.prepare(host, record, |it| it.set(&field("file"), &text))?;
        if let Some(write) = write {
            let named = (key(record), write.change.hash(), attachment.id());
            self.oracle.blobs.names(named);
            self.submit(host, &[(write, Kind::Edit)]);
            self.world.pump(host);
        }
        Ok(())
    }

    fn unfetch(&mut self, host: usize, blob: BlobId, remove: bool) -> Verdict {
        let name = (World::space(), blob);
        self.oracle.blobs.meddle((host, blob));
        let request = if remove {
            self.oracle.blobs.removed((host, blob));
            BlobRequest::Remove(name)
        } else {
            BlobRequest::Cancel(name)
        };
        let done = self.world.blob(host, request);
        self.excuse_blobs(host, done).map(drop)
    }

    /// Remembers what a blob's name stands for.
    fn known_content(&mut self, bytes: Vec<u8>) -> Option<BlobId> {
        let id = Manifest::of(&bytes)?.id();
        self.oracle.blobs.knows(id, bytes);
        Some(id)
    }

    /// What came of a request. A host whose disk is in trouble may fail, and one that went down.
    fn excuse_blobs<T>(
        &self,
        host: usize,
        done: Result<T>,
    ) -> std::result::Result<Option<T>, Failure> {
        match done {
            Ok(done) => Ok(Some(done)),
            Err(_in_trouble) if !self.works(host) || self.oracle.troubled.contains(&host) => {
                Ok(None)
            }
            // So many were begun and not ended.
            Err(error) if error.kind() == ErrorKind::TooLarge => Ok(None),
            Err(error) => {
                let text = format!("host {host}: {error:#}");
                self.oracle.fail("attachments can be worked with", text)
            }
        }
    }
}

//! What is written.

use std::fs::File;
use std::path::Path;

use anyhow::Context as _;
use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use syncline::RecordId;
use syncline::entropy::Entropy;

/// The small record: 8 fields, about 300 bytes.
pub(crate) fn small(number: usize) -> Json {
    json!({
        "id": number,
        "kind": "task",
        "title": format!("Water the plants in the house number {number}"),
        "notes": "Twice a week in summer, once in winter; the fern by the window wants more, the \
                  cactus hardly any, and nobody knows what the one in the hall is.",
        "assignee": "anna",
        "done": false,
        "priority": 3,
        "created_at": 1_700_000_000_000_u64,
    })
}

/// The id of record `number`.
pub(crate) fn id(number: usize) -> RecordId {
    RecordId::named(&number.to_string())
}

/// `count` numbers spread over `0..of`.
pub(crate) fn spread(count: usize, of: usize) -> impl Iterator<Item = usize> {
    let step = (of / count.max(1)).max(1);
    (0..count).map(move |it| (it * step + step / 2) % of.max(1))
}

/// The small record `number` as an Automerge document of one change, the same each time.
pub(crate) fn document(number: usize) -> anyhow::Result<automerge::Automerge> {
    use automerge::transaction::Transactable as _;
    let author = automerge::ActorId::from(id(number).as_bytes().as_slice());
    let mut document = automerge::Automerge::new().with_actor(author);
    let mut tx = document.transaction();
    if let Json::Object(fields) = small(number) {
        for (name, value) in fields {
            let value: automerge::ScalarValue = match value {
                Json::String(text) => text.into(),
                Json::Bool(is) => is.into(),
                Json::Number(it) => it.as_i64().unwrap_or_default().into(),
                Json::Null | Json::Array(_) | Json::Object(_) => automerge::ScalarValue::Null,
            };
            tx.put(automerge::ROOT, name, value)?;
        }
    }
    tx.commit();
    Ok(document)
}

/// One edit of a text: at a position, delete so many characters, insert these.
pub(crate) type Patch = (usize, usize, String);

/// The edits of one author writing a text.
pub(crate) struct Typing {
    /// One for each keystroke.
    pub patches: Vec<Patch>,
    /// Where they are from.
    pub source: &'static str,
}

#[derive(Deserialize)]
struct Trace {
    txns: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    patches: Vec<Patch>,
}

impl Typing {
    /// The first `count` edits of the recorded text at `path`, or of a made up one.
    pub(crate) fn load(path: Option<&Path>, count: usize) -> anyhow::Result<Self> {
        let Some(path) = path else {
            return Ok(Self::made_up(count));
        };
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        let trace: Trace = serde_json::from_reader(GzDecoder::new(file))
            .with_context(|| format!("{} is no editing trace", path.display()))?;
        let patches = trace.txns.into_iter().flat_map(|it| it.patches);
        Ok(Self {
            patches: patches.take(count).collect(),
            source: "the recorded paper",
        })
    }

    /// Mostly typing on, now and then a step elsewhere or a deletion, as people do.
    fn made_up(count: usize) -> Self {
        let mut chance = Entropy::from_number(1);
        let mut patches = Vec::with_capacity(count);
        let (mut length, mut at) = (0_u64, 0_u64);
        for _ in 0..count {
            if chance.below(100) == 0 {
                at = chance.below(length + 1);
            }
            let (delete, insert) = if at > 0 && chance.below(6) == 0 {
                at -= 1;
                length -= 1;
                (1, String::new())
            } else {
                length += 1;
                let letter = LETTERS.chars().cycle().nth(draw(&mut chance));
                (0, letter.into_iter().collect())
            };
            patches.push((usize::try_from(at).unwrap_or(0), delete, insert));
            at += u64::from(delete == 0);
        }
        Self {
            patches,
            source: "a made up text",
        }
    }
}

/// Letters about as often as in English.
const LETTERS: &str = "      eeeeeeettttttaaaaaooooiiiinnnnsssshhhrrrddlllcuummwwffgyypbvk.,";

fn draw(chance: &mut Entropy) -> usize {
    let letters = u64::try_from(LETTERS.len()).unwrap_or(1);
    usize::try_from(chance.below(letters)).unwrap_or(0)
}

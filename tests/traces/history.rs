//! Recorded editing histories. Their folder is `SYNCLINE_TRACES`, by default `../shared/data`; where
//! a file is missing a history of the same size is made up, and that is said.

use std::fs::File;
use std::path::PathBuf;

use flate2::read::GzDecoder;
use serde::Deserialize;
use syncline::entropy::Entropy;

/// One edit: at a position, delete so many characters, insert these.
pub(super) type Patch = (usize, usize, String);

/// What one person did at once, on the merge of `parents`.
#[derive(Deserialize)]
#[cfg_attr(
    not(feature = "sim"),
    expect(dead_code, reason = "one author's history has no branches")
)]
pub(super) struct Step {
    #[serde(default)]
    pub parents: Vec<usize>,
    #[serde(default)]
    pub agent: usize,
    pub patches: Vec<Patch>,
}

/// A history and the text it ends with.
#[derive(Deserialize)]
pub(super) struct History {
    #[serde(rename = "endContent")]
    pub end: String,
    #[serde(rename = "txns")]
    pub steps: Vec<Step>,
}

/// The recorded history of this name.
#[expect(
    clippy::print_stderr,
    reason = "who reads a test's output is to see which history it ran"
)]
fn recorded(name: &str) -> Option<History> {
    let folder = std::env::var_os("SYNCLINE_TRACES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let path = folder.join(format!("{name}.json.gz"));
    let Ok(file) = File::open(&path) else {
        eprintln!(
            "{} is missing: a history of its size is made up",
            path.display()
        );
        return None;
    };
    Some(serde_json::from_reader(GzDecoder::new(file)).expect("a recorded history"))
}

/// One author writing a paper: 259,778 edits of one character.
pub(super) fn one_author() -> History {
    recorded("automerge-paper").unwrap_or_else(|| made_up(259_778, 1))
}

/// Two people writing one text at once: 26,078 steps.
#[cfg(feature = "sim")]
pub(super) fn two_people() -> History {
    recorded("friendsforever").unwrap_or_else(|| made_up(26_078, 2))
}

/// Steps of people who each type at the end of their own line and merge every now and then.
fn made_up(steps: usize, people: usize) -> History {
    let mut entropy = Entropy::from_number(3);
    let mut typed = vec![String::new(); people];
    // What each knows of each other: how many of its letters.
    let mut knows = vec![vec![0; people]; people];
    // The ends of the lines come first, for all to type before: else two who begin at once both
    // begin at the start, and nobody can say in advance whose letters come first.
    let mut made = vec![Step {
        parents: Vec::new(),
        agent: 0,
        patches: vec![(0, 0, "\n".repeat(people))],
    }];
    let mut last = vec![0; people];
    for number in 1..steps {
        let agent = usize::try_from(entropy.below(people as u64)).expect("fits");
        let mut parents = vec![last[agent]];
        if entropy.below(20) == 0 {
            parents.clone_from(&last);
            knows[agent] = typed.iter().map(String::len).collect();
        }
        let letter = char::from(b'a' + u8::try_from(entropy.below(26)).expect("fits"));
        let before: usize = knows[agent].iter().take(agent).map(|it| it + 1).sum();
        let at = before + typed[agent].len();
        typed[agent].push(letter);
        knows[agent][agent] = typed[agent].len();
        made.push(Step {
            parents,
            agent,
            patches: vec![(at, 0, letter.to_string())],
        });
        last[agent] = number;
    }
    History {
        end: typed.iter().flat_map(|line| [line, "\n"]).collect(),
        steps: made,
    }
}

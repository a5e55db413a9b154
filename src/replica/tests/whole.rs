//! The whole graph against sets.

use std::collections::BTreeSet;

use super::super::graph::{Graph, Node};
use super::super::whole::WholeGraph;
use crate::entropy::Entropy;
use crate::id::{ChangeHash, Lsn};

/// A graph of changes that follow one or two of those before them, and for each all that is behind it.
fn made_up(entropy: &mut Entropy, count: u32) -> (Graph, Vec<BTreeSet<u32>>) {
    let mut graph = Graph::default();
    let mut behind: Vec<BTreeSet<u32>> = Vec::new();
    for position in 0..count {
        let most = u64::from(position.min(2));
        let parents: BTreeSet<u32> = (0..entropy.below(most + 1))
            .map(|_| position - 1 - u32::try_from(entropy.below(u64::from(position))).unwrap())
            .collect();
        let mut all = BTreeSet::from([position]);
        for parent in &parents {
            all.extend(behind[usize::try_from(*parent).unwrap()].iter());
        }
        behind.push(all);
        graph.push(Node {
            hash: ChangeHash::from_bytes(entropy.bytes()),
            parents: parents.into_iter().collect(),
            actor: position,
            seq: 1,
            max_op: 1,
            ops: 1,
            size: 1,
            lsn: Lsn(1),
        });
    }
    (graph, behind)
}

#[test]
fn what_came_since_is_what_is_behind_the_heads_and_not_behind_what_is_known() {
    for seed in 0..300 {
        let mut entropy = Entropy::from_number(seed);
        let count = 1 + u32::try_from(entropy.below(40)).unwrap();
        let (graph, behind) = made_up(&mut entropy, count);
        let hash = |it: u32| graph.node(it).unwrap().hash;
        let mut some = |most: u64| -> Vec<u32> {
            (0..entropy.below(most))
                .map(|_| u32::try_from(entropy.below(count.into())).unwrap())
                .collect()
        };
        let (heads, known) = (some(4), some(4));
        let all = |ends: &[u32]| -> BTreeSet<u32> {
            let behind = ends.iter().map(|it| &behind[usize::try_from(*it).unwrap()]);
            behind.flatten().copied().collect()
        };
        let expected: Vec<u32> = all(&heads).difference(&all(&known)).copied().collect();
        let hashes =
            |ends: &[u32]| -> Vec<ChangeHash> { ends.iter().map(|it| hash(*it)).collect() };
        let (heads, known) = (hashes(&heads), hashes(&known));
        let whole = WholeGraph::of(graph.clone());
        let found: Vec<u32> = whole.since(&heads, &known).iter().map(|it| it.0).collect();
        assert_eq!(found, expected, "seed {seed}");
    }
}

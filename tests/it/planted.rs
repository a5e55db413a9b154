//! A harness must be shown to catch bugs: each planted fault is caught by a seed that passes
//! without it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use syncline::sim::{Catch, Plant, SEEDS_MAX, hunt};

#[test]
#[expect(clippy::print_stdout, reason = "the table is what the test is for")]
fn every_planted_fault_is_caught_within_its_budget() {
    let next = AtomicUsize::new(0);
    let catches = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let numbers = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
                for plant in numbers.map_while(|it| Plant::ALL.get(it)) {
                    let caught = hunt(*plant, first(*plant), SEEDS_MAX);
                    catches.lock().expect("no worker panics").push(caught);
                }
            });
        }
    });
    let mut catches = catches.into_inner().expect("no worker panics");
    catches.sort_by_key(|it| it.plant);
    let lines = catches.iter().map(|it| {
        let Catch { plant, seeds, .. } = it;
        let check = it.check.unwrap_or("NOT CAUGHT");
        format!("{:24} {seeds:>4}  {check}", plant.name())
    });
    let table = lines.collect::<Vec<_>>().join("\n");
    println!("{table}");
    assert!(catches.iter().all(|it| it.check.is_some()), "\n{table}");
}

/// Where the hunt begins: at zero, but for faults that take rare events, which would cost minutes
/// in a build for tests. `syncline sim --planted` begins at zero for all.
fn first(plant: Plant) -> u64 {
    const LATE: [(Plant, u64); 11] = [
        (Plant::SwallowDiskFull, 36),
        (Plant::SendBeforeCommit, 78),
        (Plant::LetViewsGoBack, 32),
        (Plant::UnboundOutbox, 11),
        (Plant::AcceptBadHash, 12),
        (Plant::KeepOldNode, 14),
        (Plant::TrustSilence, 30),
        (Plant::GrantNoCredit, 29),
        (Plant::KeepStoreId, 14),
        (Plant::TakeFalseChunk, 32),
        (Plant::BelievePresence, 32),
    ];
    let late = LATE.iter().find(|(it, _)| *it == plant);
    late.map_or(0, |(_, first)| *first)
}

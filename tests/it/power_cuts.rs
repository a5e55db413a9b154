//! One short script, and the power cut at every single operation of a disk while it runs.

use syncline::sim::{Class, FieldEdit, Profile, Report, Scenario, Step, Topology, run};

/// Images of the disk tried for each operation: which unsynced bytes are kept follows from the seed.
const IMAGES: u64 = 2;

/// Far more operations than the script has.
const OPERATIONS_MAX: u64 = 2_000;

#[test]
fn a_power_cut_at_any_operation_of_a_session_loses_nothing_acknowledged() {
    let cuts = (0..IMAGES).map(cut_everywhere).min();
    assert!(
        cuts.is_some_and(|it| it > 40),
        "the script should keep the disk busy: {cuts:?} operations"
    );
}

/// Runs the script again and again, the power cut one operation later each time; gives how many
/// operations there are.
fn cut_everywhere(seed: u64) -> u64 {
    for after in 0..OPERATIONS_MAX {
        // Every other time the power goes in the recovery from the first cut, too.
        let again = (after % 2 == 1).then_some(after / 2 % 12);
        let report = run(&script(seed, after, again), false);
        assert_eq!(report.failure, None, "image {seed}, cut after {after}");
        if !was_cut(&report) {
            return after;
        }
    }
    panic!("the script never came to its end");
}

fn was_cut(report: &Report) -> bool {
    let reached = |it: &Class| report.classes.count(*it) > 0;
    [Class::PowerCut, Class::PowerCutUnsynced]
        .iter()
        .any(reached)
}

/// Two hosts on disks that edit, delete and exchange; the second one loses power.
fn script(seed: u64, after: u64, again: Option<u64>) -> Scenario {
    let edit = |host, record, edit| Step::Edit { host, record, edit };
    let pause = |millis| Step::Run { millis };
    let steps = vec![
        edit(0, 0, FieldEdit::Scalar(1)),
        pause(1_500),
        Step::CutPower {
            host: 1,
            after,
            again,
        },
        edit(1, 1, FieldEdit::Increment(5)),
        Step::Transaction {
            host: 1,
            first: 0,
            count: 3,
            conflicts: false,
        },
        pause(1_000),
        edit(0, 0, FieldEdit::Scalar(2)),
        Step::Delete { host: 0, record: 2 },
        Step::Burst { host: 1, count: 3 },
        pause(2_000),
        Step::Wait {
            host: 1,
            record: 1,
            stores: 1,
        },
        Step::Compact {
            host: 0,
            killed: false,
        },
        pause(30_000),
    ];
    Scenario {
        seed,
        profile: Profile::Disks,
        hosts: 2,
        topology: Topology::Star,
        disks: true,
        relay: false,
        relaxed: false,
        horizon_millis: 0,
        ruled: false,
        attaches: false,
        appears: false,
        records: 3,
        steps,
    }
}

//! Peers that lie about what they hold, have sent, have taken or will take: each lie ends its link
//! with a code or has no consequence, and nobody else notices.

use syncline::id::{ChangeHash, Heads, Lsn};
use syncline::reconcile::{RangeKind, Summary, Upper, WalkCollection, WalkItem, WalkRange};
use syncline::wire::{Changes, Class, Open, Walk, Want, WantRecord, Wanted};
use syncline::{SpaceId, limits};

use super::*;

/// A summary of what nobody has.
const LIE: Summary = Summary {
    count: 1 << 40,
    sum: [7; 16],
};

fn hash(byte: u8) -> ChangeHash {
    ChangeHash::from_bytes([byte; 32])
}

fn walk(space: SpaceId, round: u32, kind: RangeKind) -> Message {
    let upper = Upper::End;
    let ranges = vec![WalkRange { upper, kind }];
    let collection = "tasks".parse().expect("a name");
    Message::Walk(Walk {
        space,
        id: 1,
        round,
        collections: vec![WalkCollection { collection, ranges }],
    })
}

fn upto(space: SpaceId, upto: Lsn) -> Message {
    Message::Changes(Changes {
        space,
        class: Class::Live,
        upto,
        groups: Vec::new(),
    })
}

fn root(space: SpaceId, root: Summary, lsn: Lsn) -> Message {
    Message::Root { space, root, lsn }
}

/// Says all of it to a hub that does not know better, and gives the link with which it goes on.
async fn say(company: &Company, number: u32, lies: &[Message]) -> Stranger {
    let mut stranger = Stranger::introduced(&company.address, number).await;
    stranger.open(company.devices[0].space()).await;
    for lie in lies {
        stranger.send(lie).await;
    }
    stranger
}

/// Asks whether the other side is still there; gives what it has said until it answered.
async fn answers(stranger: &mut Stranger) -> Vec<Message> {
    stranger.send(&Message::Ping { token: 99 }).await;
    let mut said = Vec::new();
    loop {
        let next = within(stranger.hear()).await.expect("the link holds");
        if matches!(next, Message::Pong { token: 99 }) {
            return said;
        }
        said.push(next);
    }
}

#[tokio::test]
async fn a_lie_that_breaks_a_rule_ends_its_link_with_the_rules_code() {
    let company = company().await;
    let space = company.devices[0].space();
    let without_end = limits::WALK_ROUNDS_MAX + 1;
    for (number, lie, code) in [
        (
            1,
            Message::Ack {
                space,
                lsn: Lsn(u64::MAX),
            },
            ErrorCode::FalseAck,
        ),
        (
            2,
            walk(space, without_end, RangeKind::Summary(LIE)),
            ErrorCode::WalkTooLong,
        ),
    ] {
        let stranger = say(&company, number, &[lie]).await;
        assert_eq!(stranger.ending().await, Some(code));
    }
    company.is_undisturbed().await;
}

#[tokio::test]
async fn a_lie_that_breaks_no_rule_has_no_consequence_for_others() {
    let company = company().await;
    company.is_undisturbed().await;
    let space = company.devices[0].space();
    let item = WalkItem {
        time: 5,
        record: RecordId::named("nowhere"),
        heads: Heads::from_iter([hash(1), hash(2)]),
    };
    let unknown = WantRecord {
        collection: "tasks".parse().expect("a name"),
        record: RecordId::named("nowhere"),
        have: vec![hash(3)],
        older: Vec::new(),
    };
    let lies = [
        (
            "the end of its log",
            vec![upto(space, Lsn(u64::MAX)), upto(space, Lsn(1))],
        ),
        (
            "its root, again and again",
            vec![root(space, LIE, Lsn(u64::MAX)); 200],
        ),
        (
            "how many records it has",
            vec![walk(space, 0, RangeKind::Summary(LIE))],
        ),
        (
            "heads that it does not send",
            vec![walk(space, 0, RangeKind::Items(vec![item]))],
        ),
        (
            "changes that it does not send",
            vec![Message::Want(Want {
                space,
                records: vec![unknown],
            })],
        ),
        (
            "what it takes, without end",
            vec![
                Message::Credit {
                    live: u64::MAX,
                    bulk: u64::MAX
                };
                100
            ],
        ),
    ];
    let mut strangers = Vec::new();
    for (number, (name, lies)) in (1..).zip(&lies) {
        let mut stranger = say(&company, number, lies).await;
        let said = answers(&mut stranger).await;
        let walks = said
            .iter()
            .filter(|it| matches!(it, Message::Walk(_)))
            .count();
        assert!(walks <= 3, "{name}: {said:?}");
        strangers.push(stranger);
    }
    company.is_undisturbed().await;
    for stranger in &mut strangers {
        answers(stranger).await;
    }
}

#[tokio::test]
async fn who_grants_nothing_is_sent_nothing_and_who_lies_about_its_cursor_gets_all() {
    let company = company().await;
    company.is_undisturbed().await;
    let space = company.devices[0].space();
    let changes = |said: &[Message]| {
        let filled = |it: &&Message| matches!(it, Message::Changes(it) if !it.groups.is_empty());
        said.iter().filter(filled).count()
    };

    let mut poor = Stranger::dial(&company.address, 1).await;
    poor.credit = 0;
    let mut poor = poor.introduces_itself().await;
    poor.open(space).await;
    poor.lacks_all(space, "tasks").await;
    assert_eq!(changes(&answers(&mut poor).await), 0);
    company.is_undisturbed().await;
    assert_eq!(changes(&answers(&mut poor).await), 0);
    poor.send(&Message::Credit { live: 1, bulk: 1 }).await;
    while changes(&answers(&mut poor).await) == 0 {}

    let mut ahead = Stranger::introduced(&company.address, 2).await;
    let open = Open {
        space,
        want: Wanted::All,
        root: LIE,
        lsn: Lsn(u64::MAX),
        acked: Lsn(u64::MAX),
        resume: true,
    };
    ahead.send(&Message::Open(open)).await;
    ahead.lacks_all(space, "tasks").await;
    while changes(&answers(&mut ahead).await) == 0 {}
    company.is_undisturbed().await;
}

/// A record's document with some changes in it.
fn saved() -> Vec<u8> {
    let mut document = Document::new(&ActorId::from_bytes(vec![5; 16]));
    document.apply(&history(5, 20)).expect("they follow");
    document.save().expect("it saves")
}

#[tokio::test]
async fn a_snapshot_is_taken_apart_or_kept_apart() {
    let company = company().await;
    let space = company.devices[0].space();
    let mut stranger = Stranger::introduced(&company.address, 1).await;
    stranger.open(space).await;
    // Who does not wait for the hub to answer its proof may be taken for one who has given none.
    while !matches!(within(stranger.hear()).await, Some(Message::Open(_))) {}
    let (good, bad) = (RecordId::named("good"), RecordId::named("bad"));
    let mut harmed = saved();
    *harmed.last_mut().expect("bytes") ^= 1;
    stranger.push(space, bad, vec![harmed.into()]).await;
    stranger.push(space, good, vec![saved().into()]).await;
    let reasons = company.quarantine(1).await;
    let names: Vec<_> = reasons.iter().map(Reason::name).collect();
    assert_eq!(names, ["malformed"]);
    let [device, _] = &company.devices;
    let tasks = device.records("tasks").expect("a name");
    arrived(&tasks, good).await;
    let heads = tasks.heads(good).await.expect("readable");
    assert_eq!(heads.as_slice(), [history(5, 20)[19].hash()]);
    assert_eq!(tasks.get(bad).await.expect("readable"), None);
    company.is_undisturbed().await;
}

#[tokio::test]
async fn nobody_has_a_snapshot_loaded_before_the_proof_of_identity() {
    let company = company().await;
    let space = company.devices[0].space();
    let mut stranger = Stranger::dial(&company.address, 1).await;
    let record = RecordId::named("early");
    stranger.push(space, record, vec![saved().into()]).await;
    let mut said = None;
    while let Some(message) = within(stranger.hear()).await {
        if let Message::Error { code, text } = message {
            said = Some((code, text));
        }
    }
    let (code, text) = said.expect("a reason");
    assert_eq!(code, ErrorCode::OutOfOrder);
    assert!(text.contains("before the proof"), "{text}");
    company.is_undisturbed().await;
}

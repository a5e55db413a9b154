//! Two boards on two devices.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails says so by a panic"
)]

use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use syncline::Node;
use task_board::board::Board;
use task_board::draw::draw;
use task_board::keys::action;

/// Longest that a change may take to be seen.
const PATIENCE: Duration = Duration::from_secs(20);

async fn board(name: &str) -> (Node, Board) {
    let node = Node::builder().open().await.unwrap();
    let board = Board::open(node.clone(), name).await.unwrap();
    (node, board)
}

async fn press(board: &mut Board, code: KeyCode, modifiers: KeyModifiers) {
    let key = KeyEvent::new(code, modifiers);
    let meant = action(key, board.line.is_some()).expect("the key means something");
    assert!(board.act(meant).await);
}

async fn keys(board: &mut Board, text: &str) {
    for letter in text.chars() {
        let code = if letter == '\n' {
            KeyCode::Enter
        } else {
            KeyCode::Char(letter)
        };
        press(board, code, KeyModifiers::NONE).await;
    }
}

/// The screen as text, without what is empty at the ends of lines.
fn screen(board: &Board, (width, height): (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, board)).unwrap();
    let lines = terminal.backend().to_string();
    let lines = lines
        .lines()
        .map(|it| it.trim_matches('"').trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n")
}

/// Takes in changes until the screen shows what it should.
async fn until(board: &mut Board, what: impl Fn(&str) -> bool) {
    let wait = async {
        while !what(&screen(board, (80, 12))) {
            let quiet = Duration::from_millis(100);
            if let Ok(changed) = tokio::time::timeout(quiet, board.changed()).await {
                changed.unwrap();
            }
            board.look_at_network().await.unwrap();
        }
    };
    let ended = tokio::time::timeout(PATIENCE, wait).await;
    assert!(
        ended.is_ok(),
        "it never shows:\n{}",
        screen(board, (80, 12))
    );
}

#[tokio::test]
async fn a_board_is_filled_sorted_and_undone_by_keys() {
    let (node, mut board) = board("Ana").await;
    keys(&mut board, "asow\n").await;
    until(&mut board, |it| it.contains("sow")).await;
    keys(&mut board, "awater\n").await;
    until(&mut board, |it| it.contains("water")).await;
    keys(&mut board, "aweed\n").await;
    until(&mut board, |it| it.contains("weed")).await;

    // The first one is selected: behind the second, then into the next column.
    keys(&mut board, "J").await;
    until(&mut board, |it| it.find("water") < it.find("sow")).await;
    keys(&mut board, "L").await;
    until(&mut board, |it| it.contains("doing 1")).await;
    keys(&mut board, "m\n").await;
    // Each column hears for itself of what goes from one to another.
    until(&mut board, |it| {
        it.contains("sow @Ana") && it.contains("open 2")
    })
    .await;
    assert_eq!(
        screen(&board, (60, 8)),
        "\
┌ open 2 ──────────┐┌ doing 1 ─────────┐┌ done 0 ──────────┐
│water             ││sow @Ana          ││                  │
│weed              ││                  ││                  │
│                  ││                  ││                  │
│                  ││                  ││                  │
└──────────────────┘└──────────────────┘└──────────────────┘
not linked with anybody
? shows the keys"
    );

    keys(&mut board, "u").await;
    until(&mut board, |it| it.contains("sow") && !it.contains("@Ana")).await;
    keys(&mut board, "u").await;
    until(&mut board, |it| {
        it.contains("open 3") && it.contains("doing 0")
    })
    .await;
    board.column = 0;
    keys(&mut board, "/we\n").await;
    until(&mut board, |it| {
        it.contains("open 1") && it.contains("only with \"we\"")
    })
    .await;
    keys(&mut board, "d").await;
    until(&mut board, |it| it.contains("open 0")).await;
    // Undo finds what was deleted, redo deletes it again.
    keys(&mut board, "u").await;
    until(&mut board, |it| it.contains("open 1")).await;
    press(&mut board, KeyCode::Char('r'), KeyModifiers::CONTROL).await;
    until(&mut board, |it| it.contains("open 0")).await;
    keys(&mut board, "e").await;
    assert!(screen(&board, (80, 12)).contains("there is no task here"));
    node.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_is_wrong_is_said_and_nothing_is_lost() {
    let (node, mut board) = board("Ana").await;
    keys(&mut board, "a\n").await;
    assert!(screen(&board, (80, 12)).contains("a task has a title"));
    keys(&mut board, &format!("a{}\n", "x".repeat(201))).await;
    let shown = screen(&board, (300, 12));
    assert!(shown.contains("more than 200 characters"), "{shown}");
    press(&mut board, KeyCode::Esc, KeyModifiers::NONE).await;
    keys(&mut board, "aok\n").await;
    until(&mut board, |it| it.contains("ok")).await;
    // A name that is too long breaks the contract, which says so.
    keys(&mut board, &format!("m{}\n", "y".repeat(60))).await;
    assert!(
        screen(&board, (160, 12)).contains("assignee"),
        "{}",
        screen(&board, (160, 12))
    );

    let shown = screen(&board, (160, 12));
    assert!(
        shown.contains("done by: Anayyy"),
        "what was typed can be mended: {shown}"
    );
    for size in [(1, 1), (20, 5), (3, 40), (200, 3)] {
        board.shows_help = true;
        drop(screen(&board, size));
    }
    node.shutdown().await.unwrap();
}

#[tokio::test]
async fn two_devices_share_a_board_and_see_each_other() {
    let (left, mut ana) = board("Ana").await;
    let (right, mut ben) = board("Ben").await;
    let address = left.listen("127.0.0.1:0").await.unwrap();
    right.connect(&address).await.unwrap();
    keys(&mut ana, "asow\n").await;
    until(&mut ana, |it| it.contains("sow")).await;
    until(&mut ben, |it| {
        it.contains("sow") && it.contains("here: Ana") && it.contains("<Ana>")
    })
    .await;
    until(&mut ana, |it| {
        it.contains("<Ben>") && it.contains("1 device, all delivered")
    })
    .await;

    // Apart, both change the same title and one moves the task.
    right.disconnect(&address).await.unwrap();
    until(&mut ben, |it| {
        it.contains("not linked") && !it.contains("here:")
    })
    .await;
    until(&mut ana, |it| {
        it.contains("not linked") && !it.contains("<Ben>")
    })
    .await;
    keys(&mut ana, "e the beans\n").await;
    until(&mut ana, |it| it.contains("sow the beans")).await;
    keys(&mut ben, "e").await;
    press(&mut ben, KeyCode::Home, KeyModifiers::NONE).await;
    keys(&mut ben, "today \n").await;
    until(&mut ben, |it| it.contains("today sow")).await;
    keys(&mut ben, "L").await;
    until(&mut ben, |it| it.contains("doing 1")).await;

    right.connect(&address).await.unwrap();
    for board in [&mut ana, &mut ben] {
        until(board, |it| {
            it.contains("doing 1") && it.contains("today sow the b")
        })
        .await;
    }
    // Ana takes back what she did, and Ben's stays.
    ana.column = 1;
    keys(&mut ana, "u").await;
    until(&mut ben, |it| {
        it.contains("today sow") && !it.contains("beans")
    })
    .await;

    right.shutdown().await.unwrap();
    until(&mut ana, |it| !it.contains("here:")).await;
    left.shutdown().await.unwrap();
}

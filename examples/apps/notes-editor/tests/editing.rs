//! Notes that two devices edit, and the program as somebody types into it.

#![expect(clippy::unwrap_used, reason = "a test that fails says so by a panic")]

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use notes_editor::editor::{Editor, Style, Undone};
use notes_editor::show::show;
use syncline::{ErrorKind, Node};

const PATIENCE: Duration = Duration::from_secs(20);

async fn shown(editor: &Editor) -> String {
    let others = editor.others().await.unwrap().into_iter();
    let others: Vec<_> = others.map(|(_, name, at)| (name, at)).collect();
    show(
        &editor.spans().await.unwrap(),
        &editor.selection().await.unwrap(),
        &others,
    )
}

async fn until(editor: &Editor, what: &str) {
    let wait = async {
        while shown(editor).await != what {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let ended = tokio::time::timeout(PATIENCE, wait).await;
    assert!(
        ended.is_ok(),
        "it shows {:?} and never {what:?}",
        shown(editor).await
    );
}

#[tokio::test]
async fn two_write_into_one_note_and_each_caret_stays_with_its_words() {
    let (left, right) = (
        Node::builder().open().await.unwrap(),
        Node::builder().open().await.unwrap(),
    );
    let address = left.listen("127.0.0.1:0").await.unwrap();
    right.connect(&address).await.unwrap();
    let mut ana = Editor::create(&left, "Bees", "Ana").await.unwrap();
    ana.type_text("Bees make honey").await.unwrap();
    right.synced().await.unwrap();
    let mut ben = Editor::open(&right, ana.id(), "Ben").await.unwrap();
    ben.put_caret(5).await.unwrap();
    until(&ana, "Bees <Ben>make honey|").await;

    // Apart: both write, both mark.
    right.disconnect(&address).await.unwrap();
    until(&ana, "Bees make honey|").await;
    ben.type_text("of all kinds ").await.unwrap();
    ben.select(0..4).await.unwrap();
    ben.toggle(&Style::Bold).await.unwrap();
    ana.select(0..15).await.unwrap();
    ana.toggle(&Style::Italic).await.unwrap();
    ana.put_caret(15).await.unwrap();
    ana.type_text(" and wax").await.unwrap();
    until(&ana, "_Bees make honey and wax_|").await;
    until(&ben, "**[Bees**] of all kinds make honey").await;

    right.connect(&address).await.unwrap();
    until(&ana, "**_Bees_**_<Ben> of all kinds make honey and wax_|").await;
    until(&ben, "**_[Bees_**_] of all kinds make honey and wax_<Ana>").await;

    // Each takes back only what is theirs.
    assert_eq!(ana.undo().await.unwrap(), Undone::Whole);
    until(&ben, "**_[Bees_**_] of all kinds make honey_<Ana>").await;
    assert_eq!(ana.redo().await.unwrap(), Undone::Whole);
    until(&ben, "**_[Bees_**_] of all kinds make honey and wax_<Ana>").await;
    // Taking a mark back is said to be left undone.
    assert_eq!(ben.undo().await.unwrap(), Undone::Partly);
    assert_eq!(ben.undo().await.unwrap(), Undone::Whole);
    until(&ana, "**_Bees_**_<Ben> make honey and wax_|").await;
    right.shutdown().await.unwrap();
    left.shutdown().await.unwrap();
}

#[tokio::test]
async fn selections_are_replaced_and_looks_taken_away() {
    let node = Node::builder().open().await.unwrap();
    let mut note = Editor::create(&node, "A", "Ana").await.unwrap();
    note.type_text("a b\u{1f41d}c").await.unwrap();
    note.erase().await.unwrap();
    note.erase().await.unwrap();
    assert_eq!(shown(&note).await, "a b|");
    note.select(2..99).await.unwrap();
    note.toggle(&Style::Link("https://x.org".to_owned()))
        .await
        .unwrap();
    assert_eq!(shown(&note).await, "a ([b -> https://x.org)]");
    note.toggle(&Style::Link("https://x.org".to_owned()))
        .await
        .unwrap();
    assert_eq!(shown(&note).await, "a [b]");
    note.type_text("").await.unwrap();
    assert_eq!(shown(&note).await, "a |");
    let error = note.toggle(&Style::Bold).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(
        Editor::create(&node, "", "Ana").await.is_err(),
        "a note has a title"
    );
    node.shutdown().await.unwrap();
}

#[test]
fn what_was_written_before_a_restart_can_be_taken_back_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("notes.redb");
    let run = |input: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_notes-editor"))
            .arg("--store")
            .arg(&store)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let said = run("show\nnew Bees\n+make\n+ honey\njump\nselect 0 4\nbold\nquit\n");
    assert_eq!(
        said,
        "! no note is open; see help\n|\nmake|\nmake honey|\n! there is no command \"jump\"; see help\n\
         [make] honey\n**[make**] honey\n"
    );
    let said = run("notes\nopen 1\nundo\nundo\nopen 7\n");
    assert_eq!(
        said,
        "1. Bees\n**make** honey|\n**make** honey|\n! marks stay, and where others have worked since\n\
         **make**|\n! there is no 7 in the list; see notes\n"
    );
}

#[test]
fn wrong_flags_and_files_are_refused_in_words() {
    let program = env!("CARGO_BIN_EXE_notes-editor");
    let wrong = Command::new(program).arg("--colour").output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    let folder = tempfile::tempdir().unwrap();
    let foreign = folder.path().join("photo.jpg");
    std::fs::write(&foreign, [0xff; 4096]).unwrap();
    let wrong = Command::new(program)
        .arg("--store")
        .arg(&foreign)
        .output()
        .unwrap();
    assert_eq!(wrong.status.code(), Some(1));
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert!(
        said.starts_with("notes-editor: ") && said.contains("photo.jpg"),
        "{said}"
    );
}

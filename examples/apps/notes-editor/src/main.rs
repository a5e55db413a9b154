//! `notes-editor`: the core, driven by lines from the standard input.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use notes_editor::command::{Command, HELP, parse};
use notes_editor::editor::{self, Editor, Undone};
use notes_editor::show::show;
use syncline::{Node, RecordId, Result};
use tokio::io::{AsyncBufReadExt as _, BufReader, stdin};

/// Notes that several devices write, with or without a network. Commands come line by line; `help` lists
/// them.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The file that this device keeps its notes in; it is made if there is none
    #[arg(long, value_name = "FILE")]
    store: PathBuf,
    /// Let other devices connect here, as in 0.0.0.0:7070
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Keep connected to another device, as in `ws://10.0.0.5:7070`
    #[arg(long, value_name = "URL")]
    connect: Vec<String>,
    /// What others see of you
    #[arg(long, default_value = "somebody")]
    name: String,
}

#[tokio::main]
#[expect(clippy::print_stderr, reason = "a program says why it ends")]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("notes-editor: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<()> {
    let node = Node::builder().store(&args.store).open().await?;
    let ended = work(args, &node).await;
    let closed = node.shutdown().await;
    ended.and(closed)
}

#[expect(clippy::print_stdout, reason = "it talks to whoever types")]
async fn work(args: &Args, node: &Node) -> Result<()> {
    if let Some(address) = &args.listen {
        println!("others connect to {}", node.listen(address).await?);
    }
    for address in &args.connect {
        node.connect(address).await?;
    }
    let mut desk = Desk {
        node,
        name: &args.name,
        listed: Vec::new(),
        open: None,
    };
    let mut lines = BufReader::new(stdin()).lines();
    // What can't be read any more is the end of what somebody types.
    while let Ok(Some(line)) = lines.next_line().await {
        let said = match parse(&line) {
            Ok(Command::Quit) => break,
            Ok(command) => desk
                .perform(command)
                .await
                .unwrap_or_else(|it| format!("! {it}")),
            Err(what) => format!("! {what}"),
        };
        println!("{said}");
    }
    Ok(())
}

/// The notes that were listed, and the one that is open.
struct Desk<'n> {
    node: &'n Node,
    name: &'n str,
    listed: Vec<RecordId>,
    open: Option<Editor>,
}

impl Desk<'_> {
    /// Does what a command says, and gives what is to be shown.
    async fn perform(&mut self, command: Command) -> Result<String> {
        let editor = match command {
            Command::Help => return Ok(HELP.to_owned()),
            Command::Notes => return self.list().await,
            Command::New(title) => {
                let made = Editor::create(self.node, &title, self.name).await?;
                self.open.insert(made)
            }
            Command::Open(number) => {
                let Some(id) = number.checked_sub(1).and_then(|it| self.listed.get(it)) else {
                    return Ok(format!("! there is no {number} in the list; see notes"));
                };
                let opened = Editor::open(self.node, *id, self.name).await?;
                self.open.insert(opened)
            }
            Command::Type(_)
            | Command::Erase
            | Command::At(_)
            | Command::Select(_)
            | Command::Toggle(_)
            | Command::Undo
            | Command::Redo
            | Command::Show
            | Command::Quit => {
                let Some(editor) = &mut self.open else {
                    return Ok("! no note is open; see help".to_owned());
                };
                if let Some(what) = edit(editor, command).await? {
                    return Ok(format!("{}\n! {what}", shown(editor).await?));
                }
                editor
            }
        };
        shown(editor).await
    }

    async fn list(&mut self) -> Result<String> {
        let notes = editor::notes(self.node).await?.list().await?;
        self.listed = notes.iter().map(|(id, _)| *id).collect();
        if notes.is_empty() {
            return Ok("there are no notes; new TITLE makes one".to_owned());
        }
        let title = |(number, (_, note)): (usize, &(RecordId, serde_json::Value))| {
            format!("{}. {}", number + 1, note["title"].as_str().unwrap_or("?"))
        };
        let titles: Vec<_> = notes.iter().enumerate().map(title).collect();
        Ok(titles.join("\n"))
    }
}

/// Changes the open note; gives what should be known of that.
async fn edit(editor: &mut Editor, command: Command) -> Result<Option<&'static str>> {
    let undone = match command {
        Command::Type(text) => return editor.type_text(&text).await.map(|()| None),
        Command::Erase => return editor.erase().await.map(|()| None),
        Command::At(at) => return editor.put_caret(at).await.map(|()| None),
        Command::Select(range) => return editor.select(range).await.map(|()| None),
        Command::Toggle(style) => return editor.toggle(&style).await.map(|()| None),
        Command::Undo => editor.undo().await?,
        Command::Redo => editor.redo().await?,
        Command::Show
        | Command::Notes
        | Command::New(_)
        | Command::Open(_)
        | Command::Help
        | Command::Quit => return Ok(None),
    };
    Ok(match undone {
        Undone::Whole => None,
        Undone::Partly => Some("marks stay, and where others have worked since"),
        Undone::Nothing => Some("no change of this device is left for that"),
    })
}

async fn shown(editor: &Editor) -> Result<String> {
    let (spans, selection) = (editor.spans().await?, editor.selection().await?);
    let others = editor.others().await?.into_iter();
    let others: Vec<_> = others.map(|(_, name, at)| (name, at)).collect();
    Ok(show(&spans, &selection, &others))
}

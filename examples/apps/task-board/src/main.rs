//! `task-board`: the board in a terminal.

use std::io::{IsTerminal as _, stdin, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEvent};
use syncline::{Error, ErrorKind, Node, Result};
use task_board::board::Board;
use task_board::draw::draw;
use task_board::keys::action;
use tokio::sync::mpsc;

/// A task board in the terminal that several devices share, with or without a network.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The file that this device keeps its tasks in; it is made if there is none
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

/// How often the network is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Keys that may wait while the board is busy.
const KEYS_MAX: usize = 64;

#[tokio::main]
#[expect(clippy::print_stderr, reason = "a program says why it ends")]
async fn main() -> ExitCode {
    let args = Args::parse();
    if !(stdin().is_terminal() && stdout().is_terminal()) {
        eprintln!("task-board: this is no terminal; run it in one");
        return ExitCode::from(2);
    }
    match run(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("task-board: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<()> {
    let node = Node::builder().store(&args.store).open().await?;
    let ended = show(args, &node).await;
    let closed = node.shutdown().await;
    ended.and(closed)
}

async fn show(args: &Args, node: &Node) -> Result<()> {
    let mut board = Board::open(node.clone(), &args.name).await?;
    if let Some(address) = &args.listen {
        let address = node.listen(address).await?;
        board.message = Some(format!("others connect to {address}"));
    }
    for address in &args.connect {
        node.connect(address).await?;
    }
    let keys = read_keys();
    // Puts the terminal back also when the program panics.
    let mut terminal = ratatui::try_init().map_err(|error| terminal_failed(&error))?;
    let ended = interact(&mut terminal, &mut board, keys).await;
    ratatui::restore();
    ended
}

async fn interact(
    terminal: &mut DefaultTerminal,
    board: &mut Board,
    mut keys: mpsc::Receiver<Option<KeyEvent>>,
) -> Result<()> {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    loop {
        if let Err(error) = terminal.draw(|frame| draw(frame, board)) {
            return Err(terminal_failed(&error));
        }
        tokio::select! {
            key = keys.recv() => {
                // None is a terminal of another size.
                let Some(key) = key else { return Ok(()) };
                let meant = key.and_then(|it| action(it, board.line.is_some()));
                if let Some(meant) = meant && !board.act(meant).await {
                    return Ok(());
                }
            }
            changed = board.changed() => if let Err(error) = changed {
                board.message = Some(error.to_string());
            },
            _ = looks.tick() => board.look_at_network().await?,
        }
    }
}

fn terminal_failed(error: &std::io::Error) -> Error {
    Error::new(
        ErrorKind::Io,
        format!("the terminal can't be used: {error}"),
    )
}

/// Reads the terminal on a thread of its own, which ends with the program.
fn read_keys() -> mpsc::Receiver<Option<KeyEvent>> {
    let (sender, receiver) = mpsc::channel(KEYS_MAX);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            let key = match event {
                Event::Key(key) => Some(key),
                Event::Resize(..) => None,
                Event::FocusGained | Event::FocusLost | Event::Mouse(_) | Event::Paste(_) => {
                    continue;
                }
            };
            if sender.blocking_send(key).is_err() {
                return;
            }
        }
    });
    receiver
}

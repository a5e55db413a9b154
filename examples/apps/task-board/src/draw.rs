//! How a board looks.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, List, ListItem, ListState, Paragraph};
use syncline::RecordId;
use syncline::query::LiveRecord;

use crate::board::{Board, Column, Network, Purpose};
use crate::task::Task;

/// The keys, as help shows them.
const HELP: &str = "\
arrows, h j k l  select          a  add a task
shift + arrows   move the task   e  change its title
H J K L          the same        m  say who does it
u  undo   ctrl+r  redo           d  delete it
/  only titles with these words  q  quit";

/// Draws the whole board.
pub fn draw(frame: &mut Frame<'_>, board: &Board) {
    let rows = [
        Constraint::Min(0),
        Constraint::Length(1),
        Constraint::Length(1),
    ];
    let [middle, above, below] = Layout::vertical(rows).areas(frame.area());
    let thirds = vec![Constraint::Fill(1); board.columns.len()];
    let places = Layout::horizontal(thirds).split(middle);
    for (number, (column, place)) in board.columns.iter().zip(places.iter()).enumerate() {
        let selected = (number == board.column).then_some(board.row);
        draw_column(frame, *place, (board, column), selected);
    }
    frame.render_widget(status(board), above);
    draw_line(frame, below, board);
    if board.shows_help {
        draw_help(frame, middle);
    }
}

fn draw_column(
    frame: &mut Frame<'_>,
    place: Rect,
    (board, column): (&Board, &Column),
    selected: Option<usize>,
) {
    let border = if selected.is_some() {
        Style::new().add_modifier(Modifier::BOLD)
    } else {
        Style::new().add_modifier(Modifier::DIM)
    };
    let title = format!(" {} {} ", column.name, column.tasks.len());
    let block = Block::bordered().title(title).border_style(border);
    let items = column.tasks.iter().map(|it| item(board, it));
    let list = List::new(items)
        .block(block)
        .highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = ListState::default().with_selected(selected);
    frame.render_stateful_widget(list, place, &mut state);
}

fn item(board: &Board, record: &LiveRecord) -> ListItem<'static> {
    let dim = Style::new().add_modifier(Modifier::DIM);
    let mut line = match record.read::<Task>() {
        Ok(task) => {
            let mut line = Line::from(printable(task.title.as_str()));
            if let Some(who) = task.assignee {
                line.push_span(Span::styled(format!(" @{}", printable(&who)), dim));
            }
            line
        }
        Err(error) => Line::from(Span::styled(format!("! {error}"), dim)),
    };
    for name in who_is_at(board, record.id) {
        line.push_span(Span::styled(format!(" <{name}>"), dim));
    }
    ListItem::new(line)
}

fn who_is_at(board: &Board, task: RecordId) -> impl Iterator<Item = String> {
    let others = board.others.values();
    let here = others.filter(move |it| it.task == Some(task));
    here.map(|it| short(&it.name, 20))
}

fn status(board: &Board) -> Paragraph<'static> {
    let mut parts = vec![network(&board.network)];
    if !board.others.is_empty() {
        let names: Vec<_> = board
            .others
            .values()
            .map(|it| short(&it.name, 20))
            .collect();
        parts.push(format!("here: {}", names.join(", ")));
    }
    if !board.filter.is_empty() {
        parts.push(format!("only with \"{}\"", printable(&board.filter)));
    }
    Paragraph::new(parts.join(" | ")).style(Style::new().add_modifier(Modifier::DIM))
}

fn network(network: &Network) -> String {
    let devices = match (network.links, &network.trouble) {
        (0, None) => return "not linked with anybody".to_owned(),
        (0, Some(why)) => return format!("offline, trying again: {}", short(why, 60)),
        (1, _) => "linked with 1 device".to_owned(),
        (links, _) => format!("linked with {links} devices"),
    };
    match network.undelivered {
        0 => format!("{devices}, all delivered"),
        left => format!("{devices}, {left} changes to deliver"),
    }
}

fn draw_line(frame: &mut Frame<'_>, place: Rect, board: &Board) {
    let Some((purpose, input)) = &board.line else {
        let said = board.message.as_deref().map(printable);
        let said = said.unwrap_or_else(|| "? shows the keys".to_owned());
        frame.render_widget(Paragraph::new(said), place);
        return;
    };
    let prompt = match purpose {
        Purpose::Add => "new task: ",
        Purpose::Rename(..) => "title: ",
        Purpose::Assign(_) => "done by: ",
        Purpose::Filter => "titles with: ",
    };
    let before = Line::from(format!("{prompt}{}", input.before())).width();
    let width = usize::from(place.width.saturating_sub(1));
    // What is typed stays in sight.
    let hidden = u16::try_from(before.saturating_sub(width)).unwrap_or(u16::MAX);
    let line = board
        .message
        .as_ref()
        .map_or_else(String::new, |it| format!("   ({it})"));
    let line = Paragraph::new(format!("{prompt}{}{line}", input.text())).scroll((0, hidden));
    frame.render_widget(line, place);
    let at = u16::try_from(before.min(width)).unwrap_or(0);
    frame.set_cursor_position((place.x.saturating_add(at), place.y));
}

fn draw_help(frame: &mut Frame<'_>, place: Rect) {
    let block = Block::bordered().title(" keys ");
    let height = Constraint::Length(7);
    let [place] = Layout::vertical([height])
        .flex(ratatui::layout::Flex::Center)
        .areas(place);
    let [place] = Layout::horizontal([Constraint::Length(66)])
        .flex(ratatui::layout::Flex::Center)
        .areas(place);
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(HELP).block(block), place);
}

/// The beginning of a text, so that there is room for more.
fn short(text: &str, max: usize) -> String {
    let mut shown: String = printable(text).chars().take(max).collect();
    if shown.chars().count() < text.chars().count() {
        shown.push('…');
    }
    shown
}

/// What others have written, without what would steer the terminal.
fn printable(text: &str) -> String {
    let shown = |letter: char| if letter.is_control() { ' ' } else { letter };
    text.chars().map(shown).collect()
}

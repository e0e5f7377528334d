//! Marks for the prompt cache, where they count: behind something that takes one, no more than there may be, and the
//! longer ahead of the shorter.

use llm_protocol::{CacheTtl, Role};

use super::{History, Turn, What};

/// Anthropic's limit, which those keep who pass marks on to it.
const MOST: usize = 4;

/// Marks the last piece up to the turn at this place. Where nothing comes before it, there is nothing to cache.
pub(super) fn set(takes: fn(&What<'_>) -> bool, turns: &mut [Turn<'_>], at: usize, ttl: CacheTtl) {
    let before = turns.get_mut(..=at).unwrap_or_default();
    let pieces = before.iter_mut().rev().flat_map(|turn| turn.pieces.iter_mut().rev());
    if let Some(piece) = pieces.into_iter().find(|piece| takes(&piece.what)) {
        piece.mark = Some(ttl);
    }
}

/// Keeps as many as there may be: those of tools and instructions, then the latest.
pub(super) fn settle(history: &mut History<'_>) {
    let History { turns, tool_marks } = history;
    let (mut first, mut rest) = (Vec::new(), Vec::new());
    first.extend(tool_marks.iter_mut());
    for turn in turns {
        let marks = turn.pieces.iter_mut().map(|piece| &mut piece.mark);
        if turn.role == Role::System { first.extend(marks) } else { rest.extend(marks) }
    }
    let mut left = MOST;
    for mark in first.iter_mut().rev().chain(rest.iter_mut().rev()).filter(|mark| mark.is_some()) {
        match left.checked_sub(1) {
            Some(fewer) => left = fewer,
            None => **mark = None,
        }
    }
    let mut short = false;
    for mark in first.into_iter().chain(rest).filter_map(Option::as_mut) {
        short |= *mark == CacheTtl::FiveMinutes;
        if short {
            *mark = CacheTtl::FiveMinutes;
        }
    }
}

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
    let of_turns = turns.iter_mut().flat_map(|turn| {
        let is_first = turn.role == Role::System;
        turn.pieces.iter_mut().map(move |piece| (is_first, &mut piece.mark))
    });
    let mut marks: Vec<_> = tool_marks.iter_mut().map(|mark| (true, mark)).chain(of_turns).collect();
    marks.retain(|(_, mark)| mark.is_some());
    let mut left = MOST;
    for is_first in [true, false] {
        for (_, mark) in marks.iter_mut().rev().filter(|(first, _)| *first == is_first) {
            match left.checked_sub(1) {
                Some(fewer) => left = fewer,
                None => **mark = None,
            }
        }
    }
    let mut short = false;
    for mark in marks.into_iter().filter_map(|(_, mark)| mark.as_mut()) {
        short |= *mark == CacheTtl::FiveMinutes;
        if short {
            *mark = CacheTtl::FiveMinutes;
        }
    }
}

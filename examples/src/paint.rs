//! Colours and line breaks for people. A pipe, `NO_COLOR` and dumb terminals get plain text: whoever prints does it
//! through `anstream`, which takes the colours out where they do not belong.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use llm_reliability::{Attempt, Outcome};

/// Text in a style.
#[derive(Debug)]
pub struct Paint<T>(pub Style, pub T);

impl<T: fmt::Display> fmt::Display for Paint<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(style, text) = self;
        write!(f, "{style}{text}{style:#}")
    }
}

/// Green for an answer, yellow for what is healthy but was passed over, red for what failed.
pub fn tint(attempt: &Attempt) -> Style {
    let color = match &attempt.outcome {
        Outcome::Success(_) => AnsiColor::Green,
        Outcome::Failed(_) | Outcome::Interrupted { .. } | Outcome::Empty { .. } => AnsiColor::Red,
        _ => AnsiColor::Yellow,
    };
    color.on_default()
}

/// A duration as people read it: `87 ms`, `1.02 s`.
pub fn seconds(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{:.2} s", duration.as_secs_f64())
    }
}

/// Prints a text piece by piece, in lines of a certain width behind a margin.
#[derive(Debug)]
pub struct Wrapped<W> {
    out: W,
    margin: &'static str,
    width: usize,
    column: usize,
    spaces: usize,
}

impl<W: Write> Wrapped<W> {
    /// Starts a text of this width (in characters) behind this margin.
    pub fn new(mut out: W, margin: &'static str, width: usize) -> io::Result<Self> {
        write!(out, "{margin}")?;
        Ok(Self { out, margin, width, column: 0, spaces: 0 })
    }

    /// Prints the next piece at once. Lines break before the word that no longer fits.
    pub fn push(&mut self, piece: &str) -> io::Result<()> {
        for word in piece.split_inclusive(char::is_whitespace) {
            let bare = word.trim_end();
            let length = bare.chars().count();
            if length > 0 {
                if self.column > 0 && self.column + self.spaces + length > self.width {
                    self.break_line()?;
                }
                write!(self.out, "{:spaces$}{bare}", "", spaces = self.spaces)?;
                self.column += self.spaces + length;
                self.spaces = 0;
            }
            match word.strip_prefix(bare) {
                Some("\n") => self.break_line()?,
                Some("") | None => {}
                // Printed before the next word, if that stands on the same line.
                Some(_) => self.spaces = usize::from(self.column > 0),
            }
        }
        self.out.flush()
    }

    fn break_line(&mut self) -> io::Result<()> {
        (self.column, self.spaces) = (0, 0);
        write!(self.out, "\n{}", self.margin)
    }

    /// Ends the text.
    pub fn finish(mut self) -> io::Result<()> {
        writeln!(self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_before_the_word_that_does_not_fit() {
        let mut out = Vec::new();
        let mut wrapped = Wrapped::new(&mut out, "| ", 9).unwrap();
        for piece in ["one ", "two th", "ree", " four\nfive"] {
            wrapped.push(piece).unwrap();
        }
        wrapped.finish().unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "| one two\n| three\n| four\n| five\n");
    }

    #[test]
    fn durations_read_well() {
        assert_eq!(seconds(Duration::from_micros(87_900)), "87 ms");
        assert_eq!(seconds(Duration::from_millis(1020)), "1.02 s");
    }
}

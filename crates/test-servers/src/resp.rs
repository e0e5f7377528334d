//! As much of Redis' protocol as it takes to give a server a command.

use std::{io, pin::Pin};

use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufStream,
};

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// Nothing: what was asked for is not there.
    Nil,
    /// A number.
    Integer(i64),
    /// A status such as `OK`, or a string. What is no UTF-8 in it is replaced.
    Text(String),
    /// An error inside of an array. One that is the whole answer is a
    /// [`ServerError::Refused`](crate::ServerError::Refused).
    Error(String),
    /// Several answers.
    Array(Vec<Reply>),
}

impl Reply {
    /// The text, or the number as text; empty for everything else.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Integer(number) => number.to_string(),
            Self::Nil | Self::Error(_) | Self::Array(_) => String::new(),
        }
    }

    /// The number, or the text as a number.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
            Self::Nil | Self::Error(_) | Self::Array(_) => None,
        }
    }

    /// The elements of an array; none of everything else.
    pub fn elements(&self) -> &[Self] {
        if let Self::Array(elements) = self { elements } else { &[] }
    }
}

/// A connection to a server.
pub(crate) struct Connection<S>(BufStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self(BufStream::new(stream))
    }

    pub(crate) async fn ask<A: AsRef<[u8]>>(&mut self, command: &[A]) -> io::Result<Reply> {
        self.0.write_all(format!("*{}\r\n", command.len()).as_bytes()).await?;
        for part in command {
            let part = part.as_ref();
            self.0.write_all(format!("${}\r\n", part.len()).as_bytes()).await?;
            self.0.write_all(part).await?;
            self.0.write_all(b"\r\n").await?;
        }
        self.0.flush().await?;
        self.reply().await
    }

    fn reply(&mut self) -> Pin<Box<dyn Future<Output = io::Result<Reply>> + Send + '_>> {
        Box::pin(async move {
            let mut line = String::new();
            self.0.read_line(&mut line).await?;
            let Some((kind, rest)) = line.strip_suffix("\r\n").and_then(|line| line.split_at_checked(1))
            else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            let number = || rest.parse::<i64>().map_err(|_| io::Error::from(io::ErrorKind::InvalidData));
            Ok(match kind {
                "+" => Reply::Text(rest.to_owned()),
                "-" => Reply::Error(rest.to_owned()),
                ":" => Reply::Integer(number()?),
                "$" => match u64::try_from(number()?) {
                    Ok(length) => self.text(length).await?,
                    Err(_) => Reply::Nil,
                },
                "*" => match u64::try_from(number()?) {
                    Ok(length) => {
                        let mut elements = Vec::new();
                        for _ in 0..length {
                            elements.push(self.reply().await?);
                        }
                        Reply::Array(elements)
                    }
                    Err(_) => Reply::Nil,
                },
                _ => return Err(io::ErrorKind::InvalidData.into()),
            })
        })
    }

    async fn text(&mut self, length: u64) -> io::Result<Reply> {
        let mut text = Vec::new();
        (&mut self.0).take(length).read_to_end(&mut text).await?;
        let mut end = [0; 2];
        self.0.read_exact(&mut end).await?;
        Ok(Reply::Text(String::from_utf8_lossy(&text).into_owned()))
    }
}

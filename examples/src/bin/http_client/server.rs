//! A server on loopback that answers as it is told, request by request. It speaks just enough HTTP for that.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// What a request gets.
#[derive(Clone, Copy)]
pub(crate) enum Reply {
    Status(u16),
    /// 429, and for how many seconds to stay away.
    Throttled(u32),
    /// A good answer, after a while.
    Slowly(Duration),
    /// Nothing, for as long as the client waits.
    Silence,
}

/// Starts it. Each request gets the next reply, and those beyond the last one get a 200. Returns its address.
pub(crate) async fn start(replies: impl IntoIterator<Item = Reply>) -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let replies: Arc<Mutex<VecDeque<_>>> = Arc::new(Mutex::new(replies.into_iter().collect()));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let replies = Arc::clone(&replies);
            tokio::spawn(async move {
                // A client that goes away is no business of the server's.
                let _ = serve(stream, &replies).await;
            });
        }
    });
    Ok(format!("http://{address}"))
}

/// One connection, one request.
async fn serve(mut stream: TcpStream, replies: &Mutex<VecDeque<Reply>>) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let reply = replies.lock().pop_front().unwrap_or(Reply::Status(200));
    let (status, header) = match reply {
        Reply::Status(status) => (status, String::new()),
        Reply::Throttled(seconds) => (429, format!("retry-after: {seconds}\r\n")),
        Reply::Slowly(delay) => {
            sleep(delay).await;
            (200, String::new())
        }
        Reply::Silence => {
            stream.read_buf(&mut request).await?;
            return Ok(());
        }
    };
    let head = format!("HTTP/1.1 {status} \r\n{header}connection: close\r\ncontent-length: 3\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(b"42\n").await
}

//! Providers by hand, for what the simulator does not do: what happens after the end of an answer.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Reads one request.
pub async fn read_request(socket: &mut TcpStream) {
    let mut request = Vec::new();
    while !(request.ends_with(b"}") && request.windows(4).any(|four| four == b"\r\n\r\n")) {
        assert!(socket.read_buf(&mut request).await.unwrap() > 0, "half a request");
    }
}

/// Writes a response of which everything is given.
pub async fn write_response(socket: &mut TcpStream, content_type: &str, framing: &str, body: &str) {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\n{framing}\r\n\r\n");
    socket.write_all((head + body).as_bytes()).await.unwrap();
}

/// Waits until the client has closed the connection, on which it says nothing more.
pub async fn closed(socket: &mut TcpStream) {
    let mut more = Vec::new();
    // A reset is an end, too.
    let _ = socket.read_to_end(&mut more).await;
    assert!(more.is_empty(), "nothing more is sent: {:?}", String::from_utf8_lossy(&more));
}

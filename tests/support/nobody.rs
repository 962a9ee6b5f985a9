//! An address on this machine where nobody listens, and nobody can begin to.
#![allow(unreachable_pub, reason = "two test crates take it in at different depths")]

use std::net::{TcpListener, TcpStream};

/// The port belongs to one end of a connection until the test program ends: free ports are taken by others.
#[track_caller]
pub fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let held = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
    let address = held.local_addr().expect("an address").to_string();
    std::mem::forget((listener, held));
    address
}

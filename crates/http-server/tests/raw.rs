//! The server and raw peers, which do nothing, or too little, or too much.

#[cfg(test)]
mod raw {
    mod silent_peers;
}

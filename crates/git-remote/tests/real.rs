//! Git remotes against real servers: git http-backend over HTTPS, and sshd.

#[cfg(test)]
mod real {
    mod errors;
    mod fetching;
    mod fixture;
    mod pushing;
    mod secrets;
    mod ssh;
    mod stall;
}

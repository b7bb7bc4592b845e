//! The contract that test harnesses of SSE clients hold: each of its areas, driven through the contract service over real
//! sockets as a harness does it.

// `cfg(test)` tells clippy that helpers, which are no tests themselves, may unwrap.

#[cfg(test)]
#[path = "../../examples/contract_service/callback.rs"]
mod callback;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod http_behaviour;
#[cfg(test)]
#[path = "../../examples/contract_service/parameters.rs"]
mod parameters;
#[cfg(test)]
mod parsing;
#[cfg(test)]
mod reconnection;
#[cfg(test)]
#[path = "../client/server.rs"]
mod server;
#[cfg(test)]
#[path = "../../examples/contract_service/service.rs"]
mod service;
#[cfg(test)]
#[path = "../../examples/contract_service/subscription.rs"]
mod subscription;

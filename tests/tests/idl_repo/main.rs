//! The controller of IdlRepo against a real API server, real Git over HTTPS, and the real codegen program.

mod delivery;
mod gate;
mod process;
mod publication;
mod runs;
mod source;

use anyhow::Result;
use heddle_tests::world::{Programs, World};

/// A world with the programs that cargo has built for these tests.
async fn world() -> Result<World> {
    World::create(&Programs {
        operator: env!("CARGO_BIN_EXE_heddle-operator-under-test").into(),
        codegen: env!("CARGO_BIN_EXE_heddle-codegen-under-test").into(),
    })
    .await
}

//! A real browser on the page of the example chat, whose session goes through the sidecar.

mod browser;

use anyhow::{Context, Result, ensure};
use browser::Browser;
use heddle_e2e::Chat;

/// Where the chat serves its page, past the sidecar.
const PAGE_PORT: u16 = 8080;
/// Where the sidecar listens.
const SIDECAR_PORT: u16 = 9080;

#[test]
fn a_browser_gets_its_subprotocol_and_keeps_its_cookie_through_the_sidecar() -> Result<()> {
    let chat = Chat::new("browser")?;
    chat.apply_route(|_| ())?;
    chat.deploy()?;
    chat.await_ready()?;
    let pod = chat.pod()?;
    let forward = |port| chat.kubectl().forward(chat.namespace(), &pod, port);
    let (page, sidecar) = (forward(PAGE_PORT)?, forward(SIDECAR_PORT)?);
    let url = |word: &str| {
        let (page, sidecar) = (page.port(), sidecar.port());
        format!("http://127.0.0.1:{page}/?room=lobby&port={sidecar}&say={word}")
    };
    let mut browser = Browser::start()?;
    browser.open(&url("hello"))?;
    let first = browser.await_text(&["connected, chat.v1", ": hello"])?;
    // The cookie of the first handshake names the guest in the second one.
    browser.open(&url("again"))?;
    let second = browser.await_text(&["connected, chat.v1", ": again"])?;
    let guest = guest(&first).context("nobody has come")?;
    ensure!(
        second.contains(&format!("{guest}: again")),
        "another guest than {guest} came back:\n{second}"
    );
    Ok(())
}

/// Who has come, as the page has it.
fn guest(page: &str) -> Option<&str> {
    page.lines().find_map(|line| line.strip_suffix(" has come"))
}

//! Follows an event stream and prints what happens: `cargo run -p heddle-sse-client --example follow -- URL [LAST_EVENT_ID]`.

use anyhow::{Context, Error, Result};
use heddle_sse_client::{Client, End, Item, Request, Settings};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().context("give the URL of an event stream")?;
    let settings = Settings {
        last_event_id: arguments.next().unwrap_or_default().into(),
        comments: true,
        ..Settings::default()
    };
    let mut stream = Client::new()?.subscribe(Request::get(&url)?, settings);
    while let Some(item) = stream.next().await {
        match item {
            Item::Connecting { attempt } => eprintln!("connecting, attempt {attempt}"),
            Item::Open(opened) => eprintln!("open: {:?} from {}", opened.version, opened.address),
            Item::Event(event) => println!(
                "{}\t{}\t{}",
                event.last_event_id(),
                event.event_type(),
                event.data()
            ),
            Item::Comment(comment) => eprintln!("comment:{comment}"),
            Item::LastEventId(id) => eprintln!("last event id is now {id}"),
            Item::Waiting(waiting) => {
                eprintln!("{:#}\n  again in {:?}", Error::from(waiting.why), waiting.delay)
            }
            Item::Ended(End::NoContent) => eprintln!("the server asks not to come again"),
            Item::Ended(End::Failed(error)) => return Err(Error::from(*error)),
            _ => {}
        }
    }
    Ok(())
}

use super::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

fn address() -> SocketAddr {
    ([127, 0, 0, 1], 80).into()
}

#[tokio::test]
async fn a_burst_looks_a_name_up_once() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let name = Name::new("backend", 80, |_, _| {
        ASKED.fetch_add(1, Ordering::SeqCst);
        Ok(vec![address()])
    });
    let all = futures::future::join_all((0..100).map(|_| name.resolve())).await;
    assert!(all.iter().all(|found| **found.as_ref().unwrap() == [address()]));
    assert_eq!(ASKED.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_failed_look_up_fails_for_all_who_wait_and_is_made_again_for_the_next() {
    static FAILS: AtomicBool = AtomicBool::new(true);
    let name = Name::new("backend", 80, |_, _| match FAILS.load(Ordering::SeqCst) {
        true => Err(io::Error::other("no answer")),
        false => Ok(vec![address()]),
    });
    let (a, b) = tokio::join!(name.resolve(), name.resolve());
    assert!(a.is_err() && b.is_err());
    FAILS.store(false, Ordering::SeqCst);
    assert_eq!(*name.resolve().await.unwrap(), [address()]);
}

#[tokio::test(start_paused = true)]
async fn former_addresses_are_used_for_a_while_when_the_resolver_fails() {
    static FAILS: AtomicBool = AtomicBool::new(false);
    let name = Name::new("backend", 80, |_, _| match FAILS.load(Ordering::SeqCst) {
        true => Err(io::Error::other("no answer")),
        false => Ok(vec![address()]),
    });
    name.resolve().await.unwrap();
    FAILS.store(true, Ordering::SeqCst);
    tokio::time::advance(STALE - FRESH * 2).await;
    assert_eq!(*name.resolve().await.unwrap(), [address()]);
    tokio::time::advance(FRESH * 2).await;
    assert!(name.resolve().await.is_err());
}

#[tokio::test]
async fn a_resolver_that_hangs_keeps_nobody_who_knows_former_addresses() {
    static HANGS: Mutex<Option<std::sync::mpsc::Receiver<()>>> = Mutex::new(None);
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let name = Name::new("backend", 80, |_, _| {
        ASKED.fetch_add(1, Ordering::SeqCst);
        if let Some(until) = HANGS.lock().unwrap().as_ref() {
            until.recv().ok();
        }
        Ok(vec![address()])
    });
    name.resolve().await.unwrap();
    name.state().known.as_mut().unwrap().again = Instant::now();
    let (hung, until) = std::sync::mpsc::channel();
    *HANGS.lock().unwrap() = Some(until);
    let began = Instant::now();
    name.resolve().await.unwrap();
    assert!(began.elapsed() >= PATIENCE);
    // Neither a second look-up nor a second wait.
    for _ in 0..10 {
        name.resolve().await.unwrap();
    }
    assert!(began.elapsed() < FRESH);
    assert_eq!(ASKED.load(Ordering::SeqCst), 2);
    hung.send(()).unwrap();
}

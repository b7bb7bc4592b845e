//! Places of connections, without any.

use super::*;

fn crew(threads: usize) -> Arc<Crew> {
    let runtimes = (0..threads).map(|_| Handle::current());
    Arc::new(Crew::new(runtimes, ProxyMetrics::default()))
}

#[tokio::test]
async fn connections_stay_where_they_arrive_until_that_is_far_more_than_its_share() {
    let crew = crew(2);
    let seats: Vec<_> = (0..1000).map(|_| crew.seat(0)).collect();
    let here = seats.iter().filter(|seat| seat.thread == 0).count();
    assert!(here <= 500 + CONNECTIONS_ABOVE_SHARE, "{here}");
    let first = seats.iter().take_while(|seat| seat.thread == 0).count();
    assert!(
        first >= 2 * CONNECTIONS_ABOVE_SHARE - 1,
        "few stay together: {first}"
    );
    assert_eq!(crew.metrics.connections.get(), 1000);
    drop(seats);
    assert_eq!(crew.metrics.connections.get(), 0);
    assert_eq!(crew.seat(0).thread, 0);
}

#[tokio::test]
async fn a_session_that_has_something_to_do_is_counted_once_a_look() {
    let crew = crew(1);
    crew.look(0);
    let (mut one, mut other, _silent) = (crew.seat(0), crew.seat(0), crew.seat(0));
    for _ in 0..3 {
        assert!(!one.is_to_leave() && !other.is_to_leave());
    }
    assert_eq!(crew.look(0), 2);
    assert!(!one.is_to_leave());
    assert_eq!(crew.look(0), 1);
    assert_eq!(crew.look(0), 0);
}

#[tokio::test]
async fn as_many_sessions_leave_as_were_asked_for_and_none_later() {
    let crew = crew(2);
    let mut seats: Vec<_> = (0..10).map(|_| crew.seat(0)).collect();
    let leaving = |seats: &mut Vec<Seat>| {
        seats
            .iter_mut()
            .filter_map(|seat| seat.is_to_leave().then_some(seat.next))
            .collect()
    };
    crew.ask(0, 1, 3);
    let leaves: Vec<_> = leaving(&mut seats);
    assert_eq!(leaves, [1, 1, 1]);
    crew.ask(0, 1, 3);
    crew.look(0);
    let leaves: Vec<_> = leaving(&mut seats);
    assert!(leaves.is_empty(), "the next look takes back what was not given");
    assert_eq!(crew.look(0), 10);
}

#[tokio::test]
async fn who_changes_threads_counts_where_it_goes() {
    let crew = crew(2);
    crew.look(0);
    crew.look(1);
    let mut seat = crew.seat(0);
    crew.ask(0, 1, 1);
    assert!(seat.is_to_leave());
    let (there, arrived) = tokio::sync::oneshot::channel();
    seat.change(async |seat| there.send(seat).unwrap());
    let mut seat = arrived.await.unwrap();
    assert_eq!((seat.thread, crew.metrics.sessions_moved.get()), (1, 1));
    let counts = [0, 1].map(|thread: usize| crew.posts[thread].connections.load(Ordering::Relaxed));
    assert_eq!(counts, [0, 1]);
    assert!(!seat.is_to_leave());
    assert_eq!((crew.look(0), crew.look(1)), (1, 1));
    assert_eq!(crew.metrics.connections.get(), 1);
}

#[tokio::test]
async fn the_clock_of_a_thread_tells_others_how_long_it_has_been_busy() {
    let crew = crew(2);
    crew.begin(0);
    assert_eq!(crew.has_been_busy(1), None, "it has not begun");
    // As the one that balances asks.
    let ask = || std::thread::scope(|scope| scope.spawn(|| crew.has_been_busy(0)).join().unwrap()).unwrap();
    let (before, mut work) = (ask(), 0_u64);
    while ask() < before + Duration::from_millis(1) {
        work = std::hint::black_box(work + 1);
    }
    let clock = crew.posts[0].clock.get().unwrap();
    assert_eq!(
        clock.waited().is_some(),
        clock.waits.is_some(),
        "what is there is understood"
    );
}

//! What the threads know of each other: which of them accept connections, how many connections each has, and which is to
//! give sessions away.

use crate::metrics::ProxyMetrics;
use nix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::future::Future;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// So many connections more than its fair share may a thread have: few stay together, and many that come at once, before
/// anybody can see how busy they are, are spread.
const CONNECTIONS_ABOVE_SHARE: usize = 64;

/// The most sessions that a thread is asked for at once: what an order has room for.
pub(super) const MOST_ASKED: usize = u16::MAX as usize;

/// All threads.
#[derive(Debug)]
pub(crate) struct Crew {
    posts: Box<[Post]>,
    /// So many threads accept connections, from the first one on.
    accepting: watch::Sender<usize>,
    /// Everything that is done for connections, on whichever thread: as sessions move, no thread may end before the last.
    tasks: TaskTracker,
    metrics: ProxyMetrics,
}

/// One thread, as the others see it. On cache lines of its own: its sessions look at it with each message.
#[derive(Debug)]
#[repr(align(128))]
struct Post {
    order: AtomicU64,
    /// Sessions that had something to do since the last look.
    active: AtomicUsize,
    connections: AtomicUsize,
    runtime: Handle,
    clock: OnceLock<Clock>,
}

/// Tells how long a thread has had something to do.
#[derive(Debug)]
struct Clock {
    runs: ClockId,
    /// Where the kernel says how long the thread has run, and how long it has waited for a processor, in nanoseconds.
    waits: Option<File>,
}

impl Clock {
    /// That of the calling thread.
    fn new() -> Self {
        let id = nix::unistd::gettid().as_raw();
        Self {
            // Linux makes the clock of a thread from its number, as `pthread_getcpuclockid` does: bit 2 says that it is a
            // thread's and not a process's, and the lowest two which of its clocks (`linux/posix-timers_types.h`).
            runs: ClockId::from_raw((!id << 3) | 0b110),
            // Not every kernel counts it.
            waits: File::open(format!("/proc/self/task/{id}/schedstat")).ok(),
        }
    }

    /// How long it has run or waited for a processor: a thread that others keep from running has no time to spare.
    fn busy(&self) -> Option<Duration> {
        let runs = clock_gettime(self.runs).ok().map(Duration::from)?;
        Some(runs + self.waited().unwrap_or_default())
    }

    fn waited(&self) -> Option<Duration> {
        let mut text = [0; 64];
        let length = self.waits.as_ref()?.read_at(&mut text, 0).ok()?;
        let text = std::str::from_utf8(text.get(..length)?).ok()?;
        let waited = text.split_whitespace().nth(1)?.parse().ok()?;
        Some(Duration::from_nanos(waited))
    }
}

/// What sessions of a thread are told, as one number that is cheap to look at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Order {
    /// How many looks there have been.
    look: u32,
    /// The thread that sessions are asked to go to.
    to: u16,
    /// How many of them still are.
    asked: u16,
}

impl Order {
    fn pack(self) -> u64 {
        u64::from(self.look) << 32 | u64::from(self.to) << 16 | u64::from(self.asked)
    }

    #[expect(clippy::cast_possible_truncation, reason = "each field has its own bits")]
    fn unpack(bits: u64) -> Self {
        Self {
            look: (bits >> 32) as u32,
            to: (bits >> 16) as u16,
            asked: bits as u16,
        }
    }
}

impl Crew {
    /// The threads of these runtimes, of which the first accepts connections.
    pub(crate) fn new(runtimes: impl IntoIterator<Item = Handle>, metrics: ProxyMetrics) -> Self {
        let post = |runtime| Post {
            order: AtomicU64::new(0),
            active: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            runtime,
            clock: OnceLock::new(),
        };
        Self {
            posts: runtimes.into_iter().map(post).collect(),
            accepting: watch::Sender::new(1),
            tasks: TaskTracker::new(),
            metrics,
        }
    }

    pub(super) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    pub(super) fn count(&self) -> usize {
        self.posts.len()
    }

    /// Has so many threads accept connections, from the first one on.
    pub(super) fn accept_with(&self, count: usize) {
        self.accepting
            .send_if_modified(|accepting| std::mem::replace(accepting, count) != count);
    }

    /// Follows how many threads accept connections.
    pub(super) fn accepting(&self) -> watch::Receiver<usize> {
        self.accepting.subscribe()
    }

    /// A place for a connection that arrived at thread `here`: there, unless it has far more than its share.
    pub(crate) fn seat(self: &Arc<Self>, here: usize) -> Seat {
        let of = |thread: usize| self.posts[thread].connections.load(Ordering::Relaxed);
        let all: usize = (0..self.count()).map(of).sum();
        let thread = match of(here) < all / self.count() + CONNECTIONS_ABOVE_SHARE {
            true => here,
            false => (0..self.count()).min_by_key(|each| of(*each)).unwrap_or(here),
        };
        self.posts[thread].connections.fetch_add(1, Ordering::Relaxed);
        self.metrics.connections.inc();
        Seat {
            crew: Arc::clone(self),
            thread,
            next: thread,
            seen: 0,
        }
    }

    /// Notes that the calling thread is this one.
    pub(super) fn begin(&self, thread: usize) {
        self.posts[thread].clock.get_or_init(Clock::new);
    }

    /// How long a thread has had something to do since it began; none if it does not run.
    pub(super) fn has_been_busy(&self, thread: usize) -> Option<Duration> {
        self.posts[thread].clock.get()?.busy()
    }

    /// Begins to count anew which sessions of a thread have something to do: how many had since the last time. What it was
    /// asked for then and has not given is not asked for any more.
    pub(super) fn look(&self, thread: usize) -> usize {
        let post = &self.posts[thread];
        let Order { look, .. } = Order::unpack(post.order.load(Ordering::Relaxed));
        let next = Order {
            look: look.wrapping_add(1),
            to: 0,
            asked: 0,
        };
        post.order.store(next.pack(), Ordering::Relaxed);
        post.active.swap(0, Ordering::Relaxed)
    }

    /// Asks the sessions of a thread that so many of them go to another one: the first that have something to do.
    pub(super) fn ask(&self, from: usize, to: usize, sessions: usize) {
        let order = &self.posts[from].order;
        let next = Order {
            to: u16::try_from(to).unwrap_or_default(),
            asked: u16::try_from(sessions.min(MOST_ASKED)).unwrap_or_default(),
            ..Order::unpack(order.load(Ordering::Relaxed))
        };
        order.store(next.pack(), Ordering::Relaxed);
    }
}

/// The place of a connection: which thread serves it. It counts there as long as this lives.
#[derive(Debug)]
pub(crate) struct Seat {
    crew: Arc<Crew>,
    thread: usize,
    /// The thread that it was asked to go to, if not this one.
    next: usize,
    /// What was told when it looked last.
    seen: u64,
}

impl Seat {
    pub(super) fn thread(&self) -> usize {
        self.thread
    }

    /// Where tasks for the connection are counted.
    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.crew.tasks
    }

    /// Whether the session is to go to another thread. Called with each message: nothing but a look at a number, most of
    /// the time.
    pub(crate) fn is_to_leave(&mut self) -> bool {
        let order = &self.crew.posts[self.thread].order;
        let told = order.load(Ordering::Relaxed);
        told != self.seen && self.heed(told)
    }

    #[cold]
    fn heed(&mut self, told: u64) -> bool {
        let post = &self.crew.posts[self.thread];
        let before = Order::unpack(std::mem::replace(&mut self.seen, told));
        let now = Order::unpack(told);
        if now.look != before.look {
            post.active.fetch_add(1, Ordering::Relaxed);
        }
        let to = usize::from(now.to);
        if now.asked == 0 || to == self.thread || to >= self.crew.count() {
            return false;
        }
        let rest = Order {
            asked: now.asked - 1,
            ..now
        };
        let (is_new, relaxed) = (rest.pack(), Ordering::Relaxed);
        let is_taken = post.order.compare_exchange(told, is_new, relaxed, relaxed);
        self.next = if is_taken.is_ok() { to } else { self.thread };
        is_taken.is_ok()
    }

    /// Has `task` go on, on the thread that the session was asked to go to.
    pub(crate) fn change<F: Future<Output = ()> + Send + 'static>(mut self, task: impl FnOnce(Self) -> F) {
        let crew = Arc::clone(&self.crew);
        let count = |thread: usize| &crew.posts[thread].connections;
        count(self.thread).fetch_sub(1, Ordering::Relaxed);
        count(self.next).fetch_add(1, Ordering::Relaxed);
        self.thread = self.next;
        self.seen = 0;
        crew.metrics.sessions_moved.inc();
        self.serve(task);
    }

    /// Spawns `task` on the thread of the seat.
    pub(super) fn serve<F: Future<Output = ()> + Send + 'static>(self, task: impl FnOnce(Self) -> F) {
        let crew = Arc::clone(&self.crew);
        let runtime = &crew.posts[self.thread].runtime;
        crew.tasks.spawn_on(task(self), runtime);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let post = &self.crew.posts[self.thread];
        post.connections.fetch_sub(1, Ordering::Relaxed);
        self.crew.metrics.connections.dec();
    }
}

#[cfg(test)]
mod tests;

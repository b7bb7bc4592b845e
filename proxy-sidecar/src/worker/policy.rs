//! What follows from how busy the threads are: which of them accept connections, and which is to give sessions away.
//!
//! Sessions that are served together cost less than those that are spread: one wait brings the messages of many, and no
//! thread is woken for one alone. So threads are filled one after the other, and none is emptied again only because the
//! next could do its work as well.

/// A thread that is so busy takes connections together with the next one. A share of its time.
const FULL: f64 = 0.70;

/// So much of the time must be left before a thread stops taking connections.
const MARGIN: f64 = 0.20;

/// For so many looks.
const SPARE_LOOKS: u32 = 20;

/// A thread that is so busy gives sessions away.
const OVERLOADED: f64 = 0.85;

/// To one that is so busy at most.
const CALM: f64 = 0.50;

/// So many processors must have nothing to do, or the sessions would only wait for one elsewhere.
const FREE_PROCESSORS: f64 = 0.5;

/// For so many looks in a row, or it may have been a moment's work.
const OVERLOADED_LOOKS: u32 = 3;

/// For so many looks afterwards nothing is given: what was has to have its effect first.
const SETTLE_LOOKS: u32 = 10;

/// What a look at a thread has shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    /// The share of the time that it has run or waited for a processor.
    pub(super) busy: f64,
    /// How many of its sessions had something to do.
    pub(super) active: usize,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Decision {
    /// So many threads accept connections, from the first one on.
    pub(super) accepting: usize,
    pub(super) giving: Option<Giving>,
}

/// One thread gives sessions to another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Giving {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) sessions: usize,
}

/// What earlier looks have shown.
#[derive(Debug)]
pub(super) struct Policy {
    accepting: usize,
    /// For how many looks fewer threads could have accepted.
    spare_looks: u32,
    /// The thread that is overloaded, and for how many looks.
    overloaded: Option<(usize, u32)>,
    /// So many looks are left before anything is given again.
    settles: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            accepting: 1,
            spare_looks: 0,
            overloaded: None,
            settles: 0,
        }
    }
}

impl Policy {
    /// Whether it depends on how many processors are free.
    pub(super) fn wants_free(&self, loads: &[Load]) -> bool {
        self.settles == 0 && pair(loads).is_some()
    }

    /// What follows from a look at all threads. `free` is how many processors of the machine had nothing to do; none if
    /// that is not known yet.
    pub(super) fn decide(&mut self, loads: &[Load], free: Option<f64>) -> Decision {
        Decision {
            accepting: self.accept(loads),
            giving: self.give(loads, free),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "there are few threads")]
    fn accept(&mut self, loads: &[Load]) -> usize {
        let all: f64 = loads.iter().map(|load| load.busy).sum();
        let are_full = loads.iter().take(self.accepting).all(|load| load.busy >= FULL);
        let are_spare = self.accepting > 1 && all <= FULL * (self.accepting - 1) as f64 - MARGIN;
        self.spare_looks = if are_spare { self.spare_looks + 1 } else { 0 };
        if are_full && self.accepting < loads.len() {
            self.accepting += 1;
        } else if self.spare_looks >= SPARE_LOOKS {
            self.accepting -= 1;
            self.spare_looks = 0;
        }
        self.accepting
    }

    fn give(&mut self, loads: &[Load], free: Option<f64>) -> Option<Giving> {
        if self.settles > 0 {
            self.settles -= 1;
            return None;
        }
        let found = pair(loads).filter(|_| free.is_none_or(|free| free >= FREE_PROCESSORS));
        let Some(giving) = found else {
            self.overloaded = None;
            return None;
        };
        let looks = match self.overloaded {
            Some((thread, looks)) if thread == giving.from => looks + 1,
            _ => 1,
        };
        self.overloaded = Some((giving.from, looks));
        if looks < OVERLOADED_LOOKS || free.is_none() {
            return None;
        }
        self.overloaded = None;
        self.settles = SETTLE_LOOKS;
        Some(giving)
    }
}

/// Who could give how many sessions to whom: so many that both are as busy then, and never all, as one session that is too
/// much for one thread is too much for the other.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a number of sessions"
)]
fn pair(loads: &[Load]) -> Option<Giving> {
    let by_busy = |one: &(usize, &Load), other: &(usize, &Load)| one.1.busy.total_cmp(&other.1.busy);
    let (from, giver) = loads.iter().enumerate().max_by(by_busy)?;
    let (to, taker) = loads.iter().enumerate().min_by(by_busy)?;
    if giver.busy < OVERLOADED || taker.busy > CALM {
        return None;
    }
    let share = (giver.busy - taker.busy) / (2.0 * giver.busy);
    let most = giver.active.checked_sub(1).filter(|most| *most > 0)?;
    let sessions = ((giver.active as f64 * share) as usize).clamp(1, most);
    Some(Giving { from, to, sessions })
}

#[cfg(test)]
mod tests;

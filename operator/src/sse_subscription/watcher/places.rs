//! How far the stream has been dealt with, when batches end in another order than they began.

use std::collections::VecDeque;
use std::sync::Arc;

/// Batches under way, in the order of the stream, and the place up to which everything has been dealt with.
///
/// Invariant: every event before `done_up_to` has been acknowledged, filtered or put into the dead letter.
#[derive(Debug)]
pub(crate) struct Places {
    under_way: VecDeque<Segment>,
    /// The number of the first segment in `under_way`.
    first: u64,
    done_up_to: Arc<str>,
    /// Where the stream is after all that was taken in, when nothing of that has to be delivered after the newest batch.
    tail: Option<Arc<str>>,
}

#[derive(Debug)]
struct Segment {
    /// The stream's last event id after its last event.
    last_event_id: Arc<str>,
    is_done: bool,
}

impl Places {
    /// A stream that goes on after `last_event_id`.
    pub(crate) fn new(last_event_id: Arc<str>) -> Self {
        Self {
            under_way: VecDeque::new(),
            first: 0,
            done_up_to: last_event_id,
            tail: None,
        }
    }

    /// The id after which the stream may go on without anything being lost.
    pub(crate) fn done_up_to(&self) -> &Arc<str> {
        &self.done_up_to
    }

    /// A batch begins; `last_event_id` is that of its last event. Gives its number.
    pub(crate) fn begin(&mut self, last_event_id: Arc<str>) -> u64 {
        self.tail = None;
        self.under_way.push_back(Segment {
            last_event_id,
            is_done: false,
        });
        self.first + self.under_way.len() as u64 - 1
    }

    /// A batch has been dealt with.
    pub(crate) fn end(&mut self, number: u64) {
        let index = number
            .checked_sub(self.first)
            .and_then(|index| usize::try_from(index).ok());
        if let Some(segment) = index.and_then(|index| self.under_way.get_mut(index)) {
            segment.is_done = true;
        }
        while self.under_way.front().is_some_and(|segment| segment.is_done) {
            if let Some(segment) = self.under_way.pop_front() {
                self.done_up_to = segment.last_event_id;
                self.first += 1;
            }
        }
        self.settle();
    }

    /// The stream has come to `last_event_id` with nothing to deliver since the newest batch began.
    pub(crate) fn pass(&mut self, last_event_id: Arc<str>) {
        self.tail = Some(last_event_id);
        self.settle();
    }

    fn settle(&mut self) {
        if self.under_way.is_empty()
            && let Some(tail) = self.tail.take()
        {
            self.done_up_to = tail;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_the_end_of_the_contiguous_prefix() {
        let mut places = Places::new("0".into());
        let numbers = ["1", "2", "3"].map(|id| places.begin(id.into()));
        places.end(numbers[1]);
        assert_eq!(&**places.done_up_to(), "0");
        places.end(numbers[0]);
        assert_eq!(&**places.done_up_to(), "2");
        let fourth = places.begin("4".into());
        places.end(fourth);
        assert_eq!(&**places.done_up_to(), "2");
        places.end(numbers[2]);
        assert_eq!(&**places.done_up_to(), "4");
    }

    #[test]
    fn what_is_filtered_moves_the_place_when_what_came_before_is_done() {
        let mut places = Places::new("0".into());
        places.pass("1".into());
        assert_eq!(&**places.done_up_to(), "1");
        let batch = places.begin("2".into());
        places.pass("3".into());
        assert_eq!(&**places.done_up_to(), "1");
        places.end(batch);
        assert_eq!(&**places.done_up_to(), "3");
    }

    #[test]
    fn a_place_that_was_passed_while_another_batch_was_formed_is_not_taken_for_its_end() {
        let mut places = Places::new("0".into());
        let first = places.begin("1".into());
        places.pass("2".into());
        let second = places.begin("4".into());
        places.end(first);
        assert_eq!(&**places.done_up_to(), "1");
        places.end(second);
        assert_eq!(&**places.done_up_to(), "4");
    }

    #[test]
    fn any_order_of_ends_never_passes_what_is_under_way() {
        // All orders of five batches.
        let mut order = [0_u64, 1, 2, 3, 4];
        permute(&mut order, 0, &mut |order| {
            let mut places = Places::new("-1".into());
            for number in 0..5 {
                assert_eq!(places.begin(number.to_string().into()), number);
            }
            let mut ended = [false; 5];
            for &number in order {
                places.end(number);
                ended[usize::try_from(number).unwrap()] = true;
                let prefix = ended.iter().take_while(|ended| **ended).count();
                let expected = (i64::try_from(prefix).unwrap() - 1).to_string();
                assert_eq!(**places.done_up_to(), *expected, "{order:?}");
            }
        });
    }

    fn permute(order: &mut [u64; 5], from: usize, check: &mut impl FnMut(&[u64; 5])) {
        if from == order.len() {
            return check(order);
        }
        for index in from..order.len() {
            order.swap(from, index);
            permute(order, from + 1, check);
            order.swap(from, index);
        }
    }
}

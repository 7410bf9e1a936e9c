//! Requests that wait until a deployment has room.
//!
//! There is one line for each model group. In it the lowest `priority` comes first, and of equals the
//! one that came first. Only the first of a line asks for a deployment: when a request has ended, and
//! when the time has come at which one is said to be free.
//!
//! **What it costs.** As long as nobody waits, a request reads one number.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::{counter, gauge};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// Place in a line: priority, then number.
type Key = (i64, u64);
type Line = BTreeMap<Key, Arc<Notify>>;

/// The lines. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue(Arc<Lines>);

#[derive(Debug, Default)]
struct Lines {
    waiting: AtomicUsize,
    by_name: Mutex<Lined>,
}

#[derive(Debug, Default)]
struct Lined {
    /// In the order of their names, in which they are rung.
    lines: BTreeMap<Box<str>, Line>,
    number: u64,
}

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// Lower is sooner.
    pub(super) priority: i64,
    /// How many may stand in the line.
    pub(super) size: usize,
    /// When waiting ends.
    pub(super) until: Instant,
}

/// What asking for a deployment gave.
pub(super) enum Asked<T> {
    /// It ends the waiting.
    Over(T),
    /// Asking again may help: at this time at the latest, or when a request has ended.
    NotYet(T, Duration),
}

impl Queue {
    fn lined(&self) -> MutexGuard<'_, Lined> {
        self.0
            .by_name
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anybody waits.
    #[inline]
    pub(super) fn is_used(&self) -> bool {
        self.0.waiting.load(Relaxed) > 0
    }

    /// Whether somebody stands in this line who comes before one of this priority.
    pub(super) fn is_before(&self, name: &str, priority: i64) -> bool {
        let lined = self.lined();
        let line = lined.lines.get(name);
        line.and_then(|line| line.first_key_value())
            .is_some_and(|((first, _), _)| *first <= priority)
    }

    /// A request has ended: the first of each line may ask.
    pub(super) fn ring(&self) {
        if !self.is_used() {
            return;
        }
        for line in self.lined().lines.values() {
            if let Some(bell) = line.values().next() {
                bell.notify_one();
            }
        }
    }

    /// Waits in this line and asks when it is the turn to. `None` if the line is full. When the time
    /// is over, it asks once more, in whatever place. Dropping it leaves the line.
    pub(super) async fn wait<T>(
        &self,
        name: &str,
        terms: Terms,
        mut ask: impl FnMut() -> Asked<T>,
    ) -> Option<T> {
        let place = self.enter(name, terms)?;
        loop {
            let mut until = terms.until;
            if place.is_first() {
                match ask() {
                    Asked::Over(answer) => return Some(answer),
                    Asked::NotYet(_, again) => until = until.min(Instant::now() + again),
                }
            }
            let rung = timeout_at(until, place.bell.notified()).await;
            if rung.is_err() && Instant::now() >= terms.until {
                counter!("pointsman_queue_timeouts_total").increment(1);
                let (Asked::Over(answer) | Asked::NotYet(answer, _)) = ask();
                return Some(answer);
            }
        }
    }

    fn enter(&self, name: &str, terms: Terms) -> Option<Place> {
        let mut lined = self.lined();
        let number = lined.number;
        lined.number += 1;
        let line = lined.lines.entry(name.into()).or_default();
        if line.len() >= terms.size {
            if line.is_empty() {
                lined.lines.remove(name);
            }
            counter!("pointsman_queue_refused_total").increment(1);
            return None;
        }
        let (key, bell) = ((terms.priority, number), Arc::new(Notify::new()));
        line.insert(key, Arc::clone(&bell));
        self.0.waiting.fetch_add(1, Relaxed);
        gauge!("pointsman_queued_requests").increment(1.0);
        Some(Place {
            queue: self.clone(),
            name: name.into(),
            key,
            bell,
        })
    }
}

/// A place in a line, left when it is dropped.
struct Place {
    queue: Queue,
    name: Box<str>,
    key: Key,
    bell: Arc<Notify>,
}

impl Place {
    fn is_first(&self) -> bool {
        let lined = self.queue.lined();
        let line = lined.lines.get(&self.name);
        line.and_then(|line| line.first_key_value())
            .is_some_and(|(key, _)| *key == self.key)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lined = self.queue.lined();
        if let Some(line) = lined.lines.get_mut(&self.name) {
            line.remove(&self.key);
            match line.values().next() {
                // There may be room for another one.
                Some(next) => next.notify_one(),
                None => {
                    lined.lines.remove(&self.name);
                }
            }
        }
        self.queue.0.waiting.fetch_sub(1, Relaxed);
        gauge!("pointsman_queued_requests").decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_util::future::join_all;

    use super::*;

    fn terms(priority: i64, seconds: u64) -> Terms {
        Terms {
            priority,
            size: 10,
            until: Instant::now() + Duration::from_secs(seconds),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_lowest_priority_is_first_and_of_equals_who_came_first() {
        let queue = Queue::default();
        let free = Cell::new(0);
        let order = std::cell::RefCell::new(Vec::new());
        let waiting = [(5, 'a'), (1, 'b'), (5, 'c'), (-2, 'd'), (1, 'e')];
        let all = waiting.map(|(priority, name)| {
            let (queue, free, order) = (queue.clone(), &free, &order);
            async move {
                let ask = || {
                    if free.get() == 0 {
                        return Asked::NotYet(false, Duration::from_mins(1));
                    }
                    free.set(free.get() - 1);
                    Asked::Over(true)
                };
                let got = queue.wait("g", terms(priority, 30), ask).await;
                order.borrow_mut().push((name, got));
            }
        });
        let freeing = async {
            for _ in waiting {
                tokio::time::sleep(Duration::from_secs(1)).await;
                free.set(free.get() + 1);
                queue.ring();
            }
        };
        tokio::join!(join_all(all), freeing);
        let names: String = order.borrow().iter().map(|(name, _)| *name).collect();
        assert_eq!(names, "dbeac");
        assert!(order.borrow().iter().all(|(_, got)| *got == Some(true)));
        assert!(queue.lined().lines.is_empty());
        assert_eq!(queue.0.waiting.load(Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_waited_long_enough_asks_once_more() {
        let (queue, began) = (Queue::default(), Instant::now());
        // Nobody rings, and nothing was known of the time.
        let ask = || {
            let free = began.elapsed() > Duration::from_secs(5);
            Asked::NotYet(free, Duration::from_mins(1))
        };
        assert_eq!(queue.wait("g", terms(0, 9), ask).await, Some(true));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_has_an_end_and_a_line_too() {
        let queue = Queue::default();
        let began = Instant::now();
        let never = || Asked::NotYet(7, Duration::from_secs(1));
        assert_eq!(queue.wait("g", terms(0, 9), never).await, Some(7));
        assert_eq!(began.elapsed(), Duration::from_secs(9));
        let none = Terms {
            size: 0,
            ..terms(0, 9)
        };
        assert_eq!(queue.wait("g", none, never).await, None);
        assert!(queue.lined().lines.is_empty());
        // One that goes away leaves the line to the next.
        let gone = queue.enter("g", terms(0, 9)).unwrap();
        assert!(queue.is_before("g", 0) && !queue.is_before("g", -1) && !queue.is_before("h", 9));
        let next = queue.enter("g", terms(0, 9)).unwrap();
        assert!(!next.is_first());
        drop(gone);
        assert!(next.is_first());
        next.bell.notified().await;
    }
}

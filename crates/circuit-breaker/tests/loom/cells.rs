//! The lock with a word beside it.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

use super::cell::{Cell, Summary};

/// Its word is all there is of it.
struct Count(u64);

impl Summary for Count {
    fn word(&self) -> u64 {
        self.0
    }
}

fn up(cell: &Cell<Count>) -> (u64, u64) {
    let ((), before, after) = cell.lock().change(|count| count.0 += 1);
    (before, after)
}

#[test]
fn who_comes_after_a_change_sees_its_word_or_a_later_one() {
    loom::model(|| {
        let cell = Arc::new(Cell::new(Count(0)));
        let done = Arc::new(AtomicBool::new(false));
        let (changed, told) = (Arc::clone(&cell), Arc::clone(&done));
        let one = thread::spawn(move || {
            up(&changed);
            // The caller goes on, and tells somebody.
            told.store(true, Ordering::Release);
        });
        let other = Arc::clone(&cell);
        let two = thread::spawn(move || up(&other));
        if done.load(Ordering::Acquire) {
            assert!(cell.word() >= 1, "the fast path is closed to whoever comes after");
        }
        one.join().unwrap();
        two.join().unwrap();
        assert_eq!(cell.word(), 2);
    });
}

#[test]
fn words_come_in_order() {
    loom::model(|| {
        let cell = Arc::new(Cell::new(Count(0)));
        let writers = [0; 2].map(|_| {
            let cell = Arc::clone(&cell);
            thread::spawn(move || up(&cell))
        });
        let seen = [0; 3].map(|_| cell.word());
        assert!(seen.is_sorted(), "{seen:?}");
        let mut steps = writers.map(|writer| writer.join().unwrap());
        steps.sort_unstable();
        assert_eq!(steps, [(0, 1), (1, 2)], "each change knows the word before it and after it");
    });
}

#[test]
fn word_and_value_agree_for_one_who_holds_the_lock() {
    loom::model(|| {
        let cell = Arc::new(Cell::new(Count(0)));
        let other = Arc::clone(&cell);
        let writer = thread::spawn(move || up(&other));
        {
            let locked = cell.lock();
            assert_eq!(locked.get().0, cell.word());
        }
        up(&cell);
        writer.join().unwrap();
        assert_eq!((cell.lock().get().0, cell.word()), (2, 2));
    });
}

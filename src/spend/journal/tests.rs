use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use super::*;

fn options(folder: &tempfile::TempDir) -> Options {
    Options {
        folder: folder.path().join("journal"),
        most: 1 << 20,
        segment: 256,
    }
}

fn append(journal: &Journal, text: &str) -> Position {
    journal
        .append(|out| out.extend_from_slice(text.as_bytes()))
        .unwrap()
}

fn all(journal: &Journal, from: Position) -> Vec<String> {
    let mut texts = Vec::new();
    let mut from = from;
    loop {
        // Less than a record, so that each is read by itself.
        let batch = journal.read(from, 10).unwrap();
        let text = |record: &[u8]| String::from_utf8(record.to_vec()).unwrap();
        texts.extend(batch.records().map(|(record, _)| text(record)));
        if batch.next() == from {
            return texts;
        }
        from = batch.next();
    }
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| format!("record number {n}")).collect()
}

#[test]
fn records_are_read_in_order_and_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let first = numbers(0..50);
    {
        let journal = Journal::open(options(&folder)).unwrap();
        for text in &first {
            append(&journal, text);
        }
        assert_eq!(all(&journal, Position(0)), first);
    }
    let journal = Journal::open(options(&folder)).unwrap();
    let second = numbers(50..60);
    for text in &second {
        append(&journal, text);
    }
    assert_eq!(all(&journal, journal.released()), [first, second].concat());
}

#[test]
fn a_folder_has_one_journal_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(options(&folder)).unwrap();
    let error = Journal::open(options(&folder)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
    drop(journal);
    Journal::open(options(&folder)).unwrap();
}

#[test]
fn what_is_released_is_deleted_and_not_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let files = || {
        let path = folder.path().join("journal");
        let names = std::fs::read_dir(path).unwrap();
        names
            .filter(|name| {
                let name = name.as_ref().unwrap().file_name();
                name.to_string_lossy().ends_with(".journal")
            })
            .count()
    };
    let journal = Journal::open(options(&folder)).unwrap();
    for text in numbers(0..100) {
        append(&journal, &text);
    }
    assert!(files() > 5);
    let kept = journal.read(Position(0), 1 << 20).unwrap();
    let (_, middle) = kept.records().nth(59).unwrap();
    journal.release(middle).unwrap();
    assert!(files() <= 6);
    drop(journal);
    let journal = Journal::open(options(&folder)).unwrap();
    assert_eq!(journal.released(), middle);
    assert_eq!(all(&journal, middle), numbers(60..100));
    journal.release(journal.written()).unwrap();
    assert_eq!(files(), 1);
    assert_eq!(all(&journal, journal.released()), numbers(0..0));
}

#[test]
fn a_journal_that_is_full_takes_nothing_more_until_something_is_released() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(Options {
        most: 200,
        ..options(&folder)
    })
    .unwrap();
    let mut taken = 0;
    let refused = loop {
        match journal.append(|out| out.extend_from_slice(&[7; 24])) {
            Ok(_) => taken += 1,
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, Refused::Full));
    assert_eq!((taken, journal.fill()), (7, 1_120));
    journal.release(journal.written()).unwrap();
    append(&journal, "room again");
}

/// The journal as a crash leaves it that cut the last `cut` bytes off, or damaged the byte at
/// `damaged`.
fn after_a_crash(cut: u64, damaged: Option<u64>) -> (Vec<String>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        segment: 1 << 20,
        ..options(&folder)
    };
    let texts = numbers(0..10);
    {
        let journal = Journal::open(options.clone()).unwrap();
        for text in &texts {
            append(&journal, text);
        }
    }
    let path = options.folder.join(format!("{:020}.journal", 0));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    file.set_len(file.metadata().unwrap().len() - cut).unwrap();
    if let Some(at) = damaged {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
    }
    let journal = Journal::open(options).unwrap();
    append(&journal, "later");
    (texts, all(&journal, journal.released()))
}

#[test]
fn a_torn_end_is_cut_off_and_the_rest_is_whole() {
    for cut in 1..30 {
        let (mut texts, found) = after_a_crash(cut, None);
        texts.truncate(if cut <= 23 { 9 } else { 8 });
        texts.push("later".to_owned());
        assert_eq!(found, texts, "{cut}");
    }
}

#[test]
fn a_damaged_record_hides_only_what_is_behind_it_in_its_file() {
    for at in [8, 12, 16, 40, 200] {
        let (texts, found) = after_a_crash(0, Some(at));
        let (last, before) = found.split_last().unwrap();
        assert_eq!(last, "later");
        assert_eq!(before, &texts[..before.len()]);
        assert!(before.len() < 10, "{at}");
    }
}

#[test]
fn what_was_torn_by_a_failed_write_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(options(&folder)).unwrap();
    append(&journal, "one");
    {
        // A file that cannot be written stands for a disk that is full.
        let mut tail = journal.shared.tail();
        let path = folder
            .path()
            .join("journal")
            .join(format!("{:020}.journal", 0));
        tail.file = Arc::new(File::open(path).unwrap());
    }
    let refused = journal.append(|out| out.extend_from_slice(b"two"));
    assert!(matches!(refused, Err(Refused::Unwritten(_))));
    {
        let mut tail = journal.shared.tail();
        let path = folder
            .path()
            .join("journal")
            .join(format!("{:020}.journal", 0));
        let file = OpenOptions::new().append(true).open(path).unwrap();
        // Half of a record had got through.
        (&file).write_all(b"half").unwrap();
        tail.file = Arc::new(file);
    }
    append(&journal, "three");
    assert_eq!(all(&journal, Position(0)), ["one", "two", "three"]);
}

#[tokio::test]
async fn whoever_waits_is_told_when_it_is_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(options(&folder)).unwrap();
    let end = append(&journal, "one");
    assert!(journal.synced(end).await);
    assert!(*journal.shared.synced.borrow() >= end.0);
}

#[test]
fn threads_that_append_at_once_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(options(&folder)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let journal = &journal;
            scope.spawn(move || {
                for n in 0..200 {
                    let end = append(journal, &format!("{thread}:{n:03}"));
                    assert!(journal.written() >= end);
                }
            });
        }
    });
    let mut found = all(&journal, Position(0));
    for thread in 0..4 {
        let own: Vec<_> = found
            .iter()
            .filter(|text| text.starts_with(&format!("{thread}:")))
            .collect();
        assert!(own.is_sorted());
    }
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), 800);
}

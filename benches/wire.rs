//! What the gateway does to bytes: the peek and the splice of a request, the rewriting of a stream.
//!
//! Goal: a body of 10 MB is peeked at with more than 2 GB/s.

use bytes::{Bytes, BytesMut};
use divan::counter::{BytesCount, ItemsCount};
use divan::{AllocProfiler, Bencher, black_box};
use pointsman::call::peek::{Field, peek};
use pointsman::upstream::openai::stream::Rewriter;
use pointsman::wire::splice::Splice;
use support::canned;

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

const SIZES: [usize; 3] = [1_000, 100_000, 10_000_000];

/// A chat request of this size with text as people write it, quotes and line breaks and all.
fn body(size: usize) -> Bytes {
    let head = r#"{"temperature":0.2,"messages":[{"role":"system","content":"Answer briefly."}"#;
    let turn = r#",{"role":"user","content":"The train to \"Łódź\" leaves at 9:40.\nWhich points are set for it, and by whom? Name the signal, the track and the time, please."}"#;
    let tail = r#"],"model":"gpt-4o","stream":true,"stream_options":{"include_usage":true}}"#;
    let turns = (size - head.len() - tail.len()) / turn.len();
    Bytes::from(format!("{head}{}{tail}", turn.repeat(turns)))
}

/// The same with one message that is an image in base64, as the largest bodies are.
fn image(size: usize) -> Bytes {
    let head = r#"{"model":"gpt-4o","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,"#;
    let tail = r#""}}]}]}"#;
    Bytes::from(format!(
        "{head}{}{tail}",
        "iVBORw0KGgo".repeat((size - head.len()) / 11)
    ))
}

#[divan::bench(args = SIZES)]
fn peek_at_text(bencher: Bencher<'_, '_>, size: usize) {
    let body = body(size);
    bencher
        .counter(BytesCount::new(body.len()))
        .bench(|| peek(black_box(&body)));
}

#[divan::bench(args = SIZES)]
fn peek_at_an_image(bencher: Bencher<'_, '_>, size: usize) {
    let body = image(size);
    bencher
        .counter(BytesCount::new(body.len()))
        .bench(|| peek(black_box(&body)));
}

#[divan::bench(args = SIZES)]
fn peek_and_splice(bencher: Bencher<'_, '_>, size: usize) {
    let body = body(size);
    bencher.counter(BytesCount::new(body.len())).bench(|| {
        let peek = peek(black_box(&body)).expect("a good body");
        let model = peek.get(Field::Model).expect("a model");
        let mut splice = Splice::default();
        splice.replace(
            model.value_range(),
            Bytes::from_static(b"\"gpt-4o-2024-08-06\""),
        );
        splice.apply(&body, 1, false)
    });
}

#[divan::bench]
fn rewrite_a_stream_of_50_chunks(bencher: Bencher<'_, '_>) {
    let (chunk, last) = (canned::chunk(), canned::last());
    bencher.counter(ItemsCount::new(canned::CHUNKS)).bench(|| {
        let mut rewriter = Rewriter::new("bench", true);
        let mut out = BytesMut::new();
        for _ in 0..canned::CHUNKS {
            drop(black_box(rewriter.push(chunk.clone(), &mut out)));
        }
        drop(black_box(rewriter.push(last.clone(), &mut out)));
        rewriter.progress()
    });
}

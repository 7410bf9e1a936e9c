//! Answers that are there at once, or later: what the stores behind the layers give.

/// A store's answer: at once, or by a future.
///
/// A store that answers from memory gives [`Soon::Now`], and the layer goes on in the same call,
/// without a clone of the inner service, a boxed future or another poll. A store on the other side
/// of a network gives [`Soon::Later`].
#[derive(Debug)]
pub enum Soon<T, F> {
    /// The answer.
    Now(T),
    /// The future that will have it.
    Later(F),
}

/// The future type of a store that always answers at once; it has no values.
#[derive(Debug, Clone, Copy)]
pub struct Never<T> {
    none: std::convert::Infallible,
    answer: std::marker::PhantomData<fn() -> T>,
}

impl<T> Future for Never<T> {
    type Output = T;

    fn poll(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<T> {
        match self.none {}
    }
}

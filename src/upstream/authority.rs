//! Shows a provider whose request it is.

use http::{Request, header};

use super::client::Pieces;
use crate::live::Authority;

/// Puts into a request what shows whose it is, unless the file's own headers do. The last thing
/// that is done to a request before it is sent.
///
/// An error says why that cannot be shown, and holds nothing secret.
pub async fn show(
    request: &mut Request<Pieces>,
    authority: &Authority,
) -> Result<(), &'static str> {
    match authority {
        Authority::None => {}
        Authority::Header(name, value) => {
            let entry = request.headers_mut().entry(name.clone());
            entry.or_insert_with(|| value.clone());
        }
        Authority::Google(tokens) => {
            let token = tokens.shown().await.map_err(|none| none.0)?;
            let entry = request.headers_mut().entry(header::AUTHORIZATION);
            entry.or_insert(token);
        }
        Authority::Aws(signer) => {
            let body = request.body().joined();
            let body = body.ok_or("A body that comes from elsewhere cannot be signed.")?;
            let done = signer.sign(request, &body).await;
            done.map_err(|unsigned| unsigned.0)?;
        }
    }
    Ok(())
}

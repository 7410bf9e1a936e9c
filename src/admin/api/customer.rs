//! `/customer`, which is `/end_user`: those whom the holders of keys serve.

use serde_json::{Value, json};

use super::refusal::Refusal;
use super::{Answer, Ask, view};
use crate::account::{Budget, EndUser, Time};
use crate::store::{Fault, Listing, Order, Work};

fn not_found(id: &str) -> Refusal {
    Refusal::unknown(&format!("End User Id={id} does not exist in db"))
}

async fn checked(ask: &Ask) -> Result<(), Refusal> {
    if let Some(id) = ask.form.text("budget_id")
        && ask.store.get::<Budget>(id).await?.is_none()
    {
        return Err(Refusal::bad("budget_id", "there is no such budget"));
    }
    Ok(())
}

/// `POST /customer/new`.
pub(super) async fn new(ask: Ask) -> Answer {
    checked(&ask).await?;
    let now = Time::now();
    let mut form = ask.form.clone();
    form.take("spend");
    let customer = form.fill(&EndUser {
        created_at: now,
        updated_at: now,
        ..EndUser::default()
    })?;
    if customer.user_id.is_empty() {
        return Err(Refusal::bad("user_id", "user_id is needed"));
    }
    let mut work = ask.work().await?;
    work.add(&customer).await.map_err(|fault| match fault {
        Fault::Exists => Refusal::bad(
            "user_id",
            &format!(
                "Customer already exists, passed user_id={}.",
                customer.user_id
            ),
        ),
        fault => fault.into(),
    })?;
    work.commit().await?;
    let made = ask.store.get::<EndUser>(&customer.user_id).await?;
    Ok(view::end_user(&made.unwrap_or(customer)))
}

async fn held(work: &mut Work, id: &str) -> Result<EndUser, Refusal> {
    work.get::<EndUser>(id).await?.ok_or_else(|| not_found(id))
}

/// `POST /customer/update`.
pub(super) async fn update(ask: Ask) -> Answer {
    checked(&ask).await?;
    let id = ask.form.owned("user_id").unwrap_or_default();
    let mut work = ask.work().await?;
    let before = held(&mut work, &id).await?;
    let mut customer = ask.form.fill(&before)?;
    customer.updated_at = Time::now();
    work.put(&before, &customer).await?;
    work.commit().await?;
    Ok(view::end_user(
        &ask.store.get::<EndUser>(&id).await?.unwrap_or(customer),
    ))
}

/// `POST /customer/delete`.
pub(super) async fn delete(ask: Ask) -> Answer {
    let ids = ask.form.words("user_ids").unwrap_or_default();
    let mut work = ask.work().await?;
    for id in &ids {
        let customer = held(&mut work, id).await?;
        work.remove(&customer).await?;
    }
    work.commit().await?;
    let message = format!(
        "Successfully deleted customers with ids: {}",
        ids.join(", ")
    );
    Ok(json!({"deleted_customers": ids.len(), "message": message}))
}

/// `GET /customer/info`.
pub(super) async fn info(ask: Ask) -> Answer {
    let id = ask.form.owned("end_user_id").unwrap_or_default();
    let found = ask.store.get::<EndUser>(&id).await?;
    found
        .as_ref()
        .map(view::end_user)
        .ok_or_else(|| not_found(&id))
}

/// `GET /customer/list`.
pub(super) async fn list(ask: Ask) -> Answer {
    let listing = Listing {
        order: Order::Oldest,
        limit: u64::MAX,
        ..Listing::default()
    };
    let found = ask.store.list::<EndUser>(&listing).await?.records;
    Ok(found.iter().map(view::end_user).collect())
}

async fn set_blocked(ask: Ask, blocked: bool) -> Answer {
    let ids = ask.form.words("user_ids").unwrap_or_default();
    let mut work = ask.work().await?;
    let mut changed = Vec::new();
    for id in &ids {
        let now = Time::now();
        let customer = work.get::<EndUser>(id).await?;
        let before = match customer {
            Some(customer) => customer,
            // Who never asked can be kept from ever asking.
            None if blocked => {
                let customer = EndUser {
                    user_id: id.clone(),
                    created_at: now,
                    updated_at: now,
                    ..EndUser::default()
                };
                work.add(&customer).await?;
                customer
            }
            None => return Err(not_found(id)),
        };
        let customer = EndUser {
            blocked,
            updated_at: now,
            ..before.clone()
        };
        work.put(&before, &customer).await?;
        changed.push(view::end_user(&customer));
    }
    work.commit().await?;
    Ok(json!({"blocked_users": Value::Array(changed)}))
}

/// `POST /customer/block`.
pub(super) async fn block(ask: Ask) -> Answer {
    set_blocked(ask, true).await
}

/// `POST /customer/unblock`.
pub(super) async fn unblock(ask: Ask) -> Answer {
    set_blocked(ask, false).await
}

//! One suite for both databases.

use std::collections::BTreeMap;

use pointsman_routes::usd::Usd;
use serde_json::json;
use support::Postgres;

use super::*;
use crate::account::{Allowance, Budget, Key, Membership, Organization, Period, Team, Time, User};

fn key(hash: &str) -> Key {
    Key {
        token: hash.to_owned(),
        key_name: "sk-...abcd".to_owned(),
        created_at: Time(1),
        ..Key::default()
    }
}

fn row(id: &str, spend: i128) -> SpendRow {
    SpendRow {
        request_id: id.to_owned(),
        api_key: "k".to_owned(),
        spend: Usd(spend),
        prompt_tokens: 3,
        completion_tokens: 2,
        start_time: Time::now(),
        end_time: Time::now(),
        status: "success".to_owned(),
        ..SpendRow::default()
    }
}

fn period(text: &str) -> Option<Period> {
    text.parse().ok()
}

async fn add<T: Record>(store: &Store, record: &T) {
    let mut work = store.work("tester", "/test").await.unwrap();
    work.add(record).await.unwrap();
    work.commit().await.unwrap();
}

async fn put<T: Record>(store: &Store, record: &T) {
    let mut work = store.work("tester", "/test").await.unwrap();
    let (id, part) = record.id();
    let before = work.get_part::<T>(id, part).await.unwrap().unwrap();
    work.put(&before, record).await.unwrap();
    work.commit().await.unwrap();
}

async fn spend_of(store: &Store, scope: Scope) -> Spent {
    store.spent(&[scope]).await.unwrap()[0]
}

async fn records_come_back_as_they_were(store: Store) {
    let mut kept = key("k");
    kept.key_alias = Some("it's \"one\" \u{1f980}".to_owned());
    kept.allowance.max_budget = Some(Usd(1_234_567_890_123));
    kept.metadata
        .insert("a".to_owned(), json!({"b": [1, null]}));
    add(&store, &kept).await;
    assert_eq!(store.get::<Key>("k").await.unwrap(), Some(kept.clone()));
    assert_eq!(store.get::<Key>("K").await.unwrap(), None);
    assert_eq!(store.get::<User>("k").await.unwrap(), None);
    kept.blocked = true;
    put(&store, &kept).await;
    assert_eq!(store.get::<Key>("k").await.unwrap(), Some(kept.clone()));
    let mut work = store.work("tester", "/test").await.unwrap();
    work.remove(&kept).await.unwrap();
    work.commit().await.unwrap();
    assert_eq!(store.get::<Key>("k").await.unwrap(), None);
}

async fn what_is_not_committed_did_not_happen(store: Store) {
    let mut changes = store.changes();
    let mut work = store.work("tester", "/test").await.unwrap();
    work.add(&key("k")).await.unwrap();
    drop(work);
    assert_eq!(store.get::<Key>("k").await.unwrap(), None);
    assert!(changes.try_recv().is_err());
    assert_eq!(store.audit(0, 10).await.unwrap().total, 0);
}

async fn two_keys_cannot_have_one_alias_or_one_hash(store: Store) {
    let mut first = key("a");
    first.key_alias = Some("name".to_owned());
    add(&store, &first).await;
    let mut second = key("b");
    second.key_alias = Some("name".to_owned());
    let mut work = store.work("tester", "/test").await.unwrap();
    assert_eq!(work.add(&second).await, Err(Fault::NameTaken));
    drop(work);
    let mut work = store.work("tester", "/test").await.unwrap();
    assert_eq!(work.add(&key("a")).await, Err(Fault::Exists));
    drop(work);
    // Teams may have the same name, and keys may have none.
    for hash in ["c", "d"] {
        add(&store, &key(hash)).await;
    }
    for id in ["t", "u"] {
        let team = Team {
            team_id: id.to_owned(),
            team_alias: Some("name".to_owned()),
            ..Team::default()
        };
        add(&store, &team).await;
    }
}

async fn lists_are_filtered_and_paged(store: Store) {
    for n in 0..7_i64 {
        let mut key = key(&format!("k{n}"));
        key.created_at = Time(n);
        key.key_alias = Some(format!("100%_{n}"));
        key.team_id = (n % 2 == 0).then(|| "even".to_owned());
        add(&store, &key).await;
    }
    let page = |offset, listing: &Listing| {
        let listing = Listing {
            offset,
            limit: 2,
            ..listing.clone()
        };
        let store = store.clone();
        async move {
            let listed = store.list::<Key>(&listing).await.unwrap();
            let names: Vec<_> = listed.records.into_iter().map(|key| key.token).collect();
            (names, listed.total)
        }
    };
    let all = Listing::default();
    assert_eq!(
        page(0, &all).await,
        (vec!["k6".to_owned(), "k5".to_owned()], 7)
    );
    assert_eq!(page(6, &all).await, (vec!["k0".to_owned()], 7));
    let even = Listing {
        team_id: Some("even".to_owned()),
        order: Order::Oldest,
        ..Listing::default()
    };
    assert_eq!(
        page(2, &even).await,
        (vec!["k4".to_owned(), "k6".to_owned()], 4)
    );
    for (part, total) in [("%_", 7), ("100%_3", 1), ("1_0", 0), ("!", 0)] {
        let like = Listing {
            name_part: Some(part.to_owned()),
            ..Listing::default()
        };
        assert_eq!(page(0, &like).await.1, total, "{part}");
    }
    let ids = ["k3".to_owned(), "none".to_owned(), "k1".to_owned()];
    let several = store.several::<Key>(&ids).await.unwrap();
    let names: Vec<_> = several.iter().map(|key| key.token.as_str()).collect();
    assert_eq!(names, ["k1", "k3"]);
}

async fn a_bearer_is_the_key_with_all_it_answers_to(store: Store) {
    let budget = Budget {
        budget_id: "b".to_owned(),
        allowance: Allowance {
            max_budget: Some(Usd(5)),
            rpm_limit: Some(7),
            ..Allowance::default()
        },
        ..Budget::default()
    };
    add(&store, &budget).await;
    let mut team = Team {
        team_id: "t".to_owned(),
        organization_id: Some("o".to_owned()),
        ..Team::default()
    };
    team.team_member_budget = Some(Usd(3));
    add(&store, &team).await;
    let organization = Organization {
        organization_id: "o".to_owned(),
        budget_id: Some("b".to_owned()),
        ..Organization::default()
    };
    add(&store, &organization).await;
    let user = User {
        user_id: "u".to_owned(),
        ..User::default()
    };
    add(&store, &user).await;
    let member = Membership {
        user_id: "u".to_owned(),
        team_id: "t".to_owned(),
        ..Membership::default()
    };
    add(&store, &member).await;
    let mut owned = key("k");
    owned.user_id = Some("u".to_owned());
    owned.team_id = Some("t".to_owned());
    owned.budget_id = Some("b".to_owned());
    owned.allowance.rpm_limit = Some(1);
    add(&store, &owned).await;
    let bearer = store.bearer("k").await.unwrap().unwrap();
    assert_eq!(bearer.key.allowance.rpm_limit, Some(1));
    assert_eq!(bearer.key.allowance.max_budget, Some(Usd(5)));
    assert_eq!(bearer.user.as_ref(), Some(&user));
    assert_eq!(bearer.team.as_ref(), Some(&team));
    assert_eq!(
        bearer.membership.as_ref().unwrap().allowance.max_budget,
        Some(Usd(3))
    );
    let organization = bearer.organization.as_ref().unwrap();
    assert_eq!(organization.allowance.rpm_limit, Some(7));
    assert_eq!(bearer.until, None);
    assert_eq!(store.bearer("x").await.unwrap(), None);
}

async fn a_rotated_key_is_known_by_both_secrets_until_the_grace_ends(store: Store) {
    add(&store, &key("old")).await;
    let mut spent = row("r1", 5);
    spent.api_key = "old".to_owned();
    spent.model_group = Some("m".to_owned());
    store.append(&[spent.clone()]).await.unwrap();
    let rotate = async |old: &str, new: &str, until| {
        let mut work = store.work("tester", "/key/regenerate").await.unwrap();
        let before = work.get::<Key>(old).await.unwrap().unwrap();
        work.rename_key(old, new, until).await.unwrap();
        work.put(&before, &key(new)).await.unwrap();
        work.commit().await.unwrap();
    };
    let tomorrow = Time::now().plus_seconds(86_400);
    rotate("old", "new", tomorrow).await;
    for hash in ["old", "new"] {
        let bearer = store.bearer(hash).await.unwrap().unwrap();
        assert_eq!(
            (bearer.key.token.as_str(), bearer.key.spend),
            ("new", Usd(5))
        );
        assert_eq!(bearer.until, (hash == "old").then_some(tomorrow));
    }
    // A request that was under way is still the key's.
    spent.request_id = "r2".to_owned();
    store.append(&[spent.clone()]).await.unwrap();
    rotate("new", "newest", Time(0)).await;
    assert!(store.bearer("new").await.unwrap().is_none());
    assert_eq!(
        store.bearer("old").await.unwrap().unwrap().key.token,
        "newest"
    );
    spent.request_id = "r3".to_owned();
    store.append(&[spent]).await.unwrap();
    assert_eq!(
        spend_of(&store, Scope::Key("newest".to_owned()))
            .await
            .total,
        Usd(15)
    );
    assert_eq!(store.audit_totals().await.unwrap(), None);
    // And back.
    rotate("newest", "old", Time(0)).await;
    assert_eq!(
        store.bearer("old").await.unwrap().unwrap().key.spend,
        Usd(15)
    );
    assert!(store.bearer("newest").await.unwrap().is_none());
}

async fn a_row_counts_once_however_often_it_comes(store: Store) {
    let mut first = row("r1", 10);
    first.team_id = Some("t".to_owned());
    first.user = Some("u".to_owned());
    first.request_tags = vec!["a".to_owned(), "b".to_owned()];
    let rows = [first.clone(), row("r2", 5), first];
    assert_eq!(store.append(&rows).await.unwrap(), 2);
    assert_eq!(store.append(&rows).await.unwrap(), 0);
    assert_eq!(
        store.append(&[row("r2", 9), row("r3", 1)]).await.unwrap(),
        1
    );
    assert_eq!(store.append(&[]).await.unwrap(), 0);
    for (scope, sum) in [
        (Scope::Proxy, 16),
        (Scope::Key("k".to_owned()), 16),
        (Scope::Team("t".to_owned()), 10),
        (
            Scope::Member {
                team: "t".to_owned(),
                user: "u".to_owned(),
            },
            10,
        ),
        (Scope::Tag("b".to_owned()), 10),
        (Scope::Tag("c".to_owned()), 0),
    ] {
        let spent = spend_of(&store, scope.clone()).await;
        assert_eq!(
            (spent.spend, spent.total),
            (Usd(sum), Usd(sum)),
            "{scope:?}"
        );
    }
    assert_eq!(store.audit_totals().await.unwrap(), None);
    let listed = store
        .logs(&LogFilter {
            limit: 10,
            ..LogFilter::default()
        })
        .await
        .unwrap();
    assert_eq!(listed.total, 3);
    let all = store.sums(&[], &Daily::default()).await.unwrap();
    assert_eq!(
        (all[0].1.spend, all[0].1.successes, all[0].1.tokens()),
        (Usd(16), 3, 15)
    );
    let tags = store
        .sums(&[Dimension::Tag], &Daily::default())
        .await
        .unwrap();
    assert_eq!(tags.len(), 2);
    let none = Daily {
        to: Some("2020-01-01".to_owned()),
        ..Daily::default()
    };
    assert_eq!(store.sums(&[], &none).await.unwrap()[0].1, Sums::default());
    let of_u = Daily {
        only: BTreeMap::from([(Dimension::User, "u".to_owned())]),
        ..Daily::default()
    };
    let by_key = store
        .sums(&[Dimension::Day, Dimension::Key], &of_u)
        .await
        .unwrap();
    assert_eq!(by_key[0].0, [Time::now().day(), "k".to_owned()]);
}

async fn many_writers_lose_nothing(store: Store) {
    let writers = (0..8).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for batch in 0..5 {
                let rows: Vec<_> = (0..20)
                    .map(|n| {
                        let mut row = row(&format!("{writer}-{batch}-{n}"), 1);
                        row.team_id = Some(format!("t{}", (writer + n) % 3));
                        row
                    })
                    .collect();
                // A database may ask for a second try where two wait for each other.
                while store.append(&rows).await.is_err() {}
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    assert_eq!(spend_of(&store, Scope::Proxy).await.total, Usd(800));
    assert_eq!(store.audit_totals().await.unwrap(), None);
}

async fn a_batch_longer_than_a_statement_is_written_whole(store: Store) {
    let rows: Vec<_> = (0..1_203)
        .map(|n| {
            let mut row = row(&format!("r{n}"), 1);
            row.end_user = Some(format!("e{n}"));
            row
        })
        .collect();
    assert_eq!(store.append(&rows).await.unwrap(), 1_203);
    assert_eq!(store.audit_totals().await.unwrap(), None);
}

async fn rows_of_the_log_come_back_as_they_were(store: Store) {
    let start = Time(1_795_231_800_000_000);
    let full = SpendRow {
        total_tokens: 7,
        cache_read_input_tokens: 1,
        cache_creation_input_tokens: 2,
        reasoning_tokens: 4,
        start_time: start,
        end_time: Time(start.0 + 2_500),
        completion_start_time: Some(Time(start.0 + 1_000)),
        latency_ms: Some(2.5),
        ttft_ms: Some(1.0),
        model: "gpt".to_owned(),
        model_id: Some("id".to_owned()),
        model_group: Some("group".to_owned()),
        api_base: Some("https://a.test".to_owned()),
        user: Some("u".to_owned()),
        team_id: Some("t".to_owned()),
        end_user: Some("it's \"me\"".to_owned()),
        session_id: Some("s".to_owned()),
        answer_id: Some("chatcmpl-1".to_owned()),
        cache_key: Some("c".to_owned()),
        cache_hit: "True".to_owned(),
        saved_cache_cost: Usd(5),
        messages: Some(json!([{"role": "user"}])),
        attempts: vec![json!({"why": "timeout"})],
        request_tags: vec!["a".to_owned()],
        metadata: serde_json::from_value(json!({"job": [1, null], "user_api_key_alias": "mine",
            "answered_by_model_group": 7}))
        .unwrap(),
        ..row("full", 1_234_567_890_123)
    };
    let plain = SpendRow {
        total_tokens: 5,
        start_time: Time(start.0 - 1),
        end_time: Time(start.0 - 1),
        latency_ms: Some(0.0),
        user: Some("u".to_owned()),
        ..row("plain", 3)
    };
    let rows = [full.clone(), plain.clone()];
    assert_eq!(store.append(&rows).await.unwrap(), 2);
    let asked = |change: fn(&mut LogFilter)| {
        let mut filter = LogFilter {
            limit: 10,
            ..LogFilter::default()
        };
        change(&mut filter);
        let store = store.clone();
        async move { store.logs(&filter).await.unwrap() }
    };
    let all = asked(|_| ()).await;
    assert_eq!((&all.records[..], all.total), (&rows[..], 2));
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(asked(|wanted| wanted.limit = 1).await.records.len(), 1);
    let narrow: [fn(&mut LogFilter); 7] = [
        |wanted| wanted.request_id = Some("full".to_owned()),
        |wanted| wanted.answer_id = Some("chatcmpl-1".to_owned()),
        |wanted| wanted.session_id = Some("s".to_owned()),
        |wanted| (wanted.user_id, wanted.team_id) = (Some("u".to_owned()), Some("t".to_owned())),
        |wanted| wanted.from = Some(Time(1_795_231_800_000_000)),
        |wanted| wanted.min_spend = Some(Usd(4)),
        |wanted| wanted.model_group = Some("group".to_owned()),
    ];
    for change in narrow {
        let found = asked(change).await;
        assert_eq!(
            (found.records, found.total),
            (vec![full.clone()], 1),
            "of the full one"
        );
    }
    let either = LogFilter {
        request_id: text("plain"),
        answer_id: text("chatcmpl-1"),
        limit: 10,
        ..LogFilter::default()
    };
    assert_eq!(store.logs(&either).await.unwrap().total, 2);
    assert_eq!(
        asked(|wanted| wanted.status = Some("failure".to_owned()))
            .await
            .total,
        0
    );
}

async fn a_window_begins_anew_and_what_comes_late_is_not_counted_in_it(store: Store) {
    let mut windowed = key("k");
    windowed.allowance.max_budget = Some(Usd(100));
    windowed.allowance.budget_duration = period("1s");
    add(&store, &windowed).await;
    let scope = Scope::Key("k".to_owned());
    let end = spend_of(&store, scope.clone()).await.resets_at.unwrap();
    let mut late = row("late", 3);
    late.end_time = end.plus_seconds(-1);
    store.append(&[late.clone()]).await.unwrap();
    while Time::now() < end {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let spent = spend_of(&store, scope.clone()).await;
    assert_eq!((spent.spend, spent.total), (Usd(0), Usd(3)));
    assert!(spent.resets_at > Some(end) && spent.since >= end);
    late.request_id = "later".to_owned();
    let mut now = row("now", 4);
    now.end_time = Time::now().plus_seconds(3_600);
    store.append(&[late, now]).await.unwrap();
    let spent = spend_of(&store, scope.clone()).await;
    assert_eq!(spent.total, Usd(10));
    assert!([Usd(4), Usd(0)].contains(&spent.spend), "{spent:?}");
    // Without a window it all counts from then on.
    windowed.allowance.budget_duration = None;
    put(&store, &windowed).await;
    assert_eq!(spend_of(&store, scope).await.resets_at, None);
}

async fn who_names_a_budget_is_counted_in_its_window(store: Store) {
    let mut budget = Budget {
        budget_id: "b".to_owned(),
        ..Budget::default()
    };
    budget.allowance.budget_duration = period("1d");
    budget.allowance.max_budget = Some(Usd(1));
    add(&store, &budget).await;
    let mut named = key("named");
    named.budget_id = Some("b".to_owned());
    add(&store, &named).await;
    let mut own = key("own");
    own.budget_id = Some("b".to_owned());
    own.allowance.max_budget = Some(Usd(2));
    add(&store, &own).await;
    let resets = async |key: &str| {
        let bearer = store.bearer(key).await.unwrap().unwrap();
        bearer.key.budget_reset_at
    };
    let day = period("1d").unwrap().next_reset(Time::now());
    assert_eq!(
        (resets("named").await, resets("own").await),
        (Some(day), None)
    );
    budget.allowance.budget_duration = period("30d");
    put(&store, &budget).await;
    let month = period("30d").unwrap().next_reset(Time::now());
    assert_eq!(
        (resets("named").await, resets("own").await),
        (Some(month), None)
    );

    let mut team = Team {
        team_id: "t".to_owned(),
        ..Team::default()
    };
    team.team_member_budget = Some(Usd(1));
    team.team_member_budget_duration = period("1d");
    add(&store, &team).await;
    let member = Membership {
        team_id: "t".to_owned(),
        user_id: "u".to_owned(),
        ..Membership::default()
    };
    add(&store, &member).await;
    let scope = Scope::Member {
        team: "t".to_owned(),
        user: "u".to_owned(),
    };
    assert_eq!(spend_of(&store, scope.clone()).await.resets_at, Some(day));
    team.team_member_budget_duration = period("30d");
    put(&store, &team).await;
    assert_eq!(spend_of(&store, scope).await.resets_at, Some(month));
}

async fn spend_can_be_set_and_the_log_stays(store: Store) {
    add(&store, &key("k")).await;
    store.append(&[row("r", 10)]).await.unwrap();
    let mut work = store.work("tester", "/key/reset_spend").await.unwrap();
    work.set_spend(&Scope::Key("k".to_owned()), Usd(4))
        .await
        .unwrap();
    work.commit().await.unwrap();
    let spent = spend_of(&store, Scope::Key("k".to_owned())).await;
    assert_eq!((spent.spend, spent.total), (Usd(4), Usd(10)));
    assert_eq!(store.get::<Key>("k").await.unwrap().unwrap().spend, Usd(4));
    assert_eq!(store.audit_totals().await.unwrap(), None);
    let mut work = store.work("tester", "/key/delete").await.unwrap();
    let gone = work.get::<Key>("k").await.unwrap().unwrap();
    work.remove(&gone).await.unwrap();
    work.commit().await.unwrap();
    add(&store, &key("k")).await;
    assert_eq!(store.get::<Key>("k").await.unwrap().unwrap().spend, Usd(0));
}

async fn every_change_is_in_the_audit_log_and_the_log_is_a_chain(store: Store) {
    let mut changed = key("k");
    add(&store, &changed).await;
    changed.blocked = true;
    put(&store, &changed).await;
    let entries = store.audit(0, 10).await.unwrap().records;
    assert_eq!(entries.len(), 2);
    assert_eq!(
        (entries[0].actor.as_str(), entries[0].id.as_str()),
        ("tester", "k")
    );
    assert_eq!(entries[0].before.as_ref().unwrap()["blocked"], json!(false));
    assert_eq!(entries[0].after.as_ref().unwrap()["blocked"], json!(true));
    assert_eq!(entries[1].before, None);
    assert_eq!(entries[1].chain, entries[1].chained(""));
    assert_eq!(entries[0].chain, entries[0].chained(&entries[1].chain));
}

async fn changes_are_told(store: Store) {
    let mut changes = store.changes();
    add(&store, &key("k")).await;
    assert_eq!(changes.recv().await, Ok(Change::Key("k".to_owned())));
}

async fn models_are_kept(store: Store) {
    let mut work = store.work("tester", "/model/new").await.unwrap();
    let mut model = StoredModel {
        id: "m".to_owned(),
        name: "group".to_owned(),
        sealed: "v1:00".to_owned(),
        created_at: Time(1),
        created_by: None,
        updated_at: Time(1),
        updated_by: Some("a".to_owned()),
    };
    work.put_model(&model).await.unwrap();
    model.name = "other".to_owned();
    work.put_model(&model).await.unwrap();
    assert_eq!(work.models().await.unwrap(), [model.clone()]);
    work.commit().await.unwrap();
    assert_eq!(store.models().await.unwrap(), [model]);
    let mut work = store.work("tester", "/model/delete").await.unwrap();
    assert!(work.remove_model("m").await.unwrap());
    assert!(!work.remove_model("m").await.unwrap());
    work.commit().await.unwrap();
    assert_eq!(store.models().await.unwrap(), []);
}

macro_rules! suite {
    ($($case:ident)*) => {
        mod sqlite {
            $(
                #[tokio::test]
                async fn $case() {
                    let folder = tempfile::tempdir().unwrap();
                    super::$case(super::Store::sqlite(folder.path()).await.unwrap()).await;
                }
            )*
        }

        /// One server for all, because it takes a second to make one.
        #[tokio::test]
        async fn postgres_keeps_the_same_word() {
            let server = Postgres::start().await;
            $({
                let store = Store::postgres(&server.database()).await.unwrap();
                $case(store.clone()).await;
                store.close().await;
            })*
        }
    };
}

suite! {
    records_come_back_as_they_were
    what_is_not_committed_did_not_happen
    two_keys_cannot_have_one_alias_or_one_hash
    lists_are_filtered_and_paged
    a_bearer_is_the_key_with_all_it_answers_to
    a_rotated_key_is_known_by_both_secrets_until_the_grace_ends
    a_row_counts_once_however_often_it_comes
    many_writers_lose_nothing
    a_batch_longer_than_a_statement_is_written_whole
    rows_of_the_log_come_back_as_they_were
    a_window_begins_anew_and_what_comes_late_is_not_counted_in_it
    who_names_a_budget_is_counted_in_its_window
    spend_can_be_set_and_the_log_stays
    every_change_is_in_the_audit_log_and_the_log_is_a_chain
    changes_are_told
    models_are_kept
}

#[tokio::test]
async fn a_database_is_found_again_and_a_newer_one_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::sqlite(folder.path()).await.unwrap();
    add(&store, &key("k")).await;
    store.close().await;
    let store = Store::sqlite(folder.path()).await.unwrap();
    assert!(store.get::<Key>("k").await.unwrap().is_some());
    sqlx::query("INSERT INTO pointsman_step (number) VALUES (1000)")
        .execute(&store.pools.write)
        .await
        .unwrap();
    store.close().await;
    let refused = Store::sqlite(folder.path()).await.unwrap_err();
    assert!(refused.0.contains("newer version"), "{refused}");
}

/// Makes the tables as they were before rows had columns, with a row of the log.
async fn make_old_tables(url: &str, row: &SpendRow) {
    sqlx::any::install_default_drivers();
    let pool = sqlx::AnyPool::connect(url).await.unwrap();
    let made = ["CREATE TABLE pointsman_step (number BIGINT PRIMARY KEY)"];
    let old = schema::STEPS[..2].iter().copied().flatten();
    for statement in made.iter().chain(old) {
        sqlx::query(*statement).execute(&pool).await.unwrap();
    }
    sqlx::query("INSERT INTO pointsman_step (number) VALUES (0), (1)")
        .execute(&pool)
        .await
        .unwrap();
    sqlx::query(
        "INSERT INTO spend_log (request_id, start_time, api_key, status, spend, record)
        VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(row.request_id.as_str())
    .bind(row.start_time.0)
    .bind(row.api_key.as_str())
    .bind(row.status.as_str())
    .bind(i64::try_from(row.spend.0).unwrap())
    .bind(serde_json::to_string(row).unwrap())
    .execute(&pool)
    .await
    .unwrap();
    pool.close().await;
}

#[tokio::test]
async fn rows_from_before_they_had_columns_are_still_there() {
    let mut old = row("old", 1_234_567_890_123);
    old.attempts = vec![json!({"why": "timeout"})];
    let folder = tempfile::tempdir().unwrap();
    let file = format!(
        "sqlite:{}?mode=rwc",
        folder.path().join("pointsman.db").display()
    );
    make_old_tables(&file, &old).await;
    let server = Postgres::start().await;
    let url = server.database();
    make_old_tables(&url, &old).await;
    for store in [
        Store::sqlite(folder.path()).await.unwrap(),
        Store::postgres(&url).await.unwrap(),
    ] {
        assert_eq!(
            store.append(&[row("new", 1), old.clone()]).await.unwrap(),
            1
        );
        let of_key = LogFilter {
            api_key: Some("k".to_owned()),
            request_id: Some("old".to_owned()),
            limit: 10,
            ..LogFilter::default()
        };
        assert_eq!(store.logs(&of_key).await.unwrap().records, [old.clone()]);
        store.close().await;
    }
}

#[tokio::test]
async fn replicas_tell_each_other_and_start_together() {
    let server = Postgres::start().await;
    let url = server.database();
    let (one, other) = tokio::join!(Store::postgres(&url), Store::postgres(&url));
    let (one, other) = (one.unwrap(), other.unwrap());
    let mut changes = other.changes();
    add(&one, &key("k")).await;
    assert_eq!(changes.recv().await, Ok(Change::Key("k".to_owned())));
    assert!(other.bearer("k").await.unwrap().is_some());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_to_be_down_without_its_password() {
    let gone = Store::postgres("postgresql://me:secret@127.0.0.1:1/x")
        .await
        .unwrap_err();
    assert!(!gone.to_string().contains("secret"));
    let wrong = Store::postgres("nonsense://me:secret@x").await.unwrap_err();
    assert!(!wrong.to_string().contains("secret"));
}

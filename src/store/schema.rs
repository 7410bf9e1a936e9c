//! The tables, as the steps that made them.
//!
//! Steps are only ever added at the end: a database that has taken a step keeps it, and a gateway
//! that finds a step it does not know was started on a newer gateway's database.
//!
//! An account of any kind is one row: the columns are what it is looked up by, the record is the
//! rest. What it has spent stands beside it in `counter`, because that changes with each request
//! and the record does not.
//!
//! Times are microseconds since 1970, money is a count of 10⁻¹² dollars, both in 64 bits.

/// Each step, the oldest first: statements that both databases understand.
pub(super) const STEPS: &[&[&str]] = &[
    &[
        "CREATE TABLE account (
        kind TEXT NOT NULL,
        id TEXT NOT NULL,
        part TEXT NOT NULL,
        name TEXT,
        user_id TEXT,
        team_id TEXT,
        organization_id TEXT,
        budget_id TEXT,
        own_budget BIGINT NOT NULL,
        expires BIGINT,
        created_at BIGINT NOT NULL,
        record TEXT NOT NULL,
        PRIMARY KEY (kind, id, part)
    )",
        "CREATE UNIQUE INDEX account_key_name ON account (name) WHERE kind = 'key' AND name IS NOT NULL",
        "CREATE INDEX account_name ON account (kind, name)",
        "CREATE INDEX account_created ON account (kind, created_at, id)",
        "CREATE INDEX account_user ON account (user_id, kind) WHERE user_id IS NOT NULL",
        "CREATE INDEX account_team ON account (team_id, kind) WHERE team_id IS NOT NULL",
        "CREATE INDEX account_organization ON account (organization_id, kind) WHERE organization_id IS NOT NULL",
        "CREATE INDEX account_budget ON account (budget_id) WHERE budget_id IS NOT NULL",
        "CREATE TABLE former_key (
        hash TEXT PRIMARY KEY,
        successor TEXT NOT NULL,
        until BIGINT NOT NULL
    )",
        "CREATE INDEX former_key_successor ON former_key (successor)",
        "CREATE TABLE counter (
        kind TEXT NOT NULL,
        id TEXT NOT NULL,
        part TEXT NOT NULL,
        spend BIGINT NOT NULL,
        total BIGINT NOT NULL,
        period TEXT,
        since BIGINT NOT NULL,
        resets_at BIGINT,
        PRIMARY KEY (kind, id, part)
    )",
        "CREATE TABLE spend_log (
        request_id TEXT PRIMARY KEY,
        start_time BIGINT NOT NULL,
        api_key TEXT NOT NULL,
        user_id TEXT,
        team_id TEXT,
        organization_id TEXT,
        end_user TEXT,
        model_group TEXT,
        session_id TEXT,
        status TEXT NOT NULL,
        spend BIGINT NOT NULL,
        record TEXT NOT NULL
    )",
        "CREATE INDEX spend_log_time ON spend_log (start_time)",
        "CREATE INDEX spend_log_key ON spend_log (api_key, start_time)",
        "CREATE INDEX spend_log_user ON spend_log (user_id, start_time)",
        "CREATE INDEX spend_log_team ON spend_log (team_id, start_time)",
        "CREATE INDEX spend_log_session ON spend_log (session_id) WHERE session_id IS NOT NULL",
        "CREATE TABLE daily (
        day TEXT NOT NULL,
        tag TEXT NOT NULL,
        api_key TEXT NOT NULL,
        user_id TEXT NOT NULL,
        team_id TEXT NOT NULL,
        organization_id TEXT NOT NULL,
        end_user TEXT NOT NULL,
        model_group TEXT NOT NULL,
        model TEXT NOT NULL,
        provider TEXT NOT NULL,
        spend BIGINT NOT NULL,
        prompt_tokens BIGINT NOT NULL,
        completion_tokens BIGINT NOT NULL,
        cache_read_tokens BIGINT NOT NULL,
        cache_write_tokens BIGINT NOT NULL,
        successes BIGINT NOT NULL,
        failures BIGINT NOT NULL,
        PRIMARY KEY (day, tag, api_key, user_id, team_id, organization_id, end_user, model_group,
            model, provider)
    )",
        "CREATE TABLE model (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        sealed TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        created_by TEXT,
        updated_at BIGINT NOT NULL,
        updated_by TEXT
    )",
        "CREATE TABLE audit (
        seq BIGINT PRIMARY KEY,
        at BIGINT NOT NULL,
        actor TEXT NOT NULL,
        action TEXT NOT NULL,
        kind TEXT NOT NULL,
        id TEXT NOT NULL,
        before TEXT,
        after TEXT,
        chain TEXT NOT NULL
    )",
    ],
    &[
        // What was brought over from another gateway's database: the digest of the record that came
        // of it, what it had spent there, and when its window ended. Of the log: up to when it was read.
        "CREATE TABLE imported (
        source TEXT NOT NULL,
        kind TEXT NOT NULL,
        id TEXT NOT NULL,
        part TEXT NOT NULL,
        digest TEXT NOT NULL,
        spend BIGINT NOT NULL,
        at BIGINT,
        PRIMARY KEY (source, kind, id, part)
    )",
    ],
    &[
        // What many rows have in common is written once (see `log.rs`). A row of before is in its
        // common part as a whole, under a number below zero.
        "CREATE TABLE spend_common (
        id BIGINT PRIMARY KEY,
        api_key TEXT NOT NULL,
        user_id TEXT,
        team_id TEXT,
        organization_id TEXT,
        end_user TEXT,
        model_group TEXT,
        status TEXT NOT NULL,
        record TEXT NOT NULL
    )",
        "CREATE TABLE spend_row (
        request_id TEXT PRIMARY KEY,
        start_time BIGINT NOT NULL,
        end_time BIGINT,
        first_time BIGINT,
        common BIGINT NOT NULL,
        spend BIGINT NOT NULL,
        prompt_tokens BIGINT,
        completion_tokens BIGINT,
        cache_read_tokens BIGINT,
        cache_write_tokens BIGINT,
        reasoning_tokens BIGINT,
        session_id TEXT,
        answer_id TEXT,
        rest TEXT
    )",
        "INSERT INTO spend_common (id, api_key, user_id, team_id, organization_id, end_user,
            model_group, status, record)
        SELECT -ROW_NUMBER() OVER (ORDER BY start_time, request_id), api_key, user_id, team_id,
            organization_id, end_user, model_group, status, record FROM spend_log",
        "INSERT INTO spend_row (request_id, start_time, common, spend, session_id)
        SELECT request_id, start_time, -ROW_NUMBER() OVER (ORDER BY start_time, request_id), spend,
            session_id FROM spend_log",
        "DROP TABLE spend_log",
        "CREATE INDEX spend_common_key ON spend_common (api_key)",
        "CREATE INDEX spend_common_user ON spend_common (user_id) WHERE user_id IS NOT NULL",
        "CREATE INDEX spend_common_team ON spend_common (team_id) WHERE team_id IS NOT NULL",
        "CREATE INDEX spend_common_end_user ON spend_common (end_user) WHERE end_user IS NOT NULL",
        "CREATE INDEX spend_row_time ON spend_row (start_time)",
        "CREATE INDEX spend_row_common ON spend_row (common, start_time)",
        "CREATE INDEX spend_row_session ON spend_row (session_id) WHERE session_id IS NOT NULL",
        "CREATE INDEX spend_row_answer ON spend_row (answer_id) WHERE answer_id IS NOT NULL",
    ],
];

-- What a LiteLLM proxy has after some use. Clear keys are hashed as LiteLLM hashes them.
CREATE FUNCTION pg_temp.hash(secret text) RETURNS text LANGUAGE sql AS
    $$ SELECT encode(sha256(convert_to(secret, 'UTF8')), 'hex') $$;

INSERT INTO "LiteLLM_BudgetTable" (budget_id, max_budget, soft_budget, rpm_limit, budget_duration,
    budget_reset_at, created_by, updated_by) VALUES
    ('member-budget', 2.5, NULL, NULL, '30d', '2999-01-01', 'admin', 'admin'),
    ('customer-budget', 1, NULL, 7, NULL, NULL, 'admin', 'admin'),
    ('org-budget', 1000, 800, NULL, NULL, NULL, 'admin', 'admin');

INSERT INTO "LiteLLM_OrganizationTable" (organization_id, organization_alias, budget_id, metadata,
    models, spend, created_by, updated_by) VALUES
    ('org-1', 'Acme', 'org-budget', '{}', ARRAY[]::text[], 12.5, 'admin', 'admin');

INSERT INTO "LiteLLM_UserTable" (user_id, user_alias, user_email, user_role, teams, max_budget, spend,
    models, metadata, budget_duration, budget_reset_at) VALUES
    ('default_user_id', NULL, NULL, 'proxy_admin', ARRAY[]::text[], NULL, 3.75, ARRAY[]::text[], '{}',
        NULL, NULL),
    ('ann', 'Ann', 'ann@example.com', 'internal_user', ARRAY['search'], 50, 1.5, ARRAY[]::text[],
        '{"desk": 4}', '30d', '2999-01-01'),
    ('odd', NULL, NULL, 'app_owner', ARRAY[]::text[], NULL, 0, ARRAY[]::text[], '{}', NULL, NULL),
    ('litellm-proxy-budget', NULL, NULL, NULL, ARRAY[]::text[], 10000, 17.25, ARRAY[]::text[], '{}',
        NULL, NULL);

INSERT INTO "LiteLLM_OrganizationMembership" (user_id, organization_id, user_role) VALUES
    ('ann', 'org-1', 'internal_user');

INSERT INTO "LiteLLM_ModelTable" (id, aliases, created_by, updated_by) VALUES
    (7001, '{"cheap": "chat"}', 'admin', 'admin');

INSERT INTO "LiteLLM_TeamTable" (team_id, team_alias, organization_id, admins, members,
    members_with_roles, metadata, max_budget, spend, models, rpm_limit, budget_duration,
    budget_reset_at, blocked, model_id) VALUES
    ('search', 'Search', 'org-1', ARRAY[]::text[], ARRAY['ann', 'bob'],
        '[{"role": "admin", "user_id": "ann", "user_email": null}, {"role": "user", "user_id": "bob"}]',
        '{"team_member_budget_id": "member-budget", "model_rpm_limit": {"chat": 900}, "note": "x"}',
        100, 4.5, ARRAY['chat'], 1000, '1d', '2999-01-01', false, 7001),
    ('closed', 'Closed', NULL, ARRAY[]::text[], ARRAY[]::text[], '{}', '{}', NULL, 0,
        ARRAY[]::text[], NULL, NULL, NULL, true, NULL);

INSERT INTO "LiteLLM_TeamMembership" (user_id, team_id, spend, budget_id) VALUES
    ('ann', 'search', 1.25, 'member-budget');

INSERT INTO "LiteLLM_EndUserTable" (user_id, alias, spend, budget_id, blocked) VALUES
    ('customer-1', 'One', 0.75, 'customer-budget', false),
    ('customer-2', NULL, 0, NULL, true);

INSERT INTO "LiteLLM_VerificationToken" (token, key_name, key_alias, spend, expires, models, aliases,
    config, user_id, team_id, permissions, metadata, blocked, rpm_limit, max_budget, budget_duration,
    budget_reset_at, model_max_budget, allowed_routes, created_by, budget_limits) VALUES
    (pg_temp.hash('sk-old-ann'), 'sk-...-ann', 'ann-laptop', 0.5, NULL, ARRAY['chat'], '{}', '{}',
        'ann', 'search', '{}', '{"tags": ["laptop"], "owner": "ops"}', NULL, 600, 10, '30d',
        '2999-01-01', '{"chat": {"budget_limit": 5, "time_period": "1d"}}', ARRAY[]::text[], 'admin',
        NULL),
    (pg_temp.hash('sk-old-spent'), 'sk-...pent', 'spent', 2, NULL, ARRAY[]::text[], '{}', '{}', NULL,
        NULL, '{}', '{}', false, NULL, 2, NULL, NULL, '{}', ARRAY[]::text[], 'admin', NULL),
    (pg_temp.hash('sk-old-blocked'), 'sk-...cked', NULL, 0, NULL, ARRAY[]::text[], '{}', '{}', NULL,
        NULL, '{}', '{}', true, NULL, NULL, NULL, NULL, '{}', ARRAY[]::text[], 'admin', NULL),
    (pg_temp.hash('sk-old-expired'), 'sk-...ired', NULL, 0, '2020-01-01', ARRAY[]::text[], '{}', '{}',
        NULL, NULL, '{}', '{}', NULL, NULL, NULL, NULL, NULL, '{}', ARRAY[]::text[], 'admin', NULL),
    (pg_temp.hash('sk-old-elsewhere'), 'sk-...here', 'spent', 0, NULL, ARRAY['other'], '{}', '{}',
        NULL, NULL, '{}', '{}', NULL, NULL, NULL, NULL, NULL, '{}', ARRAY[]::text[], 'admin',
        '[{"max_budget": 1, "budget_duration": "1h", "reset_at": "2999-01-01T00:00:00Z"}]'),
    (pg_temp.hash('sk-old-leaver'), 'sk-...aver', 'leaver', 0, NULL, ARRAY[]::text[], '{}', '{}',
        NULL, NULL, '{}', '{}', NULL, NULL, NULL, NULL, NULL, '{}', ARRAY[]::text[], 'admin', NULL),
    (pg_temp.hash('sk-old-closed'), 'sk-...osed', NULL, 0, NULL, ARRAY[]::text[], '{}', '{}', NULL,
        'closed', '{}', '{}', NULL, NULL, NULL, NULL, NULL, '{}', ARRAY[]::text[], 'admin', NULL),
    (pg_temp.hash('sk-old-session'), 'sk-...sion', NULL, 0, '2999-01-01', ARRAY[]::text[], '{}', '{}',
        'default_user_id', 'litellm-dashboard', '{}', '{}', NULL, NULL, 0.25, NULL, NULL, '{}',
        ARRAY[]::text[], 'admin', NULL);

INSERT INTO "LiteLLM_DeprecatedVerificationToken" (id, token, active_token_id, revoke_at) VALUES
    ('d1', pg_temp.hash('sk-older-ann'), pg_temp.hash('sk-old-ann'), now() + interval '1 day'),
    ('d2', pg_temp.hash('sk-oldest-ann'), pg_temp.hash('sk-old-ann'), now() - interval '1 day');

-- A row for each of a thousand and two hundred requests, more than one batch.
INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, api_key, spend, total_tokens, prompt_tokens,
    completion_tokens, "startTime", "endTime", "completionStartTime", model, model_id, model_group,
    custom_llm_provider, api_base, "user", metadata, cache_hit, cache_key, request_tags, team_id,
    end_user, requester_ip_address, messages, response, session_id, status)
SELECT 'req-' || n, 'acompletion', pg_temp.hash('sk-old-ann'), 0.00125, 30, 10, 20,
    timestamp '2026-10-01' + n * interval '10 minutes',
    timestamp '2026-10-01' + n * interval '10 minutes' + interval '1500 ms', NULL,
    'gpt-4o-mini', 'deployment-1', 'chat', 'openai', 'https://api.openai.com/v1', 'ann',
    '{"user_api_key": "x", "user_api_key_org_id": "org-1"}', 'None', 'Cache OFF', '["laptop"]',
    'search', 'customer-1', '10.0.0.1', '{}', '{}', 'session-' || n, 'success'
FROM generate_series(1, 1200) n;

-- Models with parameters that are encrypted in two of LiteLLM's forms, under `sk-salt-1234`.
INSERT INTO "LiteLLM_ProxyModelTable" (model_id, model_name, litellm_params, model_info, created_by,
    updated_by) VALUES
    ('model-1', 'moved', '{"model": "Nzn5F7VHhBhT4m7y2UORyZ10I5AiX8Zw8MIuIXG6VB0JUX6j4diLe3tcL0qhOMOio7iAKWvodxk2qw==",
        "api_key": "v3:gcm:pK8eVfQduecDG_RyYijKb1qQehPr5SDCCNIaZeU4p71VW7fILdO_JRS5G8vauFQHvC3lsA==",
        "rpm": 100, "use_in_pass_through": false}', '{"id": "model-1", "db_model": true}', 'admin', 'admin'),
    ('model-2', 'of-a-team', '{"model": "Nzn5F7VHhBhT4m7y2UORyZ10I5AiX8Zw8MIuIXG6VB0JUX6j4diLe3tcL0qhOMOio7iAKWvodxk2qw=="}',
        '{"id": "model-2", "team_id": "search"}', 'admin', 'admin');

-- Tables that nothing is made of.
INSERT INTO "LiteLLM_TagTable" (tag_name, models, spend) VALUES ('laptop', ARRAY[]::text[], 1);
-- A column of a version that nobody knows yet.
ALTER TABLE "LiteLLM_VerificationToken" ADD COLUMN of_tomorrow text DEFAULT 'x';

-- What Prisma keeps of the migrations that it ran.
CREATE TABLE _prisma_migrations (id varchar(36) PRIMARY KEY, checksum varchar(64) NOT NULL,
    finished_at timestamptz, migration_name varchar(255) NOT NULL, logs text, rolled_back_at timestamptz,
    started_at timestamptz NOT NULL DEFAULT now(), applied_steps_count integer NOT NULL DEFAULT 0);
INSERT INTO _prisma_migrations (id, checksum, migration_name) VALUES
    ('5f0f6c1e-6d3f-4a55-9a53-0e6e0d6a3f11', 'x', '20240711000000_baseline');

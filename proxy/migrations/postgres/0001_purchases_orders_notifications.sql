-- For PostgreSQL; the same tables as in ../sqlite. Money is in fils, time in Unix milliseconds. `orders.status` is derived from
-- `orders.state` and exists to be indexed. What is no text for people is compared by its bytes.

CREATE TABLE purchases (
    id            TEXT COLLATE "C" PRIMARY KEY,
    reference     TEXT COLLATE "C" NOT NULL UNIQUE,
    amount_fils   BIGINT NOT NULL CHECK (amount_fils > 0),
    currency      TEXT NOT NULL,
    subject       TEXT NOT NULL,
    scene         TEXT NOT NULL,
    redirect_url  TEXT,
    pay_within_ms BIGINT, -- NULL: the shop left it to the proxy's setting
    created_at    BIGINT NOT NULL
);

-- A token itself is never stored.
CREATE TABLE checkout_tokens (
    token_sha256 BYTEA PRIMARY KEY,
    purchase_id  TEXT COLLATE "C" NOT NULL REFERENCES purchases (id),
    expires_at   BIGINT NOT NULL
);

CREATE INDEX checkout_tokens_of_purchase ON checkout_tokens (purchase_id);

CREATE TABLE orders (
    order_number      TEXT COLLATE "C" PRIMARY KEY,
    purchase_id       TEXT COLLATE "C" NOT NULL REFERENCES purchases (id),
    scene             TEXT NOT NULL,
    amount_fils       BIGINT NOT NULL CHECK (amount_fils > 0),
    currency          TEXT NOT NULL,
    biz_content       BYTEA NOT NULL, -- placeOrder's parameters, sent byte for byte on every attempt
    expires_at        BIGINT NOT NULL,
    created_at        BIGINT NOT NULL,
    state             TEXT NOT NULL, -- everything that the gateway has said so far, as JSON
    status            TEXT NOT NULL,
    pay_url           TEXT,
    version           BIGINT NOT NULL,
    create_unknown_at BIGINT, -- the newest creation sent whose outcome is not known
    cancel_wanted     BIGINT NOT NULL DEFAULT 0,
    cancel_unknown    BIGINT NOT NULL DEFAULT 0, -- a cancel was sent and not refused
    queried_at        BIGINT,
    cancel_sent_at    BIGINT,
    due_at            BIGINT NOT NULL, -- when somebody has to look after it, unless it is decided
    awaited_until     BIGINT NOT NULL, -- until when somebody waits for news of it
    trouble           TEXT, -- what has gone wrong in a row, as JSON; NULL: nothing
    lease             BIGINT NOT NULL DEFAULT 0, -- grows each time that somebody takes the order in hand
    leased_until      BIGINT NOT NULL DEFAULT 0, -- until then nobody else may
    revision          BIGINT NOT NULL DEFAULT 0 -- grows with every change
);

-- A purchase has at most one live order, whatever the code above believes.
CREATE UNIQUE INDEX one_live_order_per_purchase ON orders (purchase_id) WHERE status IN ('unknown', 'pending');

CREATE INDEX live_orders_by_due ON orders (due_at) WHERE status IN ('unknown', 'pending');

CREATE INDEX orders_of_purchase ON orders (purchase_id, created_at);

CREATE TABLE notifications (
    notify_id    TEXT COLLATE "C" PRIMARY KEY,
    order_number TEXT COLLATE "C" NOT NULL,
    received_at  BIGINT NOT NULL,
    body         BYTEA NOT NULL,
    alert        TEXT -- why it changed nothing and a person has to look
);

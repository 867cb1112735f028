-- A notification of a refund stands in `notifications` under the refund's number. A revocation gives all of an order back, so it
-- is kept as a refund is, under the order's number.

CREATE TABLE refunds (
    way           TEXT NOT NULL, -- refund, revocation
    refund_number TEXT NOT NULL,
    order_number  TEXT NOT NULL REFERENCES orders (order_number),
    amount_fils   BIGINT NOT NULL CHECK (amount_fils > 0),
    currency      TEXT NOT NULL,
    biz_content   BLOB NOT NULL, -- refund/placeOrder's parameters, sent byte for byte on every attempt; empty for a revocation
    created_at    BIGINT NOT NULL,
    status        TEXT NOT NULL,
    fail_code     TEXT,
    fail_message  TEXT,
    sent_at       BIGINT, -- the newest attempt that is not refused, written before it is sent
    trouble       TEXT, -- what has gone wrong in a row, as JSON; NULL: nothing
    due_at        BIGINT NOT NULL, -- when somebody has to ask PayBy about it, unless it is decided
    lease         BIGINT NOT NULL DEFAULT 0, -- grows each time that somebody takes it in hand
    leased_until  BIGINT NOT NULL DEFAULT 0, -- until then nobody else may
    PRIMARY KEY (way, refund_number)
);

CREATE INDEX refunds_of_order ON refunds (order_number);

CREATE INDEX open_refunds_by_due ON refunds (due_at) WHERE status IN ('unknown', 'pending', 'deducted');

-- Written to by /readyz, so that "ready" means that the database can be written.
CREATE TABLE probe (
    id BIGINT PRIMARY KEY,
    at BIGINT NOT NULL
);

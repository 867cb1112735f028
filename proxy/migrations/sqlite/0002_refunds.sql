-- A notification of a refund stands in `notifications` under the refund's number.

CREATE TABLE refunds (
    refund_number TEXT PRIMARY KEY,
    order_number  TEXT NOT NULL REFERENCES orders (order_number),
    amount_fils   BIGINT NOT NULL CHECK (amount_fils > 0),
    currency      TEXT NOT NULL,
    biz_content   BLOB NOT NULL, -- refund/placeOrder's parameters, sent byte for byte on every attempt
    created_at    BIGINT NOT NULL,
    status        TEXT NOT NULL,
    fail_code     TEXT,
    fail_message  TEXT,
    sent_at       BIGINT, -- the newest attempt, written before it is sent
    failures      BIGINT NOT NULL DEFAULT 0, -- how many calls in a row have said nothing certain
    due_at        BIGINT NOT NULL -- when somebody has to ask PayBy about it, unless it is decided
);

CREATE INDEX refunds_of_order ON refunds (order_number);

CREATE INDEX open_refunds_by_due ON refunds (due_at) WHERE status IN ('unknown', 'pending', 'deducted');

-- Written to by /readyz, so that "ready" means that the database can be written.
CREATE TABLE probe (
    id BIGINT PRIMARY KEY,
    at BIGINT NOT NULL
);

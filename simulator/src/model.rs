//! PayBy's memory: acquire orders, and what may become of them.
//!
//! Pure: it is told the time and given whatever must be unguessable; it never reads a clock, a socket or a random source.
//! Time moves it in one way: whatever is due by `now` happens at the beginning of every method.
//!
//! ```text
//!             pay              settle
//! CREATED ──────────▶ PAID_SUCCESS ──▶ SETTLED
//!    │ cancelOrder · decline · expiry
//!    ╰──────────────▶ FAILURE
//! ```

mod order;
mod outbox;
mod request;

use std::collections::{BTreeSet, HashMap};
use std::mem;

use payby_checkout::gateway::wire::{AcquireBody, InterActionParams, OrderReference, PlaceOrder, code};
use payby_checkout::time::{Millis, UnixMillis};

pub use self::order::{Action, Failed, Order, State};
pub use self::outbox::{Delivery, RETRY_DELAYS};
pub use self::request::{Call, Envelope, Refusal};

/// How far a request's `requestTime` may be from PayBy's clock.
pub const REQUEST_TIME_WINDOW: Millis = Millis::from_secs(15 * 60);

/// What a call answers: a body, or why not.
pub type Reply = Result<AcquireBody, Refusal>;

/// Names one order of a [`Model`]; good for that model only. Orders are never removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(usize);

/// All orders of one merchant, and the notifications about them.
#[derive(Debug)]
pub struct Model {
    cashier_url: String,
    orders: Vec<Order>,
    by_number: HashMap<String, OrderId>,
    by_order_no: HashMap<String, OrderId>,
    by_token: HashMap<String, OrderId>,
    expiries: BTreeSet<(UnixMillis, OrderId)>,
    outbox: outbox::Outbox,
}

impl Model {
    /// A PayBy that knows no order. An order's pay page is `{cashier_url}/{token}`.
    #[must_use]
    pub fn new(cashier_url: String) -> Self {
        Self {
            cashier_url,
            orders: Vec::new(),
            by_number: HashMap::new(),
            by_order_no: HashMap::new(),
            by_token: HashMap::new(),
            expiries: BTreeSet::new(),
            outbox: outbox::Outbox::default(),
        }
    }

    /// `placeOrder`. A repetition with the same `bizContent`, byte for byte, creates nothing; its `requestTime` does not
    /// matter, the first one stands. `token` names the pay page of an order that is new, and must be unguessable.
    ///
    /// # Errors
    /// 400; 62016 if the number is taken by an order with other parameters; 62001, 62002, 62003 if the order is finished;
    /// 62008, 62009, 62012, 62072.
    pub fn place_order(
        &mut self,
        now: UnixMillis,
        request_time: UnixMillis,
        biz_content: &str,
        token: String,
    ) -> Reply {
        self.admit(now, request_time)?;
        let request = request::place_order(biz_content)?;
        let id = if let Some(id) = self.by_number(&request.merchant_order_no) {
            self.repeat(id, biz_content)?;
            id
        } else {
            self.create(now, request_time, request, biz_content, token)?
        };
        let order = &self.orders[id.0];
        let open = order.state == State::Created;
        Ok(AcquireBody {
            acquire_order: order.report(),
            inter_action_params: open.then(|| InterActionParams { token_url: self.token_url(order) }),
        })
    }

    /// `getOrder`.
    ///
    /// # Errors
    /// 400; 62004 if no order has that number.
    pub fn get_order(&mut self, now: UnixMillis, request_time: UnixMillis, biz_content: &str) -> Reply {
        self.admit(now, request_time)?;
        let id = self.referred(&request::reference(biz_content)?)?;
        Ok(AcquireBody { acquire_order: self.orders[id.0].report(), inter_action_params: None })
    }

    /// `cancelOrder`: an open order becomes FAILURE.
    ///
    /// # Errors
    /// 400; 62004 if no order has that number; 62001, 62002, 62003 if the order is finished.
    pub fn cancel_order(&mut self, now: UnixMillis, request_time: UnixMillis, biz_content: &str) -> Reply {
        self.admit(now, request_time)?;
        let id = self.referred(&request::reference(biz_content)?)?;
        self.orders[id.0].state.must_be_open()?;
        self.close(now, id, State::Failed(Failed::Cancelled));
        Ok(AcquireBody { acquire_order: self.orders[id.0].report(), inter_action_params: None })
    }

    /// What the payer, or PayBy, does to an order. Answers whether that changed anything: only an open order can be paid
    /// or declined, and only a paid one settled.
    pub fn act(&mut self, now: UnixMillis, id: OrderId, action: Action) -> bool {
        self.catch_up(now);
        match (action, self.orders[id.0].state) {
            (Action::Pay, State::Created) => self.close(now, id, State::Paid { at: now }),
            (Action::Decline, State::Created) => self.close(now, id, State::Failed(Failed::Declined)),
            (Action::Settle, State::Paid { at }) => self.orders[id.0].state = State::Settled { paid_at: at },
            _ => return false,
        }
        true
    }

    /// Lets `span` pass for all that waits: open orders come nearer to their expiry, notifications to their next attempt.
    ///
    /// The clock itself stays: the merchant's clock cannot be moved along, and a gap between the two would have PayBy
    /// refuse the merchant's next request for its `requestTime`. For the same reason an order's `expiredTime` reads as
    /// the merchant gave it.
    pub fn advance(&mut self, span: Millis) {
        for (at, id) in mem::take(&mut self.expiries) {
            let earlier = UnixMillis(at.0.saturating_sub(span.0));
            self.orders[id.0].expires_at = earlier;
            self.expiries.insert((earlier, id));
        }
        self.outbox.advance(span);
    }

    /// When something is due by itself: an expiry, or the delivery of a notification.
    #[must_use]
    pub fn next_due(&self) -> Option<UnixMillis> {
        let expiry = self.expiries.first().map(|&(at, _)| at);
        expiry.into_iter().chain(self.outbox.next_due()).min()
    }

    /// The notifications to be delivered now. Each is given out once, until [`Model::delivered`] says what became of it.
    pub fn take_due(&mut self, now: UnixMillis) -> Vec<Delivery> {
        self.catch_up(now);
        self.outbox.take_due(now)
    }

    /// What became of a delivery. Answers after which time it will be tried again, if it will.
    pub fn delivered(&mut self, now: UnixMillis, delivery: &Delivery, acknowledged: bool) -> Option<Millis> {
        self.outbox.delivered(now, delivery, acknowledged)
    }

    /// Does what is due by itself.
    pub fn catch_up(&mut self, now: UnixMillis) {
        while let Some(&(at, id)) = self.expiries.first()
            && at <= now
        {
            self.close(now, id, State::Failed(Failed::Expired));
        }
    }

    /// The order with that number of the merchant's.
    #[must_use]
    pub fn by_number(&self, merchant_order_no: &str) -> Option<OrderId> {
        self.by_number.get(merchant_order_no).copied()
    }

    /// The order with that number of PayBy's.
    #[must_use]
    pub fn by_order_no(&self, order_no: &str) -> Option<OrderId> {
        self.by_order_no.get(order_no).copied()
    }

    /// The order whose pay page has that name.
    #[must_use]
    pub fn by_token(&self, token: &str) -> Option<OrderId> {
        self.by_token.get(token).copied()
    }

    /// An order.
    #[must_use]
    pub fn order(&self, id: OrderId) -> &Order {
        &self.orders[id.0]
    }

    /// All orders, oldest first.
    pub fn orders(&self) -> impl Iterator<Item = &Order> {
        self.orders.iter()
    }

    /// Where an order can be paid, and its state be seen.
    #[must_use]
    pub fn token_url(&self, order: &Order) -> String {
        format!("{}/{}", self.cashier_url, order.token)
    }

    /// What every call begins with.
    fn admit(&mut self, now: UnixMillis, request_time: UnixMillis) -> Result<(), Refusal> {
        self.catch_up(now);
        if now.since(request_time) > REQUEST_TIME_WINDOW {
            Err(Refusal::new(code::INVALID_PARAMETER, "REQUESTTIME_TOO_EARLY"))
        } else if request_time.since(now) > REQUEST_TIME_WINDOW {
            Err(Refusal::new(code::INVALID_PARAMETER, "REQUESTTIME_TOO_LATER"))
        } else {
            Ok(())
        }
    }

    fn repeat(&mut self, id: OrderId, biz_content: &str) -> Result<(), Refusal> {
        let order = &mut self.orders[id.0];
        order.place_order_calls += 1;
        if order.biz_content.as_ref() != biz_content {
            return Err(Refusal::new(code::MERCHANT_ORDER_NO_EXIST, "MERCHANT_ORDER_NO_EXIST"));
        }
        order.state.must_be_open()
    }

    fn create(
        &mut self,
        now: UnixMillis,
        request_time: UnixMillis,
        request: PlaceOrder,
        biz_content: &str,
        token: String,
    ) -> Result<OrderId, Refusal> {
        let expired_time = request::expired_time(&request, request_time)?;
        let id = OrderId(self.orders.len());
        let order_no = format!("{}{:06}", now.0, id.0);
        self.by_number.insert(request.merchant_order_no.as_str().to_owned(), id);
        self.by_order_no.insert(order_no.clone(), id);
        self.by_token.insert(token.clone(), id);
        self.expiries.insert((expired_time, id));
        self.orders.push(Order {
            request,
            biz_content: biz_content.into(),
            number: order_no,
            token,
            request_time,
            expired_time,
            expires_at: expired_time,
            state: State::Created,
            place_order_calls: 1,
        });
        self.catch_up(now); // A request that was long under way can be late for its own expiry.
        Ok(id)
    }

    fn referred(&self, reference: &OrderReference) -> Result<OrderId, Refusal> {
        let found = match (&reference.merchant_order_no, &reference.order_no) {
            (Some(number), None) => self.by_number(number),
            (None, Some(order_no)) => self.by_order_no(order_no),
            _ => return Err(Refusal::invalid("one of merchantOrderNo and orderNo is needed, never both")),
        };
        found.ok_or_else(|| Refusal::new(code::MERCHANT_ORDER_NO_NOT_EXIST, "MERCHANT_ORDER_NO_NOT_EXIST"))
    }

    /// Decides an open order, and tells the merchant.
    fn close(&mut self, now: UnixMillis, id: OrderId, state: State) {
        let order = &mut self.orders[id.0];
        self.expiries.remove(&(order.expires_at, id));
        order.state = state;
        self.outbox.post(now, order);
    }
}

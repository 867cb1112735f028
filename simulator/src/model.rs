//! PayBy's memory: acquire orders, refunds and transfers, and what may become of them.
//!
//! Pure: it is told the time and given whatever must be unguessable; it never reads a clock, a socket or a random source.
//! Time moves it in one way: whatever is due by `now` happens at the beginning of every method.
//!
//! ```text
//!             pay              settle
//! CREATED ──────────▶ PAID_SUCCESS ──▶ SETTLED ──╮
//!    │ cancelOrder ·       │ revokeOrder         ╰ revokeOrder: stays SETTLED, with revoked
//!    │ decline · expiry    ▼
//!    ╰──────────────▶ FAILURE (with revoked, if it was paid)
//! ```

mod order;
mod outbox;
mod refund;
mod request;
mod transfer;

use std::collections::{BTreeSet, HashMap};
use std::mem;

use payby_checkout::gateway::wire::{
    AcquireBody, CashierUrl, InterActionParams, OrderPageBody, OrderReference, PayerBody, PlaceOrder, QueryOrderPage,
    RefundBody, RefundReference, RefundStatus, RefundSummary, TransferBody, TransferStatus, UpdateExpiredTime,
    WireMoney, code,
};
use payby_checkout::money::{Amount, Currency, Money};
use payby_checkout::order_number::OrderNumber;
use payby_checkout::time::{Millis, UnixMillis};

pub use self::order::{Action, Failed, Order, State};
use self::outbox::News;
pub use self::outbox::{Delivery, RETRY_DELAYS};
pub use self::refund::Refund;
pub use self::request::{Call, Envelope, Refusal};
pub use self::transfer::Transfer;

/// How far a request's `requestTime` may be from PayBy's clock.
pub const REQUEST_TIME_WINDOW: Millis = Millis::from_secs(15 * 60);

/// The latest end that an order can be given later on, counted from then.
pub const LATEST_NEW_EXPIRY: Millis = Millis::from_secs(15 * 24 * 3600);

/// What a call answers: a body, or why not.
pub type Reply<B = AcquireBody> = Result<B, Refusal>;

/// Names one order of a [`Model`]; good for that model only. Orders are never removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(usize);

/// What happens by itself at its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Expiry(OrderId),
    Refund(usize),
    Transfer(usize),
}

/// All orders, refunds and transfers of one merchant, and the notifications about them.
#[derive(Debug)]
pub struct Model {
    cashier_url: String,
    /// How long after its end PayBy takes to close an order; it cannot be paid meanwhile.
    closing_delay: Millis,
    orders: Vec<Order>,
    by_number: HashMap<String, OrderId>,
    by_order_no: HashMap<String, OrderId>,
    by_token: HashMap<String, OrderId>,
    refunds: Vec<Refund>,
    transfers: Vec<Transfer>,
    due: BTreeSet<(UnixMillis, Due)>,
    outbox: outbox::Outbox,
}

impl Model {
    /// A PayBy that knows no order. An order's pay page is `{cashier_url}/{token}`.
    #[must_use]
    pub fn new(cashier_url: String) -> Self {
        Self {
            cashier_url,
            closing_delay: Millis(0),
            orders: Vec::new(),
            by_number: HashMap::new(),
            by_order_no: HashMap::new(),
            by_token: HashMap::new(),
            refunds: Vec::new(),
            transfers: Vec::new(),
            due: BTreeSet::new(),
            outbox: outbox::Outbox::default(),
        }
    }

    /// Orders whose time is up stay CREATED for this long, and cannot be paid.
    #[must_use]
    pub fn closing_after(mut self, delay: Millis) -> Self {
        self.closing_delay = delay;
        self
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
        let id = if let Some(id) = self.by_number(request.merchant_order_no.as_str()) {
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

    /// `revokeOrder`: an open order is closed, a paid one is given back; a settled one stays SETTLED.
    ///
    /// # Errors
    /// 400; 62004, 62035 if no order has that number; 62002 if it has failed; 62041 if it was given back already.
    pub fn revoke_order(&mut self, now: UnixMillis, request_time: UnixMillis, biz_content: &str) -> Reply {
        self.admit(now, request_time)?;
        let id = self.referred(&request::reference(biz_content)?)?;
        let order = &mut self.orders[id.0];
        if order.refunded > 0 || order.state.is_revoked() {
            return Err(Refusal::new(code::ACQUIRE_ORDER_REFUNDED, "ACQUIRE_ORDER_REFUNDED"));
        }
        match order.state {
            State::Created => self.close(now, id, State::Failed(Failed::Cancelled)),
            State::Paid { at } => order.state = State::Revoked { paid_at: at },
            State::Settled { paid_at, .. } => order.state = State::Settled { paid_at, revoked: true },
            State::Revoked { .. } | State::Failed(_) => return Err(Refusal::new(code::ORDER_FAILURE, "ORDER_FAILURE")),
        }
        Ok(AcquireBody { acquire_order: self.orders[id.0].report(), inter_action_params: None })
    }

    /// `updateExpiredTime`: an open order gets another end.
    ///
    /// # Errors
    /// 400; 62004, 62035 if no order has that number; 62001, 62002, 62003 if the order is finished; 62089 if the end is
    /// not within 15 days from now.
    pub fn update_expired_time(&mut self, now: UnixMillis, request_time: UnixMillis, biz_content: &str) -> Reply {
        self.admit(now, request_time)?;
        let UpdateExpiredTime { merchant_order_no, order_no, expired_time } = request::read(biz_content)?;
        let id = self.referred(&OrderReference { merchant_order_no, order_no })?;
        let order = &mut self.orders[id.0];
        order.state.must_be_open()?;
        if expired_time <= now || expired_time > now.plus(LATEST_NEW_EXPIRY) {
            return Err(Refusal::new(code::INVALID_EXPIRED_TIME, "INVALID_EXPIRED_TIME"));
        }
        self.due.remove(&(order.expires_at.plus(self.closing_delay), Due::Expiry(id)));
        order.expired_time = expired_time;
        order.expires_at = expired_time;
        self.due.insert((expired_time.plus(self.closing_delay), Due::Expiry(id)));
        Ok(AcquireBody { acquire_order: order.report(), inter_action_params: None })
    }

    /// `getCashierUrlInfo`: who has opened a pay page.
    ///
    /// # Errors
    /// 400; 62082 if there is no such page.
    pub fn get_cashier_url_info(
        &mut self,
        now: UnixMillis,
        request_time: UnixMillis,
        biz_content: &str,
    ) -> Reply<PayerBody> {
        self.admit(now, request_time)?;
        let CashierUrl { token_url } = request::read(biz_content)?;
        let token = token_url.strip_prefix(&self.cashier_url).and_then(|rest| rest.strip_prefix('/'));
        let id = token.and_then(|token| self.by_token(token));
        let id = id.ok_or_else(|| Refusal::new(code::TOKEN_URL_NOT_EXIST, "TOKEN_URL_NOT_EXIST"))?;
        Ok(PayerBody { payer: self.order(id).scanned.then(order::payer) })
    }

    /// `getOrderPayer`: who has paid an order.
    ///
    /// # Errors
    /// 400; 62004, 62035 if no order has that number; 62015 if nobody has paid it.
    pub fn get_order_payer(
        &mut self,
        now: UnixMillis,
        request_time: UnixMillis,
        biz_content: &str,
    ) -> Reply<PayerBody> {
        self.admit(now, request_time)?;
        let order = self.order(self.referred(&request::reference(biz_content)?)?);
        if order.state().paid_at().is_none() {
            return Err(Refusal::new(code::ORDER_NOT_PAID, "ORDER_NOT_PAID"));
        }
        Ok(PayerBody { payer: Some(order::payer()) })
    }

    /// `queryOrderPage`: the orders that were asked for on some days, oldest first.
    ///
    /// # Errors
    /// 400.
    pub fn query_order_page(
        &mut self,
        now: UnixMillis,
        request_time: UnixMillis,
        biz_content: &str,
    ) -> Reply<OrderPageBody> {
        self.admit(now, request_time)?;
        let query: QueryOrderPage = request::read(biz_content)?;
        let (begin, end) = request::days(&query.start_date, &query.end_date)?;
        let page = query.sort_page_param;
        if page.size == 0 {
            return Err(Refusal::invalid("sortPageParam.size: a page has at least one order"));
        }
        let wanted = |order: &&Order| {
            let statuses = &query.include_status_list;
            (begin..end).contains(&order.request_time)
                && (statuses.is_empty() || statuses.contains(&order.state.status()))
        };
        let total_elements = self.orders.iter().filter(wanted).count();
        let skipped = page.number.saturating_mul(page.size);
        Ok(OrderPageBody {
            items: self.orders.iter().filter(wanted).skip(skipped).take(page.size).map(Order::report).collect(),
            total_elements,
            total_pages: total_elements.div_ceil(page.size),
            sort_page_param: page,
        })
    }

    /// `refund/placeOrder`. A repetition with the same `bizContent`, byte for byte, creates nothing.
    ///
    /// # Errors
    /// 400; 62017 if the number is taken by a refund with other parameters; 62004, 62035 if no order has that number;
    /// 62002, 62015, 62040 if the order has no payment to give back; 62006 if less is left of it.
    pub fn place_refund(&mut self, now: UnixMillis, request_time: UnixMillis, biz_content: &str) -> Reply<RefundBody> {
        self.admit(now, request_time)?;
        let request = request::place_refund(biz_content)?;
        if let Some(taken) = self.refund(request.refund_merchant_order_no.as_str()) {
            if taken.biz_content.as_ref() != biz_content {
                let word = "REFUND_MERCHANT_ORDER_NO_EXIST";
                return Err(Refusal::new(code::REFUND_MERCHANT_ORDER_NO_EXIST, word));
            }
            return Ok(self.refund_body(taken));
        }
        let origin = OrderReference {
            merchant_order_no: request.origin_merchant_order_no.clone(),
            order_no: request.origin_order_no.clone(),
        };
        let order_id = self.referred(&origin)?;
        let order = &mut self.orders[order_id.0];
        order.state.must_be_paid()?;
        let amount = request.amount.0.amount.fils();
        if amount > order.amount().amount.fils() - order.refunded {
            return Err(Refusal::new(code::REFUND_AMOUNT_EXCEEDED, "REFUND_AMOUNT_EXCEEDED"));
        }
        order.refunded += amount;
        let id = self.refunds.len();
        self.refunds.push(Refund {
            biz_content: biz_content.into(),
            number: format!("{}7{id:05}", now.0),
            order: order_id,
            origin: (order.request.merchant_order_no.clone(), order.number.clone()),
            request_time,
            status: RefundStatus::Created,
            request,
        });
        self.due.insert((now.plus(refund::SETTLED_AFTER), Due::Refund(id)));
        Ok(self.refund_body(&self.refunds[id]))
    }

    /// `refund/getOrder`.
    ///
    /// # Errors
    /// 400; 62007, 62035 if no refund has that number.
    pub fn get_refund(&mut self, now: UnixMillis, request_time: UnixMillis, biz_content: &str) -> Reply<RefundBody> {
        self.admit(now, request_time)?;
        let RefundReference { refund_merchant_order_no, order_no } = request::read(biz_content)?;
        let found = match (&refund_merchant_order_no, &order_no) {
            (Some(number), None) => self.refund(number.as_str()).ok_or_else(|| {
                let word = "REFUND_MERCHANT_ORDER_NO_NOT_EXIST";
                Refusal::new(code::REFUND_MERCHANT_ORDER_NO_NOT_EXIST, word)
            }),
            (None, Some(order_no)) => {
                self.refunds.iter().find(|refund| refund.number == *order_no).ok_or_else(no_such_order_no)
            }
            _ => Err(Refusal::invalid("one of refundMerchantOrderNo and orderNo is needed, never both")),
        };
        Ok(self.refund_body(found?))
    }

    /// `transfer/placeTransferOrder`. Whether the identity is encrypted with PayBy's key, the caller has seen.
    ///
    /// # Errors
    /// 400; 62028, 62029, 62002 if the number is taken.
    pub fn place_transfer(
        &mut self,
        now: UnixMillis,
        request_time: UnixMillis,
        biz_content: &str,
    ) -> Reply<TransferBody> {
        self.admit(now, request_time)?;
        let request = request::place_transfer(biz_content)?;
        if let Some(taken) = self.transfer(request.merchant_order_no.as_str()) {
            return Err(taken.taken());
        }
        let id = self.transfers.len();
        let number = format!("{}8{id:05}", now.0);
        self.transfers.push(Transfer { request, number, request_time, status: TransferStatus::Created });
        self.due.insert((now.plus(transfer::SUCCESS_AFTER), Due::Transfer(id)));
        Ok(TransferBody { transfer_order: self.transfers[id].report() })
    }

    /// `transfer/getTransferOrder`.
    ///
    /// # Errors
    /// 400; 62004, 62035 if no transfer has that number.
    pub fn get_transfer(
        &mut self,
        now: UnixMillis,
        request_time: UnixMillis,
        biz_content: &str,
    ) -> Reply<TransferBody> {
        self.admit(now, request_time)?;
        let OrderReference { merchant_order_no, order_no } = request::reference(biz_content)?;
        let found = match (&merchant_order_no, &order_no) {
            (Some(number), None) => self.transfer(number.as_str()).ok_or_else(no_such_number),
            (None, Some(order_no)) => {
                self.transfers.iter().find(|transfer| transfer.number == *order_no).ok_or_else(no_such_order_no)
            }
            _ => Err(Refusal::invalid("one of merchantOrderNo and orderNo is needed, never both")),
        };
        Ok(TransferBody { transfer_order: found?.report() })
    }

    /// What the payer, or PayBy, does to an order. Answers whether that changed anything: only an open order can be
    /// paid, declined or run out of time, and only a paid one settled; to leave decides nothing.
    pub fn act(&mut self, now: UnixMillis, id: OrderId, action: Action) -> bool {
        self.catch_up(now);
        match (action, self.orders[id.0].state) {
            // Its time can be up before PayBy closes it.
            (Action::Pay, State::Created) if self.orders[id.0].expires_at <= now => return false,
            (Action::Pay, State::Created) => self.close(now, id, State::Paid { at: now }),
            (Action::Decline, State::Created) => self.close(now, id, State::Failed(Failed::Declined)),
            (Action::Expire, State::Created) => self.close(now, id, State::Failed(Failed::Expired)),
            (Action::Settle, State::Paid { at }) => {
                self.orders[id.0].state = State::Settled { paid_at: at, revoked: false };
            }
            _ => return false,
        }
        true
    }

    /// Somebody has opened an order's pay page.
    pub fn scan(&mut self, id: OrderId) {
        self.orders[id.0].scanned = true;
    }

    /// A refund that is not over fails; what it would have given back can be refunded again. Answers whether there was one.
    pub fn fail_refund(&mut self, now: UnixMillis, number: &str) -> bool {
        self.catch_up(now);
        let found = self
            .refunds
            .iter()
            .position(|refund| refund.request.refund_merchant_order_no.as_str() == number && !refund.is_over());
        let Some(id) = found else { return false };
        self.due.retain(|&(_, due)| due != Due::Refund(id));
        let refund = &self.refunds[id];
        self.orders[refund.order.0].refunded -= refund.request.amount.0.amount.fils();
        self.end_refund(now, id, RefundStatus::Failure);
        true
    }

    /// A transfer that is under way fails. Answers whether there was one.
    pub fn fail_transfer(&mut self, now: UnixMillis, number: &str) -> bool {
        self.catch_up(now);
        let found = self.transfers.iter().position(|transfer| {
            transfer.request.merchant_order_no.as_str() == number && transfer.status == TransferStatus::Created
        });
        let Some(id) = found else { return false };
        self.due.retain(|&(_, due)| due != Due::Transfer(id));
        self.end_transfer(now, id, TransferStatus::Failure);
        true
    }

    /// Lets `span` pass for all that waits: open orders come nearer to their expiry, refunds and transfers to their end,
    /// notifications to their next attempt.
    ///
    /// The clock itself stays: the merchant's clock cannot be moved along, and a gap between the two would have PayBy
    /// refuse the merchant's next request for its `requestTime`. For the same reason an order's `expiredTime` reads as
    /// the merchant gave it.
    pub fn advance(&mut self, span: Millis) {
        let earlier = |at: UnixMillis| UnixMillis(at.0.saturating_sub(span.0));
        for (at, due) in mem::take(&mut self.due) {
            if let Due::Expiry(id) = due {
                let order = &mut self.orders[id.0];
                order.expires_at = earlier(order.expires_at);
                self.due.insert((order.expires_at.plus(self.closing_delay), due));
            } else {
                self.due.insert((earlier(at), due));
            }
        }
        self.outbox.advance(span);
    }

    /// When something is due by itself: an expiry, a refund's or a transfer's next step, the delivery of a notification.
    #[must_use]
    pub fn next_due(&self) -> Option<UnixMillis> {
        let due = self.due.first().map(|&(at, _)| at);
        due.into_iter().chain(self.outbox.next_due()).min()
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
        while let Some(&(at, due)) = self.due.first()
            && at <= now
        {
            self.due.pop_first();
            match due {
                Due::Expiry(id) => self.close(now, id, State::Failed(Failed::Expired)),
                Due::Refund(id) if self.refunds[id].status == RefundStatus::Created => {
                    self.refunds[id].status = RefundStatus::RefundedSettled;
                    self.due.insert((at.plus(refund::SUCCESS_AFTER), due));
                }
                Due::Refund(id) => self.end_refund(now, id, RefundStatus::Success),
                Due::Transfer(id) => self.end_transfer(now, id, TransferStatus::Success),
            }
        }
    }

    /// The refund with that number of the merchant's.
    #[must_use]
    pub fn refund(&self, number: &str) -> Option<&Refund> {
        self.refunds.iter().find(|refund| refund.request.refund_merchant_order_no.as_str() == number)
    }

    /// All refunds, oldest first.
    pub fn refunds(&self) -> impl Iterator<Item = &Refund> {
        self.refunds.iter()
    }

    /// The transfer with that number of the merchant's.
    #[must_use]
    pub fn transfer(&self, number: &str) -> Option<&Transfer> {
        self.transfers.iter().find(|transfer| transfer.request.merchant_order_no.as_str() == number)
    }

    /// All transfers, oldest first.
    pub fn transfers(&self) -> impl Iterator<Item = &Transfer> {
        self.transfers.iter()
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
        self.due.insert((expired_time.plus(self.closing_delay), Due::Expiry(id)));
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
            scanned: false,
            refunded: 0,
        });
        self.catch_up(now); // A request that was long under way can be late for its own expiry.
        Ok(id)
    }

    fn referred(&self, reference: &OrderReference) -> Result<OrderId, Refusal> {
        match (&reference.merchant_order_no, &reference.order_no) {
            (Some(number), None) => self.by_number(number.as_str()).ok_or_else(no_such_number),
            (None, Some(order_no)) => self.by_order_no(order_no).ok_or_else(no_such_order_no),
            _ => Err(Refusal::invalid("one of merchantOrderNo and orderNo is needed, never both")),
        }
    }

    /// Decides an open order, and tells the merchant.
    fn close(&mut self, now: UnixMillis, id: OrderId, state: State) {
        let order = &mut self.orders[id.0];
        self.due.remove(&(order.expires_at.plus(self.closing_delay), Due::Expiry(id)));
        order.state = state;
        let news = News::Acquire(order.report());
        tell(&mut self.outbox, now, order.request.notify_url.as_deref(), &order.request.merchant_order_no, news);
    }

    fn end_refund(&mut self, now: UnixMillis, id: usize, status: RefundStatus) {
        let refund = &mut self.refunds[id];
        refund.status = status;
        let request = &refund.request;
        let news = News::Refund(refund.report());
        tell(&mut self.outbox, now, request.notify_url.as_deref(), &request.refund_merchant_order_no, news);
    }

    fn end_transfer(&mut self, now: UnixMillis, id: usize, status: TransferStatus) {
        let transfer = &mut self.transfers[id];
        transfer.status = status;
        let request = &transfer.request;
        let news = News::Transfer(transfer.report());
        tell(&mut self.outbox, now, request.notify_url.as_deref(), &request.merchant_order_no, news);
    }

    fn refund_body(&self, refund: &Refund) -> RefundBody {
        let order = &self.orders[refund.order.0];
        let left = order.amount().amount.fils() - order.refunded;
        let money = |amount| WireMoney(Money { amount, currency: Currency::Aed });
        RefundBody {
            refund_order: refund.report(),
            refund_summary: Some(RefundSummary {
                acquire_amount: WireMoney(order.amount()),
                remain_refund_amount: Amount::from_fils(left).ok().map(money),
            }),
        }
    }
}

/// Posts a notification, if the merchant wants any.
fn tell(outbox: &mut outbox::Outbox, now: UnixMillis, url: Option<&str>, number: &OrderNumber, news: News) {
    if let Some(url) = url {
        outbox.post(now, url, number, news);
    }
}

fn no_such_number() -> Refusal {
    Refusal::new(code::MERCHANT_ORDER_NO_NOT_EXIST, "MERCHANT_ORDER_NO_NOT_EXIST")
}

fn no_such_order_no() -> Refusal {
    Refusal::new(code::ORDER_NO_NOT_EXIST, "ORDER_NO_NOT_EXIST")
}

//! The API's description, for programs: `GET /openapi.json`, and `payby-proxy openapi`. What a call takes and gives stands
//! with its handler; what every call has in common, and what can go wrong with which, stands here.

use payby_checkout::protocol::{Problem, ProblemCode};
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Object, PathItem, Ref, RefOr, Required, Response, ResponseBuilder, Type};
use utoipa::{Modify, OpenApi};

use crate::handlers::{health, notifications, orders, purchases, refunds};

/// The whole document.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "payby-proxy",
        description = "The merchant's backend proxy for payby-checkout. JSON, camelCase; amounts are decimal strings, \
                       durations are relative milliseconds. Every error is an RFC 9457 problem document with a stable \
                       `code`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    paths(
        purchases::open,
        purchases::read,
        purchases::resume,
        orders::create,
        orders::read,
        orders::cancel,
        refunds::revoke,
        refunds::ask,
        refunds::read,
        refunds::transfer,
        notifications::receive,
        health::healthz,
        health::readyz,
    ),
    components(schemas(Problem)),
    modifiers(&InCommon),
    tags(
        (name = "shop server", description = "For the shop's server, with an API key that no page ever sees."),
        (name = "page", description = "For the shop's page, with the checkout token of one purchase."),
        (name = "PayBy", description = "For PayBy, who signs."),
        (name = "operator", description = "For whoever runs the proxy."),
    )
)]
#[derive(Debug)]
pub struct Document;

impl Document {
    /// The document as it is served, and as it is kept in the repository.
    #[must_use]
    pub fn text() -> String {
        // A document of strings and numbers can be written.
        Self::openapi().to_pretty_json().unwrap_or_default() + "\n"
    }
}

/// What can go wrong with which call, besides what can go wrong with every one.
fn problems(operation: &str) -> &'static [ProblemCode] {
    use ProblemCode as P;
    match operation {
        "openPurchase" => {
            &[P::InvalidRequest, P::Unauthorized, P::PurchaseDiffers, P::TooLarge, P::UnsupportedMediaType]
        }
        "revokeOrder" => &[P::Unauthorized, P::NotFound, P::RevokeRefused],
        "askRefund" => &[
            P::InvalidRequest,
            P::Unauthorized,
            P::NotFound,
            P::OrderNotPaid,
            P::RefundDiffers,
            P::RefundExceeds,
            P::TooLarge,
            P::UnsupportedMediaType,
        ],
        "readTransfer" => &[P::Unauthorized, P::NotFound, P::Unavailable],
        "readPurchase" | "readRefund" => &[P::Unauthorized, P::NotFound],
        "resumePurchase" | "readOrder" | "cancelOrder" => &[P::NotFound],
        "createOrder" => &[
            P::InvalidRequest,
            P::NotFound,
            P::OrderDiffers,
            P::OrderLive,
            P::PurchasePaid,
            P::TooLarge,
            P::UnsupportedMediaType,
        ],
        "receiveNotification" => &[P::InvalidRequest, P::Unauthorized, P::TooLarge],
        _ => &[],
    }
}

struct InCommon;

impl Modify for InCommon {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        for (name, who) in [
            ("apiKey", "The key of the shop's server; `payby-proxy new-api-key` makes one."),
            ("checkoutToken", "The token that `POST /v1/purchases` answers, good for that purchase alone."),
        ] {
            let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(who)).build();
            components.add_security_scheme(name, SecurityScheme::Http(scheme));
        }
        for item in document.paths.paths.values_mut() {
            operations(item).for_each(complete);
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post].into_iter().flatten()
}

/// Adds the problems, and the headers that every answer has.
fn complete(operation: &mut Operation) {
    let name = operation.operation_id.clone().unwrap_or_default();
    let is_operators = operation.tags.iter().flatten().any(|tag| tag == "operator");
    let in_common: &[ProblemCode] = match name.as_str() {
        "isReady" => &[ProblemCode::Unavailable],
        _ if is_operators => &[],
        _ => &[ProblemCode::RateLimited, ProblemCode::Internal],
    };
    if let (Some(RefOr::T(body)), "createOrder") = (&mut operation.request_body, name.as_str()) {
        body.required = Some(Required::False);
    }
    // What the documentation says to Rust's readers of errors, the table above says here.
    let told = operation.description.take().unwrap_or_default();
    let told = told.split("# Errors").next().unwrap_or_default().trim();
    operation.description = (!told.is_empty()).then(|| told.to_owned());
    for code in problems(&name).iter().chain(in_common) {
        let status = code.http_status().to_string();
        let line = format!("`{}`: {}", name_of(*code), meaning(*code));
        match operation.responses.responses.get_mut(&status) {
            Some(RefOr::T(response)) => response.description = format!("{}\n\n{line}", response.description),
            _ => drop(operation.responses.responses.insert(status, problem(*code, line).into())),
        }
    }
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            for (name, what) in [
                ("X-Request-Id", "Names the request in the proxy's log."),
                ("Cache-Control", "`no-store`: nothing here is kept by anybody on the way."),
            ] {
                response.headers.insert(name.to_owned(), text_header(what).into());
            }
        }
    }
}

fn problem(code: ProblemCode, line: String) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let mut response = ResponseBuilder::new().description(line).content("application/problem+json", content);
    match code {
        ProblemCode::RateLimited => {
            response = response.header("Retry-After", text_header("After how many seconds the same is welcome."));
        }
        ProblemCode::Unauthorized => response = response.header("WWW-Authenticate", text_header("`Bearer`")),
        _ => {}
    }
    response.build()
}

fn text_header(what: &str) -> utoipa::openapi::Header {
    HeaderBuilder::new().description(Some(what)).schema(Some(Object::with_type(Type::String))).build()
}

/// Its name on the wire.
fn name_of(code: ProblemCode) -> String {
    let name = serde_json::to_value(code).ok();
    name.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}

const fn meaning(code: ProblemCode) -> &'static str {
    match code {
        ProblemCode::InvalidRequest => "the request cannot be read, or a value is out of its bounds.",
        ProblemCode::Unauthorized => "who asks has not shown what they must: an API key, or PayBy's signature.",
        ProblemCode::NotFound => "there is no such thing, or it is not for this token; which of the two is not told.",
        ProblemCode::MethodNotAllowed => "the path takes other methods.",
        ProblemCode::PurchaseDiffers => "the reference names a purchase with other parameters.",
        ProblemCode::OrderDiffers => "the order was begun with another scene.",
        ProblemCode::OrderLive => {
            "the purchase has a live order under another number, which is in `order`; go on with it."
        }
        ProblemCode::PurchasePaid => "the purchase is paid already, by the order in `order`.",
        ProblemCode::OrderNotPaid => "the order is not paid, or its payment is given back already.",
        ProblemCode::RefundDiffers => "the refund's number names a refund with other parameters.",
        ProblemCode::RefundExceeds => "it is more than is left of the payment.",
        ProblemCode::RevokeRefused => "PayBy will not revoke the order.",
        ProblemCode::TooLarge => "the body is too large.",
        ProblemCode::UnsupportedMediaType => "the body is not named as JSON.",
        ProblemCode::RateLimited => "too many requests; the same one again after `Retry-After`.",
        ProblemCode::Internal => {
            "the proxy failed. Whether the request took effect is unknown; the same again is safe."
        }
        ProblemCode::Unavailable => "the proxy is not ready, or shutting down; try the same again.",
    }
}

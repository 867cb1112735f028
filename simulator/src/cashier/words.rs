//! The pay page's words, in English and in Arabic.

use payby_checkout::time::Millis;

use crate::model::{Failed, State};

/// A language of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    English,
    Arabic,
}

impl Language {
    pub(super) const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Arabic => "ar",
        }
    }

    pub(super) const fn direction(self) -> &'static str {
        match self {
            Self::English => "ltr",
            Self::Arabic => "rtl",
        }
    }

    pub(super) const fn other(self) -> Self {
        match self {
            Self::English => Self::Arabic,
            Self::Arabic => Self::English,
        }
    }

    pub(super) fn from_tag(tag: &str) -> Option<Self> {
        match tag.split('-').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "en" => Some(Self::English),
            "ar" => Some(Self::Arabic),
            _ => None,
        }
    }

    /// The first one of `Accept-Language` that there is; browsers send them in the order of preference.
    pub(super) fn accepted(header: &str) -> Self {
        let mut tags = header.split(',').filter_map(|part| part.split(';').next());
        tags.find_map(Self::from_tag).unwrap_or(Self::English)
    }

    pub(super) const fn words(self) -> &'static Words {
        match self {
            Self::English => &ENGLISH,
            Self::Arabic => &ARABIC,
        }
    }

    pub(super) fn time_left(self, left: Millis) -> String {
        let minutes = left.0 / 60_000;
        let words = self.words();
        match (minutes / 60, minutes % 60) {
            (0, 0) => words.under_a_minute.to_owned(),
            (0, minutes) => format!("{minutes} {}", words.minutes),
            (hours, minutes) => format!("{hours} {} {minutes} {}", words.hours, words.minutes),
        }
    }
}

/// What stands on the page.
pub(super) struct Words {
    /// The language's name, in itself.
    pub(super) name: &'static str,
    pub(super) simulator: &'static str,
    pub(super) notice: &'static str,
    pub(super) currency: &'static str,
    pub(super) merchant: &'static str,
    pub(super) order: &'static str,
    pub(super) time_left: &'static str,
    pub(super) reason: &'static str,
    pub(super) pay: &'static str,
    pub(super) decline: &'static str,
    pub(super) leave: &'static str,
    pub(super) expire: &'static str,
    pub(super) back: &'static str,
    pub(super) close: &'static str,
    pub(super) password_title: &'static str,
    pub(super) password: &'static str,
    pub(super) password_hint: &'static str,
    pub(super) password_wrong: &'static str,
    pub(super) cancel: &'static str,
    pub(super) no_payment: &'static str,
    pub(super) no_payment_hint: &'static str,
    under_a_minute: &'static str,
    minutes: &'static str,
    hours: &'static str,
    waiting: &'static str,
    paid: &'static str,
    given_back: &'static str,
    declined: &'static str,
    cancelled: &'static str,
    expired: &'static str,
    declined_reason: &'static str,
    cancelled_reason: &'static str,
    expired_reason: &'static str,
}

impl Words {
    pub(super) const fn heading(&self, state: State) -> &'static str {
        match state {
            State::Created => self.waiting,
            State::Paid { .. } | State::Settled { revoked: false, .. } => self.paid,
            State::Settled { revoked: true, .. } | State::Revoked { .. } => self.given_back,
            State::Failed(Failed::Declined) => self.declined,
            State::Failed(Failed::Cancelled) => self.cancelled,
            State::Failed(Failed::Expired) => self.expired,
        }
    }

    pub(super) const fn why(&self, failed: Failed) -> &'static str {
        match failed {
            Failed::Declined => self.declined_reason,
            Failed::Cancelled => self.cancelled_reason,
            Failed::Expired => self.expired_reason,
        }
    }
}

const ENGLISH: Words = Words {
    name: "English",
    simulator: "payment simulator",
    notice: "Simulator: no money moves",
    currency: "AED",
    merchant: "Merchant",
    order: "Order",
    time_left: "Time left",
    reason: "Reason",
    pay: "Pay",
    decline: "Decline",
    leave: "Leave without paying",
    expire: "Let the time run out",
    back: "Back to the shop",
    close: "You can close this page.",
    password_title: "Enter your payment password",
    password: "Payment password",
    password_hint: "From AED 500 on, a password is asked for. Here any six digits are right, but for 000000.",
    password_wrong: "That is not the password. Try again.",
    cancel: "Back",
    no_payment: "No such payment",
    no_payment_hint: "This link is not, or no longer, good. Go back to the shop and start again.",
    under_a_minute: "less than a minute",
    minutes: "min",
    hours: "h",
    waiting: "Waiting for your payment",
    paid: "Paid",
    given_back: "Given back",
    declined: "Payment declined",
    cancelled: "Cancelled",
    expired: "Expired",
    declined_reason: "The payment was declined.",
    cancelled_reason: "The merchant cancelled the order.",
    expired_reason: "The order was not paid in time.",
};

const ARABIC: Words = Words {
    name: "العربية",
    simulator: "محاكي الدفع",
    notice: "محاكاة: لا تُحوَّل أي أموال",
    currency: "درهم",
    merchant: "التاجر",
    order: "الطلب",
    time_left: "الوقت المتبقي",
    reason: "السبب",
    pay: "ادفع",
    decline: "رفض",
    leave: "المغادرة دون دفع",
    expire: "إنهاء المهلة الآن",
    back: "العودة إلى المتجر",
    close: "يمكنك إغلاق هذه الصفحة.",
    password_title: "أدخل كلمة مرور الدفع",
    password: "كلمة مرور الدفع",
    password_hint: "تُطلب كلمة مرور ابتداءً من 500 درهم. أي ستة أرقام مقبولة هنا ما عدا 000000.",
    password_wrong: "كلمة المرور غير صحيحة. حاول مرة أخرى.",
    cancel: "رجوع",
    no_payment: "لا توجد عملية دفع",
    no_payment_hint: "هذا الرابط غير صالح أو لم يعد صالحًا. عُد إلى المتجر وابدأ من جديد.",
    under_a_minute: "أقل من دقيقة",
    minutes: "د",
    hours: "س",
    waiting: "بانتظار الدفع",
    paid: "تم الدفع",
    given_back: "أُعيد المبلغ",
    declined: "رُفضت عملية الدفع",
    cancelled: "أُلغي الطلب",
    expired: "انتهت المهلة",
    declined_reason: "رُفضت عملية الدفع.",
    cancelled_reason: "ألغى التاجر الطلب.",
    expired_reason: "لم يُدفع الطلب في الوقت المحدد.",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_accepted_language_that_there_is() {
        for (header, language) in [
            ("", Language::English),
            ("ar-AE,ar;q=0.9,en;q=0.8", Language::Arabic),
            ("fr-FR, AR;q=0.5", Language::Arabic),
            ("en-GB,ar", Language::English),
            ("*", Language::English),
        ] {
            assert_eq!(Language::accepted(header), language, "{header}");
        }
    }

    #[test]
    fn the_time_left_is_told_in_whole_minutes() {
        for (seconds, english, arabic) in [
            (0, "less than a minute", "أقل من دقيقة"),
            (59, "less than a minute", "أقل من دقيقة"),
            (60, "1 min", "1 د"),
            (3599, "59 min", "59 د"),
            (7200, "2 h 0 min", "2 س 0 د"),
        ] {
            assert_eq!(Language::English.time_left(Millis::from_secs(seconds)), english);
            assert_eq!(Language::Arabic.time_left(Millis::from_secs(seconds)), arabic);
        }
    }
}

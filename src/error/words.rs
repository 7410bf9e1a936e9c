//! Words, numbers and lists as LiteLLM's errors have them.

use std::fmt;
use std::time::Duration;

use http::StatusCode;

/// Rounded up, and not zero, so that nobody comes too early; LiteLLM's cooldown where it is not known.
pub(super) fn whole_seconds(wait: Option<Duration>) -> u64 {
    const UNKNOWN: Duration = Duration::from_secs(5);
    let wait = wait.unwrap_or(UNKNOWN);
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

pub(super) fn class_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "AuthenticationError",
        402 => "PaymentRequiredError",
        403 => "PermissionDeniedError",
        404 => "NotFoundError",
        408 => "Timeout",
        409 => "ConflictError",
        422 => "UnprocessableEntityError",
        429 => "RateLimitError",
        502 => "BadGatewayError",
        503 => "ServiceUnavailableError",
        500..=599 => "InternalServerError",
        _ => "BadRequestError",
    }
}

pub(super) fn type_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "auth_error",
        403 => "permission_denied_error",
        404 => "not_found_error",
        408 => "timeout_error",
        409 => "conflict_error",
        429 => "throttling_error",
        501 => "not_implemented_error",
        502 => "bad_gateway_error",
        503 => "service_unavailable_error",
        500..=599 => "internal_server_error",
        _ => "invalid_request_error",
    }
}

/// A number as Python writes it: clients of LiteLLM read it out of messages.
pub(super) struct Float(pub(super) f64);

impl fmt::Display for Float {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:e}", self.0);
        match text.split_once('e') {
            Some((digits, exponent)) if self.0 != 0.0 => match exponent.parse::<i32>() {
                Ok(exponent @ ..-4) => write!(f, "{digits}e-{:02}", exponent.unsigned_abs()),
                Ok(exponent @ 16..) => write!(f, "{digits}e+{exponent:02}"),
                _ => write!(f, "{:?}", self.0),
            },
            _ => write!(f, "{:?}", self.0),
        }
    }
}

/// Names as LiteLLM's errors list them.
pub(super) struct Names<'a>(pub(super) &'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([first, others @ ..]) = self else {
            return f.write_str("None");
        };
        write!(f, "['{first}'")?;
        others.iter().try_for_each(|name| write!(f, ", '{name}'"))?;
        f.write_str("]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_python_writes_them() {
        for (number, text) in [
            (0.0, "0.0"),
            (3.75e-5, "3.75e-05"),
            (5e-10, "5e-10"),
            (0.0001, "0.0001"),
            (0.001, "0.001"),
            (12.0, "12.0"),
            (1e16, "1e+16"),
        ] {
            assert_eq!(Float(number).to_string(), text);
        }
    }
}

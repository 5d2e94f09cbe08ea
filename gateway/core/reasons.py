"""One closed vocabulary of reasons, shared by decisions, problems, pages, logs and tests."""

from enum import StrEnum


class Reason(StrEnum):
    """Why a request, a code or a sign-in was answered as it was."""

    # forwarded
    PUBLIC = "public"
    SESSION_LIVE = "session-live"
    CODE_GIVEN = "code-given"
    PROTECTION_OFF = "protection-off"

    # sign in
    NO_SESSION = "no-session"
    SESSION_EXPIRED = "session-expired"
    SESSION_REVOKED = "session-revoked"
    EPOCH_MISSING = "epoch-missing"
    ACCOUNT_DISABLED = "account-disabled"
    DEVICE_REVOKED = "device-revoked"

    # step up
    CODE_NEEDED = "code-needed"
    FACTOR_MISSING = "factor-missing"

    # authorise device
    DEVICE_PENDING = "device-pending"
    DEVICE_UNCONFIRMED = "device-unconfirmed"

    # told first
    RESET_WAITING = "reset-waiting"

    # refused
    DENIED = "denied"
    BAD_REQUEST = "bad-request"
    UNKNOWN_HOST = "unknown-host"
    METHOD_REFUSED = "method-refused"
    WRONG_ORIGIN = "wrong-origin"
    BODY_UNREADABLE = "body-unreadable"
    BODY_TOO_LARGE = "body-too-large"
    BODY_UNSEEN = "body-unseen"
    NOT_FOUND = "not-found"
    PROTECTION_LOCKED = "protection-locked"
    STORE_UNAVAILABLE = "store-unavailable"
    OVERLOADED = "overloaded"
    INTERNAL_ERROR = "internal-error"

    # codes
    WRONG_CODE = "wrong-code"
    USED_CODE = "used-code"
    EXPIRED_CODE = "expired-code"
    WRONG_CLOCK = "wrong-clock"
    MALFORMED_CODE = "malformed-code"
    FACTOR_ON_TRIAL = "factor-on-trial"
    WRONG_RECOVERY_CODE = "wrong-recovery-code"
    RECOVERY_NOT_ENOUGH = "recovery-not-enough"
    TOO_MANY_ATTEMPTS = "too-many-attempts"
    CODES_LOCKED = "codes-locked"
    CHALLENGE_EXPIRED = "challenge-expired"

    # sign-in attempts
    WRONG_CREDENTIALS = "wrong-credentials"

    # changing the password
    WRONG_PASSWORD = "wrong-password"  # noqa: S105 - a name, not a password
    UNFIT_PASSWORD = "unfit-password"  # noqa: S105 - a name, not a password

    # changing the profile
    UNFIT_NAME = "unfit-name"
    UNFIT_EMAIL = "unfit-email"
    EMAIL_FIXED = "email-fixed"

    # operators
    INVALID_TOKEN = "invalid-token"  # noqa: S105 - a name, not a token
    INSUFFICIENT_SCOPE = "insufficient-scope"
    INVALID_BODY = "invalid-body"

    # resets
    NOT_RESETTABLE = "not-resettable"
    RESET_LIVE = "reset-live"
    RESET_NOT_OPEN = "reset-not-open"
    RESET_CLOSED = "reset-closed"
    RESET_EARLY = "reset-early"
    UNKNOWN_EVIDENCE = "unknown-evidence"
    EVIDENCE_MISSING = "evidence-missing"
    EVIDENCE_FULL = "evidence-full"
    SAME_OPERATOR = "same-operator"

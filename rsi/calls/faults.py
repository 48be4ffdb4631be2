"""Why a call gave no answer, and what follows: whether it may have cost something, whether asking again may help.

CallFault
├── RateLimited       429: wait, ask again                          free
├── ServerFault       5xx: wait, ask again                          may have cost, but for 503, 529
├── TimedOut          no answer in our time: ask again              may have cost
├── ConnectionLost    dropped while waiting: ask again              may have cost
├── Unreadable        an answer that is none of the protocol's      may have cost
├── Unreachable       nothing listens there: ask again              free
├── KeyMissing        no key where the provider wants one           free, never asked again
├── KeyRefused        401, 403                                      free, never asked again
├── QuotaSpent        402, or 429 for an account without funds      free, never asked again
├── ModelUnknown      404                                           free, never asked again
├── Redirected        3xx: the prompt and the key stay where they were  free, never asked again
├── ContextTooLong    the prompt does not fit                       free, never asked again
└── RequestRefused    any other 4xx                                 free but where a filter is named, never asked again
"""

from __future__ import annotations

from typing import ClassVar


class CallFault(Exception):
    """A sentence of our own for the user, nothing of the server's in it.

    Classes say what it means for money and for asking again.
    """

    kind: ClassVar[str] = "fault"
    retryable: ClassVar[bool] = False

    def __init__(
        self, sentence: str, *, said: str = "", charged: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(sentence)
        self.said = said
        """The provider's own words, hostile and uncut, may repeat keys: for `rsi.calls.settling.told` alone."""
        self.charged = charged
        """Whether the provider may bill it all the same; then its reservation counts as spent."""
        self.retry_after = retry_after
        """Seconds that the provider asks to wait."""


class RateLimited(CallFault):
    """Too many requests or tokens a minute."""

    kind = "rate_limited"
    retryable = True


class ServerFault(CallFault):
    """The provider's side broke or is overloaded."""

    kind = "server_fault"
    retryable = True


class TimedOut(CallFault):
    """No answer within our own limit."""

    kind = "timed_out"
    retryable = True


class ConnectionLost(CallFault):
    """The connection went away while we waited."""

    kind = "connection_lost"
    retryable = True


class Unreadable(CallFault):
    """Something answered that does not speak the protocol: a proxy's page, half a body."""

    kind = "unreadable"
    retryable = True


class Unreachable(CallFault):
    """Nothing listens at the address."""

    kind = "unreachable"
    retryable = True


class KeyMissing(CallFault):
    """The environment holds no key for this provider."""

    kind = "key_missing"


class KeyRefused(CallFault):
    """The provider does not accept the key, or not for this model."""

    kind = "key_refused"


class QuotaSpent(CallFault):
    """The account has no funds left: waiting a minute does not help."""

    kind = "quota_spent"


class ModelUnknown(CallFault):
    """The provider has no such model."""

    kind = "model_unknown"


class Redirected(CallFault):
    """Something answers there that sends us elsewhere."""

    kind = "redirected"


class ContextTooLong(CallFault):
    """The prompt and the answer's limit do not fit the model."""

    kind = "context_too_long"


class RequestRefused(CallFault):
    """The provider finds something else wrong with the request."""

    kind = "request_refused"

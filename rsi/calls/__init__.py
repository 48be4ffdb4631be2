"""Paying for answers of a language model: asked for once, recorded before they are used, never past the limit.

Nothing in here knows which library makes the call: that is a `Client`.
"""

from rsi.calls.faults import (
    CallFault,
    ConnectionLost,
    ContextTooLong,
    KeyMissing,
    KeyRefused,
    ModelUnknown,
    QuotaSpent,
    RateLimited,
    Redirected,
    RequestRefused,
    ServerFault,
    TimedOut,
    Unreachable,
    Unreadable,
)
from rsi.calls.front import Calls, Conversation, Interrupted
from rsi.calls.recorded import RecordedCalls, ReplayDiffers
from rsi.calls.request import Answer, Client, Message, Request
from rsi.spending import BudgetSpent, Price, Spending, worst_case

__all__ = [
    "Answer",
    "BudgetSpent",
    "CallFault",
    "Calls",
    "Client",
    "ConnectionLost",
    "ContextTooLong",
    "Conversation",
    "Interrupted",
    "KeyMissing",
    "KeyRefused",
    "Message",
    "ModelUnknown",
    "Price",
    "QuotaSpent",
    "RateLimited",
    "RecordedCalls",
    "Redirected",
    "ReplayDiffers",
    "Request",
    "RequestRefused",
    "ServerFault",
    "Spending",
    "TimedOut",
    "Unreachable",
    "Unreadable",
    "worst_case",
]

"""Names that say nothing: keyed hashes in place of identifiers, and dates moved by a secret number of days.

A pseudonym is the beginning of HMAC-SHA256 (RFC 2104, doi:10.17487/RFC2104) of what it stands for. Whoever has no key
can neither turn it round nor try out patient numbers; the same key gives the same pseudonym for ever.
"""

import base64
import hmac
import secrets
from datetime import date

KEY_BYTES = 32
LENGTH = 10
"""Characters of a pseudonym, five bits each."""
LARGEST_SHIFT_DAYS = 300_000
SECONDS_A_DAY = 86_400


def new_key() -> bytes:
    """A secret key of 32 random bytes."""
    return secrets.token_bytes(KEY_BYTES)


def pseudonym(key: bytes, kind: str, text: str) -> str:
    """What stands for `text` from now on, as "p-7k3qxa2m5c": the first letter of its kind and ten characters.

    Kinds are words such as patient, study, series, frame, scanner, instance or file: the same text of two kinds
    gives two pseudonyms. Blanks around the text do not count. Raises ValueError for an empty key or kind.
    """
    if not key or not kind:
        raise ValueError("a pseudonym needs a key and a kind")
    content = f"{kind}\0{text.strip()}".encode("utf-8", "surrogatepass")
    digest = hmac.digest(key, content, "sha256")
    return f"{kind[0]}-{base64.b32encode(digest).decode('ascii')[:LENGTH].lower()}"


def shifted_day(key: bytes, day: date) -> int:
    """The day as a number, moved by the key's secret shift: differences are true, the number itself says nothing."""
    return day.toordinal() + _secret(key, "days", LARGEST_SHIFT_DAYS)


def shifted_moment(key: bytes, day: date, seconds: float) -> float:
    """The moment in seconds, moved by the key's secret shift: differences between two moments are true."""
    return shifted_day(key, day) * SECONDS_A_DAY + seconds + _secret(key, "seconds", SECONDS_A_DAY)


def _secret(key: bytes, purpose: str, below: int) -> int:
    digest = hmac.digest(key, f"shift\0{purpose}".encode(), "sha256")
    return int.from_bytes(digest[:8], "big") % below

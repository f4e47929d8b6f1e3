"""Train, judge and use lesion classifiers when cases are few and the classes unequal. Research use only."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rarelesion.plain import auc, compare_aucs, operating_point

__version__ = "0.1.0"
__all__ = ["__version__", "auc", "compare_aucs", "operating_point"]


def __getattr__(name: str) -> Any:
    """The statistics on plain arrays, loaded when first asked for: a command's start must not wait for them."""
    if name not in __all__:
        raise AttributeError(f"module 'rarelesion' has no attribute {name!r}")
    from rarelesion import plain

    return getattr(plain, name)

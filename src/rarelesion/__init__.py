"""Train, judge and use lesion classifiers when cases are few and the classes unequal. Research use only."""

__version__ = "0.1.0"

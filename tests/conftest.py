"""Settings that all tests share."""

from hypothesis import settings

# The same examples in every run: a failure is a bug or a mistaken test, never luck. Without a deadline, because
# how long an example takes is the machine's affair.
settings.register_profile("default", derandomize=True, deadline=None, max_examples=200)
settings.load_profile("default")

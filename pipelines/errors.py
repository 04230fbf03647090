"""Say what is wrong with someone's data: what came, what fits, what to do."""

from keras_ssl.core.errors import UserError, did_you_mean

__all__ = ["DataError", "did_you_mean"]


class DataError(UserError):
    """Data or a data setting that cannot be used; the message is one or two lines for a person."""

"""Messages as typed values, and between values and octets."""

from openami.omadm.messages.codec import decode_message, encode_message
from openami.omadm.messages.media import MediaType

__all__ = ["MediaType", "decode_message", "encode_message"]

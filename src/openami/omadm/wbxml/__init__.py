"""WBXML (WAP-192-WBXML 1.3): any 1.x is read, 1.2 is written, with the code pages of OMA DM 1.2."""

from openami.omadm.wbxml.decode import Document, parse_wbxml
from openami.omadm.wbxml.encode import write_wbxml
from openami.omadm.wbxml.tokens import DocumentKind

__all__ = ["Document", "DocumentKind", "parse_wbxml", "write_wbxml"]

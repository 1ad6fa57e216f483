"""FUMO and SCOMO: their states, results and alert types; what is done with them is the device's."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final

SCOMO_COMPLETE: Final = "urn:oma:at:scomo:1.0:OperationComplete"


class FumoAlert(StrEnum):
    """The type of the alert that says how an operation ended."""

    DOWNLOAD = "org.openmobilealliance.dm.firmwareupdate.download"
    UPDATE = "org.openmobilealliance.dm.firmwareupdate.update"
    DOWNLOAD_AND_UPDATE = "org.openmobilealliance.dm.firmwareupdate.downloadandupdate"


class FumoState(IntEnum):
    """A package's State (OMA-TS-DM-FUMO 1.0, clause 5)."""

    IDLE = 10
    DOWNLOAD_FAILED = 20
    DOWNLOADING = 30
    DOWNLOADED = 40
    READY = 50
    UPDATING = 60
    FAILED_WITH_DATA = 70
    FAILED = 80
    DONE_WITH_DATA = 90
    DONE = 100


class FumoResult(IntEnum):
    """How an operation ended (OMA-TS-DM-FUMO 1.0, clause 7)."""

    OK = 200
    CLIENT_ERROR = 400
    USER_CANCELLED = 401
    CORRUPT_PACKAGE = 402
    DEVICE_MISMATCH = 403
    SIGNATURE_FAILED = 404
    NOT_ACCEPTABLE = 405
    DOWNLOAD_AUTHENTICATION = 406
    TIMEOUT = 407
    NOT_IMPLEMENTED = 408
    UNDEFINED = 409
    UPDATE_FAILED = 410
    BAD_URL = 411
    SERVER_UNAVAILABLE = 412
    SERVER_ERROR = 500
    NO_MEMORY_FOR_DOWNLOAD = 501
    NO_MEMORY_FOR_UPDATE = 502
    NETWORK = 503


class ScomoStatus(IntEnum):
    """The Status of a package below Download, while it is fetched and installed."""

    IDLE = 10
    DOWNLOAD_FAILED = 20
    DOWNLOADING = 30
    DOWNLOADED = 40
    INSTALLING = 50
    FAILED_WITH_DATA = 60
    FAILED = 70


class ScomoDeliveredState(IntEnum):
    """The State of a package below Inventory/Delivered."""

    DELIVERED = 10
    INSTALLED = 20


class ScomoDeliveredStatus(IntEnum):
    """The Status of a package below Inventory/Delivered, while it is installed or removed."""

    IDLE = 10
    REMOVE_FAILED = 20
    REMOVING = 30
    INSTALLING = 40
    FAILED_WITH_DATA = 50
    FAILED = 60


class ScomoState(IntEnum):
    """The State of a component below Inventory/Deployed."""

    INACTIVE = 10
    ACTIVE = 20


class ScomoDeployedStatus(IntEnum):
    """The Status of a component below Inventory/Deployed, while an operation changes it."""

    IDLE = 10
    REMOVE_FAILED = 20
    REMOVING = 30
    ACTIVATE_FAILED = 40
    ACTIVATING = 50
    DEACTIVATE_FAILED = 60
    DEACTIVATING = 70


class ScomoResult(IntEnum):
    """How an operation ended (OMA-TS-DM-SCOMO 1.0); makers have numbers of their own."""

    OK = 1200
    CLIENT_ERROR = 1400
    USER_CANCELLED = 1401
    DOWNLOAD_FAILED = 1402
    DOWNLOAD_AUTHENTICATION = 1403
    NO_MEMORY_FOR_DOWNLOAD = 1404
    INSTALL_FAILED = 1405
    NO_MEMORY_FOR_INSTALL = 1406
    VALIDATION_FAILED = 1407
    REMOVE_FAILED = 1408
    ACTIVATE_FAILED = 1409
    DEACTIVATE_FAILED = 1410
    NOT_IMPLEMENTED = 1411
    UNDEFINED = 1412
    WRONG_ENVIRONMENT = 1413
    SERVER_ERROR = 1500
    SERVER_UNAVAILABLE = 1501

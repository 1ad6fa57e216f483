"""What an IDevID says of the hardware that holds its key: for tests, since nothing else asks."""

from cryptography import x509

from openami.crypto.hardware import HARDWARE_MODULE_NAME, HardwareModule


def hardware_of(certificate: x509.Certificate) -> HardwareModule | None:
    """Return which hardware holds the key of an IDevID; None where it does not say."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return None
    names = extension.value.get_values_for_type(x509.OtherName)
    wanted = [name.value for name in names if name.type_id == HARDWARE_MODULE_NAME]
    return HardwareModule.decode(wanted[0]) if wanted else None

"""What names authorities and certificates."""

import pytest

from openami.fleet.certificates import (
    AuthorityName,
    CertificateKind,
    CertificateRecord,
    authority_id,
    authority_number,
)

DAY = 86_400.0


@pytest.mark.parametrize("name", AuthorityName)
@pytest.mark.parametrize(("number", "ending"), [(1, ""), (2, "-2"), (99, "-99")])
def test_authorities_that_follow_each_other_are_counted(
    name: AuthorityName, number: int, ending: str
) -> None:
    text = authority_id(name, number)
    assert text == f"{name.value}{ending}"
    assert authority_number(text) == number
    assert len(text) <= 16, "what the database keeps"


def test_a_certificate_says_who_has_issued_it_and_how_long_it_is_good() -> None:
    made = CertificateRecord(1, CertificateKind.DEVICE, "D1", b"", 0.0, 9 * DAY, number=2)
    assert made.authority == "devices-2"
    assert [made.days_left(now) for now in (0.0, 5 * DAY, 10 * DAY)] == [9.0, 4.0, 0.0]
    gone = CertificateRecord(1, CertificateKind.SERVER, "x", b"", 0.0, 9 * DAY, revoked=1.0)
    assert (gone.authority, gone.days_left(0.0)) == ("servers", 0.0)

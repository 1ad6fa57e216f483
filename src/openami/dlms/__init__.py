"""DLMS/COSEM (IEC 62056): a sans-IO protocol stack."""

"""Bytes from the wire: who may send, what is taken, which DICOM status answers, what is eligible for analysis."""

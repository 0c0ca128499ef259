"""OcuNet PACS: a DICOM worker daemon that reads fundus photographs and writes reports back to the PACS."""

__version__ = "0.1.0"

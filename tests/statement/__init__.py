"""The tables of docs/dicom-conformance.md, made from the code. `python -m tests.statement` writes them anew."""

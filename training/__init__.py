"""Retraining of the model on a site's own images.

Sees only `ocunet_pacs.imaging`, `ocunet_pacs.model` and `ocunet_pacs.domain`, so that a training machine needs neither
a DICOM network stack nor a database. It holds no code yet; the daemon does not depend on it.
"""

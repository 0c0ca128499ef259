"""Retraining of the model on a site's own images: the `ocunet-train` command.

The data's way, folder by folder:

    corpora ─▶ data ─▶ learning ─▶ calibration ─▶ export ─▶ evaluation ─▶ promotion
    harvest ─┘ (manifest, (network)   (temperature,   (bundle)   (page, compare)   (gate)
               splits, cache)          thresholds)

`run` is that way on one screen; `metrics` is what calibration and evaluation count with. Sees only
`ocunet_pacs.imaging`, `ocunet_pacs.model` and `ocunet_pacs.domain`, so that a training machine needs neither a DICOM
network stack nor a database. The daemon does not depend on it.
"""

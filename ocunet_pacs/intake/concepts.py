"""The coded concepts that decide whether an image is eligible, as "SCHEME:value" (PS3.16); SNOMED RT is translated."""

from __future__ import annotations

# Anatomic Region Sequence (0008,2218), CID 4209 Ophthalmic Anatomic Structure Imaged. "Eye", "both eyes"
# and "vitreous" (which a fundus is photographed through) say neither.
FUNDUS_REGIONS = frozenset({"SCT:5665001", "SCT:81016008", "SCT:67046006", "SCT:68703001"})
OTHER_REGIONS = {
    "SCT:31636006": "anterior chamber of eye",
    "SCT:29534007": "ciliary body",
    "SCT:29445007": "conjunctiva",
    "SCT:28726007": "cornea",
    "SCT:80243003": "eyelid",
    "SCT:41296002": "iris",
    "SCT:43045000": "lacrimal caruncle",
    "SCT:13561001": "lacrimal gland",
    "SCT:3954005": "lacrimal sac",
    "SCT:78076003": "lens",
    "SCT:53549008": "ophthalmic artery",
    "SCT:15775008": "corneal epithelium",
    "SCT:65431007": "corneal endothelium",
    "SCT:62736007": "lower eyelid",
    "SCT:18619003": "sclera",
    "SCT:38934000": "upper eyelid",
}
# Acquisition Device Type Code Sequence (0022,0015), CID 4202 Ophthalmic Photography Acquisition Device.
FUNDUS_DEVICES = frozenset({"SCT:409898007", "SCT:392001008", "SCT:392004000", "SCT:409900009", "SCT:409901008"})
OTHER_DEVICES = {
    "SCT:409903006": "external camera",
    "SCT:397522002": "keratoscope",
    "SCT:420827006": "pupillograph",
    "SCT:397247004": "slit lamp biomicroscope",
    "SCT:409899004": "specular microscope",
    "SCT:102321001": "operating microscope",
    "SCT:409902001": "ophthalmic endoscope",
}
# Light Path Filter Type Stack and Image Path Filter Type Stack (0022,0017/0018), CID 4204 Ophthalmic Filter.
COLOURED_FILTERS = {
    "SCT:422915004": "blue-green",
    "SCT:445084008": "blue",
    "SCT:445465004": "green",
    "SCT:445169002": "infrared",
    "SCT:445279009": "red",
    "SCT:445340000": "yellow-green",
}
# Channel Description Code Sequence (0022,001A), CID 4206 Ophthalmic Channel Description. A colour photograph may name
# its three channels; one that names fewer is not in colour, whatever its pixels are stored as.
FULL_SPECTRUM = "SCT:414298005"
PRIMARY_CHANNELS = frozenset({"SCT:371240000", "SCT:371246006", "SCT:405738005"})
OTHER_CHANNELS = {"SCT:414497003": "infrared", "SCT:405739002": "red-free", "SCT:415770004": "ultraviolet"}
# Contrast/Bolus Agent Sequence (0018,0012), CID 4200 Ophthalmic Imaging Agent.
AGENTS = {
    "SCT:350086004": "fluorescein",
    "SCT:7292004": "indocyanine green",
    "SCT:330888007": "rose bengal",
    "SCT:354064008": "methylene blue",
    "SCT:60441008": "trypan blue",
}
